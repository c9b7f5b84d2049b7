"""Coded pictures and sound with their times, as an encoder gives them: with B-frames, in any codec of FFmpeg's."""

from __future__ import annotations

import io
from fractions import Fraction
from functools import cache
from typing import Any, cast

import av
from av.audio.codeccontext import AudioCodecContext
from av.audio.frame import AudioFrame
from av.filter import Graph
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame

from manycast.media import aac, flac
from manycast.media.av1 import split_obus
from manycast.media.frame import Frame
from manycast.media.nal import split_annex_b
from manycast.media.normalise import normalise
from manycast.media.track import (
    AudioParameters,
    Av1Parameters,
    Codec,
    CodecParameters,
    H264Parameters,
    H265Parameters,
    PlainParameters,
    Track,
)
from support.media import AV1
from support.programs import ffmpeg

CLOCK_HZ = 90_000
FRAME_RATE = 25
SAMPLE_RATE_HZ = 48_000
WIDTH, HEIGHT = 320, 240

_ENCODERS = {
    Codec.H264: ("libx264", {"preset": "veryfast", "x264-params": "keyint=GOP:scenecut=0:bframes=3:b-adapt=0"}),
    Codec.H265: ("libx265", {"preset": "ultrafast", "x265-params": "log-level=none:keyint=GOP:bframes=3"}),
    Codec.VP9: ("libvpx-vp9", {"deadline": "realtime", "cpu-used": "8", "g": "GOP", "lag-in-frames": "0"}),
    Codec.AAC: ("aac", {}),
    Codec.OPUS: ("libopus", {}),
    Codec.MP3: ("libmp3lame", {}),
    Codec.AC3: ("ac3", {}),
    Codec.FLAC: ("flac", {"compression_level": "0"}),  # frames of 1152 samples
}
_BLOCKS = {Codec.AAC: "1024", Codec.MP3: "1152", Codec.AC3: "1536", Codec.FLAC: "1152"}  # samples of a frame
_PARAMETERS: dict[Codec, CodecParameters] = {
    Codec.H264: H264Parameters(),
    Codec.H265: H265Parameters(),
    Codec.AV1: Av1Parameters(),
    Codec.VP9: PlainParameters(),
}


@cache
def coded_video(
    codec: Codec, count: int = 60, *, width: int = WIDTH, height: int = HEIGHT, gop: int = 25
) -> tuple[Frame, ...]:
    """The frames of a test pattern, as they come from a publisher; nobody is to change them."""
    if codec is Codec.AV1:
        packets = _av1_packets(count, width, height, gop)
    else:
        packets = _video_packets(codec, count, width, height, gop)
    return tuple(
        Frame(
            track_index=0,
            dts_ticks=_ticks(packet.dts),
            pts_ticks=_ticks(packet.pts),
            keyframe=packet.is_keyframe,
            units=_units(codec, bytes(packet)),
        )
        for packet in packets
    )


def _video_packets(codec: Codec, count: int, width: int, height: int, gop: int) -> list[Packet[Any]]:
    name, options = _ENCODERS[codec]
    graph = Graph()
    graph.link_nodes(
        graph.add("testsrc2", f"size={width}x{height}:rate={FRAME_RATE}"),
        graph.add("format", "yuv420p"),
        graph.add("buffersink"),
    ).configure()
    encoder = cast(VideoCodecContext, av.CodecContext.create(name, "w"))
    encoder.width, encoder.height, encoder.pix_fmt = width, height, "yuv420p"
    encoder.time_base, encoder.framerate = Fraction(1, FRAME_RATE), Fraction(FRAME_RATE)
    encoder.options = {"threads": "1"} | {name: value.replace("GOP", str(gop)) for name, value in options.items()}
    packets: list[Packet[Any]] = []
    for number in range(count):
        picture = graph.pull()
        assert isinstance(picture, VideoFrame)
        picture.pts, picture.time_base, picture.pict_type = number, Fraction(1, FRAME_RATE), 0
        packets += encoder.encode(picture)
    return packets + encoder.encode(None)


