"""Streams pulled from web servers, cameras among them, that answer as a test tells them to."""

from __future__ import annotations

import asyncio
import re
import socket
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import aiohttp
import pytest
from support.clips import make_clip
from support.programs import make
from support.taking import Taken
from support.waiting import until
from support.web_server import HOST, Handler, http_source, web_server

from manycast.errors import ManycastError
from manycast.hub.source import SourceError
from manycast.media.track import Codec
from manycast.sources.dialling import DialOptions, check_redirect
from manycast.sources.http import intake as intake_module
from manycast.sources.http.client import Answer, HttpClient
from manycast.sources.http.intake import type_by_bytes
from manycast.sources.udp_source import UdpSource
from manycast.wire.address import SourceAddress
from manycast.wire.digest_guard import DigestGuard, Verdict
from manycast.wire.flv.file import file_header, tag
from manycast.wire.flv.mux import FlvMuxer
from manycast.wire.mpegts.mux import TsMuxer
from manycast.wire.mpegts.packet import NULL_PACKET

JPEG = b"\xff\xd8 a picture \xff\xd9"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: "


async def failure(handler: Handler, path: str = "/x", login: str = "") -> str:
    async with web_server(handler) as port:
        with pytest.raises(ManycastError) as caught:
            await asyncio.wait_for(http_source(port, path, login).run(Taken().publish), 15)
        return str(caught.value)


async def motion_jpeg(_head: str, writer: asyncio.StreamWriter) -> None:
    writer.write(HEAD + b"multipart/x-mixed-replace; boundary=--b\r\n\r\n")
    while True:
        writer.write(b"--b\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%b\r\n" % (len(JPEG), JPEG))
        await writer.drain()
        await asyncio.sleep(0.02)


async def single_jpegs(_head: str, writer: asyncio.StreamWriter) -> None:
    writer.write(HEAD + b"image/jpeg\r\nContent-Length: %d\r\n\r\n%b" % (len(JPEG), JPEG))


async def flv(_head: str, writer: asyncio.StreamWriter) -> None:
    clip = make_clip()
    muxer = FlvMuxer([clip.track])
    writer.write(HEAD + b"video/x-flv\r\n\r\n" + file_header(has_audio=False, has_video=True))
    for message in muxer.start(0):
        writer.write(tag(message))
    number = 0
    while True:
        for message in muxer.messages(clip.frame(number)):
            writer.write(tag(message))
        await writer.drain()
        await asyncio.sleep(0.02)
        number += 1


@pytest.mark.parametrize(
    ("handler", "codec"), [(motion_jpeg, Codec.MJPEG), (single_jpegs, Codec.MJPEG), (flv, Codec.H264)]
)
async def test_streams(handler: Handler, codec: Codec) -> None:
    async with web_server(handler) as port:
        taken = Taken()
        task = asyncio.create_task(http_source(port, "/x").run(taken.publish))
        await until(lambda: len(taken.frames) > 5, "frames come")
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert [track.codec for track in taken.tracks] == [codec]
    assert all(a.dts_ticks < b.dts_ticks for a, b in pairwise(taken.frames))
    if codec is Codec.MJPEG:
        assert taken.frames[0].units == [JPEG]


def of_type(content_type: bytes, body: bytes, more: bytes = b"") -> Handler:
    """Sends a body, and then the rest of it over and over."""

    async def handler(_head: str, writer: asyncio.StreamWriter) -> None:
        named = b"Content-Type: " + content_type + b"\r\n" if content_type else b""
        length = b"" if more else b"Content-Length: %d\r\n" % len(body)
        writer.write(b"HTTP/1.1 200 OK\r\n" + named + length + b"\r\n" + body)
        while more:
            writer.write(more)
            await writer.drain()
            await asyncio.sleep(0.01)

    return handler


PICTURE = b"\xff\xd8\xff a picture \xff\xd9"
PART = b"--b\r\nContent-Length: %d\r\n\r\n%b\r\n" % (len(PICTURE), PICTURE)


