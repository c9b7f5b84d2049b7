"""Real publishers, watched by real players."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from support.hearing import check_tone
from support.media import TONE_HZ
from support.programs import (
    ffmpeg,
    frame_digests,
    from_server,
    gst,
    gst_running,
    mono_samples,
    probe,
    publishing_with_ffmpeg,
    run,
    running,
)
from support.rtsp import RawRtsp
from support.server import ServerProcess
from support.waiting import wait_until

TRANSPORTS = ("tcp", "udp")


def wait_for(server: ServerProcess, name: str) -> None:
    with RawRtsp.connect(server.host, server.port) as client:
        wait_until(lambda: client.ask("DESCRIBE", name).status == 200, f"{name} is published")


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_ffmpeg_publishes_and_ffmpeg_and_gstreamer_watch_at_once(
    media_server: ServerProcess, media: Path, transport: str
) -> None:
    name = f"from-ffmpeg-{transport}"
    url = media_server.url(name)
    with publishing_with_ffmpeg(media / "plain.mp4", url, transport):
        wait_for(media_server, name)
        with gst_running(f"rtspsrc location={url} protocols=udp ! rtph264depay ! fakesink"):
            for reading in TRANSPORTS:
                assert len(frame_digests(*from_server(url, reading), "-frames:v", "30")) == 30
            gst(
                f"rtspsrc location={url} protocols=tcp",
                "! rtph264depay ! h264parse ! avdec_h264 ! identity eos-after=20 ! fakesink",
            )


CODECS = [
    ("plain.mp4", "h264", "aac"),
    ("h265.mp4", "hevc", "aac"),
    ("opus.mkv", "h264", "opus"),
    ("alaw.mkv", "h264", "pcm_alaw"),
    ("ulaw.mkv", "h264", "pcm_mulaw"),
]


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize(("file", "video", "audio"), CODECS)
def test_codecs_that_are_published_are_seen_and_heard(
    media_server: ServerProcess, media: Path, file: str, video: str, audio: str, transport: str
) -> None:
    name = f"codecs/{file}-{transport}"
    with publishing_with_ffmpeg(media / file, media_server.url(name), transport):
        wait_for(media_server, name)
        found = probe("-rtsp_transport", "tcp", "-show_streams", media_server.url(name))
        assert [stream["codec_name"] for stream in found["streams"]] == [video, audio]
        source = from_server(media_server.url(name), transport)
        output = ffmpeg(*source, "-frames:v", "30", "-map", "0:v", "-fps_mode", "passthrough", "-f", "framemd5", "-")
        assert len([line for line in output.splitlines() if not line.startswith(b"#")]) == 30
        samples = mono_samples(*source, seconds=1)
        check_tone(samples[1000:], TONE_HZ, seconds=0.6)


def test_b_frames_that_are_published_are_decoded_frame_by_frame(media_server: ServerProcess, media: Path) -> None:
    original = [frame.md5 for frame in frame_digests("-i", str(media / "b-frames.mp4"))]
    assert len(set(original)) == len(original)
    for transport in TRANSPORTS:
        name = f"b-frames-{transport}"
        with publishing_with_ffmpeg(media / "b-frames.mp4", media_server.url(name), transport):
            wait_for(media_server, name)
            frames = frame_digests(*from_server(media_server.url(name), "tcp"), "-frames:v", "45")
        assert len(frames) == 45
        positions = [original.index(frame.md5) for frame in frames]
        assert all((b - a) % len(original) == 1 for a, b in pairwise(positions))
        times = [frame.pts for frame in frames]
        assert times == sorted(set(times))


@pytest.mark.parametrize("protocols", TRANSPORTS)
def test_gstreamer_publishes(media_server: ServerProcess, protocols: str) -> None:
    name = f"from-gstreamer-{protocols}"
    url = media_server.url(name)
    with gst_running(
        "videotestsrc is-live=true ! video/x-raw,width=320,height=240,framerate=25/1",
        "! x264enc tune=zerolatency key-int-max=25 ! h264parse ! s.",
        "audiotestsrc is-live=true freq=1000 ! audioconvert ! avenc_aac ! aacparse ! s.",
        f"rtspclientsink name=s location={url} protocols={protocols} latency=0",
    ):
        wait_for(media_server, name)
        assert len(frame_digests(*from_server(url, "tcp"), "-frames:v", "30")) == 30
        samples = mono_samples(*from_server(url, "udp"), seconds=1)
        check_tone(samples[1000:], 1000, seconds=0.6)


def test_gstreamer_publishes_sound_alone(media_server: ServerProcess) -> None:
    name = "gst-opus"
    url = media_server.url(name)
    with gst_running(
        "audiotestsrc is-live=true freq=1000 ! audioconvert ! audioresample ! opusenc ! s.",
        f"rtspclientsink name=s location={url} protocols=tcp",
    ):
        wait_for(media_server, name)
        samples = mono_samples(*from_server(url, "tcp"), seconds=1)
        check_tone(samples[1000:], 1000, seconds=0.6)


def test_a_second_publisher_with_ffmpeg_is_refused(media_server: ServerProcess, media: Path) -> None:
    url = media_server.url("mine")
    with publishing_with_ffmpeg(media / "plain.mp4", url, "tcp"):
        wait_for(media_server, "mine")
        with pytest.raises(AssertionError, match="403"):
            ffmpeg("-re", "-i", str(media / "plain.mp4"), "-c", "copy", "-f", "rtsp", "-rtsp_transport", "tcp", url)
        assert len(frame_digests(*from_server(url, "tcp"), "-frames:v", "10")) == 10


def test_players_end_when_the_publisher_does(media_server: ServerProcess, media: Path) -> None:
    """One pass of the file: what ffmpeg reads ends by itself, well before any time-out."""
    url = media_server.url("ending")
    arguments = ["-nostdin", "-loglevel", "error", "-re", "-i", str(media / "plain.mp4"), "-c", "copy"]
    with running("ffmpeg", *arguments, "-f", "rtsp", "-rtsp_transport", "tcp", url):
        wait_for(media_server, "ending")
        done = run("ffmpeg", "-nostdin", "-rtsp_transport", "tcp", "-i", url, "-c", "copy", "-f", "null", "-")
    assert b"frame=" in done.stderr
