"""Players that write what they decode into a file: ffmpeg and GStreamer; VLC and openRTSP where at hand."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from support.lip_sync import DECODED, PICTURE_BYTES, SOUND_HZ, Received
from support.programs import ffmpeg, find
from support.waiting import wait_until

END_S = 60.0
BEGINS_S = 15.0
STUCK_STARTS = 3
SILENCE_S = 5.0
SOME_BYTES = 65_536  # more than a file begins with before there are pictures
VLC = os.environ.get("MANYCAST_TEST_VLC") or "cvlc"
OPENRTSP = os.environ.get("MANYCAST_TEST_OPENRTSP") or "openRTSP"


def watch_with_ffmpeg(folder: Path, url: str, transport: str, seconds: float | None) -> Received:
    """What ffmpeg decodes, up to the end or for some seconds."""
    path = folder / "ffmpeg.nut"
    limit = [] if seconds is None else ["-t", str(seconds)]
    ffmpeg("-rtsp_transport", transport, "-i", url, *DECODED, *limit, str(path))
    return Received.read(path)


def watch_with_gstreamer(folder: Path, url: str, transport: str, seconds: float) -> Received:
    """What GStreamer decodes first: where a file ends, version 1.22 at times fails, with pictures still to decode."""
    path = folder / "gstreamer.mkv"
    pipeline = [
        f"rtspsrc location={url} protocols={transport} tls-validation-flags=0 latency=200 buffer-mode=none name=s",
        "s. ! application/x-rtp,media=video ! rtph264depay ! h264parse ! avdec_h264 ! videoconvert",
        "! video/x-raw,format=I420 ! queue max-size-time=0 max-size-bytes=0 ! m.",
        "s. ! application/x-rtp,media=audio ! rtpmp4gdepay ! aacparse ! avdec_aac ! audioconvert ! audioresample",
        f"! audio/x-raw,format=S16LE,channels=1,rate={SOUND_HZ} ! queue max-size-time=0 ! m.",
        f"matroskamux name=m streamable=true ! filesink buffer-mode=unbuffered location={path}",
    ]
    command = [find("gst-launch-1.0"), "-q", *" ".join(pipeline).split()]
    # Where both pads of rtspsrc come at once, gst-launch 1.22 at times gets stuck as it links them, and writes nothing.
    for _ in range(STUCK_STARTS):
        _run_until(command, path, int(seconds * 25) * PICTURE_BYTES, begins_s=BEGINS_S)
        if path.stat().st_size:
            break
    return Received.read(path)


def has_vlc() -> bool:
    """Debian's VLC has no module for RTSP."""
    if shutil.which(VLC) is None:
        return False
    listed = subprocess.run([VLC, "--list"], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    return "live555" in listed.stdout


def watch_with_vlc(folder: Path, url: str, options: Sequence[str], seconds: float) -> Received:
    """What VLC hands on in a transport stream."""
    path = folder / "vlc.ts"
    command = [
        VLC,
        "-I",
        "dummy",
        *options,
        f"--run-time={seconds}",
        "--network-caching=1000",
        "--sout-mux-caching=2000",
    ]
    command += ["--sout", f"#standard{{access=file,mux=ts,dst={path}}}", "--sout-keep", url, "vlc://quit"]
    _run_until(command, path, 0)
    return Received.decode(path)


def has_openrtsp() -> bool:
    return shutil.which(OPENRTSP) is not None


def receive_with_openrtsp(folder: Path, url: str, options: Sequence[str], seconds: float) -> tuple[Path, Path]:
    """Its files of H.264 and of AAC."""
    command = [OPENRTSP, *options, "-V", "-b", "500000", "-d", str(seconds), "-F", "got-", url]
    subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, timeout=END_S, check=True)
    return folder / "got-video-H264-1", folder / "got-audio-MPEG4-GENERIC-2"


def _run_until(command: list[str], path: Path, size: int, *, begins_s: float = END_S) -> None:
    """Until the program ends or writes no more, or with a `size` until so much is written.

    It also ends what has not written anything within `begins_s`.
    """
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    written, changed_s = 0, time.monotonic()
    began_s = changed_s

    def done() -> bool:
        nonlocal written, changed_s
        now = path.stat().st_size if path.exists() else 0
        if now != written:
            written, changed_s = now, time.monotonic()
        if process.poll() is not None or (size and written >= size):
            return True
        if not written and time.monotonic() - began_s > begins_s:
            return True
        return written > SOME_BYTES and time.monotonic() - changed_s > SILENCE_S

    try:
        wait_until(done, f"{command[0]} is done", deadline_s=END_S)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