def _av1_packets(count: int, width: int, height: int, gop: int) -> list[Packet[Any]]:
    """By a program: PyAV's only encoder, run by root, makes this process and all it starts starve everybody else."""
    pattern = ["-f", "lavfi", "-i", f"testsrc2=size={width}x{height}:rate={FRAME_RATE}", "-frames:v", str(count)]
    file = ffmpeg(*pattern, *AV1, "-g", str(gop), "-pix_fmt", "yuv420p", "-f", "ivf", "-")
    with av.open(io.BytesIO(file), "r") as container:
        return [packet for packet in container.demux(video=0) if packet.size]


@cache
def coded_audio(codec: Codec, seconds: float = 2.0) -> tuple[Track, tuple[Frame, ...]]:
    """A tone in stereo, and its track; times are in samples, but for MP3."""
    name, options = _ENCODERS[codec]
    encoder = cast(AudioCodecContext, av.CodecContext.create(name, "w"))
    encoder.sample_rate, encoder.layout = SAMPLE_RATE_HZ, "stereo"
    encoder.format = "s16" if codec in (Codec.OPUS, Codec.FLAC) else "fltp"
    encoder.options = options
    graph = Graph()
    graph.link_nodes(
        graph.add("sine", f"frequency=440:sample_rate={SAMPLE_RATE_HZ}:samples_per_frame=960:duration={seconds}"),
        graph.add("aformat", f"sample_fmts={encoder.format.name}:channel_layouts=stereo"),
        graph.add(
            "asetnsamples", "1152" if codec in (Codec.MP3, Codec.FLAC) else "1536" if codec is Codec.AC3 else "1024"
        )
        if codec is not Codec.OPUS
        else graph.add("anull"),
        graph.add("abuffersink"),
    ).configure()
    packets: list[Packet[Any]] = []
    while True:
        try:
            sound = graph.pull()
        except (av.error.EOFError, av.error.BlockingIOError):
            break
        assert isinstance(sound, AudioFrame)
        packets += encoder.encode(sound)
    packets += encoder.encode(None)
    rate_hz = CLOCK_HZ if codec is Codec.MP3 else SAMPLE_RATE_HZ
    parameters: CodecParameters = AudioParameters(sample_rate_hz=SAMPLE_RATE_HZ, channels=2)
    if codec is Codec.AAC:
        parameters = aac.parameters_from_config(bytes(encoder.extradata or b""))
    elif codec is Codec.FLAC:
        parameters = flac.parameters_from_config(bytes(encoder.extradata or b""))
    frames = []
    for packet in packets:
        if not packet.size:
            continue  # FLAC's checksum, at the end
        ticks = round((packet.pts or 0) * packet.time_base * rate_hz)
        frames.append(Frame(track_index=1, dts_ticks=ticks, pts_ticks=ticks, keyframe=True, units=[bytes(packet)]))
    return Track(codec=codec, clock_rate_hz=rate_hz, parameters=parameters), tuple(frames)


def normalised(codec: Codec, frames: tuple[Frame, ...]) -> tuple[Track, list[Frame]]:
    """The frames as packagers get them, and the track that all of them make."""
    track = Track(codec=codec, clock_rate_hz=CLOCK_HZ, parameters=_PARAMETERS[codec])
    mended = []
    for frame in frames:
        copy = Frame(
            track_index=frame.track_index,
            dts_ticks=frame.dts_ticks,
            pts_ticks=frame.pts_ticks,
            keyframe=frame.keyframe,
            units=list(frame.units),
        )
        track = normalise(copy, track)
        mended.append(copy)
    return track, mended


def interleaved(*tracks: tuple[int, list[Frame]]) -> list[Frame]:
    """The frames of several tracks, each with its clock rate, in the order of their times of decoding."""
    timed = [(frame.dts_ticks / rate_hz, frame) for rate_hz, frames in tracks for frame in frames]
    return [frame for _, frame in sorted(timed, key=lambda pair: pair[0])]


def _ticks(time: int | None) -> int:
    assert time is not None
    return time * CLOCK_HZ // FRAME_RATE


def _units(codec: Codec, data: bytes) -> list[bytes]:
    if codec in (Codec.H264, Codec.H265):
        return split_annex_b(data)
    return split_obus(data) if codec is Codec.AV1 else [data]
