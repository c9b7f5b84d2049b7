"""SRT with real clients: FFmpeg, srt-live-transmit, GStreamer, VLC."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import pytest
from support.desktop import Desktop
from support.hearing import check_tone
from support.media import TONE_HZ, check_clip_over_and_over
from support.ports import free_udp_port
from support.programs import (
    ffmpeg,
    find,
    frame_digests,
    from_server,
    gst,
    gst_running,
    mono_samples,
    over_and_over,
    probe,
    rgb_picture,
    running,
)
from support.rtsp import RawRtsp
from support.server import STOP_S, STOP_SLACK_S, ServerProcess
from support.sound_source import SoundSource
from support.srt import LossyRelay
from support.waiting import wait_until

CONFIG = """
rtsp: {udp_base_port: UDP_BASE}
srt:
  streams: [{name: live/secret, passphrase: geheimgeheim}, {name: live/other, passphrase: ganz-anderes}]
"""


@pytest.fixture(scope="module")
def srt_server(tmp_path_factory: pytest.TempPathFactory, media: Path) -> Iterator[ServerProcess]:
    folder = tmp_path_factory.mktemp("srt-server")
    with ServerProcess(folder, media=media, rtmp=True, srt=True, config=CONFIG) as server:
        yield server


def srt(server: ServerProcess, stream_id: str, more: str = "", *, port: int = 0) -> str:
    return f"srt://{server.host}:{port or server.srt_port}?streamid={stream_id}{more}"


def address(server: ServerProcess, name: str, protocol: str) -> list[str]:
    """ffmpeg's options for playing it."""
    if protocol == "rtsp":
        return from_server(server.url(name), "tcp")
    return ["-i", srt(server, name) if protocol == "srt" else f"rtmp://{server.host}:{server.rtmp_port}/{name}"]


@contextmanager
def publishing(server: ServerProcess, file: Path, name: str, protocol: str = "srt", more: str = "") -> Iterator[None]:
    """A file published in real time, over and over."""
    way = ["-f", "mpegts", srt(server, f"{name}, m=publish", f"&pkt_size=1316{more}")]
    if protocol == "rtsp":
        way = ["-f", "rtsp", "-rtsp_transport", "tcp", server.url(name)]
    elif protocol == "rtmp":
        way = ["-f", "flv", f"rtmp://{server.host}:{server.rtmp_port}/{name}"]
    with running("ffmpeg", *over_and_over(file, "-c", "copy", *way)):
        is_published(server, name)
        yield


def is_published(server: ServerProcess, name: str) -> None:
    with RawRtsp.connect(server.host, server.port) as client:
        wait_until(lambda: client.ask("DESCRIBE", name).status == 200, f"{name} is published")


@pytest.mark.parametrize(
    ("publisher", "player"), [("srt", "rtsp"), ("srt", "rtmp"), ("srt", "srt"), ("rtsp", "srt"), ("rtmp", "srt")]
)
def test_pictures_and_sound_cross_protocols(
    srt_server: ServerProcess, media: Path, publisher: str, player: str
) -> None:
    name = f"live/{publisher}-{player}"
    with publishing(srt_server, media / "b-frames.mp4", name, publisher):
        check_clip_over_and_over(media / "b-frames.mp4", address(srt_server, name, player))


@pytest.mark.parametrize("name", ["h265.mp4", "opus.mkv"])
def test_other_codecs_come_and_go(srt_server: ServerProcess, media: Path, name: str) -> None:
    path = f"live/{name}"
    with publishing(srt_server, media / name, path):
        for protocol in ("srt", "rtsp"):
            assert len(frame_digests(*address(srt_server, path, protocol), "-frames:v", "20")) == 20


def test_mp3_as_in_the_manual(srt_server: ServerProcess, media: Path) -> None:
    url = srt(srt_server, "myapp/live, m=publish", "&pkt_size=1316")
    way = ["-c:v", "copy", "-c:a", "libmp3lame", "-f", "mpegts", url]
    with running("ffmpeg", *over_and_over(media / "plain.mp4", *way)):
        is_published(srt_server, "myapp/live")
        streams = probe("-show_streams", srt(srt_server, "myapp/live"))["streams"]
        assert [stream["codec_name"] for stream in streams] == ["h264", "mp3"]
        check_tone(mono_samples("-i", srt(srt_server, "myapp/live"), seconds=1)[1000:], TONE_HZ, seconds=0.6)


