"""RTMP on the wire: publishing, playing, refusals, bad input."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

import pytest
from support.clips import make_clip
from support.inprocess import HOST, blocking
from support.rtmp import HungUp, RawRtmp
from support.waiting import until

from manycast.hub.catalogue import Catalogue
from manycast.hub.hub import Hub
from manycast.media.frame import Frame
from manycast.media.normalise import normalise
from manycast.media.track import Codec
from manycast.servers.rtmp.options import RtmpOptions
from manycast.servers.rtmp.server import RtmpServer
from manycast.wire import amf
from manycast.wire.rtmp.adobe_auth import response_of
from manycast.wire.rtmp.chunk import RtmpMessage, RtmpType
from manycast.wire.rtmp.commands import UserControl, user_control

CLIP = make_clip()


@dataclass
class Serving:
    hub: Hub
    rtmp: RtmpServer
    port: int

    async def connect(self) -> RawRtmp:
        return await asyncio.to_thread(RawRtmp.connect, HOST, self.port)


@asynccontextmanager
async def serving(applications: tuple[str, ...] = ("",), **options: object) -> AsyncIterator[Serving]:
    """`options` are those of RtmpOptions."""
    hub = Hub()
    timer = asyncio.create_task(hub.run_timer())
    listener = socket.create_server((HOST, 0))
    rtmp = RtmpServer(Catalogue(hub, None, applications), RtmpOptions(**options))  # type: ignore[arg-type]
    rtmp.listen([listener])
    rtmp.start()
    try:
        yield Serving(hub, rtmp, listener.getsockname()[1])
    finally:
        timer.cancel()
        await hub.close("the test is over")
        await rtmp.close("the test is over")
        assert not rtmp.connections


async def publish(server: Serving, name: str = "cam", frames: int = 60) -> tuple[RawRtmp, int]:
    publisher = await server.connect()
    stream_id, code = await blocking(publisher.publish, "live", name)
    assert code == "NetStream.Publish.Start"
    await blocking(publisher.send_clip, CLIP, stream_id, frames)
    await until(lambda: server.hub.live(f"live/{name}") is not None, "the stream is there")
    return publisher, stream_id


@pytest.mark.parametrize("app", ["nowhere", "/nowhere/", "nowhere/live", "nowhere?user=anna", "LIVE"])
async def test_an_application_nobody_configured_is_refused_at_connect(app: str) -> None:
    async with serving(("live", "tv")) as server:
        with await server.connect() as client:
            answer = await blocking(client.open, app)
            assert answer.name == "_error"
            (told,) = answer.arguments
            assert isinstance(told, dict)
            assert told["code"] == "NetConnection.Connect.InvalidApp"
            assert "no application is called" in str(told["description"])
            # The client may try again.
            assert (await blocking(client.open, "live")).name == "_result"


@pytest.mark.parametrize("app", ["live", "tv/", "tv/news?user=anna", ""])
async def test_however_a_client_writes_a_known_application(app: str) -> None:
    async with serving(("live", "tv")) as server:
        with await server.connect() as client:
            assert (await blocking(client.open, app)).name == "_result"


async def test_what_is_published_is_played() -> None:
    async with serving() as server:
        publisher, stream_id = await publish(server)
        viewer = await server.connect()
        _, code = await blocking(viewer.play, "live", "cam")
        assert code == "NetStream.Play.Reset"
        assert await blocking(viewer.status) == "NetStream.Play.Start"
        demuxer, received = await blocking(viewer.frames, 5)
        frame = received[0]
        assert isinstance(frame, Frame)
        assert frame.keyframe
        assert demuxer.video is not None
        assert demuxer.video.codec is Codec.H264
        wanted = CLIP.frame(50)  # the latest keyframe
        normalise(wanted, CLIP.track)
        assert frame.units == wanted.units
        assert demuxer.metadata["width"] == 320
        await blocking(publisher.call, "deleteStream", float(stream_id))
        assert await blocking(viewer.status) == "NetStream.Play.UnpublishNotify"


async def test_what_came_before_the_path_was_free_is_refused() -> None:
    async with serving() as server:
        await publish(server)
        second = await server.connect()
        _, code = await blocking(second.publish, "live", "cam")
        assert code == "NetStream.Publish.BadName"
        nobody = await server.connect()
        _, code = await blocking(nobody.play, "live", "nothing")
        assert code == "NetStream.Play.StreamNotFound"


@pytest.mark.parametrize("name", ["../secret", "a/%2e%2e/b", "", "a\0b", "x" * 2000])
async def test_tricks_with_names_are_refused(name: str) -> None:
    async with serving() as server:
        client = await server.connect()
        _, code = await blocking(client.publish, "" if not name else "live/..", name)
        assert code == "NetStream.Publish.Denied"


async def test_a_viewer_pauses_and_goes_on() -> None:
    async with serving() as server:
        publisher, publishing_id = await publish(server)
        viewer = await server.connect()
        stream_id, _ = await blocking(viewer.play, "live", "cam")
        await blocking(viewer.frames, 3)
        await blocking(lambda: viewer.call("pause", True, 0.0, stream_id=stream_id))
        while await blocking(viewer.status) != "NetStream.Pause.Notify":
            pass
        await blocking(publisher.send_clip, CLIP, publishing_id, 30)
        await asyncio.sleep(0.2)
        viewer.sock.settimeout(0.3)
        with pytest.raises(TimeoutError):
            await blocking(viewer.frames, 1)
        viewer.sock.settimeout(20)
        await blocking(lambda: viewer.call("pause", False, 0.0, stream_id=stream_id))
        assert await blocking(viewer.status) == "NetStream.Unpause.Notify"
        await blocking(viewer.frames, 1)


async def test_both_ways_of_publishing_quirks() -> None:
    """As encoders begin and end: calls before publish, FCUnpublish behind it, an aggregate, AMF3 commands."""
    async with serving() as server:
        client = await server.connect()
        connected = await blocking(client.open, "live?x=1")
        information = connected.arguments[0]
        assert isinstance(information, dict)
        assert information["code"] == "NetConnection.Connect.Success"
        for name in ("releaseStream", "FCPublish"):
            assert (await blocking(client.ask, name, "cam")).name == "_result"
        assert (await blocking(client.ask, "somethingElse")).name == "_error"
        stream_id = await blocking(client.new_stream)
        body = b"\0" + amf.encode("publish", 5.0, None, "cam?y=2", "live")
        await blocking(client.send, RtmpMessage(RtmpType.COMMAND_AMF3, stream_id, 0, body))
        assert await blocking(client.status) == "NetStream.Publish.Start"
        await blocking(client.send_clip, CLIP, stream_id, 5)
        await blocking(client.call, "FCUnpublish", "cam")
        assert await blocking(client.status) == "NetStream.Unpublish.Success"
        assert server.hub.live("live/cam") is None


async def test_a_ping_is_answered() -> None:
    async with serving() as server:
        client = await server.connect()
        await blocking(client.open, "live")
        await blocking(client.send, user_control(UserControl.PING_REQUEST, 4711))
        while True:
            message = await blocking(client.message)
            if message.kind == RtmpType.USER_CONTROL:
                assert message.body == user_control(UserControl.PING_RESPONSE, 4711).body
                break


USERS = {"admin": "ge heim&"}


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("cam", "NetStream.Publish.Denied"),
        ("cam?user=admin&pass=wrong", "NetStream.Publish.Denied"),
        ("cam?user=nobody&pass=", "NetStream.Publish.Denied"),
        ("cam?user=admin&pass=ge%20heim%26", "NetStream.Publish.Start"),
    ],
)
async def test_a_login_in_the_query(name: str, wanted: str) -> None:
    async with serving(users=USERS) as server:
        client = await server.connect()
        _, code = await blocking(client.publish, "live", name)
        assert code == wanted
        viewer = await server.connect()
        _, code = await blocking(viewer.play, "live", "cam")
        assert code == "NetStream.Play.Failed"


async def test_a_login_as_flash_media_server_asks_for_it() -> None:
    async with serving(users=USERS, adobe_auth=True) as server:

        async def refusal(app: str) -> str:
            client = await server.connect()
            answer = await blocking(client.open, app)
            information = answer.arguments[0]
            assert isinstance(information, dict)
            return str(information["description"]) if answer.name == "_error" else ""

        assert "authmod=adobe" in await refusal("live")
        said = await refusal("live?authmod=adobe&user=admin")
        given = dict(pair.partition("=")[::2] for pair in said.rpartition("?")[2].split("&"))
        assert given["reason"] == "needauth"
        for password, wanted in (("wrong", "authfailed"), (USERS["admin"], "")):
            response = response_of("admin", password, salt=given["salt"], opaque=given["opaque"], challenge="abcd")
            app = f"live?authmod=adobe&user=admin&challenge=abcd&response={response}"
            app += f"&opaque={given['opaque']}"
            assert wanted in await refusal(app)
            assert bool(await refusal(app)) == bool(wanted)


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(300),  # TLS
        b"\x03" + bytes(3072) + b"\xff" * 200,
        b"\x03" + bytes(3072) + bytes((3,)) + bytes(3) + b"\xff\xff\xff" + bytes((20,)) + bytes(4),
    ],
)
async def test_garbage_is_hung_up_on(data: bytes) -> None:
    async with serving() as server:
        sock = await asyncio.to_thread(socket.create_connection, (HOST, server.port))
        client = RawRtmp(sock)
        sock.settimeout(10)
        sock.sendall(data)
        await blocking(client.hangs_up)
        sock.close()


async def test_commands_that_mean_nothing_end_the_connection() -> None:
    async with serving() as server:
        await publish(server)
        bodies = [
            amf.encode("publish", 1.0, None, "x"),  # before connect
            b"\x03" * 30_000,
            amf.encode(1.0, 2.0),
            b"\x0a" + b"\0\0\0\x01\x0a" * 5000,
        ]
        for body in bodies:
            client = await server.connect()
            await blocking(client.send, RtmpMessage(RtmpType.COMMAND, 0, 0, body))
            await blocking(client.hangs_up)
        assert server.hub.live("live/cam") is not None


async def test_what_cannot_be_taken_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    async with serving() as server:
        publisher, stream_id = await publish(server)
        for _ in range(5):
            for fourcc in (b"wave", b"spex"):
                await blocking(publisher.send, RtmpMessage(RtmpType.AUDIO, stream_id, 0, b"\x91" + fourcc + b"\0"))
        viewer = await server.connect()
        await blocking(viewer.play, "live", "cam")
        told = [record.message for record in caplog.records if "left out" in record.message]
        assert len(told) == 2, told


async def test_one_of_two_streams_of_a_connection_is_ended_by_its_name() -> None:
    async with serving() as server:
        publisher, _ = await publish(server)
        other_id = await blocking(publisher.new_stream)
        await blocking(partial(publisher.call, "publish", "second?x=y", "live", stream_id=other_id))
        await blocking(publisher.send_clip, CLIP, other_id, 60)
        await until(lambda: server.hub.live("live/second") is not None, "both are there")
        await blocking(publisher.call, "FCUnpublish", "second")
        await until(lambda: server.hub.live("live/second") is None, "the second has ended")
        assert server.hub.live("live/cam") is not None
        await blocking(publisher.call, "FCUnpublish")
        await until(lambda: server.hub.live("live/cam") is None, "all have ended")


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -1e300, True, None, "1"])
async def test_numbers_that_are_none_end_nothing(number: amf.Value) -> None:
    async with serving() as server:
        await publish(server)
        viewer = await server.connect()
        stream_id, _ = await blocking(viewer.play, "live", "cam")
        for name in ("seek", "pause", "deleteStream"):
            await blocking(partial(viewer.call, name, number, number, stream_id=stream_id))
        other_id = await blocking(viewer.new_stream)
        await blocking(partial(viewer.call, "play", "cam", number, number, stream_id=other_id))
        while await blocking(viewer.status) != "NetStream.Play.Reset":
            pass


async def test_broken_media_costs_only_itself() -> None:
    async with serving() as server:
        publisher, stream_id = await publish(server)
        for body in (b"\x17", b"\x17\x01", b"\xaf", b"\x02" * 50, b"\x96av", b""):
            for kind in (RtmpType.VIDEO, RtmpType.AUDIO, RtmpType.DATA, RtmpType.AGGREGATE):
                await blocking(publisher.send, RtmpMessage(kind, stream_id, 0, body))
        await blocking(publisher.send_clip, CLIP, stream_id, 60)
        viewer = await server.connect()
        await blocking(viewer.play, "live", "cam")
        await blocking(viewer.frames, 3)


async def test_time_limits() -> None:
    async with serving(beginning_s=0.6, publisher_silence_s=0.6) as server:
        idle = await server.connect()
        await blocking(idle.hangs_up)
        publisher, _ = await publish(server)
        with pytest.raises(HungUp):
            while True:
                await blocking(publisher.message)
        await until(lambda: server.hub.live("live/cam") is None, "the stream has ended")
        half = await asyncio.to_thread(socket.create_connection, (HOST, server.port))
        half.sendall(b"\x03abc")
        half.settimeout(10)
        assert await asyncio.to_thread(half.recv, 10) == b""
        half.close()