@pytest.mark.parametrize(
    "handler",
    [
        of_type(b"image/jpg", PICTURE),
        of_type(b"image/pjpeg; x=y", PICTURE),
        of_type(b"application/octet-stream", PICTURE),
        of_type(b"", PICTURE),
        of_type(b"application/octet-stream", PART, PART),
        of_type(b"", b"\r\n" + PART, PART),
    ],
    ids=["jpg", "pjpeg", "octets", "untyped", "octets in parts", "untyped in parts"],
)
async def test_pictures_of_other_types_or_none(handler: Handler) -> None:
    async with web_server(handler) as port:
        taken = Taken()
        task = asyncio.create_task(http_source(port, "/x").run(taken.publish))
        await until(lambda: len(taken.frames) > 1, "frames come")
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert [track.codec for track in taken.tracks] == [Codec.MJPEG]
    assert taken.frames[0].units == [PICTURE]


def test_types_are_told_by_the_first_bytes() -> None:
    assert type_by_bytes(file_header(has_audio=False, has_video=True)) == "video/x-flv"
    assert type_by_bytes(NULL_PACKET + NULL_PACKET) == "video/mp2t"
    assert type_by_bytes(NULL_PACKET[:100]) is None
    assert type_by_bytes(b"#EXTM3U\n") == "application/vnd.apple.mpegurl"
    for head in (b"", b"G", b"<html>", b"\xff\xd8"):
        assert type_by_bytes(head) is None