@pytest.mark.parametrize("name", ["plain.mp4", "b-frames.ts", "tone.m4a", "h265.mkv"])
def test_files_play_to_their_end(srt_server: ServerProcess, media: Path, name: str) -> None:
    streams = probe("-show_streams", "-count_frames", srt(srt_server, name))["streams"]
    wanted = probe("-show_streams", "-count_frames", str(media / name))["streams"]
    for before, after in zip(wanted, streams, strict=True):
        assert after["codec_name"] == before["codec_name"]
        assert abs(int(after["nb_read_frames"]) - int(before["nb_read_frames"])) <= 2


def test_ffmpeg_with_a_passphrase(srt_server: ServerProcess, media: Path) -> None:
    secret = "&passphrase=geheimgeheim&pbkeylen=32"
    with publishing(srt_server, media / "plain.mp4", "live/secret", more=secret):
        assert len(frame_digests("-i", srt(srt_server, "live/secret", secret), "-frames:v", "20")) == 20
        wrong = srt(srt_server, "live/secret", "&passphrase=falsch-falsch")
        done = subprocess.run(
            [find("ffmpeg"), "-nostdin", "-i", wrong, "-f", "null", "-"], capture_output=True, timeout=60, check=False
        )
        assert done.returncode != 0
        wait_until(lambda: "passphrase is wrong or missing" in srt_server.log, "it is named in the log")


def test_gstreamer_publishes_and_plays(srt_server: ServerProcess) -> None:
    with gst_running(
        "videotestsrc is-live=true ! video/x-raw,width=320,height=240,framerate=25/1",
        "! x264enc tune=zerolatency key-int-max=25 ! h264parse config-interval=-1 ! mpegtsmux alignment=7 name=m",
        f"! srtsink uri=srt://{srt_server.host}:{srt_server.srt_port} streamid=live/gst,m=publish",
        "audiotestsrc is-live=true freq=1000 ! audioconvert ! avenc_aac ! aacparse ! m.",
    ):
        is_published(srt_server, "live/gst")
        assert len(frame_digests(*from_server(srt_server.url("live/gst"), "tcp"), "-frames:v", "30")) == 30
        source = f"srtsrc uri=srt://{srt_server.host}:{srt_server.srt_port} streamid=live/gst ! tsdemux"
        gst(f"{source} ! h264parse ! avdec_h264 ! identity eos-after=20 ! fakesink")
        gst(f"{source} ! aacparse ! avdec_aac ! identity eos-after=20 ! fakesink")


def test_gstreamer_with_a_passphrase(srt_server: ServerProcess) -> None:
    caller = f"uri=srt://{srt_server.host}:{srt_server.srt_port} passphrase=ganz-anderes pbkeylen=24"
    with gst_running(
        "videotestsrc is-live=true ! video/x-raw,width=320,height=240,framerate=25/1",
        "! x264enc tune=zerolatency key-int-max=25 ! h264parse config-interval=-1 ! mpegtsmux alignment=7",
        f"! srtsink {caller} streamid=live/other,m=publish",
    ):
        is_published(srt_server, "live/other")
        gst(
            f"srtsrc {caller} streamid=live/other ! tsdemux ! h264parse ! avdec_h264 ! identity eos-after=20 ! fakesink"
        )
    assert "plays live/other" in srt_server.log


