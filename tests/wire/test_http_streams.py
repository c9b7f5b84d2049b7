"""Streams over HTTP and WebSocket, byte by byte."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import io
import json
import logging
import socket
import struct
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from email.utils import parsedate_to_datetime
from pathlib import Path

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.http_streams import HOST, HttpStreams, Reply, serving_streams
from support.inprocess_http import make_files
from support.movies import coded_video, normalised
from support.waiting import until

from manycast.hub.source import FrameSink, SourceError
from manycast.hub.stored import StoredMedia
from manycast.media.track import AudioParameters, Codec, Track
from manycast.servers.certificate import Certificate
from manycast.servers.http.stream.address import Form, parse_address
from manycast.wire.challenges import choose_challenge, parse_challenges, respond
from manycast.wire.http import HttpError

USERS = {"anna": "s3cret"}
LAW = Track(codec=Codec.G722, clock_rate_hz=8000, parameters=AudioParameters(sample_rate_hz=16000, channels=1))
WEBSOCKET = (
    "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: KSO+hOFs1q5SkEnx8bvp6w==\r\n"
    "Sec-WebSocket-Version: 13\r\n"
)
FLV_HEADER = b"FLV\x01\x01\0\0\0\x09\0\0\0\0"


def tags_of(data: bytes) -> list[tuple[int, int, bytes]]:
    """Kind, milliseconds and body of whole tags."""
    tags, position = [], 0
    while position < len(data):
        size = int.from_bytes(data[position + 1 : position + 4])
        milliseconds = int.from_bytes(data[position + 4 : position + 7]) | data[position + 7] << 24
        end = position + 11 + size
        assert int.from_bytes(data[end : end + 4]) == 11 + size
        tags.append((data[position], milliseconds, data[position + 11 : end]))
        position = end + 4
    return tags


async def test_a_stream_comes_in_chunks_of_one_frame_each() -> None:
    async with serving_streams() as server, server.publishing():
        reply = await server.ask("/live.flv")
        assert reply.status == 200
        assert reply.headers["content-type"] == "video/x-flv"
        assert reply.headers["transfer-encoding"] == "chunked"
        assert reply.headers["access-control-allow-origin"] == "*"
        assert "content-length" not in reply.headers
        assert await reply.read_chunk() == FLV_HEADER
        start = tags_of(await reply.read_chunk())
        assert [kind for kind, _, _ in start] == [18, 9]
        frames = [tags_of(await reply.read_chunk()) for _ in range(20)]
        assert all(len(tags) == 1 for tags in frames[1:])
        assert frames[0][-1][2][0] >> 4 == 1  # a keyframe
        times = [tags[-1][1] for tags in frames]
        assert times == list(range(times[0], times[0] + 20 * 40, 40))


@pytest.mark.parametrize("how", ["setting", "version"])
async def test_without_chunks_the_reply_goes_on_until_the_connection_ends(how: str) -> None:
    async with serving_streams(chunked=how != "setting") as server:
        async with server.publishing():
            reply = await server.ask("/live", version="1.0" if how == "version" else "1.1")
            assert reply.status == 200
            assert "transfer-encoding" not in reply.headers
            assert await reply.read(len(FLV_HEADER)) == FLV_HEADER
        assert len(tags_of(await reply.read_all())) > 2


async def test_a_reply_in_chunks_ends_with_the_last_chunk() -> None:
    async with serving_streams() as server:
        async with server.publishing():
            reply = await server.ask("/live.flv")
            await reply.read(1000)
        assert (await reply.read_all()).endswith(b"\r\n0\r\n\r\n")


async def test_names_with_and_without_an_end() -> None:
    async with serving_streams() as server, server.publishing("app/live"), server.publishing("clip.mp4"):
        for target, kind in (
            ("/app/live", "video/x-flv"),
            ("/app/live.flv", "video/x-flv"),
            ("/app/live.mp4", "video/mp4"),
            ("/app/li%76e.flv", "video/x-flv"),
            ("/clip.mp4", "video/x-flv"),  # an exact name is played as FLV, whatever it ends in
            ("/clip.mp4.flv", "video/x-flv"),
            ("/clip.mp4.mp4", "video/mp4"),
            (f"http://{HOST}:{server.port}/app/live.flv?x=y", "video/x-flv"),
        ):
            reply = await server.ask(target, method="HEAD")
            assert (reply.status, reply.headers.get("content-type")) == (200, kind), target
            assert abs(parsedate_to_datetime(reply.headers["date"]).timestamp() - time.time()) < 60
            assert not await reply.read_all()


async def test_what_is_asked_beside_get() -> None:
    async with serving_streams() as server, server.publishing() as stream:
        options = await server.ask("/live.flv", method="OPTIONS", more="Access-Control-Request-Method: GET\r\n")
        assert options.status == 204
        assert options.headers["access-control-allow-origin"] == "*"
        assert "GET" in options.headers["access-control-allow-methods"]
        assert not await options.read_all()
        for method in ("POST", "DELETE", "PUT"):
            refused = await server.ask("/live.flv", method=method)
            assert (refused.status, refused.headers["allow"]) == (405, "GET, HEAD, OPTIONS")
        ranged = await server.ask("/live.flv", more="Range: bytes=100-\r\n")
        assert (ranged.status, ranged.headers["accept-ranges"]) == (200, "none")
        ranged.close()
        await until(lambda: not stream.watchers, "all have gone")


async def test_errors_say_why() -> None:
    async with serving_streams(max_connections=3) as server:
        missing = await server.ask("/nothing.flv")
        assert missing.status == 404
        assert b"nothing is called 'nothing.flv'" in await missing.read_all()
        assert missing.headers["access-control-allow-origin"] == "*"
        head = await server.ask("/nothing.flv", method="HEAD")
        assert head.status == 404
        assert not await head.read_all()
        async with server.publishing(tracks=[LAW]):
            for target, form in (("/live.flv", b"FLV"), ("/live.mp4", b"MP4")):
                refused = await server.ask(target)
                assert refused.status == 406
                assert form + b" " in (told := await refused.read_all())
                assert b"cannot carry G722" in told
        async with server.publishing():
            watching = [await server.ask("/live.flv") for _ in range(3)]
            crowded = await server.ask("/live.flv")
            assert (crowded.status, crowded.headers["retry-after"]) == (503, "10")
            for reply in watching:
                reply.close()


async def test_forms_that_are_switched_off() -> None:
    async with serving_streams(flv=False) as server, server.publishing():
        assert (await server.ask("/live.mp4", method="HEAD")).status == 200
        refused = await server.ask("/live.flv")
        assert refused.status == 404
        assert b"switched off" in await refused.read_all()
    async with serving_streams(mp4=False) as server, server.publishing():
        assert (await server.ask("/live.flv", method="HEAD")).status == 200
        assert (await server.ask("/live.mp4")).status == 404


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("/../etc/passwd", 404),
        ("/%2e%2e/etc/passwd", 404),
        ("/a/%2E%2e%2fb", 404),
        ("/live%00.flv", 400),
        ("/a%5c..%5cb", 404),
        ("/a%5cb", 400),
        ("//etc/passwd", 404),
        ("///", 404),
        ("/%ff%fe", 400),
        ("/" + "a" * 2000, 414),
        ("/" + "a/" * 5000, 414),
        ("/.flv", 404),
    ],
)
async def test_names_that_no_stream_can_have(target: str, status: int) -> None:
    async with serving_streams() as server:
        assert (await server.ask(target)).status == status


@pytest.mark.parametrize("target", ["/live.flv", "//live.flv", "/live.flv/", "/live/", "/%2Flive//", "http://h//live/"])
async def test_slashes_too_many_mean_nothing_as_in_the_other_protocols(target: str) -> None:
    async with serving_streams() as server, server.publishing():
        assert (await server.ask(target, method="HEAD")).status == 200


@given(st.text(max_size=80))
def test_any_target_is_an_address_or_an_error(text: str) -> None:
    try:
        address = parse_address("/" + text)
    except HttpError:
        return
    assert not {".", ".."} & set(address.name.split("/"))
    assert "" not in address.name.split("/") or not address.name
    assert "\0" not in address.name
    assert address.form is None or address.plain_name + address.form.value == address.name
    assert address.form in (None, *Form)


class Broken:
    def holds(self, names: Sequence[str]) -> bool:
        return True

    async def find(self, names: Sequence[str]) -> StoredMedia | None:
        raise SourceError("there is nothing in it that can be played")


async def test_a_file_that_cannot_be_played_is_not_there() -> None:
    async with serving_streams(files=Broken()) as server:
        reply = await server.ask("/broken.avi")
        assert reply.status == 404
        assert b"nothing in it that can be played" in await reply.read_all()


class Damaged(Broken):
    async def find(self, names: Sequence[str]) -> StoredMedia | None:
        raise SourceError("broken.avi: damaged")


async def test_a_file_is_named_once() -> None:
    async with serving_streams(files=Damaged()) as server:
        reply = await server.ask("/folder/broken.avi")
        assert await reply.read_all() == b"broken.avi: damaged\n"


class Failing:
    """A source that does not start."""

    async def run(self, publish: Callable[[Sequence[Track]], FrameSink]) -> None:
        raise SourceError("the camera does not answer")


async def test_a_source_that_does_not_start() -> None:
    async with serving_streams() as server:
        server.hub.offer("camera", Failing, "a camera")
        reply = await server.ask("/camera.flv")
        assert reply.status == 503
        assert await reply.read_all() == b"camera: the camera does not answer\n"


async def test_h265_in_the_form_that_is_asked_for() -> None:
    track, frames = normalised(Codec.H265, coded_video(Codec.H265))
    async with serving_streams() as server:
        stream = server.hub.publish("live", [track], "a test")
        for frame in frames[:3]:
            stream.push(replace(frame, units=list(frame.units)))
        for target, first in (("/live.flv", b"\x90hvc1"), ("/live.flv?codecid=12", b"\x1c\0\0\0\0\x01")):
            reply = await server.ask(target)
            await reply.read_chunk()
            kind, _, configuration = tags_of(await reply.read_chunk())[1]
            assert kind == 9
            assert configuration.startswith(first)
            reply.close()


# WebSocket


async def test_flv_by_websocket_has_a_message_for_each_frame() -> None:
    async with serving_streams() as server:
        async with server.publishing():
            reply = await server.ask("/live.flv", more=WEBSOCKET)
            assert reply.status == 101
            assert "sec-websocket-protocol" not in reply.headers
            assert await reply.read_message() == (2, FLV_HEADER)
            assert [kind for kind, _, _ in tags_of((await reply.read_message())[1])] == [18, 9]
            for _ in range(15):
                opcode, data = await reply.read_message()
                assert opcode == 2
                assert {kind for kind, _, _ in tags_of(data)} == {9}
            reply.sock.sendall(b"\x89\x82\0\0\0\0hi")  # a ping
            while (message := await reply.read_message())[0] != 10:
                pass
            assert message == (10, b"hi")
        while (message := await reply.read_message())[0] != 8:
            pass
        assert message[1] == struct.pack(">H", 1000) + b"the test unpublished it"
        assert not await reply.read_all()


async def test_mp4_by_websocket_says_its_type_before_each_init_segment() -> None:
    track, frames = normalised(Codec.H264, coded_video(Codec.H264))
    _, others = normalised(Codec.H264, coded_video(Codec.H264, 30, width=160, height=120))
    async with serving_streams() as server:
        stream = server.hub.publish("live", [track], "a test")
        for frame in frames[:30]:
            stream.push(replace(frame, units=list(frame.units)))
        reply = await server.ask("/live.mp4", more=WEBSOCKET)
        assert await reply.read_message() == (1, b'video/mp4; codecs="avc1.64000d"')
        parts = [(await reply.read_message())[1] for _ in range(6)]
        with av.open(io.BytesIO(b"".join(parts)), "r") as container:
            assert [packet.is_keyframe for packet in container.demux(0) if packet.size] == [True, *[False] * 4]
        stream.push(replace(others[0], dts_ticks=10**6, pts_ticks=10**6, units=list(others[0].units)))
        assert (await reply.read_message())[0] == 1
        opcode, init = await reply.read_message()
        assert opcode == 2
        assert init[4:8] == b"ftyp"
        opcode, fragment = await reply.read_message()
        assert opcode == 2
        with av.open(io.BytesIO(init + fragment), "r") as container:
            assert [picture.width for picture in container.decode(video=0)] == [160]


async def test_websockets_that_are_refused() -> None:
    async with serving_streams() as server, server.publishing():
        assert (await server.ask("/nothing.flv", more=WEBSOCKET)).status == 404
        assert (await server.ask("/live.flv", more=WEBSOCKET.replace("13", "7"))).status == 426
        assert (await server.ask("/live.flv", more=WEBSOCKET.replace("KSO+", "K"))).status == 400
        early = await server.ask("/live.flv", more=WEBSOCKET + "\r\n\x82\x00")
        assert early.status == 400


async def test_broken_frames_and_closing_in_the_middle_of_one() -> None:
    async with serving_streams() as server, server.publishing() as stream:
        for data in (b"\x82\x00", b"\xf2\x80\0\0\0\0", b"\x88\x82\0\0\0\0\x03\xe8"):
            reply = await server.ask("/live.flv", more=WEBSOCKET)
            reply.sock.sendall(data)
            while (message := await reply.read_message())[0] != 8:
                pass
            assert int.from_bytes(message[1][:2]) in (1000, 1002)
        reply = await server.ask("/live.flv", more=WEBSOCKET)
        reply.sock.sendall(b"\x82\xfe\xff")
        reply.close()
        await until(lambda: not stream.watchers, "all have gone")


# Slow readers, and those who go


async def test_a_viewer_who_reads_nothing_is_hung_up_on_and_nobody_else_notices(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    async with serving_streams(stall_s=1.0) as server, server.publishing() as stream:
        stalled = await server.ask("/live.flv")
        stalled.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        other = await server.ask("/live.flv")
        await until(lambda: stream.watchers == 2, "both watch")
        big = server.clip.frame(0)
        for number in range(200):  # more than the kernel holds
            frame = replace(big, dts_ticks=10**8 + number, pts_ticks=10**8 + number, keyframe=True)
            frame.units = [*big.units[:-1], big.units[-1] + bytes(30_000)]
            stream.push(frame)
            if number % 20 == 0:
                await other.read(400_000)
        reading = asyncio.create_task(read_on(other))
        await until(lambda: stream.watchers == 1, "the one who reads nothing has gone")
        assert "read nothing for 1 s" in caplog.text
        assert "frames dropped in" in caplog.text
        assert not reading.done()
        reading.cancel()
        other.close()


async def read_on(reply: Reply) -> None:
    while await reply.read(1000):
        pass


async def test_who_sends_without_end_is_hung_up_on() -> None:
    async with serving_streams() as server, server.publishing() as stream:
        reply = await server.ask("/live.flv")
        with contextlib.suppress(OSError):
            for _ in range(2000):
                await asyncio.to_thread(reply.sock.sendall, bytes(4096))
        await until(lambda: not stream.watchers, "the sender has gone")


async def test_who_leaves_while_it_is_looked_for_leaves_nothing_behind() -> None:
    waiting = asyncio.Event()

    class Slow:
        def holds(self, names: Sequence[str]) -> bool:
            return True

        async def find(self, names: Sequence[str]) -> StoredMedia | None:
            waiting.set()
            await asyncio.sleep(60)
            return None

    async with serving_streams(files=Slow()) as server:
        sock = socket.create_connection((HOST, server.port))
        sock.sendall(b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n")
        await waiting.wait()
        sock.close()
        await until(lambda: not server.streams.connections, "the connection is forgotten")


# TLS


async def test_all_of_it_in_tls(tmp_path: Path) -> None:
    async with serving_streams(certificate=Certificate(*make_files(tmp_path))) as server:
        async with server.publishing():
            reply = await server.ask("/live.flv", secure=True)
            assert await reply.read_chunk() == FLV_HEADER
            message = await server.ask("/live.mp4", secure=True, more=WEBSOCKET)
            assert (await message.read_message())[0] == 1
        assert (await reply.read_all()).endswith(b"0\r\n\r\n")


# Logins


def digest(reply: Reply, target: str, password: str, *, last: bool = False) -> str:
    values = [line.partition(":")[2].strip() for line in reply.head.split("\r\n") if line.startswith("WWW-")]
    challenges = parse_challenges(values)
    challenge = challenges[-1] if last else choose_challenge(challenges)
    assert challenge is not None
    answer = respond(challenge, username="anna", password=password, method="GET", uri=target, cnonce="c")
    return f"Authorization: {answer}\r\n"


@pytest.mark.parametrize("md5", [False, True])
async def test_a_login_by_digest(md5: bool) -> None:
    async with serving_streams(users=USERS) as server, server.publishing():
        for target, more in (("/live.flv", ""), ("/live.mp4", ""), ("/live.flv", WEBSOCKET)):
            first = await server.ask(target, more=more)
            assert first.status == 401
            assert "Basic" not in first.head
            assert 'qop="auth"' in first.head
            right = await server.ask(target, more=more + digest(first, target, "s3cret", last=md5))
            assert right.status == (101 if more else 200)
            wrong = await server.ask(target, more=more + digest(first, target, "guess"))
            assert wrong.status == 401
            right.close()


async def test_a_login_in_the_query_or_by_basic_in_tls(tmp_path: Path) -> None:
    basic = f"Authorization: Basic {base64.b64encode(b'anna:s3cret').decode()}\r\n"
    certificate = Certificate(*make_files(tmp_path))
    async with serving_streams(users=USERS, certificate=certificate) as server, server.publishing():
        assert (await server.ask("/live.flv?user=anna&pass=s3cret", method="HEAD")).status == 200
        assert (await server.ask("/live.flv?user=anna&pass=guess")).status == 401
        assert (await server.ask("/live.flv?user=nobody&pass=")).status == 401
        for _ in range(10):  # none of which is a guess
            assert (await server.ask("/live.flv", more=basic)).status == 401
        assert (await server.ask("/live.flv", method="HEAD", more=basic, secure=True)).status == 200
        assert "Basic" in (await server.ask("/live.flv", secure=True)).head


async def test_nobody_learns_what_there_is_without_a_login() -> None:
    async with serving_streams(users=USERS) as server, server.publishing():
        refused = await server.ask("/nothing")
        assert (refused.status, refused.headers["date"][-3:]) == (401, "GMT")
        assert (await server.ask("/-/streams.json")).status == 401
        assert (await server.ask("/")).status == 401
        assert (await server.ask("/-/streams.json?user=anna&pass=s3cret")).status == 200
        first = await server.ask("/-/streams.json")
        assert (await server.ask("/-/streams.json", more=digest(first, "/-/streams.json", "s3cret"))).status == 200
        preflight = await server.ask("/live.flv", method="OPTIONS")
        assert preflight.status == 204


async def test_a_form_may_be_open_while_the_other_asks_for_a_login() -> None:
    async with serving_streams(users=USERS, mp4_login=False) as server, server.publishing():
        assert (await server.ask("/live.flv")).status == 401
        assert (await server.ask("/live.mp4", more=WEBSOCKET)).status == 101
    async with serving_streams(users=USERS, flv_login=False) as server, server.publishing():
        assert (await server.ask("/live.flv", method="HEAD")).status == 200
        assert (await server.ask("/live.mp4")).status == 401


async def test_another_server_s_page_cannot_use_a_browser_s_login() -> None:
    async with serving_streams(users=USERS) as server, server.publishing():
        login = digest(await server.ask("/live.flv", more=WEBSOCKET), "/live.flv", "s3cret")
        own = f"Origin: http://{HOST}:{server.port}\r\n"
        assert (await server.ask("/live.flv", more=WEBSOCKET + own + login)).status == 101
        foreign = await server.ask("/live.flv", more=WEBSOCKET + "Origin: http://example.org\r\n" + login)
        assert foreign.status == 403


async def test_guessing_is_slowed_down() -> None:
    async with serving_streams(users=USERS) as server, server.publishing():
        started = asyncio.get_running_loop().time()
        for _ in range(5):
            assert (await server.ask("/live.flv?user=anna&pass=guess")).status == 401
        assert asyncio.get_running_loop().time() - started > 0.5


# The page


async def page(server: HttpStreams, target: str) -> tuple[dict[str, str], bytes]:
    reply = await server.ask(target, more="Accept: text/html\r\nConnection: close\r\n")
    assert reply.status == 200
    return reply.headers, await reply.read_all()


async def test_the_page_and_what_belongs_to_it() -> None:
    async with serving_streams() as server:
        headers, index = await page(server, "/")
        assert headers["content-type"].startswith("text/html")
        assert "script-src 'self'" in headers["content-security-policy"]
        names = [part.split('"')[0] for part in index.decode().split('"/-/')[1:]]
        assert names == ["page.css", "page.js"]
        for name in [*names, "player.js"]:
            assert (await page(server, f"/-/{name}"))[1]
        assert b"http" not in index.replace(b"http-equiv", b"")  # nothing comes from elsewhere
        assert (await server.ask("/-/nothing")).status == 404
        plain = await server.ask("/", more="Connection: close\r\n")
        assert b"how to play" in await plain.read_all()


async def test_the_page_lists_what_there_is() -> None:
    hostile = "<img src=x onerror=alert(1)>"
    async with serving_streams(names=["b.mp4"] * 300) as server:
        async with server.publishing(hostile):
            found = json.loads((await page(server, "/-/streams.json"))[1])
            assert [stream["path"] for stream in found["streams"]] == [hostile]
            assert found["streams"][0]["about"].startswith("H264")
            assert len(found["files"]) == 200
            assert found["more"]
            assert found["offers"][0]["suffix"] == ".flv"
        assert not json.loads((await page(server, "/-/streams.json"))[1])["streams"]


async def test_a_terminal_gets_the_same_as_text() -> None:
    async with serving_streams(names=["b.mp4"] * 300) as server, server.publishing("a\x1b[2J"):
        reply = await server.ask("/", more="Connection: close\r\n")
        lines = (await reply.read_all()).decode().splitlines()
        assert lines[lines.index("Streams:") + 1].split()[:2] == ["'a\\x1b[2J'", "H264,"]
        assert lines[lines.index("Files:") + 1] == "  b.mp4"
        assert lines.count("  b.mp4") == 200
        assert lines[-1] == "There are more."


async def test_a_stream_may_follow_on_the_page_s_connection() -> None:
    async with serving_streams() as server, server.publishing():
        reply = await server.ask("/-/streams.json")
        await reply.read(int(reply.headers["content-length"]))
        reply.sock.sendall(b"GET /live.flv HTTP/1.1\r\nHost: h\r\n\r\n")
        assert (await reply.read(15)) == b"HTTP/1.1 200 OK"
