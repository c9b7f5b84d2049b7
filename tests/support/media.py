"""The clips of the media folder."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

from support.hearing import check_tone
from support.programs import frame_digests, make, mono_samples

SECONDS = 3
FRAME_RATE = 25
FRAMES = SECONDS * FRAME_RATE
TONE_HZ = 1000
WIDTH, HEIGHT = 320, 240

PICTURES = ["-f", "lavfi", "-i", f"testsrc2=size={WIDTH}x{HEIGHT}:rate={FRAME_RATE}:duration={SECONDS}"]
TONE = ["-f", "lavfi", "-i", f"sine=frequency={TONE_HZ}:sample_rate=48000:duration={SECONDS}"]
H264 = ["-c:v", "libx264", "-preset", "veryfast", "-g", "25", "-pix_fmt", "yuv420p"]
WITH_B_FRAMES = ["-bf", "3", "-x264-params", "keyint=25:min-keyint=25:scenecut=0:b-adapt=0"]
H265 = ["-c:v", "libx265", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-x265-params"]
H265 += ["log-level=error:keyint=25:bframes=3"]
VP9 = ["-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-lag-in-frames", "0", "-g", "25"]
AV1 = ["-c:v", "libaom-av1", "-usage", "realtime", "-cpu-used", "8", "-lag-in-frames", "0", "-g", "25"]
AAC = ["-c:a", "aac", "-b:a", "96k", "-ac", "2"]
G711A = ["-c:a", "pcm_alaw", "-ar", "8000", "-ac", "1"]
G711U = ["-c:a", "pcm_mulaw", "-ar", "8000", "-ac", "1"]
OPUS = ["-c:a", "libopus", "-ac", "2"]

VIDEO_FILES = {  # name, how it is encoded
    "plain.mp4": [*H264, "-bf", "0", *AAC],
    "b-frames.mp4": [*H264, *WITH_B_FRAMES, *AAC],
    "b-frames.mkv": [*H264, *WITH_B_FRAMES, *AAC],
    "b-frames.ts": [*H264, *WITH_B_FRAMES, *AAC],
    "clip.mov": [*H264, *WITH_B_FRAMES, *AAC],
    "clip.flv": [*H264, *WITH_B_FRAMES, *AAC],
    "clip.avi": [*H264, "-bf", "0", *G711U],
    "h265.mp4": [*H265, *AAC],
    "h265.mkv": [*H265, *OPUS],
    "opus.mkv": [*H264, "-bf", "0", *OPUS],
    "alaw.mkv": [*H264, "-bf", "0", *G711A],
    "ulaw.mkv": [*H264, "-bf", "0", *G711U],
    "silent.mp4": [*H264, "-bf", "0", "-an"],
}
AUDIO_FILES = {
    "tone.m4a": AAC,
    "tone.webm": OPUS,
    "tone.wav": G711A,
}


def make_media(folder: Path) -> Path:
    for name, codecs in VIDEO_FILES.items():
        make(folder / name, *PICTURES, *TONE, *codecs)
    for name, codecs in AUDIO_FILES.items():
        make(folder / name, *TONE, *codecs)
    return folder


def make_long_clip(path: Path) -> Path:
    """A minute of H.264 in 320x240 and AAC in 48 kHz, a keyframe every second."""
    pictures = ["-f", "lavfi", "-i", f"testsrc2=size={WIDTH}x{HEIGHT}:rate={FRAME_RATE}"]
    sound = ["-f", "lavfi", "-i", "sine=sample_rate=48000"]
    coding = ["-t", "60", "-c:v", "libx264", "-preset", "ultrafast", "-bf", "0", "-g", "25", "-pix_fmt", "yuv420p"]
    return make(path, *pictures, *sound, *coding, "-c:a", "aac")


def check_clip_over_and_over(clip: Path, reading: list[str]) -> None:
    """What ffmpeg reads is the clip without an end: pictures in order, none lost, and its tone."""
    original = [frame.md5 for frame in frame_digests("-i", str(clip))]
    frames = frame_digests(*reading, "-frames:v", "45")
    samples = mono_samples(*reading, seconds=1)
    assert len(frames) == 45
    positions = [original.index(frame.md5) for frame in frames]
    assert all((b - a) % len(original) == 1 for a, b in pairwise(positions))
    times = [frame.pts for frame in frames]
    assert times == sorted(set(times))
    check_tone(samples[1000:], TONE_HZ, seconds=0.6)
