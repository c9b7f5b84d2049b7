"""Every payload format of video, and Vorbis: real programs publish, real programs watch."""

from __future__ import annotations

import hashlib
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from functools import cache
from itertools import islice, pairwise
from pathlib import Path

import av
import pytest
from support.hearing import check_tone
from support.programs import (
    frame_digests,
    from_server,
    gst,
    gst_running,
    make,
    mono_samples,
    probe,
    publishing_with_ffmpeg,
)
from support.rtsp import RawRtsp
from support.server import ServerProcess
from support.waiting import wait_until

WIDTH, HEIGHT, FRAME_RATE = 320, 240, 25
SECONDS = 8  # more than the watching takes
PICTURES = ["-f", "lavfi", "-i", f"testsrc2=size={WIDTH}x{HEIGHT}:rate={FRAME_RATE}:duration={SECONDS}"]
TONE_HZ = 1000
# Closed groups, so that whoever joins can decode every picture.
CLOSED = ["-g", "12", "-bf", "2", "-flags", "+cgop", "-sc_threshold", "1000000000"]

CLIPS = {
    "mpeg4": ["-c:v", "mpeg4", "-q:v", "6", *CLOSED],
    "mpeg1video": ["-c:v", "mpeg1video", "-q:v", "6", "-g", "12"],
    "mpeg2video": ["-c:v", "mpeg2video", "-q:v", "4", *CLOSED],
    "mjpeg": ["-c:v", "mjpeg", "-q:v", "4", "-pix_fmt", "yuvj420p", "-huffman", "default"],
    "vp8": ["-c:v", "libvpx", "-b:v", "600k", "-g", "12", "-deadline", "realtime", "-cpu-used", "8"],
    "vp9": ["-c:v", "libvpx-vp9", "-b:v", "600k", "-g", "12", "-deadline", "realtime", "-cpu-used", "8"],
    "theora": ["-c:v", "libtheora", "-b:v", "600k", "-g", "12"],
}
LENIENT = ("-c", "copy", "-strict", "experimental")  # what FFmpeg 5.1 takes VP9 in RTP for

# How GStreamer takes each for sending, and what it makes of what it receives.
PARSERS = {  # its payloader takes no MPEG-1
    "mpeg4": "mpeg4videoparse !",
    "mpeg2video": "mpegvideoparse !",
    "mjpeg": "jpegparse !",
    "vp8": "",
    "vp9": "vp9parse !",
    "theora": "theoraparse !",
}
DECODERS = {
    "mpeg4": "rtpmp4vdepay ! mpeg4videoparse ! avdec_mpeg4",
    "mpeg1video": "rtpmpvdepay ! mpegvideoparse ! avdec_mpegvideo",
    "mpeg2video": "rtpmpvdepay ! mpegvideoparse ! avdec_mpeg2video",
    "mjpeg": "rtpjpegdepay ! avdec_mjpeg",
    "vp8": "rtpvp8depay ! vp8dec",
    "vp9": "rtpvp9depay ! vp9dec",
    "theora": "rtptheoradepay ! theoradec",
}


Clips = Callable[[str], Path]


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Clips:
    """A clip of a codec, in which no two pictures are alike."""
    folder = tmp_path_factory.mktemp("video-payloads")
    return cache(lambda codec: make(folder / f"{codec}.mkv", *PICTURES, *CLIPS[codec]))


def wait_for(server: ServerProcess, name: str) -> None:
    with RawRtsp.connect(server.host, server.port) as client:
        wait_until(lambda: client.ask("DESCRIBE", name).status == 200, f"{name} is published")


def decoded_by_gstreamer(url: str, codec: str, protocol: str) -> list[str]:
    """The digests of the first pictures that GStreamer decodes."""
    output = gst(
        f"rtspsrc location={url} protocols={protocol} ! {DECODERS[codec]}",
        "! videoconvert ! video/x-raw,format=I420 ! identity eos-after=30 ! checksumsink hash=md5 sync=false",
    )
    # What the decoder still has in hand at the end comes out in any order.
    return re.findall(r"^[\d:.]+ ([0-9a-f]{32})$", output, re.MULTILINE)[:25]


def check_pictures(server: ServerProcess, clip: Path, name: str, transport: str) -> None:
    """FFmpeg and GStreamer see every picture, as it was, in its place."""
    codec = clip.stem
    original = [frame.md5 for frame in frame_digests("-i", str(clip), "-pix_fmt", "yuv420p")]
    assert len(set(original)) == SECONDS * FRAME_RATE
    frames = frame_digests(*from_server(server.url(name), transport), "-frames:v", "35", "-pix_fmt", "yuv420p")
    seen = decoded_by_gstreamer(server.url(name), codec, transport)
    assert len(frames) == 35
    check_order([frame.md5 for frame in frames], original)
    times = [frame.pts for frame in frames]
    assert times == sorted(set(times))
    assert len(seen) == 25
    if codec == "mjpeg":  # whose range of colours the two programs convert in ways of their own
        assert len(set(seen)) == len(seen)
    else:
        check_order(seen, original)


