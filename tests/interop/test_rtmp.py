"""RTMP with real clients: publishers of each protocol, players of each."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
import pytest
from support.media import AV1, FRAME_RATE, H265, PICTURES, SECONDS, VP9, check_clip_over_and_over
from support.programs import (
    ffmpeg,
    frame_digests,
    from_server,
    gst,
    gst_running,
    make,
    over_and_over,
    probe,
    run,
    running,
)
from support.rtsp import RawRtsp
from support.server import ServerProcess
from support.waiting import wait_until

USERS = "rtmp: {need_auth: 1}\nusers: [{username: admin, password: geheim}]\n"


@pytest.fixture(scope="module")
def rtmp_server(tmp_path_factory: pytest.TempPathFactory, media: Path) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path_factory.mktemp("rtmp-server"), media=media, rtmp=True) as server:
        yield server


def rtmp(server: ServerProcess, name: str) -> str:
    return f"rtmp://{server.host}:{server.rtmp_port}/{name}"


@contextmanager
def publishing(server: ServerProcess, file: Path, name: str, protocol: str) -> Iterator[None]:
    """A file published in real time, over and over, by RTSP or RTMP."""
    way = ["-f", "flv", rtmp(server, name)]
    if protocol == "rtsp":
        way = ["-f", "rtsp", "-rtsp_transport", "tcp", server.url(name)]
    with (
        running("ffmpeg", *over_and_over(file, "-c", "copy", *way)),
        RawRtsp.connect(server.host, server.port) as client,
    ):
        wait_until(lambda: client.ask("DESCRIBE", name).status == 200, f"{name} is published")
        yield


def source(server: ServerProcess, name: str, protocol: str) -> list[str]:
    if protocol == "rtsp":
        return from_server(server.url(name), "tcp")
    return ["-i", rtmp(server, name)]


@pytest.mark.parametrize("player", ["rtsp", "rtmp"])
@pytest.mark.parametrize("publisher", ["rtsp", "rtmp"])
def test_pictures_and_sound_cross_protocols(
    rtmp_server: ServerProcess, media: Path, publisher: str, player: str
) -> None:
    name = f"live/{publisher}-{player}"
    with publishing(rtmp_server, media / "b-frames.mp4", name, publisher):
        check_clip_over_and_over(media / "b-frames.mp4", source(rtmp_server, name, player))


@pytest.mark.parametrize("name", ["plain.mp4", "b-frames.ts", "clip.flv", "tone.m4a", "ulaw.mkv"])
def test_files_play_to_their_end(rtmp_server: ServerProcess, media: Path, name: str) -> None:
    streams = probe("-show_streams", "-count_frames", rtmp(rtmp_server, name))["streams"]
    wanted = probe("-show_streams", "-count_frames", str(media / name))["streams"]
    for before, after in zip(wanted, streams, strict=True):
        assert after["codec_name"] == before["codec_name"]
        if before["codec_name"] != "pcm_mulaw":  # whose samples are cut anew
            assert abs(int(after["nb_read_frames"]) - int(before["nb_read_frames"])) <= 2


def test_gstreamer_publishes_and_plays(rtmp_server: ServerProcess) -> None:
    url = rtmp(rtmp_server, "live/gst")
    with gst_running(
        "videotestsrc is-live=true ! video/x-raw,width=320,height=240,framerate=25/1",
        "! x264enc tune=zerolatency key-int-max=25 ! h264parse ! flvmux streamable=true name=m",
        f"! rtmp2sink location={url}",
        "audiotestsrc is-live=true freq=1000 ! audioconvert ! avenc_aac ! aacparse ! m.",
    ):
        with RawRtsp.connect(rtmp_server.host, rtmp_server.port) as client:
            wait_until(lambda: client.ask("DESCRIBE", "live/gst").status == 200, "it is published")
        assert len(frame_digests(*from_server(rtmp_server.url("live/gst"), "tcp"), "-frames:v", "30")) == 30
        gst(
            f"rtmp2src location={url} ! flvdemux name=d",
            "d.video ! queue ! h264parse ! avdec_h264 ! identity eos-after=20 ! fakesink",
            "d.audio ! queue ! identity eos-after=20 ! fakesink",
        )


ENHANCED = {"h265": (H265, "hevc"), "av1": (AV1, "av1"), "vp9": (VP9, "vp9")}  # and what players call it


@contextmanager
def publishing_enhanced(server: ServerProcess, name: str, clip: Path) -> Iterator[None]:
    """A clip, over and over, by FFmpeg 8, which is in PyAV and speaks Enhanced RTMP; Debian's does not yet."""
    stop = threading.Event()

    def publish() -> None:
        with av.open(rtmp(server, name), "w", format="flv") as output, av.open(clip) as container:
            stream = output.add_stream_from_template(container.streams.video[0], opaque=True)
            first_s = begun_s = time.monotonic()
            while not stop.is_set():
                for packet in container.demux(video=0):
                    if stop.is_set() or packet.pts is None or packet.dts is None:
                        continue
                    time.sleep(max(0.0, begun_s + float(packet.dts * packet.time_base) - time.monotonic()))
                    packet.stream = stream
                    packet.pts += round((begun_s - first_s) / packet.time_base)
                    packet.dts += round((begun_s - first_s) / packet.time_base)
                    output.mux(packet)
                begun_s += SECONDS
                container.seek(0)

    thread = threading.Thread(target=publish, daemon=True)
    thread.start()
    try:
        with RawRtsp.connect(server.host, server.port) as client:
            wait_until(lambda: client.ask("DESCRIBE", name).status == 200, "it is published")
        yield
    finally:
        stop.set()
        thread.join(timeout=20)


