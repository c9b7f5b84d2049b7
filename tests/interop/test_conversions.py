"""What comes in by any protocol goes out by all: every publisher with every player, pictures, sound and their times."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.hearing import check_tone
from support.listening import listen
from support.media import AAC, H264, TONE_HZ, WITH_B_FRAMES
from support.programs import frame_digests, from_server, make, mono_samples, running
from support.rtsp import RawRtsp
from support.server import ServerProcess
from support.waiting import wait_until

PUBLISHERS = ("rtsp", "rtmp", "srt")
PLAYERS = ("rtsp", "rtmp", "srt", "http-flv", "http-mp4", "hls", "ws-flv", "ws-mp4")
FILM_S = 200
SECONDS = 3.0  # what a WebSocket is listened to


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, media: Path) -> Iterator[ServerProcess]:
    config = "hls: {fragment: 1}\nrtsp: {metadata: 1, udp_base_port: UDP_BASE}\n"
    folder = tmp_path_factory.mktemp("conversions")
    with ServerProcess(folder, media=media, config=config, http=True, rtmp=True, srt=True) as running_server:
        yield running_server
        running_server.check_log()


@contextmanager
def publishing(server: ServerProcess, file: Path, name: str, protocol: str) -> Iterator[None]:
    ways = {
        "rtsp": ["-f", "rtsp", "-rtsp_transport", "tcp", server.url(name)],
        "rtmp": ["-f", "flv", f"rtmp://{server.host}:{server.rtmp_port}/{name}"],
        "srt": ["-f", "mpegts", f"srt://{server.host}:{server.srt_port}?streamid={name},m=publish"],
    }
    arguments = ["-nostdin", "-loglevel", "error", "-re", "-i", str(file), "-c", "copy"]
    with running("ffmpeg", *arguments, *ways[protocol]), RawRtsp.connect(server.host, server.port) as client:
        wait_until(lambda: client.ask("DESCRIBE", name).status == 200, f"{name} is published")
        yield


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With B-frames, and long enough for all players of one publisher: at a seam the tone would break off."""
    pictures = ["-f", "lavfi", "-i", f"testsrc2=size=160x120:rate=25:duration={FILM_S}"]
    tone = ["-f", "lavfi", "-i", f"sine=frequency={TONE_HZ}:sample_rate=48000:duration={FILM_S}"]
    return make(tmp_path_factory.mktemp("film") / "film.mp4", *pictures, *tone, *H264, *WITH_B_FRAMES, *AAC)


@pytest.fixture(scope="module", params=PUBLISHERS)
def published(request: pytest.FixtureRequest, server: ServerProcess, film: Path) -> Iterator[str]:
    """The name of a stream."""
    name = f"live/by-{request.param}"
    with publishing(server, film, name, request.param):
        yield name


@pytest.fixture(scope="module")
def original(film: Path) -> list[str]:
    return [frame.md5 for frame in frame_digests("-i", str(film))]


def source_of(server: ServerProcess, name: str, player: str, folder: Path) -> list[str]:
    """ffmpeg's options to play a stream by a protocol."""
    http = f"{server.host}:{server.http_port}/{name}"
    if player.startswith("ws-"):
        form = player.removeprefix("ws-")
        file = folder / f"heard.{form}"
        file.write_bytes(asyncio.run(listen(f"ws://{http}.{form}", SECONDS)))
        return ["-i", str(file)]
    return {
        "rtsp": from_server(server.url(name), "tcp"),
        "rtmp": ["-i", f"rtmp://{server.host}:{server.rtmp_port}/{name}"],
        "srt": ["-i", f"srt://{server.host}:{server.srt_port}?streamid={name}"],
        "http-flv": ["-i", f"http://{http}.flv"],
        "http-mp4": ["-i", f"http://{http}.mp4"],
        "hls": ["-i", f"http://{http}.m3u8"],
    }[player]


@pytest.mark.parametrize("player", PLAYERS)
def test_every_publisher_reaches_every_player(
    server: ServerProcess, published: str, original: list[str], player: str, tmp_path: Path
) -> None:
    source = source_of(server, published, player, tmp_path)
    frames = frame_digests(*source, "-frames:v", "45")
    assert len(frames) == 45
    first = original.index(frames[0].md5)
    assert [frame.md5 for frame in frames] == original[first : first + len(frames)]
    times = [frame.pts for frame in frames]
    assert times == sorted(set(times))
    samples = mono_samples(*source, seconds=1)
    check_tone(samples[1000:], TONE_HZ, seconds=0.6)