def check_order(seen: list[str], original: list[str]) -> None:
    positions = [original.index(digest) for digest in seen]
    assert all((after - before) % len(original) == 1 for before, after in pairwise(positions)), positions


@pytest.mark.parametrize("transport", ["tcp", "udp"])
@pytest.mark.parametrize("codec", CLIPS)
def test_what_ffmpeg_publishes_comes_out_picture_by_picture(
    server: ServerProcess, clips: Clips, codec: str, transport: str
) -> None:
    clip = clips(codec)
    name = f"video/{codec}-{transport}"
    with publishing_with_ffmpeg(clip, server.url(name), transport, *LENIENT):
        wait_for(server, name)
        found = probe("-rtsp_transport", "tcp", "-show_streams", server.url(name))["streams"][0]
        assert (found["codec_name"], found["width"], found["height"]) == (codec, WIDTH, HEIGHT)
        check_pictures(server, clip, name, transport)


@pytest.mark.parametrize("codec", PARSERS)
def test_what_gstreamer_publishes_comes_out_picture_by_picture(server: ServerProcess, clips: Clips, codec: str) -> None:
    clip = clips(codec)
    name = f"video/{codec}-gst"
    with gst_running(
        f"filesrc location={clip} ! matroskademux ! {PARSERS[codec]}",
        f"rtspclientsink location={server.url(name)} protocols=tcp latency=0",
    ):
        wait_for(server, name)
        check_pictures(server, clip, name, "tcp")


@contextmanager
def publishing_av1(path: Path, url: str) -> Iterator[None]:
    """By PyAV, whose FFmpeg is new enough for it."""
    stop = threading.Event()
    failures: list[Exception] = []

    def run() -> None:
        try:
            with av.open(str(path)) as source:
                packets = [bytes(packet) for packet in source.demux(0) if packet.dts is not None]
            options = {"rtsp_transport": "tcp", "strict": "experimental"}
            with av.open(url, "w", format="rtsp", options=options) as output:
                stream = output.add_mux_stream("av1", width=WIDTH, height=HEIGHT, rate=FRAME_RATE)
                number, started_s = 0, time.monotonic()
                while not stop.wait(max(0.0, started_s + number / FRAME_RATE - time.monotonic())):
                    packet = av.Packet(packets[number % len(packets)])
                    packet.stream, packet.time_base = stream, Fraction(1, FRAME_RATE)
                    packet.pts = packet.dts = number
                    output.mux(packet)
                    number += 1
        except Exception as error:
            failures.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
    assert not failures


def digests_by_pyav(source: str, count: int, **options: str) -> list[str]:
    with av.open(source, options=options) as container:
        frames = islice(container.decode(video=0), count)
        return [hashlib.md5(frame.to_ndarray(format="yuv420p").tobytes()).hexdigest() for frame in frames]


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_av1_comes_out_picture_by_picture(server: ServerProcess, tmp_path: Path, transport: str) -> None:
    """FFmpeg knows it from version 8 on, GStreamer where its Rust plugins are: PyAV has to do for both sides."""
    codec = ["-c:v", "libaom-av1", "-b:v", "600k", "-g", "12", "-usage", "realtime", "-cpu-used", "8"]
    clip = make(tmp_path / "clip.mkv", *PICTURES, "-frames:v", "60", *codec)
    original = digests_by_pyav(str(clip), 60)
    assert len(set(original)) == 60
    name = f"video/av1-{transport}"
    with publishing_av1(clip, server.url(name)):
        wait_for(server, name)
        with RawRtsp.connect(server.host, server.port) as client:
            assert b"a=rtpmap:96 AV1/90000" in client.ask("DESCRIBE", name).body
        seen = digests_by_pyav(server.url(name), 40, rtsp_transport=transport)
    assert len(seen) == 40
    check_order(seen, original)


def test_sound_in_vorbis_is_heard(server: ServerProcess, tmp_path: Path) -> None:
    clip = make(
        tmp_path / "tone.mkv",
        *["-f", "lavfi", "-i", f"sine=frequency={TONE_HZ}:sample_rate=48000:duration=120", "-c:a", "libvorbis"],
    )
    with publishing_with_ffmpeg(clip, server.url("vorbis"), "tcp"):
        wait_for(server, "vorbis")
        samples = mono_samples(*from_server(server.url("vorbis"), "tcp"), seconds=1)
    check_tone(samples[1000:], TONE_HZ, seconds=0.6)
    pipeline = "audiotestsrc is-live=true freq=1000 ! audio/x-raw,rate=48000,channels=2 ! audioconvert ! vorbisenc"
    with gst_running(f"{pipeline} ! rtspclientsink location={server.url('vorbis-gst')} protocols=tcp latency=0"):
        wait_for(server, "vorbis-gst")
        samples = mono_samples(*from_server(server.url("vorbis-gst"), "udp"), seconds=1)
        check_tone(samples[1000:], 1000, seconds=0.6)
        gst(
            f"rtspsrc location={server.url('vorbis-gst')} protocols=tcp ! rtpvorbisdepay ! vorbisdec",
            "! identity eos-after=20 ! fakesink",
        )
