"""The metadata at a stream's side."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from lxml import etree
from support.inprocess import InProcess, blocking, serving
from support.media import H264
from support.programs import make, run
from support.rtsp import RawRtsp
from support.server import ServerProcess

from manycast.media.track import Codec
from manycast.wire.rtp.formats import track_from_rtpmap
from manycast.wire.rtp.packet import RtpPacket
from manycast.wire.sdp import SessionDescription

TT = "http://www.onvif.org/ver10/schema"
EVENT = f'<tt:MetadataStream xmlns:tt="{TT}"><tt:Event>door open</tt:Event></tt:MetadataStream>'.encode()
TCP = "RTP/AVP/TCP;unicast;interleaved="


async def described(server: InProcess, client: RawRtsp, name: str = "live") -> SessionDescription:
    return SessionDescription.parse((await blocking(client.ask, "DESCRIBE", name)).body)


def set_up(client: RawRtsp, control: str, channels: str) -> None:
    reply = client.ask("SETUP", f"live/{control}", {"Transport": TCP + channels})
    assert reply.status == 200, reply
    client.session = reply.session


def documents(client: RawRtsp, channel: int, count: int) -> list[bytes]:
    """The next documents of a channel, put together from their packets."""
    found: list[bytes] = []
    parts: list[bytes] = []
    while len(found) < count:
        packet: RtpPacket = client.rtp(1, channel)[0]
        parts.append(packet.payload)
        if packet.marker:
            found.append(b"".join(parts))
            parts = []
    return found


async def test_it_is_a_section_of_its_own_after_the_others() -> None:
    async with serving(metadata=True) as server:
        (await server.publish()).start()
        client = await server.connect()
        description = await described(server, client)
        *others, section = description.media
        assert {medium.kind for medium in others} <= {"video", "audio"}
        assert others
        assert (section.kind, section.protocol) == ("application", "RTP/AVP")
        (payload_type,) = section.payload_types
        rtpmap = section.rtpmaps[payload_type]
        assert (rtpmap.encoding_name, rtpmap.clock_rate_hz) == ("vnd.onvif.metadata", 90_000)
        assert track_from_rtpmap(rtpmap)[0].codec is Codec.METADATA
        taken = {medium.payload_types[0] for medium in others}
        assert payload_type not in taken


async def test_without_it_nothing_is_there() -> None:
    async with serving() as server:
        (await server.publish()).start()
        client = await server.connect()
        assert all(medium.kind != "application" for medium in (await described(server, client)).media)
        reply = await blocking(client.ask, "SETUP", "live/trackID=metadata", {"Transport": TCP + "0-1"})
        assert reply.status == 404


async def test_something_comes_every_second_and_what_is_put_in_comes_at_once() -> None:
    async with serving(metadata=True) as server:
        (await server.publish()).start()
        client = await server.connect()
        await blocking(set_up, client, "trackID=0", "0-1")
        await blocking(set_up, client, "trackID=metadata", "4-5")
        play = await blocking(client.ask, "PLAY", "live")
        assert play.status == 200
        assert "trackID=metadata;seq=" in play["RTP-Info"]
        started_s = asyncio.get_running_loop().time()
        first, second = await blocking(documents, client, 4, 2)
        assert asyncio.get_running_loop().time() - started_s < 4
        for document in (first, second):
            root = etree.fromstring(document)
            assert root.tag == f"{{{TT}}}MetadataStream"
        server.hub.metadata.put("live", EVENT)
        assert EVENT in await blocking(documents, client, 4, 2)
        assert await blocking(client.rtp, 5, 0)  # the picture goes on beside it


async def test_a_viewer_may_want_nothing_else() -> None:
    async with serving(metadata=True) as server:
        (await server.publish()).start()
        client = await server.connect()
        await blocking(set_up, client, "trackID=metadata", "0-1")
        assert (await blocking(client.ask, "PLAY", "live")).status == 200
        assert await blocking(documents, client, 0, 1)
        assert (await blocking(client.ask, "TEARDOWN", "live")).status == 200
        assert not list(server.hub.metadata)


async def test_a_large_document_is_cut_and_put_together() -> None:
    async with serving(metadata=True) as server:
        (await server.publish()).start()
        client = await server.connect()
        await blocking(set_up, client, "trackID=metadata", "0-1")
        await blocking(client.ask, "PLAY", "live")
        large = EVENT.replace(b"door open", b"door open " * 2000)
        server.hub.metadata.put("live", large)
        assert large in await blocking(documents, client, 0, 2)


async def test_who_does_not_ask_for_it_gets_none_and_costs_nothing() -> None:
    async with serving(metadata=True) as server:
        (await server.publish()).start()
        client = await server.connect()
        await blocking(set_up, client, "trackID=0", "0-1")
        await blocking(client.ask, "PLAY", "live")
        await blocking(client.rtp, 10)
        assert not list(server.hub.metadata)
        server.hub.metadata.put("live", EVENT)  # falls to the floor


def test_the_end_of_a_file_is_its_end_too(tmp_path: Path) -> None:
    """ffmpeg, which sets up all there is, ends with the file."""
    file = make(tmp_path / "short.mp4", "-f", "lavfi", "-i", "testsrc2=duration=1:size=160x120", *H264)
    with ServerProcess(tmp_path, media=tmp_path, config="rtsp: {metadata: 1, udp_base_port: UDP_BASE}\n") as server:
        started_s = time.monotonic()
        run(
            "ffmpeg",
            "-nostdin",
            "-rtsp_transport",
            "tcp",
            "-i",
            server.url(file.name),
            "-map",
            "0",
            "-c",
            "copy",
            "-f",
            "null",
            "-",
        )
        assert time.monotonic() - started_s < 20
