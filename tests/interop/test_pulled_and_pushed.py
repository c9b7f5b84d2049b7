"""What is pulled from elsewhere, or pushed as raw RTP, plays by every protocol."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
from support.lip_sync import make_lip_sync_clip
from support.players import watch_with_ffmpeg
from support.ports import free_tcp_port, free_udp_base
from support.programs import make, over_and_over, probe, publishing_with_ffmpeg, running
from support.server import ServerProcess
from support.waiting import wait_until

HOST = "127.0.0.1"
PLAYERS = ("rtsp", "rtmp", "srt", "http-flv", "http-mp4", "hls")
PULLED = ("rtsp", "rtmp", "srt", "http-flv", "hls")
AT_ONCE = 3  # players


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """H.264 and AAC, a keyframe every second."""
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    pictures = ["-f", "lavfi", "-i", "testsrc2=size=320x240:rate=25"]
    sound = ["-f", "lavfi", "-i", "sine=sample_rate=48000"]
    coding = ["-t", "120", "-c:v", "libx264", "-preset", "ultrafast", "-bf", "0", "-g", "25", "-pix_fmt", "yuv420p"]
    return make(path, *pictures, *sound, *coding, "-c:a", "aac", "-ar", "48000")


def address(server: ServerProcess, protocol: str, name: str) -> str:
    return {
        "rtsp": server.url(name),
        "rtmp": f"rtmp://{HOST}:{server.rtmp_port}/{name}",
        "srt": f"srt://{HOST}:{server.srt_port}?streamid={name}",
        "http-flv": f"http://{HOST}:{server.http_port}/{name}.flv",
        "http-mp4": f"http://{HOST}:{server.http_port}/{name}.mp4",
        "hls": f"http://{HOST}:{server.http_port}/{name}.m3u8",
    }[protocol]


@dataclass
class Edge:
    server: ServerProcess
    ports: dict[str, tuple[int, int]]  # of the pushers

    def codecs(self, protocol: str, name: str) -> list[str]:
        options = ["-rtsp_transport", "tcp"] if protocol == "rtsp" else []
        found = probe(*options, "-show_streams", "-i", address(self.server, protocol, name))
        return sorted(stream["codec_name"] for stream in found["streams"])

    def by_every_protocol(self, name: str) -> dict[str, str]:
        """The codecs that each player gets."""
        with ThreadPoolExecutor(AT_ONCE) as pool:
            found = pool.map(lambda protocol: self.codecs(protocol, name), PLAYERS)
            return dict(zip(PLAYERS, map(" ".join, found), strict=True))


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory, film: Path) -> Iterator[Edge]:
    """A server that pulls from another one by all protocols, and from a camera, and has a pusher."""
    pictures, base = f"http://{HOST}:{free_tcp_port()}/film", free_udp_base()
    ports = {"raw": (base, base + 2), "flashes": (base + 4, base + 6)}
    make_server = partial(ServerProcess, http=True, rtmp=True, srt=True)
    with ExitStack() as stack:
        origin = stack.enter_context(
            make_server(
                tmp_path_factory.mktemp("origin"),
                config="hls: {fragment: 1}",
            )
        )
        stack.enter_context(publishing_with_ffmpeg(film, origin.url("live"), "tcp"))
        wait_until(lambda: "stream live" in origin.log, "the film is published")
        proxies = [{"suffix": f"by-{kind}", "url": address(origin, kind, "live"), "ondemand": 1} for kind in PULLED]
        proxies.append({"suffix": "camera", "url": pictures, "ondemand": 1})
        pushers = [
            {
                "suffix": name,
                "video": {"codec": "H264"},
                "audio": {"codec": "AAC", "samplerate": 48000, "channels": 1},
                "transfer": {"mode": "UDP", "ip": HOST, "vport": vport, "aport": aport},
            }
            for name, (vport, aport) in ports.items()
        ]
        config = {"hls": {"fragment": 1}, "applications": [{"proxies": proxies, "pushers": pushers}]}
        server = stack.enter_context(
            make_server(
                tmp_path_factory.mktemp("edge"),
                config=json.dumps(config),
            )
        )
        header = ["-content_type", "multipart/x-mixed-replace;boundary=ffmpeg", "-listen", "1"]
        stack.enter_context(
            running(
                "ffmpeg",
                *over_and_over(film, "-an", "-c:v", "mjpeg", "-huffman", "default", "-f", "mpjpeg", *header, pictures),
            )
        )
        yield Edge(server, ports)
        server.check_log()


@pytest.mark.parametrize("kind", PULLED)
def test_what_is_pulled(edge: Edge, kind: str) -> None:
    assert edge.by_every_protocol(f"by-{kind}") == dict.fromkeys(PLAYERS, "aac h264")


def test_a_cameras_pictures(edge: Edge) -> None:
    found = edge.by_every_protocol("camera")
    assert found.pop("rtsp") == "mjpeg"
    assert found == dict.fromkeys(found, "h264")


def test_what_is_pushed_as_raw_rtp(edge: Edge, film: Path) -> None:
    vport, aport = edge.ports["raw"]
    pictures = ["-an", "-c:v", "copy", "-bsf:v", "h264_mp4toannexb", "-f", "rtp", f"rtp://{HOST}:{vport}"]
    sound = ["-vn", "-c:a", "copy", "-f", "rtp", f"rtp://{HOST}:{aport}"]
    with running("ffmpeg", *over_and_over(film, *pictures, *sound)):
        wait_until(lambda: "stream raw" in edge.server.log, "it is pushed")
        assert edge.by_every_protocol("raw") == dict.fromkeys(PLAYERS, "aac h264")


def test_pictures_and_sound_of_raw_rtp_stay_in_step(edge: Edge, tmp_path: Path) -> None:
    vport, aport = edge.ports["flashes"]
    with_b_frames = make_lip_sync_clip(tmp_path / "original.mp4")
    coding = ["-c:v", "libx264", "-preset", "ultrafast", "-bf", "0", "-g", "25", "-c:a", "aac"]
    clip = make(tmp_path / "clip.mp4", "-stream_loop", "14", "-i", str(with_b_frames), *coding)
    # When packets come is all that there is to go by; so they must be sent when they are due.
    pictures = ["-an", "-c:v", "copy", "-bsf:v", "h264_mp4toannexb", "-f", "rtp", f"rtp://{HOST}:{vport}"]
    sound = ["-vn", "-c:a", "copy", "-f", "rtp", f"rtp://{HOST}:{aport}"]
    url = edge.server.url("flashes")
    with running("ffmpeg", *over_and_over(clip, *pictures, *sound)):
        wait_until(lambda: "stream flashes" in edge.server.log, "it is pushed")
        watch_with_ffmpeg(tmp_path, url, "tcp", 6.0).check_lip_sync()
