"""SRTP with real clients: GStreamer watches and publishes; ffmpeg, which knows no MIKEY, watches inside TLS."""

from __future__ import annotations

import asyncio
import hashlib
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest
from support.hearing import check_tone
from support.inprocess import HOST, blocking
from support.inprocess_http import make_files
from support.media import FRAMES, HEIGHT, WIDTH
from support.ports import free_udp_base
from support.programs import (
    frame_digests,
    from_server,
    gst_running,
    mono_samples,
    publishing_with_ffmpeg,
)
from support.waiting import until

from manycast.hub.catalogue import Catalogue
from manycast.hub.hub import Hub
from manycast.hub.rtp_packager import RtpPackager
from manycast.hub.stream import Stream
from manycast.servers.certificate import Certificate
from manycast.servers.rtsp.options import RtspOptions
from manycast.servers.rtsp.server import RtspServer
from manycast.sources.files.library import FileLibrary

TRANSPORTS = ("tcp", "udp")
PICTURE_BYTES = WIDTH * HEIGHT * 3 // 2


@dataclass
class SecureServer:
    hub: Hub
    rtsp: RtspServer
    plain: str
    secure: str

    async def live(self, name: str) -> None:
        await until(lambda: self.hub.live(name) is not None, f"{name} is published")


@asynccontextmanager
async def serving(folder: Path, media: Path) -> AsyncIterator[SecureServer]:
    hub, library = Hub(), FileLibrary(media)
    timer = asyncio.create_task(hub.run_timer())
    certificate = Certificate(*make_files(folder))
    rtsp = RtspServer(Catalogue(hub, library), RtspOptions(udp_base_port=free_udp_base()))
    plain, secure = (socket.create_server((HOST, 0)) for _ in range(2))
    server = SecureServer(
        hub, rtsp, f"rtsp://{HOST}:{plain.getsockname()[1]}", f"rtsps://{HOST}:{secure.getsockname()[1]}"
    )
    rtsp.listen([plain])
    rtsp.listen([secure], make_context=certificate.context)
    rtsp.start()
    try:
        yield server
    finally:
        timer.cancel()
        await hub.close("the test is over")
        await rtsp.close("the test is over")
        await library.close()


def source(url: str, transport: str) -> str:
    return f"rtspsrc location={url} protocols={transport} tls-validation-flags=0 latency=200"


async def written(pipeline: str, path: Path, size: int) -> bytes:
    """What a pipeline writes first. It is ended by force: over TLS, GStreamer 1.22 at times fails at its own end."""
    with gst_running(f"{pipeline} ! filesink buffer-mode=unbuffered location={path}"):
        await until(lambda: path.exists() and path.stat().st_size >= size, "enough is decoded")
    return (await blocking(path.read_bytes))[:size]


async def pictures(url: str, transport: str, folder: Path, count: int) -> list[str]:
    """Digests of what GStreamer decodes, for comparison with `frame_digests`."""
    decoded = "! rtph264depay ! h264parse ! avdec_h264 ! video/x-raw,format=I420"
    data = await written(f"{source(url, transport)} {decoded}", folder / "pictures", count * PICTURE_BYTES)
    return [hashlib.md5(data[at : at + PICTURE_BYTES]).hexdigest() for at in range(0, len(data), PICTURE_BYTES)]


def check_pictures(seen: list[str], media: Path) -> None:
    """They are the clip's, one after another."""
    original = [frame.md5 for frame in frame_digests("-i", str(media / "plain.mp4"))]
    positions = [original.index(digest) for digest in seen]
    assert all((b - a) % FRAMES == 1 for a, b in pairwise(positions))


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_several_players_watch_a_live_stream(tmp_path: Path, media: Path, transport: str) -> None:
    """Two with the key they share, one of them behind the edge of its sequence numbers, and one without SRTP."""
    async with serving(tmp_path, media) as server:
        with publishing_with_ffmpeg(media / "plain.mp4", f"{server.plain}/live", "tcp"):
            await server.live("live")
            url = f"{server.secure}/live"
            with gst_running(source(url, transport), "! rtph264depay ! fakesink"):
                await until(lambda: len(server.rtsp.context.sessions) == 2, "the first one watches")
                check_pictures(await pictures(url, transport, tmp_path, 25), media)
                await move_over_the_edge(server)
                (tmp_path / "pictures").unlink()
                check_pictures(await pictures(url, transport, tmp_path, 25), media)
                inside = await blocking(lambda: frame_digests(*from_server(url, "tcp"), "-frames:v", "20"))
                assert len(inside) == 20


async def keyframes(stream: Stream, count: int) -> None:
    wanted = stream.counters.keyframes + count
    await until(lambda: stream.counters.keyframes >= wanted, "more keyframes")


async def move_over_the_edge(server: SecureServer) -> None:
    """As if the stream had run for some minutes: SRTP's roll-over counter is 1 from now on."""
    stream = server.hub.live("live")
    assert stream is not None
    packager = stream.packager(RtpPackager)
    assert packager is not None
    for ahead in (25_000, 25_000, 25_000, 0):
        for sender in packager.senders:
            sender.sequence = (sender.sequence + ahead) & 0xFFFF
        await keyframes(stream, 2)
    told = server.rtsp.context.srtp_offers.shared(stream).messages(0, ntp=0)[0]
    assert [session.roc for session in told.sessions] == [1]


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_gstreamer_publishes(tmp_path: Path, media: Path, transport: str) -> None:
    async with serving(tmp_path, media) as server:
        with gst_running(
            "videotestsrc is-live=true ! video/x-raw,width=320,height=240,framerate=25/1",
            "! x264enc tune=zerolatency key-int-max=25 ! h264parse ! s.",
            "audiotestsrc is-live=true freq=1000 ! audioconvert ! avenc_aac ! aacparse ! s.",
            f"rtspclientsink name=s location={server.secure}/live protocols={transport} profiles=savp latency=0",
            "tls-validation-flags=0",
        ):
            await server.live("live")
            frames = await blocking(
                lambda: frame_digests(*from_server(f"{server.plain}/live", "tcp"), "-frames:v", "30")
            )
            assert len(frames) == 30
            samples = await blocking(lambda: mono_samples(*from_server(f"{server.secure}/live", "tcp"), seconds=1))
            check_tone(samples[1000:], 1000, seconds=0.6)