@pytest.mark.parametrize("player", ["rtsp", "rtmp"])
@pytest.mark.parametrize("codec", list(ENHANCED))
def test_newer_codecs_by_enhanced_rtmp(rtmp_server: ServerProcess, tmp_path: Path, codec: str, player: str) -> None:
    name = f"live/{codec}-{player}"
    coding, called = ENHANCED[codec]
    clip = make(tmp_path / "clip.mp4", *PICTURES, *coding, "-pix_fmt", "yuv420p")
    with publishing_enhanced(rtmp_server, name, clip):
        url = rtmp(rtmp_server, name) if player == "rtmp" else rtmp_server.url(name)
        options = {"rtsp_transport": "tcp"} if player == "rtsp" else {"rtmp_enhanced_codecs": "av01,vp09"}
        with av.open(url, options=options) as container:  # who does not say that gets H.264
            frames = [frame for frame, _ in zip(container.decode(video=0), range(30), strict=False)]
            assert container.streams.video[0].codec_context.codec.canonical_name == called
        assert len(frames) == 30
        assert all(frame.width == 320 for frame in frames)
        times = [frame.pts for frame in frames if frame.pts is not None]
        assert len(times) > 20
        assert times == sorted(set(times))


def test_rtmpdump_plays(rtmp_server: ServerProcess, media: Path, tmp_path: Path) -> None:
    file = tmp_path / "dump.flv"
    base = f"rtmp://{rtmp_server.host}:{rtmp_server.rtmp_port}/"
    run("rtmpdump", "-q", "-r", base, "-a", "", "-y", "plain.mp4", "-o", str(file))
    assert len(frame_digests("-i", str(file))) == len(frame_digests("-i", str(media / "plain.mp4")))


def test_rtmpdump_takes_the_end_off_a_files_name(rtmp_server: ServerProcess, media: Path, tmp_path: Path) -> None:
    file = tmp_path / "dump.flv"
    base = f"rtmp://{rtmp_server.host}:{rtmp_server.rtmp_port}/"
    run("rtmpdump", "-q", "-r", base, "-a", "", "-y", "mp4:plain", "-o", str(file))
    assert len(frame_digests("-i", str(file))) == len(frame_digests("-i", str(media / "plain.mp4")))


def test_rtmpdump_plays_from_one_place_to_another(rtmp_server: ServerProcess, media: Path, tmp_path: Path) -> None:
    original = [frame.md5 for frame in frame_digests("-i", str(media / "plain.mp4"))]
    file = tmp_path / "dump.flv"
    place = ["-r", f"rtmp://{rtmp_server.host}:{rtmp_server.rtmp_port}/", "-a", "", "-y", "plain.mp4"]
    run("rtmpdump", "-q", *place, "--start", "1.5", "--stop", "2.5", "-o", str(file))
    found = [frame.md5 for frame in frame_digests("-i", str(file))]
    first = original.index(found[0])
    assert 0 < first <= 1.5 * FRAME_RATE
    assert found == original[first : first + len(found)]
    assert abs(len(found) - FRAME_RATE) < 4


def test_a_login_is_needed_and_enough(tmp_path: Path, media: Path) -> None:
    with ServerProcess(tmp_path, media=media, rtmp=True, config=USERS) as server:
        url = rtmp(server, "plain.mp4")
        with pytest.raises(AssertionError):
            ffmpeg("-i", url, "-t", "1", "-f", "null", "-", timeout_s=20)
        assert len(frame_digests("-i", f"{url}?user=admin&pass=geheim", "-frames:v", "20")) == 20
        assert "geheim" not in server.log


def test_a_login_in_the_address(tmp_path: Path, media: Path) -> None:
    config = USERS.replace("need_auth: 1", "need_auth: 1, adobe_auth: 1")
    with ServerProcess(tmp_path, media=media, rtmp=True, config=config) as server:
        place = f"{server.host}:{server.rtmp_port}/live/plain.mp4".replace("/live", "")
        assert len(frame_digests("-i", f"rtmp://admin:geheim@{place}", "-frames:v", "20")) == 20
        with pytest.raises(AssertionError):
            ffmpeg("-i", f"rtmp://admin:wrong@{place}", "-t", "1", "-f", "null", "-", timeout_s=20)
