"""Proxies of SRT sources that others have written, and of another server of ours; in all protocols."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from support.media import AAC, H264, TONE_HZ, WITH_B_FRAMES
from support.ports import free_udp_port
from support.programs import (
    frame_digests,
    from_server,
    gst_running,
    make,
    mono_samples,
    over_and_over,
    probe,
    running,
    tone_level,
)
from support.rtsp import RawRtsp
from support.server import ServerProcess
from support.waiting import wait_until

SECRET = "geheimgeheim"


@contextmanager
def edge(folder: Path, url: str, **more: Any) -> Iterator[ServerProcess]:
    """A server with one proxy, `copy`."""
    folder = folder / "edge"
    folder.mkdir()
    options = {key: more.pop(key) for key in ("http", "rtmp", "srt") if key in more}
    proxy = {"suffix": "copy", "url": url, **more}
    text = json.dumps({"rtsp": {"udp_base_port": 0}, "applications": [{"proxies": [proxy]}]})
    with ServerProcess(folder, config=text.replace(": 0}", ": UDP_BASE}", 1), **options) as server:
        yield server


def sent(media: Path, *output: str) -> list[str]:
    """ffmpeg's options for a film in real time, over and over."""
    return over_and_over(media / "b-frames.mp4", "-c", "copy", *output)


def listening_ffmpeg(media: Path, port: int, more: str = "") -> list[str]:
    return sent(media, "-f", "mpegts", f"srt://127.0.0.1:{port}?mode=listener{more}")


def codecs_of(url: str) -> list[str]:
    found = probe("-rtsp_transport", "tcp", "-show_streams", "-i", url)
    return sorted(stream["codec_name"] for stream in found["streams"])


def described(server: ServerProcess, name: str = "copy") -> bool:
    with RawRtsp.connect(server.host, server.port) as client:
        return client.ask("DESCRIBE", name).status == 200


@pytest.mark.parametrize("ondemand", [0, 1])
def test_ffmpeg_as_listener(tmp_path: Path, media: Path, ondemand: int) -> None:
    port = free_udp_port()
    with (
        running("ffmpeg", *listening_ffmpeg(media, port, f"&passphrase={SECRET}&pbkeylen=16")),
        edge(tmp_path, f"srt://127.0.0.1:{port}?passphrase={SECRET}&latency=200", ondemand=ondemand) as server,
    ):
        assert codecs_of(server.url("copy")) == ["aac", "h264"]
        assert SECRET not in server.log + server.output


def test_ffmpeg_with_another_passphrase_is_named(tmp_path: Path, media: Path) -> None:
    port = free_udp_port()
    with (
        running("ffmpeg", *listening_ffmpeg(media, port, f"&passphrase={SECRET}")),
        edge(tmp_path, f"srt://127.0.0.1:{port}?passphrase=wrong-wrong") as server,
    ):
        wait_until(lambda: "the passphrase is wrong" in server.log, "it is named")


def test_srt_live_transmit_is_killed_and_comes_back(tmp_path: Path, media: Path) -> None:
    port, inward = free_udp_port(), free_udp_port()
    relay = ["-q", f"udp://127.0.0.1:{inward}", f"srt://127.0.0.1:{port}?mode=listener"]
    with (
        running("ffmpeg", *sent(media, "-f", "mpegts", f"udp://127.0.0.1:{inward}?pkt_size=1316")),
        edge(tmp_path, f"srt://127.0.0.1:{port}?streamid=whatever", hold=60) as server,
    ):
        with running("srt-live-transmit", *relay) as first:
            wait_until(lambda: described(server), "the proxy is connected")
            first.send_signal(signal.SIGKILL)
            first.wait()
            wait_until(lambda: "viewers wait" in server.log, "the outage is seen")
            assert "the server answers no more" in server.log
        with running("srt-live-transmit", *relay):
            wait_until(lambda: "goes on after" in server.log, "the stream goes on", deadline_s=40)
            assert codecs_of(server.url("copy")) == ["aac", "h264"]
        assert server.log.count("stream copy") == 1


def test_gstreamer_as_listener(tmp_path: Path) -> None:
    port = free_udp_port()
    with (
        gst_running(
            "videotestsrc is-live=true ! video/x-raw,width=320,height=240,framerate=25/1",
            "! x264enc tune=zerolatency key-int-max=25 ! h264parse config-interval=-1 ! mpegtsmux alignment=7 name=m",
            f"! srtsink uri=srt://127.0.0.1:{port}?mode=listener wait-for-connection=false",
            "audiotestsrc is-live=true freq=1000 ! audioconvert ! avenc_aac ! aacparse ! m.",
        ),
        edge(tmp_path, f"srt://127.0.0.1:{port}") as server,
    ):
        assert codecs_of(server.url("copy")) == ["aac", "h264"]


