"""Streams pulled from an RTMP server: our own, in this process."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from support.clips import make_clip
from support.inprocess import HOST, blocking
from support.rtmp import RawRtmp
from support.taking import Taken
from support.waiting import until

from manycast.hub.catalogue import Catalogue
from manycast.hub.hub import Hub
from manycast.hub.source import SourceDenied, SourceError
from manycast.media.track import Codec
from manycast.servers.rtmp.options import RtmpOptions
from manycast.servers.rtmp.server import RtmpServer
from manycast.sources.dialling import DialOptions
from manycast.sources.loops import OwnStreams
from manycast.sources.rtmp.source import RtmpSource
from manycast.wire.address import SourceAddress
from manycast.wire.rtmp.client import RtmpRefused


@asynccontextmanager
async def serving(**options: object) -> AsyncIterator[tuple[Hub, int]]:
    hub = Hub()
    listener = socket.create_server((HOST, 0))
    rtmp = RtmpServer(Catalogue(hub, None), RtmpOptions(**options))  # type: ignore[arg-type]
    rtmp.listen([listener])
    rtmp.start()
    try:
        yield hub, listener.getsockname()[1]
    finally:
        await hub.close("the test is over")
        await rtmp.close("the test is over")


def source(port: int, path: str = "live/x", login: str = "") -> RtmpSource:
    address = SourceAddress.parse(f"rtmp://{login}{HOST}:{port}/{path}")
    return RtmpSource(address, options=DialOptions(), guard=OwnStreams(str).guard("copy"), agent="test")


@pytest.mark.parametrize("path", ["live/x", "x", "live/deep/x"])
async def test_a_stream_is_pulled(path: str) -> None:
    clip = make_clip()
    app, _, name = path.rpartition("/")
    async with serving() as (hub, port):
        client = await blocking(RawRtmp.connect, HOST, port)
        with client:
            stream_id, code = await blocking(client.publish, app, name)
            assert code == "NetStream.Publish.Start"
            await blocking(client.send_clip, clip, stream_id, 30)
            await until(lambda: hub.live(path), "the stream is there")
            taken = Taken()
            task = asyncio.create_task(source(port, path).run(taken.publish))
            await until(lambda: taken.frames, "frames come")
            assert [track.codec for track in taken.tracks] == [Codec.H264]
            assert taken.frames[0].keyframe
        with contextlib.suppress(SourceError):
            await asyncio.wait_for(task, 10)  # the publisher has gone


@pytest.mark.parametrize("adobe", [False, True])
@pytest.mark.parametrize("login", ["", "joe:wrong@", "joe:se%40cret@"])
async def test_logins(adobe: bool, login: str) -> None:
    async with serving(users={"joe": "se@cret"}, adobe_auth=adobe) as (_, port):
        expected = "StreamNotFound" if "cret" in login else "refuses"
        with pytest.raises(SourceError, match=expected) as refused:
            await source(port, login=login).run(Taken().publish)
        assert isinstance(refused.value, SourceDenied) == ("cret" not in login), "nobody waits for a login to get right"


@pytest.mark.parametrize(
    ("code", "description", "denied"),
    [
        ("NetConnection.Connect.Rejected", "", True),
        ("NetStream.Play.Failed", "Authentication failed", True),
        ("NetStream.Play.Failed", "unauthorized", True),
        ("NetStream.Play.Failed", "User not authorized to play", True),
        ("NetStream.Play.Failed", "bad username or password", True),
        ("NetStream.Play.Failed", "too many sessions", False),
        ("NetStream.Play.Failed", "", False),
        ("NetStream.Play.StreamNotFound", "nothing is called 'login'", False),
    ],
)
def test_what_is_refused_for_the_login(code: str, description: str, denied: bool) -> None:
    assert RtmpRefused(code, description).of_client == denied


@pytest.mark.parametrize("answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x03" + bytes(3072) + b"\xff" * 5000])
async def test_what_is_no_rtmp(answer: bytes) -> None:
    async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(serve, HOST, 0)
    async with server:
        with pytest.raises(SourceError):
            await source(server.sockets[0].getsockname()[1]).run(Taken().publish)


async def test_a_server_that_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("manycast.sources.rtmp.source.SILENCE_S", 1.0)
    finished = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()
        await writer.wait_closed()
        finished.set()

    server = await asyncio.start_server(serve, HOST, 0)
    async with server:
        with pytest.raises(SourceError, match="nothing has come"):
            await asyncio.wait_for(source(server.sockets[0].getsockname()[1]).run(Taken().publish), 15)
        await asyncio.wait_for(finished.wait(), 10)
