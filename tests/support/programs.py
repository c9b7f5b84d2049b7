"""Running the programs of others: ffmpeg, ffprobe, GStreamer."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

TIMEOUT_S = 120.0  # generous: only a failing test ever waits that long
MAKE_TIMEOUT_S = 300.0
PORT_IS_TAKEN = "bind failed: Address already in use"  # ffmpeg goes on to the next one
PACKAGES = {
    "srt-live-transmit": "srt-tools",
    "ffmpeg": "ffmpeg",
    "ffprobe": "ffmpeg",
    "rtmpdump": "rtmpdump",
    "nginx": "nginx libnginx-mod-rtmp",
    "node": "nodejs",
    "cvlc": "vlc-bin vlc-plugin-base vlc-plugin-access-extra",
    "gst-launch-1.0": "gstreamer1.0-tools gstreamer1.0-plugins-good gstreamer1.0-plugins-bad "
    "gstreamer1.0-plugins-ugly gstreamer1.0-libav gstreamer1.0-rtsp",
}


def find(program: str) -> str:
    """Where a program is. A test without it fails, and says what to install; it is never passed over."""
    unpacked = Path(sys.prefix, "clients", program, "usr", "sbin", program)  # by script/setup
    path = str(unpacked) if unpacked.exists() else shutil.which(program)
    if path is None:
        pytest.fail(f"{program} is missing: apt install {PACKAGES[program]}")
    return path


def run(program: str, *arguments: str, timeout_s: float = TIMEOUT_S) -> subprocess.CompletedProcess[bytes]:
    """Run to the end, which must be a good one."""
    done = subprocess.run(
        [find(program), *arguments], stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout_s, check=False
    )
    assert done.returncode == 0, f"{program} {' '.join(arguments)}\n{done.stderr.decode(errors='replace')[-3000:]}"
    return done


def ffmpeg(*arguments: str, timeout_s: float = TIMEOUT_S) -> bytes:
    """What ffmpeg writes to its standard output; it must have nothing to complain about."""
    done = run("ffmpeg", "-nostdin", "-hide_banner", "-loglevel", "error", *arguments, timeout_s=timeout_s)
    complaints = [
        line for line in done.stderr.decode(errors="replace").splitlines() if not line.endswith(PORT_IS_TAKEN)
    ]
    assert not complaints, "\n".join([" ".join(arguments), *complaints[-30:]])
    return done.stdout


def from_server(url: str, transport: str) -> list[str]:
    """ffmpeg's options for reading an address of ours."""
    return ["-rtsp_transport", transport, "-i", url]


def make(path: Path, *arguments: str) -> Path:
    """Have ffmpeg make a file."""
    run("ffmpeg", "-nostdin", "-loglevel", "error", "-y", *arguments, str(path), timeout_s=MAKE_TIMEOUT_S)
    return path


@dataclass(frozen=True, slots=True)
class Digest:
    """One decoded frame, as `-f framemd5` tells it."""

    pts: int
    md5: str


def frame_digests(*source: str, stream: str = "0:v:0", timeout_s: float = TIMEOUT_S) -> list[Digest]:
    """The decoded frames of a source, as they come: none doubled, none left out to keep a frame rate."""
    exactly = ["-fps_mode", "passthrough", "-enc_time_base", "-1"]  # which is the time base of the source
    output = ffmpeg(*source, "-map", stream, *exactly, "-f", "framemd5", "-", timeout_s=timeout_s)
    lines = [line.split(",") for line in output.decode().splitlines() if line and not line.startswith("#")]
    return [Digest(int(fields[2]), fields[5].strip()) for fields in lines]


def probe(*arguments: str, timeout_s: float = TIMEOUT_S) -> dict[str, Any]:
    """ffprobe's findings."""
    output = run("ffprobe", "-loglevel", "error", "-of", "json", *arguments, timeout_s=timeout_s).stdout
    found: dict[str, Any] = json.loads(output)
    return found


@contextmanager
def running(program: str, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """A program that runs while the block does; ended by SIGTERM."""
    process = subprocess.Popen(
        [find(program), *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def over_and_over(file: Path, *output: str) -> list[str]:
    """ffmpeg's options for sending a file in real time, without an end."""
    return ["-nostdin", "-loglevel", "error", "-re", "-stream_loop", "-1", "-i", str(file), *output]


@contextmanager
def publishing_with_ffmpeg(file: Path, url: str, transport: str, *codecs: str) -> Iterator[subprocess.Popen[bytes]]:
    """A file published in real time, over and over, without encoding it again unless told to."""
    codecs = codecs or ("-c", "copy")
    arguments = over_and_over(file, *codecs, "-f", "rtsp", "-rtsp_transport", transport, url)
    with running("ffmpeg", *arguments) as process:
        yield process


def gst(*pipeline: str, timeout_s: float = TIMEOUT_S) -> str:
    """Run a GStreamer pipeline to its end and return what it says.

    What goes wrong when all has come to its end already, while it takes its leave, is passed over.
    """
    command = [find("gst-launch-1.0"), "-e", *_elements(pipeline)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout_s, check=False)
    output = done.stdout.decode(errors="replace") + done.stderr.decode(errors="replace")
    at_end = "Got EOS from element" in output
    assert at_end or (done.returncode == 0 and "ERROR" not in output), f"{' '.join(command)}\n{output[-3000:]}"
    return output


@contextmanager
def gst_running(*pipeline: str) -> Iterator[subprocess.Popen[bytes]]:
    with running("gst-launch-1.0", "-q", *_elements(pipeline)) as process:
        yield process


def _elements(pipeline: Sequence[str]) -> list[str]:
    return [word for part in pipeline for word in re.split(r"\s+", part.strip())]


def rgb_picture(*source: str, width: int, height: int) -> bytes:
    """The first decoded picture, three bytes a pixel."""
    data = ffmpeg(*source, "-frames:v", "1", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-")
    assert len(data) == 3 * width * height
    return data


def mono_samples(*source: str, seconds: float, rate_hz: int = 8000) -> list[int]:
    """Decoded sound as 16-bit samples, one after another whatever their times are: clips have seams."""
    shape = ["-t", str(seconds), "-af", "asetpts=N/SR/TB", "-ac", "1", "-ar", str(rate_hz)]
    data = ffmpeg(*source, "-vn", *shape, "-f", "s16le", "-")
    return list(memoryview(data[: len(data) // 2 * 2]).cast("h"))


def tone_level(samples: Sequence[int], frequency_hz: float, rate_hz: int = 8000) -> float:
    """How much of a signal is one tone, 0 to 1 (Goertzel)."""
    from math import cos, pi

    factor = 2 * cos(2 * pi * frequency_hz / rate_hz)
    before = last = 0.0
    for sample in samples:
        before, last = last, sample + factor * last - before
    power = last * last + before * before - factor * last * before
    energy = sum(sample * sample for sample in samples)
    return 0.0 if not energy else 2 * power / (len(samples) * energy)