@pytest.fixture
def vlc() -> Iterator[list[str]]:
    """VLC's command, and what it needs: it refuses to run as root, and sends nothing without this in its settings."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        settings = folder / "vlcrc"
        settings.write_text("[access_output_srt]\npayload-size=1316\n")
        settings.chmod(0o644)
        somebody = ["/sbin/runuser", "-u", "nobody", "--"] if os.geteuid() == 0 else []
        yield [*somebody, find("cvlc"), "--intf", "dummy", f"--config={settings}"]


@pytest.mark.parametrize("secret", ["", "geheimgeheim"])
def test_vlc_publishes_and_plays(
    srt_server: ServerProcess, media: Path, tmp_path: Path, vlc: list[str], secret: str
) -> None:
    name = "live/secret" if secret else "live/vlc"
    film = tmp_path / "film.ts"
    ffmpeg("-stream_loop", "20", "-i", str(media / "plain.mp4"), "-c", "copy", "-f", "mpegts", str(film))
    options = ["--streamid", f"{name},m=publish", *(["--passphrase", secret] if secret else [])]
    script = f"#standard{{access=srt,mux=ts,dst={srt_server.host}:{srt_server.srt_port}}}"
    with film.open("rb") as file:
        sender = subprocess.Popen(
            [*vlc, *options, "--sout", script, "fd://0"],
            stdin=file,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    try:
        is_published(srt_server, name)
        url = srt(srt_server, name, f"&passphrase={secret}" if secret else "")
        assert len(frame_digests("-i", url, "-frames:v", "40")) == 40
        playing = [*vlc, "--run-time=5", "--sout", "#standard{access=file,mux=ts,dst=-}", url, "vlc://quit"]
        played = subprocess.run(playing, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False)
    finally:
        os.killpg(sender.pid, signal.SIGKILL)
        sender.wait()
    received = tmp_path / "received.ts"
    received.write_bytes(played.stdout)
    found = probe("-show_streams", "-count_packets", str(received))["streams"]
    assert {stream["codec_name"] for stream in found} == {"h264", "aac"}
    assert all(int(stream["nb_read_packets"]) > 50 for stream in found)


def test_srt_live_transmit_publishes_and_plays(srt_server: ServerProcess, media: Path, tmp_path: Path) -> None:
    inward = free_udp_port()
    outward = f"udp://127.0.0.1:{inward}?pkt_size=1316"
    with (
        running("srt-live-transmit", "-q", f"udp://127.0.0.1:{inward}", srt(srt_server, "live/slt,m=publish")),
        running("ffmpeg", *over_and_over(media / "plain.mp4", "-c", "copy", "-f", "mpegts", outward)),
    ):
        is_published(srt_server, "live/slt")
        received = tmp_path / "received.ts"
        with received.open("wb") as file:
            command = [find("srt-live-transmit"), "-q", srt(srt_server, "live/slt"), "file://con"]
            player = subprocess.Popen(command, stdout=file, stderr=subprocess.DEVNULL)
        try:
            wait_until(lambda: received.stat().st_size > 200_000, "it receives")
        finally:
            player.terminate()
            player.wait(timeout=60)
    assert len(frame_digests("-i", str(received), "-frames:v", "20")) == 20


def test_the_picture_stays_whole_through_a_bad_network(srt_server: ServerProcess, media: Path) -> None:
    original = [frame.md5 for frame in frame_digests("-i", str(media / "b-frames.mp4"))]
    with (
        publishing(srt_server, media / "b-frames.mp4", "live/lossy"),
        LossyRelay(srt_server.srt_port, loss=0.05, late=0.05, seed=5) as relay,
    ):
        url = srt(srt_server, "live/lossy", "&latency=3000000", port=relay.port)
        frames = frame_digests("-i", url, "-frames:v", "95")
    assert relay.lost > 10
    positions = [original.index(frame.md5) for frame in frames]  # every one is one of the original's
    assert len(positions) == 95
    assert all((b - a) % len(original) == 1 for a, b in pairwise(positions))


def test_the_first_picture_is_that_of_the_file(srt_server: ServerProcess, media: Path) -> None:
    wanted = rgb_picture("-i", str(media / "plain.mp4"), width=320, height=240)
    assert rgb_picture("-i", srt(srt_server, "plain.mp4"), width=320, height=240) == wanted


def test_captures_play(tmp_path: Path) -> None:
    with Desktop() as desktop:
        desktop.show("Clock of mine")
        sound = SoundSource(tmp_path)
        environment = {**desktop.environment, **sound.environment}
        config = "applications: [{name: app}]"
        with ServerProcess(tmp_path, config=config, environment=environment, srt=True) as server:
            for name, codecs in {
                "screenlive+audiodevice": ["h264", "aac"],
                "window=CLOCK%20of%20mine": ["h264"],
            }.items():
                streams = probe("-show_streams", srt(server, f"app/{name}"))["streams"]
                assert [stream["codec_name"] for stream in streams] == codecs, name


def test_the_server_runs_without_the_library(tmp_path: Path) -> None:
    hidden = tmp_path / "sitecustomize.py"
    hidden.write_text(
        "from cffi import FFI\ndef dlopen(self, name, flags=0):\n    raise OSError('not here')\nFFI.dlopen = dlopen\n"
    )
    folder = tmp_path / "server"
    folder.mkdir()
    with ServerProcess(folder, srt=True, environment={"PYTHONPATH": str(tmp_path)}) as server:
        wait_until(lambda: "Ctrl-C" in server.output, "it has started")
        assert "no SRT: libsrt is missing: install libsrt1.5-openssl" in server.output
        assert "srt://" not in server.output


def test_stopping_with_viewers_and_publishers(tmp_path: Path, media: Path) -> None:
    with ServerProcess(tmp_path, media=media, srt=True) as server:
        wait_until(lambda: "Ctrl-C" in server.output, "it has started")
        assert f"srt://127.0.0.1:{server.srt_port}?streamid=demo" in server.output
        with publishing(server, media / "plain.mp4", "live"):
            reading = ["-nostdin", "-loglevel", "quiet", "-i"]
            with running("ffmpeg", *reading, srt(server, "live"), "-f", "null", "-"):
                wait_until(lambda: "plays live" in server.log, "it is watched")
                asked_s = time.monotonic()
                server.stop()
                assert time.monotonic() - asked_s < STOP_S + STOP_SLACK_S
