"""RTSP over HTTP, HTTPS, TLS and WebSocket, with the clients of others."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest
from support.media import FRAMES
from support.programs import ffmpeg, frame_digests, gst, publishing_with_ffmpeg, running
from support.server import ServerProcess
from support.tunnels import SUBPROTOCOL
from support.waiting import wait_until

from manycast.wire.rtp.packet import RtpPacket

CLIP = "plain.mp4"
START_CODE = b"\0\0\0\1"


@pytest.fixture(scope="module")
def tunnels(tmp_path_factory: pytest.TempPathFactory, media: Path) -> Iterator[ServerProcess]:
    """A server with all ports open."""
    folder = tmp_path_factory.mktemp("tunnels")
    with ServerProcess(folder, media=media, http=True, https=True, rtsps=True) as server:
        yield server
        server.check_log()


def ffmpeg_source(server: ServerProcess, transport: str, name: str) -> list[str]:
    """ffmpeg's options for each way."""
    match transport:
        case "http":
            return ["-rtsp_transport", "http", "-i", f"rtsp://{server.host}:{server.http_port}/{name}"]
        case "https":
            return ["-rtsp_transport", "https", "-i", f"rtsp://{server.host}:{server.https_port}/{name}"]
        case "rtsps":
            return ["-rtsp_transport", "tcp", "-i", f"rtsps://{server.host}:{server.rtsps_port}/{name}"]
        case _:  # RTSP as it is, on the HTTP port
            return ["-rtsp_transport", "tcp", "-i", f"rtsp://{server.host}:{server.http_port}/{name}"]


@pytest.mark.parametrize("transport", ["http", "https", "rtsps", "rtsp on the HTTP port"])
def test_ffmpeg_gets_every_picture_of_a_file(tunnels: ServerProcess, media: Path, transport: str) -> None:
    source = ffmpeg_source(tunnels, transport, CLIP)
    got = frame_digests(*source)
    assert [frame.md5 for frame in got] == [frame.md5 for frame in frame_digests("-i", str(media / CLIP))]
    assert len(got) == FRAMES


def test_ffmpeg_gets_the_sound(tunnels: ServerProcess) -> None:
    samples = ffmpeg(*ffmpeg_source(tunnels, "http", CLIP), "-vn", "-ac", "1", "-ar", "8000", "-f", "s16le", "-")
    assert len(samples) > 2 * 8000 * 2.5


@pytest.mark.parametrize(
    ("scheme", "port_name", "log_name"),
    [("rtsph", "http_port", "HTTP"), ("rtspsh", "https_port", "HTTPS"), ("rtsps", "rtsps_port", "TLS")],
)
def test_gstreamer_decodes_it(tunnels: ServerProcess, scheme: str, port_name: str, log_name: str) -> None:
    address = f"{scheme}://{tunnels.host}:{getattr(tunnels, port_name)}/demo"
    source = f"rtspsrc location={address} protocols=tcp latency=100 tls-validation-flags=0"
    gst(source, "! rtph264depay ! h264parse ! avdec_h264 ! identity eos-after=25 ! fakesink")
    assert re.search(rf"plays demo over .*{log_name}", tunnels.log)


def test_ffmpeg_publishes_over_tls(tunnels: ServerProcess, media: Path) -> None:
    address = f"rtsps://{tunnels.host}:{tunnels.rtsps_port}/pushed-tls"
    with publishing_with_ffmpeg(media / CLIP, address, "tcp"):
        wait_until(lambda: "stream pushed-tls" in tunnels.log, "the stream is there")
        frames = frame_digests(*ffmpeg_source(tunnels, "http", "pushed-tls"), "-frames:v", "25")
    assert len(frames) == 25


def test_gstreamer_publishes_through_a_tunnel(tunnels: ServerProcess, media: Path) -> None:
    address = f"rtsph://{tunnels.host}:{tunnels.http_port}/pushed-http"
    pipeline = ["-q", "filesrc", f"location={media / CLIP}", "!", "qtdemux", "!", "h264parse", "config-interval=-1"]
    pipeline += ["!", "identity", "sync=true", "!", "rtspclientsink", f"location={address}", "protocols=tcp"]
    with running("gst-launch-1.0", *pipeline):
        wait_until(lambda: "stream pushed-http" in tunnels.log, "the stream is there")
        frames = frame_digests(*ffmpeg_source(tunnels, "https", "pushed-http"), "-frames:v", "20")
    assert len(frames) == 20


@pytest.mark.parametrize("secure", [False, True])
def test_pictures_from_a_websocket_are_decoded(tunnels: ServerProcess, tmp_path: Path, secure: bool) -> None:
    """The dialogue by aiohttp's client; what comes is put together and given to ffmpeg."""
    port = tunnels.https_port if secure else tunnels.http_port
    received = asyncio.run(watch_by_aiohttp(f"http{'s' if secure else ''}://{tunnels.host}:{port}/websocket", "demo"))
    path = tmp_path / "received.h264"
    path.write_bytes(annex_b(received))
    assert len(frame_digests("-i", str(path))) >= 20


async def watch_by_aiohttp(address: str, name: str) -> list[bytes]:
    """The RTP packets of a second of video; every message must be binary."""
    base = "rtsp://server"
    setup = "RTP/AVP/TCP;unicast;interleaved=0-1"
    buffer = b""
    packets: list[bytes] = []
    async with (
        aiohttp.ClientSession() as http,
        http.ws_connect(address, protocols=[SUBPROTOCOL], ssl=False) as socket,
    ):
        assert socket.protocol == SUBPROTOCOL

        async def ask(number: int, method: str, uri: str, more: str = "") -> str:
            nonlocal buffer
            await socket.send_bytes(f"{method} {uri} RTSP/1.0\r\nCSeq: {number}\r\n{more}\r\n".encode())
            reply = await socket.receive_bytes()
            head, _, buffer = reply.partition(b"\r\n\r\n")
            assert head.startswith(b"RTSP/1.0 200 OK"), head
            return head.decode()

        await ask(1, "DESCRIBE", f"{base}/{name}", "Accept: application/sdp\r\n")
        buffer = b""
        head = await ask(2, "SETUP", f"{base}/{name}/trackID=0", f"Transport: {setup}\r\n")
        session = head.partition("Session: ")[2].partition(";")[0].split()[0]
        await ask(3, "PLAY", f"{base}/{name}", f"Session: {session}\r\n")
        while len(packets) < 1500:
            while len(buffer) >= 4 and len(buffer) >= (end := 4 + int.from_bytes(buffer[2:4])):
                if buffer[1] == 0:
                    packets.append(buffer[4:end])
                buffer = buffer[end:]
            if len(packets) < 1500:
                buffer += await socket.receive_bytes()
        await socket.close()
    await asyncio.sleep(0.25)  # aiohttp's documentation: TLS connections are not closed before
    return packets


def annex_b(packets: list[bytes]) -> bytes:
    """H.264 out of RTP packets."""
    stream = bytearray()
    for data in packets:
        payload = RtpPacket.parse(data).payload
        kind = payload[0] & 0x1F
        if kind == 28:  # FU-A
            if payload[1] & 0x80:
                stream += START_CODE + bytes([payload[0] & 0xE0 | payload[1] & 0x1F])
            stream += payload[2:]
        elif kind == 24:  # STAP-A
            at = 1
            while at < len(payload):
                size = int.from_bytes(payload[at : at + 2])
                stream += START_CODE + payload[at + 2 : at + 2 + size]
                at += 2 + size
        else:
            stream += START_CODE + payload
    return bytes(stream)
