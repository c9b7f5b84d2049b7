"""What an old camera sends, as it comes over HTTP: who gets it as it is, who in other codecs, and for how long."""

from __future__ import annotations

import asyncio
import io
import logging
import threading
from contextlib import closing

import av
import pytest
from support.converting import TONE_HZ, Converting, converting
from support.hearing import loudest_hz
from support.hls import Player
from support.http_streams import Reply
from support.waiting import until

from manycast.hub.source import SourceError
from manycast.sources.transcoding.service import TranscodingService
from manycast.wire.flv.message import FlvMessage, MessageType
from manycast.wire.flv.reader import FlvReader

BROWSER = "User-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\n"
WEBSOCKET = (
    "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: KSO+hOFs1q5SkEnx8bvp6w==\r\n"
    "Sec-WebSocket-Version: 13\r\n"
)
AVC, AAC, G711A = 0x17, 0xAF, 0x72  # the first bytes of messages
TEXT = 1  # the opcode


async def flv_messages(reply: Reply, *, websocket: bool = False) -> dict[MessageType, FlvMessage]:
    """The first message with something coded, of each kind that is announced."""
    reader, found = FlvReader(), dict[MessageType, FlvMessage]()
    wanted = None
    async with asyncio.timeout(20):
        while wanted is None or found.keys() != wanted:
            data = (await reply.read_message())[1] if websocket else await reply.read_chunk()
            if wanted is None:
                wanted = {kind for kind, bit in ((MessageType.AUDIO, 4), (MessageType.VIDEO, 1)) if data[4] & bit}
            for message in reader.receive(data):
                if message.kind is not MessageType.DATA:
                    found.setdefault(message.kind, message)
    return found


async def codecs_of_flv(server: Converting, more: str = "") -> list[int]:
    """The first byte of a message of pictures, and of sound."""
    reply = await server.ask("/live.flv", more)
    with closing(reply):
        messages = await flv_messages(reply, websocket=more == WEBSOCKET)
        return [messages[kind].body[0] for kind in (MessageType.VIDEO, MessageType.AUDIO) if kind in messages]


async def first_segment(server: Converting) -> bytes:
    player = await Player.connect(server.port)
    try:
        answer = await player.ask("/live.m3u8")
        assert answer.status == 200, answer
        playlist = f"/{answer.names[0]}"
        media = await player.ask(playlist)
        return (await player.ask(f"{playlist.rpartition('/')[0]}/{media.names[0]}")).body
    finally:
        player.close()


@pytest.mark.parametrize(
    ("more", "codecs"),
    [("", [AVC, G711A]), (BROWSER, [AVC, AAC]), (WEBSOCKET, [AVC, AAC])],
    ids=["player", "browser", "websocket"],
)
async def test_flv_has_what_its_player_knows(more: str, codecs: list[int]) -> None:
    async with converting() as server, server.publishing():
        assert await codecs_of_flv(server, more) == codecs


async def test_all_forms_share_one_picture_and_one_sound(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with converting() as server, server.publishing() as stream:
        players = [
            await server.ask(target, more)
            for target, more in (("/live.flv", ""), ("/live.flv", BROWSER), ("/live.mp4", ""), ("/live.mp4", WEBSOCKET))
        ]
        segment = await first_segment(server)
        for player in players:
            assert player.status in (101, 200)
            player.close()
        messages = [record.getMessage() for record in caplog.records]
        for changed in ("MJPEG to H264", "G711A to AAC"):
            assert len([line for line in messages if line.endswith(f"transcoding {changed}")]) == 1
        assert len([line for line in messages if "goes as" in line]) == 2
        assert stream.watchers == 1
    with av.open(io.BytesIO(segment), "r", format="mpegts") as container:
        assert [track.codec_context.name for track in container.streams] == ["h264", "aac"]
        assert next(container.decode(video=0)).width == 320
    with av.open(io.BytesIO(segment), "r", format="mpegts") as container:
        assert loudest_hz(list(container.decode(audio=0))) == pytest.approx(TONE_HZ, abs=15)


async def test_it_begins_with_the_first_viewer_and_ends_after_the_last() -> None:
    def working() -> list[str]:
        return [thread.name for thread in threading.enumerate() if thread.name.startswith("transcoding live")]

    async with converting() as server, server.publishing() as stream:
        assert not working()
        first, second = [await server.ask("/live.flv") for _ in range(2)]
        await flv_messages(first)
        assert working() == ["transcoding live, converted"]
        first.close()
        await flv_messages(second)
        assert stream.watchers == 1
        second.close()
        await until(lambda: not stream.watchers and not working(), "it is gone")
        assert await codecs_of_flv(server) == [AVC, G711A]


@pytest.mark.parametrize(
    ("switched_off", "left", "left_out"), [("video", b"audio/mp4", "MJPEG"), ("audio", b"video/mp4", "G711A")]
)
async def test_what_is_not_converted_is_left_out_and_named(
    caplog: pytest.LogCaptureFixture, switched_off: str, left: bytes, left_out: str
) -> None:
    async with converting(**{switched_off: False}) as server, server.publishing():
        reply = await server.ask("/live.mp4", WEBSOCKET)
        assert reply.status == 101
        kind, mime_type = await reply.read_message()
        reply.close()
        assert kind == TEXT
        assert mime_type.startswith(left)
        assert f"MP4 for browsers cannot carry {left_out}, which is left out" in caplog.text


async def test_where_nothing_is_converted_and_nothing_is_left_there_is_nothing() -> None:
    async with converting(video=False, audio=False) as server, server.publishing():
        reply = await server.ask("/live.mp4")
        assert (reply.status, b"cannot carry MJPEG, G711A" in await reply.read_all()) == (406, True)
        player = await Player.connect(server.port)
        assert (await player.ask("/live.m3u8")).status == 406
        player.close()


async def test_who_asks_is_told_that_it_cannot_be_converted(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise SourceError("no encoder for this")

    monkeypatch.setattr(TranscodingService, "source", fail)
    async with converting() as server, server.publishing():
        for target in ("/live.flv", "/live.m3u8"):
            reply = await server.ask(target, "Connection: close\r\n")
            assert (reply.status, await reply.read_all()) == (503, b"no encoder for this\n")


async def test_players_of_hls_go_on_when_their_publisher_comes_back(caplog: pytest.LogCaptureFixture) -> None:
    async with converting() as server:
        async with server.publishing():
            await first_segment(server)
        run = server.hls.runs.at("live")
        assert run is not None
        async with server.publishing() as again:
            await until(lambda: b"#EXT-X-DISCONTINUITY\n" in run.playlist(skip=False), "it goes on")
            assert again.watchers == 1
    complaints = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert not [said for said in complaints if "cannot keep up" not in said]  # an end is no failure