def test_another_server_of_ours_is_killed_and_comes_back(tmp_path: Path, media: Path) -> None:
    folder = tmp_path / "origin"
    folder.mkdir()
    port = free_udp_port()
    config = json.dumps(
        {
            "srt": {"passphrase": SECRET, "need_auth": 1, "serverport": port, "serverip": ["127.0.0.1"]},
            "users": [{"username": "joe", "password": "secret"}],
            "rtsp": {"need_auth": 0},
        }
    )
    publisher = sent(media, "-f", "mpegts", f"srt://127.0.0.1:{port}?streamid=live,m=publish,u=joe,s=secret")
    publisher[-1] += f"&passphrase={SECRET}"
    url = f"srt://127.0.0.1:{port}?streamid=live&passphrase={SECRET}"
    with ExitStack() as stack:
        first = stack.enter_context(ServerProcess(folder, config=config, arguments=["--srt-port", str(port)]))
        server = stack.enter_context(edge(tmp_path, url, hold=60, user="joe", **{"pass": "secret"}))
        with running("ffmpeg", *publisher):
            wait_until(lambda: described(server), "the proxy is connected")
            first.process.send_signal(signal.SIGKILL)
            first.process.wait()
        wait_until(lambda: "viewers wait" in server.log, "the outage is seen")
        stack.enter_context(ServerProcess(folder, config=config, arguments=["--srt-port", str(port)]))
        stack.enter_context(running("ffmpeg", *publisher))
        wait_until(lambda: "goes on after" in server.log, "the stream goes on", deadline_s=60)
        assert codecs_of(server.url("copy")) == ["aac", "h264"]


def test_a_proxy_of_a_proxy_and_loops(tmp_path: Path, media: Path) -> None:
    port, own = free_udp_port(), free_udp_port()
    proxies = {
        "copy": f"srt://127.0.0.1:{port}",
        "copy2": f"srt://127.0.0.1:{own}?streamid=copy",
        "self": f"srt://localhost:{own}?streamid=%23!::r=self,m=request",
        "a": f"srt://127.0.0.1:{own}?streamid=b",
        "b": f"srt://127.0.0.1:{own}?streamid=#!::r=a",
    }
    nodes = [{"suffix": name, "url": url} for name, url in proxies.items()]
    with (
        running("ffmpeg", *listening_ffmpeg(media, port)),
        ServerProcess(
            tmp_path, config=json.dumps({"applications": [{"proxies": nodes}]}), arguments=["--srt-port", str(own)]
        ) as server,
    ):
        wait_until(lambda: server.log.count("a loop: ") >= 2, "loops are refused", deadline_s=40)
        assert "a loop: self from self" in server.log
        wait_until(lambda: described(server, "copy2"), "the copy of the copy is there", deadline_s=40)
        assert codecs_of(server.url("copy2")) == ["aac", "h264"]


@pytest.mark.parametrize("player", ["rtsp", "rtmp", "srt", "http-flv", "http-mp4", "hls"])
def test_pictures_and_sound_in_every_protocol(pulled: ServerProcess, film: Path, player: str) -> None:
    original = [frame.md5 for frame in frame_digests("-i", str(film))]
    web = f"http://{pulled.host}:{pulled.http_port}/copy"
    reading = {
        "rtsp": from_server(pulled.url("copy"), "tcp"),
        "rtmp": ["-i", f"rtmp://{pulled.host}:{pulled.rtmp_port}/copy"],
        "srt": ["-i", f"srt://{pulled.host}:{pulled.srt_port}?streamid=copy"],
        "http-flv": ["-i", f"{web}.flv"],
        "http-mp4": ["-i", f"{web}.mp4"],
        "hls": ["-i", f"{web}.m3u8"],
    }[player]
    frames = frame_digests(*reading, "-t", "2")
    assert len(frames) > 40
    first = original.index(frames[0].md5)
    assert [frame.md5 for frame in frames] == original[first : first + len(frames)]
    assert tone_level(mono_samples(*reading, seconds=1)[1000:], TONE_HZ) > 0.8


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Long enough for a player that takes its time: at a seam the tone would break off."""
    pictures = ["-f", "lavfi", "-i", "testsrc2=size=320x240:rate=25:duration=100"]
    tone = ["-f", "lavfi", "-i", f"sine=frequency={TONE_HZ}:sample_rate=48000:duration=100"]
    return make(tmp_path_factory.mktemp("film") / "film.mp4", *pictures, *tone, *H264, *WITH_B_FRAMES, *AAC)


@pytest.fixture
def pulled(tmp_path: Path, film: Path) -> Iterator[ServerProcess]:
    port = free_udp_port()
    reading = ["-nostdin", "-loglevel", "error", "-re", "-i", str(film), "-c", "copy"]
    with (
        running("ffmpeg", *reading, "-f", "mpegts", f"srt://127.0.0.1:{port}?mode=listener"),
        edge(tmp_path, f"srt://127.0.0.1:{port}", http=True, rtmp=True, srt=True) as server,
    ):
        wait_until(lambda: described(server), "the proxy is connected")
        yield server
