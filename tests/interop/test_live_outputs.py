"""What proxies fetch and what is pushed comes out as the `output` under them asks."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from support.media import make_long_clip
from support.ports import free_udp_base
from support.programs import from_server, over_and_over, probe, running
from support.server import ServerProcess
from support.waiting import wait_until

SMALL = {"video": {"codec": "H264", "width": 160, "height": 120}, "audio": {"codec": "G711U", "samplerate": 8000}}
SAME = {"video": {"codec": "H264"}, "audio": {"codec": "AAC", "samplerate": 48000}}


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """H.264 of 320x240 and AAC of 48 kHz, a keyframe every second."""
    return make_long_clip(tmp_path_factory.mktemp("film") / "film.mp4")


@contextmanager
def serving(folder: Path, **nodes: Any) -> Iterator[ServerProcess]:
    folder.mkdir(exist_ok=True)
    text = json.dumps({"rtsp": {"udp_base_port": "UDP_BASE"}, "applications": [nodes]})
    with ServerProcess(folder, config=text.replace('"UDP_BASE"', "UDP_BASE"), rtmp=True, http=True, srt=True) as server:
        yield server


def shape(url: str, *options: str) -> list[tuple[str, int]]:
    """Codecs, with the width of pictures and the rate of sound."""
    streams = probe(*options, "-show_streams", "-i", url)["streams"]
    return sorted((item["codec_name"], int(item.get("width") or item.get("sample_rate") or 0)) for item in streams)


def over_tcp(server: ServerProcess, name: str = "copy") -> list[tuple[str, int]]:
    return shape(server.url(name), "-rtsp_transport", "tcp")


def transcoded(server: ServerProcess) -> list[str]:
    """The paths that something was transcoded for, each as often as it was begun."""
    return re.findall(r"(\w+)(?:, converted)?: transcoding \w+ to ", server.log)


def publish(server: ServerProcess, film: Path, protocol: str, name: str) -> list[str]:
    match protocol:
        case "rtsp":
            return over_and_over(film, "-c", "copy", "-f", "rtsp", "-rtsp_transport", "tcp", server.url(name))
        case "rtmp":
            return over_and_over(film, "-c", "copy", "-f", "flv", f"rtmp://127.0.0.1:{server.rtmp_port}/{name}")
        case _:
            url = f"srt://127.0.0.1:{server.srt_port}?streamid={name},m=publish&pkt_size=1316"
            return over_and_over(film, "-c", "copy", "-bsf:v", "h264_mp4toannexb", "-f", "mpegts", url)


@pytest.mark.parametrize("protocol", ["rtsp", "rtmp", "srt"])
def test_what_is_published_at_a_pushers_name(tmp_path: Path, film: Path, protocol: str) -> None:
    pusher = {"suffix": "copy", "transfer": {"mode": "RTSP"}, "output": SMALL}
    with (
        serving(tmp_path, pushers=[pusher]) as server,
        running("ffmpeg", *publish(server, film, protocol, "copy")),
        running("ffmpeg", *publish(server, film, protocol, "other")),
    ):
        wait_until(lambda: server.log.count(" opened") >= 2, "both are published")
        with running("ffmpeg", "-nostdin", *from_server(server.url("copy"), "tcp"), "-c", "copy", "-f", "null", "-"):
            assert over_tcp(server) == [("h264", 160), ("pcm_mulaw", 8000)]
            assert over_tcp(server, "other") == [("aac", 48000), ("h264", 320)]
            flv = f"http://127.0.0.1:{server.http_port}/copy.flv"
            assert ("h264", 160) in shape(flv)
            hls = f"http://127.0.0.1:{server.http_port}/copy.m3u8"
            assert [codec for codec, _ in shape(hls)] == ["aac", "h264"]
        assert transcoded(server) == ["copy", "copy"]  # once for all, and its sound once more for HLS


@pytest.mark.parametrize("ondemand", [0, 1])
def test_a_proxy(tmp_path: Path, film: Path, ondemand: int) -> None:
    with serving(tmp_path / "origin") as origin, running("ffmpeg", *publish(origin, film, "rtsp", "live")):
        wait_until(lambda: "stream live" in origin.log, "it is published")
        proxies = [
            {"suffix": "copy", "url": origin.url("live"), "ondemand": ondemand, "output": SMALL},
            {"suffix": "same", "url": origin.url("live"), "ondemand": ondemand, "output": SAME},
        ]
        with serving(tmp_path / "edge", proxies=proxies) as server:
            assert over_tcp(server) == [("h264", 160), ("pcm_mulaw", 8000)]
            assert over_tcp(server, "same") == [("aac", 48000), ("h264", 320)]
            assert set(transcoded(server)) == {"copy"}


def test_raw_rtp(tmp_path: Path, film: Path) -> None:
    port = free_udp_base()
    transfer = {"mode": "UDP", "ip": "127.0.0.1", "vport": port, "aport": port + 2}
    output = {"video": {"codec": "JPEG"}, "audio": {"codec": "AAC"}}
    pusher = {
        "suffix": "copy",
        "video": {"codec": "H264"},
        "audio": {"codec": "OPUS", "samplerate": 48000, "channels": 2},
        "transfer": transfer,
        "output": output,
    }
    pictures = ["-an", "-c:v", "copy", "-bsf:v", "h264_mp4toannexb", "-f", "rtp", f"rtp://127.0.0.1:{port}"]
    sound = ["-vn", "-c:a", "libopus", "-f", "rtp", f"rtp://127.0.0.1:{port + 2}"]
    with (
        serving(tmp_path, pushers=[pusher]) as server,
        running("ffmpeg", *over_and_over(film, "-c", "copy", *pictures, *sound)),
    ):
        wait_until(lambda: "stream copy" in server.log, "it is pushed")
        assert [codec for codec, _ in over_tcp(server)] == ["aac", "mjpeg"]


def test_the_transcoder_is_gone_some_time_after_its_last_viewer(tmp_path: Path, film: Path) -> None:
    pusher = {"suffix": "copy", "output": SMALL}
    with serving(tmp_path, pushers=[pusher]) as server, running("ffmpeg", *publish(server, film, "rtsp", "copy")):
        wait_until(lambda: "stream copy" in server.log, "it is published")
        threads = Path(f"/proc/{server.process.pid}/task")
        before = len(list(threads.iterdir()))
        assert over_tcp(server)
        while_watched = len(list(threads.iterdir()))
        assert while_watched > before
        wait_until(lambda: len(list(threads.iterdir())) < while_watched, "its threads are gone")
        assert "stream copy ended" not in server.log