async def test_what_is_not_wanted_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the session is: otherwise aiohttp complains of the connection, when that is collected first."""
    answers: list[Answer] = []
    closed: list[bool] = []
    get, close = HttpClient.get, aiohttp.ClientSession.close

    async def spying_get(client: HttpClient, address: SourceAddress) -> Answer:
        answers.append(await get(client, address))
        return answers[-1]

    async def spying_close(session: aiohttp.ClientSession) -> None:
        closed.extend(answer.response.closed for answer in answers)
        await close(session)

    monkeypatch.setattr(HttpClient, "get", spying_get)
    monkeypatch.setattr(aiohttp.ClientSession, "close", spying_close)
    assert "text/html" in await failure(of_type(b"text/html", b"<html>", b"<br>"))
    assert closed == [True]


async def test_what_is_no_http_is_told_in_one_line() -> None:
    said = await failure(answering(b"garbage that goes on\r\n\r\n"))
    assert "no HTTP as it should be" in said
    assert "garbage" in said
    assert "\n" not in said


async def test_a_file_comes_in_its_own_time(tmp_path: Path) -> None:
    film = make(
        tmp_path / "film.ts",
        *("-f", "lavfi", "-i", "testsrc2=size=160x120:rate=25:duration=3"),
        "-c:v",
        "libx264",
        "-g",
        "25",
    ).read_bytes()

    async def handler(_head: str, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + b"video/mp2t\r\nContent-Length: %d\r\n\r\n%b" % (len(film), film))

    loop = asyncio.get_running_loop()
    async with web_server(handler) as port:
        taken, began_s = Taken(), loop.time()
        with pytest.raises(SourceError, match="hung up"):
            await asyncio.wait_for(http_source(port, "/film.ts").run(taken.publish), 20)
    assert loop.time() - began_s > 2.5
    assert len(taken.frames) > 70


async def test_a_login_by_digest() -> None:
    guard = DigestGuard(realm="r", secret=bytes(16), offer_qop=True)

    async def handler(head: str, writer: asyncio.StreamWriter) -> None:
        answer = next((line[15:] for line in head.split("\r\n") if line.startswith("Authorization: ")), "")
        passwords = {"joe": "se cret"}.get
        verdict = guard.check(answer, method="GET", uri="/x?a=1", password_of=passwords, now_s=1.0)
        if verdict is Verdict.ACCEPTED:
            await single_jpegs(head, writer)
        else:
            (challenge,) = guard.challenges(now_s=1.0)
            text = f"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: {challenge}\r\nContent-Length: 0\r\n\r\n"
            writer.write(text.encode())

    async with web_server(handler) as port:
        taken = Taken()
        task = asyncio.create_task(http_source(port, "/x?a=1", "joe:se%20cret@").run(taken.publish))
        await until(lambda: len(taken.frames) > 2, "frames come")
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert "refuses user and pass" in await failure(handler, "/x?a=1", "joe:wrong@")
    assert "configure user and pass" in await failure(handler, "/x?a=1")


def answering(data: bytes) -> Handler:
    async def handler(_head: str, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        writer.close()

    return handler


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (HEAD + b"text/html\r\n\r\n<html>", "text/html"),
        (HEAD + b"multipart/x-mixed-replace\r\n\r\nno boundary here\r\n", "without a boundary"),
        (HEAD + b"image/jpeg\r\n\r\n<html>", "no whole JPEG"),
        (
            HEAD + b"multipart/x-mixed-replace; boundary=b\r\n\r\n--b\r\nContent-Length: 104857600\r\n\r\n",
            "a part of 104857600 bytes",
        ),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "404"),
        (b"RTSP/1.0 200 OK\r\n\r\n", "without a type"),
        (b"nonsense\r\n\r\n", "no HTTP as it should be"),
        (HEAD + b"video/x-flv\r\n\r\n<html>", "no FLV"),
        (b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: /x\r\n\r\n", "redirected more than 5 times"),
        (b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: file:///etc/passwd\r\n\r\n", "file"),
        (b"", "hung up|disconnected"),
    ],
)
async def test_what_is_no_stream(data: bytes, says: str) -> None:
    assert re.search(says, await failure(answering(data)))


async def test_a_picture_without_end() -> None:
    async def handler(_head: str, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + b"image/jpeg\r\n\r\n\xff\xd8")
        for _ in range(100):
            writer.write(bytes(1 << 20))
            await writer.drain()

    assert "a picture of more than" in await failure(handler)


@pytest.mark.parametrize(("content_type", "module"), [("image/jpeg", "source"), ("audio/mpegurl", "hls")])
async def test_what_comes_drop_by_drop(content_type: str, module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"manycast.sources.http.{module}.READ_TIMEOUT_S", 0.5)

    async def handler(_head: str, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + content_type.encode() + b"\r\n\r\n")
        while True:
            writer.write(b"\xff")
            await writer.drain()
            await asyncio.sleep(0.05)

    assert "takes longer than" in await failure(handler)


async def test_a_server_that_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("manycast.sources.http.client.SILENCE_S", 0.3)

    async def handler(_head: str, _writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(30)

    assert "nothing has come" in await failure(handler)


def test_redirects_into_private_networks() -> None:
    options = DialOptions()
    check_redirect("192.168.1.1", "10.0.0.1", options)
    check_redirect("8.8.8.8", "1.1.1.1", options)
    check_redirect("8.8.8.8", "10.0.0.1", DialOptions(allow_private_redirects=True))
    for private in ("10.0.0.1", "127.0.0.1", "169.254.169.254", "::1", "fd00::1"):
        with pytest.raises(SourceError, match="private_redirects"):
            check_redirect("8.8.8.8", private, options)


async def test_transport_streams_by_udp() -> None:
    clip = make_clip()
    muxer = TsMuxer([clip.track])
    sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with closing(sender), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind((HOST, 0))
        port = probe.getsockname()[1]
        probe.close()
        taken = Taken()
        task = asyncio.create_task(UdpSource(SourceAddress.parse(f"udp://{HOST}:{port}")).run(taken.publish))
        await asyncio.sleep(0.05)
        number = 0
        while len(taken.frames) < 20 and number < 500:
            data = muxer.frame(clip.frame(number))
            for start in range(0, len(data), 1316):
                sender.sendto(data[start : start + 1316], (HOST, port))
            number += 1
            await asyncio.sleep(0.005)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert [track.codec for track in taken.tracks] == [Codec.H264]


def test_the_type_decides() -> None:
    with pytest.raises(SourceError, match="application/json"):
        intake_module.intake_for("application/json", "/x", Taken().publish)
    assert isinstance(intake_module.intake_for("", "/x.FLV", Taken().publish), intake_module.FlvStream)
