"""Files of every kind, played by real players: the pictures and the sound of the file, in time and in step."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import pytest
from av.video.frame import VideoFrame
from support.programs import from_server, gst, make, mono_samples, run, tone_level
from support.server import ServerProcess

SECONDS = 2
RATE = 25
TONE_HZ = 1000
AT_ONCE = 6  # players

_PICTURES = ["-f", "lavfi", "-i", f"testsrc2=size=320x240:rate={RATE}:duration={SECONDS}"]
_TONE = ["-f", "lavfi", "-i", f"sine=frequency={TONE_HZ}:sample_rate=48000:duration={SECONDS}"]
_H264 = ["-c:v", "libx264", "-preset", "ultrafast", "-g", "25", "-pix_fmt", "yuv420p"]
_MPEG1 = ["-c:v", "mpeg1video", "-bf", "2", "-g", "12", "-q:v", "4"]
_MPEG2 = ["-c:v", "mpeg2video", "-bf", "2", "-g", "12", "-q:v", "4"]
_MPEG4 = ["-c:v", "mpeg4", "-bf", "2", "-g", "12", "-q:v", "4"]
# The tables that RFC 2435 leaves out of packets.
_JPEG = ["-c:v", "mjpeg", "-huffman", "default", "-pix_fmt", "yuvj420p", "-q:v", "4"]
_AAC = ["-c:a", "aac", "-b:a", "96k"]
_MP2, _MP3, _AC3 = ["-c:a", "mp2"], ["-c:a", "libmp3lame"], ["-c:a", "ac3"]
_VORBIS, _OPUS = ["-c:a", "libvorbis"], ["-c:a", "libopus"]
_S16, _WIDE = ["-c:a", "pcm_s16le"], ["-c:a", "pcm_s24le"]
_TELEPHONE = ["-ar", "8000", "-ac", "1"]

BOTH = {  # name, how it is encoded
    "clip.mpg": [*_MPEG1, *_MP2],
    "clip.vob": [*_MPEG2, *_AC3],
    "mpeg2.ts": [*_MPEG2, *_MP2],
    "h264.ts": [*_H264, *_AAC],
    "ac3.mkv": [*_H264, *_AC3],
    "mpeg4.mkv": [*_MPEG4, *_VORBIS],
    "mpeg4.mp4": [*_MPEG4, *_MP3],
    "mpeg4.avi": [*_MPEG4, *_MP3],
    "jpeg.avi": [*_JPEG, *_S16],
    "jpeg.mov": [*_JPEG, *_WIDE],
    "mpeg2.mov": [*_MPEG2, "-c:a", "pcm_s16be"],
    "vp8.webm": ["-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8", "-g", "25", *_VORBIS],
    "vp9.webm": ["-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-g", "25", *_OPUS],
    "theora.ogv": ["-c:v", "libtheora", "-q:v", "7", "-g", "25", *_VORBIS],
}
PICTURES = {
    "clip.264": [*_H264, "-bf", "2"],
    "clip.h264": [*_H264, "-bf", "0"],
    "clip.265": ["-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=error:keyint=25"],
    "clip.m4e": [*_MPEG4, "-f", "m4v"],
    "clip.m1v": _MPEG1,
    "clip.m2v": _MPEG2,
    "clip.mjpeg": _JPEG,
}
SOUND = {
    "tone.aac": _AAC,
    "tone.m4a": _AAC,
    "tone.mp3": _MP3,
    "tone.ac3": _AC3,
    "tone.ogg": _VORBIS,
    "tone.opus": _OPUS,
    "s16.wav": [*_S16, "-ac", "2", "-ar", "44100"],
    "s24.wav": _WIDE,
    "u8.wav": ["-c:a", "pcm_u8"],
    "float.wav": ["-c:a", "pcm_f32le"],
    "alaw.wav": ["-c:a", "pcm_alaw", *_TELEPHONE],
    "ulaw.wav": ["-c:a", "pcm_mulaw", *_TELEPHONE],
    "g722.wav": ["-c:a", "g722", "-ar", "16000"],
    "g726.wav": ["-c:a", "g726", "-b:a", "40k", *_TELEPHONE],
}
SPEECH = {"speech.amr": (8000, "amrnbenc", b"#!AMR\n"), "speech.awb": (16_000, "voamrwbenc", b"#!AMR-WB\n")}
WHOLE = {"h264.ts.mp2t": "h264.ts", "mpeg2.ts.mp2t": "mpeg2.ts"}
ALL = [*BOTH, *PICTURES, *SOUND, *SPEECH, *WHOLE]


@dataclass(frozen=True, slots=True)
class Decoded:
    """What ffmpeg has made of a source."""

    pictures: list[str]  # their digests
    picture_starts_s: list[float]
    sound_start_s: float | None
    sound: list[int]  # mono samples at 8000 Hz


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("formats")
    for name, codecs in BOTH.items():
        make(folder / name, *_PICTURES, *_TONE, *codecs)
    for name, codecs in PICTURES.items():
        make(folder / name, *_PICTURES, *codecs)
    for name, codecs in SOUND.items():
        make(folder / name, *_TONE, *codecs)
    for name, (rate_hz, encoder, magic) in SPEECH.items():
        frames = folder / f".{name}"
        source = f"audiotestsrc freq={TONE_HZ} num-buffers={50 * SECONDS} samplesperbuffer={rate_hz // 50}"
        gst(f"{source} ! audio/x-raw,rate={rate_hz},channels=1 ! {encoder} ! filesink location={frames}")
        (folder / name).write_bytes(magic + frames.read_bytes())
    return folder


@pytest.fixture(scope="session")
def formats_server(clips: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path_factory.mktemp("formats-server"), media=clips) as server:
        yield server


@pytest.fixture(scope="session")
def played(
    formats_server: ServerProcess, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], Decoded]]:
    """What a player has got of a file; several play at a time, as each takes as long as its file."""
    folder = tmp_path_factory.mktemp("played")
    with ThreadPoolExecutor(AT_ONCE) as players:
        results: dict[str, Future[Decoded]] = {
            name: players.submit(decode, folder / name, *from_server(formats_server.url(name), "tcp")) for name in ALL
        }
        yield lambda name: results[name].result()


def decode(folder: Path, *source: str) -> Decoded:
    folder.mkdir()
    digests, sound = folder / "digests", folder / "sound"
    first = ["-map", "0", "-fps_mode", "passthrough", "-f", "framemd5", str(digests)]
    second = ["-map", "0:a?", "-ac", "1", "-ar", "8000", "-f", "s16le", str(sound)]
    has_sound = not any(name.endswith(tuple(PICTURES)) for name in source)
    run("ffmpeg", "-nostdin", "-loglevel", "error", *source, *first, *(second if has_sound else []))
    lines = digests.read_text().splitlines()
    bases = [Fraction(line.split(": ")[1]) for line in lines if line.startswith("#tb ")]
    kinds = [line.split(": ")[1] for line in lines if line.startswith("#media_type ")]
    rows = [[field.strip() for field in line.split(",")] for line in lines if not line.startswith("#")]
    starts: dict[str, list[float]] = {"video": [], "audio": []}
    for row in rows:
        starts[kinds[int(row[0])]].append(float(int(row[2]) * bases[int(row[0])]))
    data = sound.read_bytes() if has_sound else b""
    return Decoded(
        pictures=[row[5] for row in rows if kinds[int(row[0])] == "video"],
        picture_starts_s=starts["video"],
        sound_start_s=starts["audio"][0] if starts["audio"] else None,
        sound=list(memoryview(data[: len(data) // 2 * 2]).cast("h")),
    )


@pytest.mark.parametrize("name", [*BOTH, *PICTURES, *WHOLE])
def test_every_picture_arrives(name: str, clips: Path, played: Callable[[str], Decoded], tmp_path: Path) -> None:
    original = decode(tmp_path / "original", "-i", str(clips / WHOLE.get(name, name)))
    got = played(name)
    assert len(original.pictures) == SECONDS * RATE
    # FFmpeg's depacketiser of MPEG-1 and MPEG-2 gives a picture when the next one begins, and so never the last.
    kept = len(got.pictures)
    assert kept >= len(original.pictures) - 1
    assert got.pictures == original.pictures[:kept]
    steps = [b - a for a, b in pairwise(got.picture_starts_s)]
    # It does not know the times of the first pictures where some are shown in another order than they come.
    assert all(abs(step - 1 / RATE) < 0.011 for step in steps[4:]), steps


@pytest.mark.parametrize("name", [*BOTH, *SOUND, *SPEECH, *WHOLE])
def test_the_sound_arrives(name: str, played: Callable[[str], Decoded]) -> None:
    sound = played(name).sound
    assert len(sound) / 8000 == pytest.approx(SECONDS, abs=0.15)
    assert tone_level(sound[4000:12_000], TONE_HZ) > 0.9


@pytest.mark.parametrize("name", [*BOTH, *WHOLE])
def test_picture_and_sound_start_as_in_the_file(
    name: str, clips: Path, played: Callable[[str], Decoded], tmp_path: Path
) -> None:
    original = decode(tmp_path / "original", "-i", str(clips / WHOLE.get(name, name)))
    got = played(name)
    assert original.sound_start_s is not None
    assert got.sound_start_s is not None
    wanted_s = original.picture_starts_s[0] - original.sound_start_s
    assert got.picture_starts_s[0] - got.sound_start_s == pytest.approx(wanted_s, abs=0.06)


DEPAYLOADERS = {
    "clip.mpg": "rtpmpvdepay ! mpegvideoparse ! avdec_mpeg2video",
    "clip.m4e": "rtpmp4vdepay ! mpeg4videoparse ! avdec_mpeg4",
    "clip.mjpeg": "rtpjpegdepay ! jpegdec",
    "vp8.webm": "rtpvp8depay ! vp8dec",
    "vp9.webm": "rtpvp9depay ! vp9dec",
    "theora.ogv": "rtptheoradepay ! theoradec",
    "tone.mp3": "rtpmpadepay ! mpegaudioparse ! avdec_mp3",
    "tone.ac3": "rtpac3depay ! ac3parse ! avdec_ac3",
    "tone.ogg": "rtpvorbisdepay ! vorbisdec",
    "s16.wav": "rtpL16depay ! audioconvert",
    "g722.wav": "rtpg722depay ! avdec_g722",
    "speech.amr": "rtpamrdepay ! avdec_amrnb",
    "h264.ts.mp2t": "rtpmp2tdepay ! tsdemux ! h264parse ! avdec_h264",
}


@pytest.fixture(scope="session")
def shown(formats_server: ServerProcess) -> Iterator[Callable[[str], int]]:
    """How many buffers GStreamer has decoded of a file; several play at a time."""

    def play(name: str) -> int:
        source = f"rtspsrc location={formats_server.url(name)} protocols=tcp latency=100"
        return gst(f"-v {source} ! {DEPAYLOADERS[name]} ! fakesink silent=false sync=false").count("chain   ***")

    with ThreadPoolExecutor(AT_ONCE) as players:
        results = {name: players.submit(play, name) for name in DEPAYLOADERS}
        yield lambda name: results[name].result()


@pytest.mark.parametrize("name", DEPAYLOADERS)
def test_gstreamer_plays_to_the_end(name: str, shown: Callable[[str], int]) -> None:
    assert shown(name) >= (SECONDS * RATE - 2 if name in BOTH or name in PICTURES else 10)


def test_av1_arrives(start_server: Callable[..., ServerProcess], tmp_path: Path) -> None:
    """Only newer FFmpeg than that of the programs reads AV1 from RTP: that of PyAV."""
    codecs = ["-c:v", "libaom-av1", "-usage", "realtime", "-cpu-used", "8", "-g", "25", "-pix_fmt", "yuv420p"]
    path = make(tmp_path / "av1.mp4", *_PICTURES, *_TONE, *codecs, *_OPUS)
    server = start_server(media=tmp_path)

    def pictures(source: str, options: dict[str, str]) -> list[bytes]:
        with av.open(source, "r", options=options) as container:
            return [_luminance(frame) for frame in container.decode(video=0)]

    assert pictures(server.url("av1.mp4"), {"rtsp_transport": "tcp"}) == pictures(str(path), {})


def _luminance(picture: VideoFrame) -> bytes:
    plane = picture.planes[0]
    data = bytes(plane)
    return b"".join(data[row * plane.line_size :][: picture.width] for row in range(picture.height))


@pytest.mark.parametrize("name", ["clip.mpg", "clip.vob", "theora.ogv", "mpeg4.mkv", "tone.mp3", "s24.wav"])
def test_a_search_lands_at_or_before_the_place(name: str, formats_server: ServerProcess) -> None:
    sound = mono_samples("-ss", "1.2", *from_server(formats_server.url(name), "tcp"), seconds=SECONDS)
    assert 0.6 < len(sound) / 8000 < 1.8
    assert tone_level(sound[1000:4500], TONE_HZ) > 0.9
