"""Proxies of servers that others have written."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from support.inprocess_http import make_files
from support.media import make_long_clip
from support.ports import free_tcp_port, free_udp_base
from support.programs import find, gst_running, mono_samples, over_and_over, probe, running, tone_level
from support.server import ServerProcess
from support.speech import TONE_HZ, spoken_tone
from support.talking import open_talker, speaking
from support.waiting import wait_until

from manycast.hub.backchannel import audio_track
from manycast.media.track import Codec

GST_SERVER = Path(__file__).parent.parent / "support" / "gst_rtsp_server.py"
SYSTEM_PYTHON = "/usr/bin/python3"
HINT = "apt install gir1.2-gst-rtsp-server-1.0 python3-gi gstreamer1.0-plugins-ugly"


def listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


@contextmanager
def gst_server(port: int, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    command = [SYSTEM_PYTHON, str(GST_SERVER), str(port), *words]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: listens(port) or process.poll() is not None, "GStreamer's server listens")
        assert process.poll() is None, HINT
        yield process
    finally:
        process.kill()
        process.wait()


@contextmanager
def edge(folder: Path, more: dict[str, Any] | None = None, **proxy: Any) -> Iterator[ServerProcess]:
    applications = [{"proxies": [{"suffix": "copy", **proxy}]}]
    text = json.dumps({"rtsp": {"udp_base_port": 0}, "applications": applications, **(more or {})})
    text = text.replace(": 0}", ": UDP_BASE}", 1)
    with ServerProcess(folder, config=text) as server:
        yield server


def codecs_of(url: str) -> list[str]:
    found = probe("-rtsp_transport", "tcp", "-show_streams", "-i", url)
    return sorted(stream["codec_name"] for stream in found["streams"])


@pytest.mark.parametrize("transfer", ["TCP", "UDP"])
@pytest.mark.parametrize("ondemand", [0, 1])
def test_gstreamer(tmp_path: Path, transfer: str, ondemand: int) -> None:
    port = free_tcp_port()
    url = f"rtsp://127.0.0.1:{port}/test"
    with gst_server(port), edge(tmp_path, url=url, transfer=transfer, ondemand=ondemand) as server:
        assert codecs_of(server.url("copy")) == ["h264", "pcm_alaw"]
        assert "holes" not in server.log


@pytest.mark.parametrize(("has", "asked"), [("tcp", "UDP"), ("udp", "TCP")])
def test_a_transport_gstreamer_refuses(tmp_path: Path, has: str, asked: str) -> None:
    port = free_tcp_port()
    with (
        gst_server(port, "--only", has),
        edge(tmp_path, url=f"rtsp://127.0.0.1:{port}/test", transfer=asked, ondemand=1) as server,
    ):
        assert codecs_of(server.url("copy")) == ["h264", "pcm_alaw"]
        assert f"trying {has.upper()}" in server.log


def test_gstreamer_with_a_login(tmp_path: Path) -> None:
    port = free_tcp_port()
    login: dict[str, Any] = {"user": "joe", "pass": "secret"}
    with (
        gst_server(port, "--login", "joe", "secret"),
        edge(tmp_path, url=f"rtsp://127.0.0.1:{port}/test", **login) as server,
    ):
        assert codecs_of(server.url("copy")) == ["h264", "pcm_alaw"]


@pytest.mark.parametrize("transfer", ["TCP", "UDP"])
def test_gstreamer_by_srtp(tmp_path: Path, transfer: str) -> None:
    files = make_files(tmp_path)
    port = free_tcp_port()
    proxy: dict[str, Any] = {"url": f"rtsps://127.0.0.1:{port}/test", "transfer": transfer, "tls_verify": 0}
    with gst_server(port, "--tls", *map(str, files)), edge(tmp_path, **proxy) as server:
        assert codecs_of(server.url("copy")) == ["h264", "pcm_alaw"]
        assert "trying" not in server.log
        assert "thrown away" not in server.log


@pytest.mark.parametrize(("codec", "payload_type"), [(Codec.G711U, 0), (Codec.G711A, 8)])
def test_gstreamer_hears_what_is_said_to_the_proxy(tmp_path: Path, codec: Codec, payload_type: int) -> None:
    port = free_tcp_port()
    heard = tmp_path / "heard"
    speech = {"backchannel": {"output": "none"}}
    with (
        gst_server(port, "--heard", str(heard)),
        edge(tmp_path, more=speech, url=f"rtsp://127.0.0.1:{port}/test") as server,
    ):
        assert codecs_of(server.url("copy")) == ["h264", "pcm_alaw"]
        talker = open_talker(server, "copy")
        talker.play()
        with speaking(talker, spoken_tone(audio_track(codec), 1.0), payload_type=payload_type):
            wait_until(lambda: heard.exists() and heard.stat().st_size > 12_000, "it is heard")
        talker.teardown()
        talker.close()
    sound = ["-f", "mulaw", "-ar", "8000", "-ac", "1", "-i", str(heard)]
    assert tone_level(mono_samples(*sound, seconds=1.0)[2000:], TONE_HZ) > 0.9


def test_gstreamer_is_killed_and_comes_back(tmp_path: Path) -> None:
    port = free_tcp_port()
    with gst_server(port) as first, edge(tmp_path, url=f"rtsp://127.0.0.1:{port}/test", hold=30) as server:
        assert codecs_of(server.url("copy")) == ["h264", "pcm_alaw"]
        first.send_signal(signal.SIGKILL)
        first.wait()
        wait_until(lambda: "viewers wait" in server.log, "the outage is seen")
        with gst_server(port):
            wait_until(lambda: "goes on after" in server.log, "the stream goes on")
            assert codecs_of(server.url("copy")) == ["h264", "pcm_alaw"]
        assert server.log.count("stream copy") == 1


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """H.264 and AAC, a keyframe every second."""
    return make_long_clip(tmp_path_factory.mktemp("film") / "film.mp4")


def test_ffmpeg_as_rtmp_listener(tmp_path: Path, film: Path) -> None:
    url = f"rtmp://127.0.0.1:{free_tcp_port()}/live/film"
    with (
        running("ffmpeg", *over_and_over(film, "-c", "copy", "-f", "flv", "-listen", "1", url)),
        edge(tmp_path, url=url) as server,
    ):
        assert codecs_of(server.url("copy")) == ["aac", "h264"]


@contextmanager
def nginx(folder: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """With its RTMP module and the application `live`."""
    folder.mkdir(exist_ok=True)
    modules = Path(find("nginx")).parents[1] / "lib" / "nginx" / "modules"
    path = folder / "nginx.conf"
    path.write_text(
        f"load_module {modules}/ngx_rtmp_module.so; daemon off; master_process off; "
        f"pid {folder}/pid; error_log {folder}/error.log; events {{}} "
        f"rtmp {{ server {{ listen 127.0.0.1:{port}; application live {{ live on; }} }} }}\n"
    )
    with running("nginx", "-p", str(folder), "-c", str(path)) as process:
        wait_until(lambda: listens(port), "nginx listens")
        yield process


def test_nginx_is_killed_and_comes_back(tmp_path: Path, film: Path) -> None:
    port = free_tcp_port()
    url = f"rtmp://127.0.0.1:{port}/live/film"
    publisher = over_and_over(film, "-c", "copy", "-f", "flv", url)
    with edge(tmp_path, url=url, hold=60) as server:
        with nginx(tmp_path / "nginx", port) as first, running("ffmpeg", *publisher):
            assert codecs_of(server.url("copy")) == ["aac", "h264"]
            first.send_signal(signal.SIGKILL)
            first.wait()
            wait_until(lambda: "viewers wait" in server.log, "the outage is seen")
        with nginx(tmp_path / "nginx", port), running("ffmpeg", *publisher):
            wait_until(lambda: "goes on after" in server.log, "the stream goes on", deadline_s=60)
            assert codecs_of(server.url("copy")) == ["aac", "h264"]
        assert server.log.count("stream copy") == 1


def test_an_ffmpeg_that_listens_is_killed_and_comes_back(tmp_path: Path, film: Path) -> None:
    url = f"rtmp://127.0.0.1:{free_tcp_port()}/live/film"
    command = over_and_over(film, "-c", "copy", "-f", "flv", "-listen", "1", url)
    with edge(tmp_path, url=url, hold=60) as server:
        with running("ffmpeg", *command) as first:
            assert codecs_of(server.url("copy")) == ["aac", "h264"]
            first.send_signal(signal.SIGKILL)
            first.wait()
            wait_until(lambda: "viewers wait" in server.log, "the outage is seen")
        with running("ffmpeg", *command):
            wait_until(lambda: "goes on after" in server.log, "the stream goes on", deadline_s=60)
            assert codecs_of(server.url("copy")) == ["aac", "h264"]
        assert server.log.count("stream copy") == 1


@pytest.mark.parametrize("kind", ["mpegts", "fmp4"])
def test_hls_that_ffmpeg_cuts_on_a_web_server_that_is_killed(tmp_path: Path, film: Path, kind: str) -> None:
    folder, port = tmp_path / "web", free_tcp_port()
    folder.mkdir()
    web = ["-m", "http.server", "--bind", "127.0.0.1", "--directory", str(folder), str(port)]
    hls = ["-f", "hls", "-hls_time", "1", "-hls_list_size", "5", "-hls_flags", "delete_segments+temp_file"]
    cutter = over_and_over(film, "-c", "copy", *hls, "-hls_segment_type", kind, str(folder / "film.m3u8"))
    with (
        running("ffmpeg", *cutter),
        edge(tmp_path, url=f"http://127.0.0.1:{port}/film.m3u8", hold=60) as server,
    ):
        with running(SYSTEM_PYTHON, *web) as first:
            assert codecs_of(server.url("copy")) == ["aac", "h264"]
            first.send_signal(signal.SIGKILL)
            first.wait()
            wait_until(lambda: "viewers wait" in server.log, "the outage is seen", deadline_s=60)
        with running(SYSTEM_PYTHON, *web):
            wait_until(lambda: "goes on after" in server.log, "the stream goes on", deadline_s=60)
            assert codecs_of(server.url("copy")) == ["aac", "h264"]
        assert server.log.count("stream copy") == 1


def test_ffmpeg_as_http_flv_server(tmp_path: Path, film: Path) -> None:
    url = f"http://127.0.0.1:{free_tcp_port()}/film.flv"
    with (
        running("ffmpeg", *over_and_over(film, "-c", "copy", "-f", "flv", "-listen", "1", url)),
        edge(tmp_path, url=url) as server,
    ):
        assert codecs_of(server.url("copy")) == ["aac", "h264"]


def test_ffmpeg_as_mjpeg_server(tmp_path: Path, film: Path) -> None:
    url = f"http://127.0.0.1:{free_tcp_port()}/film"
    header = ["-content_type", "multipart/x-mixed-replace;boundary=ffmpeg", "-listen", "1"]
    with (
        running(
            "ffmpeg", *over_and_over(film, "-an", "-c:v", "mjpeg", "-huffman", "default", "-f", "mpjpeg", *header, url)
        ),
        edge(tmp_path, url=url) as server,
    ):
        assert codecs_of(server.url("copy")) == ["mjpeg"]


@pytest.mark.parametrize("form", ["mpegts", "rtp_mpegts"])
def test_ffmpeg_sends_a_transport_stream(tmp_path: Path, film: Path, form: str) -> None:
    port = free_udp_base()
    scheme = "rtp" if form == "rtp_mpegts" else "udp"
    with (
        edge(tmp_path, url=f"udp://127.0.0.1:{port}") as server,
        running("ffmpeg", *over_and_over(film, "-c", "copy", "-f", form, f"{scheme}://127.0.0.1:{port}?pkt_size=1316")),
    ):
        assert codecs_of(server.url("copy")) == ["aac", "h264"]


@contextmanager
def pusher(folder: Path, video: str, audio: str) -> Iterator[tuple[ServerProcess, int, int]]:
    """A server with a pusher in mode UDP, and its ports."""
    port = free_udp_base()
    transfer = {"mode": "UDP", "ip": "127.0.0.1", "vport": port, "aport": port + 1}
    sound = {"codec": audio, "samplerate": 48000 if audio == "AAC" else 8000, "channels": 1}
    node = {"suffix": "copy", "video": {"codec": video}, "audio": sound, "transfer": transfer}
    with ServerProcess(folder, config=json.dumps({"applications": [{"pushers": [node]}]})) as server:
        yield server, port, port + 1


@pytest.mark.parametrize(
    ("audio", "coding", "name"),
    [
        ("AAC", ["-c:a", "copy"], "aac"),
        ("G711U", ["-c:a", "pcm_mulaw", "-ar", "8000"], "pcm_mulaw"),
        ("OPUS", ["-c:a", "libopus"], "opus"),
    ],
)
def test_ffmpeg_pushes_raw_rtp(tmp_path: Path, film: Path, audio: str, coding: list[str], name: str) -> None:
    with pusher(tmp_path, "H264", audio) as (server, vport, aport):
        pictures = ["-an", "-c:v", "copy", "-bsf:v", "h264_mp4toannexb", "-f", "rtp", f"rtp://127.0.0.1:{vport}"]
        sound = ["-vn", *coding, "-f", "rtp", f"rtp://127.0.0.1:{aport}"]
        with running("ffmpeg", *over_and_over(film, *pictures, *sound)):
            assert codecs_of(server.url("copy")) == sorted(["h264", name])


def test_gstreamer_pushes_raw_rtp(tmp_path: Path) -> None:
    with pusher(tmp_path, "H265", "G711A") as (server, vport, aport):
        pipeline = (
            "videotestsrc is-live=true ! video/x-raw,width=320,height=240,framerate=25/1",
            "! x265enc tune=zerolatency key-int-max=25 ! h265parse config-interval=-1 ! rtph265pay",
            f"! udpsink host=127.0.0.1 port={vport}",
            f"audiotestsrc is-live=true ! alawenc ! rtppcmapay ! udpsink host=127.0.0.1 port={aport}",
        )
        with gst_running(*pipeline):
            assert codecs_of(server.url("copy")) == ["hevc", "pcm_alaw"]
