"""The parts of the server that other programs use."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.clips import make_clip
from support.inprocess import blocking
from support.ports import free_tcp_port
from support.rtsp import RawRtsp

from manycast.embed import Overrides, PathTaken, Server, Stream
from manycast.sources.demo import DemoSource

HOST = "127.0.0.1"


async def test_streams_are_added_found_and_removed(tmp_path: Path) -> None:
    port = free_tcp_port(HOST)
    overrides = Overrides(
        host=HOST, media_folder=tmp_path, rtsp_port=port, http_port=0, https_port=0, rtmp_port=0, onvif_port=0
    )
    clip = make_clip()
    async with Server(overrides=overrides) as server:
        assert (f"rtsp://{HOST}:{port}/demo") in [address for _, _, address in server.addresses]
        stream = server.publish("mine", [clip.track])
        for number in range(30):
            stream.push(clip.frame(number))
        with pytest.raises(PathTaken):
            server.publish("mine", [clip.track])
        assert await server.lookup("mine") is stream
        client = await blocking(RawRtsp.connect, HOST, port)
        assert (await blocking(client.ask, "DESCRIBE", "mine")).status == 200
        server.unpublish(stream)
        assert (await blocking(client.ask, "DESCRIBE", "mine")).status == 404
        server.add("pattern", DemoSource)
        assert isinstance(await server.lookup("pattern"), Stream)
        await server.remove("pattern")
        assert await server.lookup("pattern") is None
        server.put_metadata("mine", b"<nobody listens/>")
