"""Pictures and sound that FFmpeg draws, and what decoders make of frames."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.filter import Graph
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType, VideoFrame

from manycast.decoder_packet import decoder_packet
from manycast.media.frame import Frame
from manycast.media.nal import join_annex_b
from manycast.media.track import Codec

DECODERS = {Codec.H264: "h264", Codec.H265: "hevc", Codec.MPEG4: "mpeg4", Codec.MJPEG: "mjpeg"}


def pictures(count: int, *, size: str = "320x240", rate: int = 25, source: str = "testsrc2") -> Iterator[VideoFrame]:
    graph = Graph()
    graph.link_nodes(graph.add(source, f"size={size}:rate={rate}"), graph.add("buffersink")).configure()
    for _ in range(count):
        picture = graph.pull()
        assert isinstance(picture, VideoFrame)
        picture.pict_type = PictureType.NONE
        yield picture


def tone(count: int, *, rate_hz: int = 44_100, hz: int = 440, samples: int = 1000) -> Iterator[AudioFrame]:
    graph = Graph()
    graph.link_nodes(
        graph.add("sine", f"f={hz}:r={rate_hz}:samples_per_frame={samples}"),
        graph.add("aformat", "channel_layouts=stereo"),
        graph.add("abuffersink"),
    ).configure()
    for index in range(count):
        sound = graph.pull()
        assert isinstance(sound, AudioFrame)
        sound.pts, sound.time_base = index * samples, Fraction(1, rate_hz)
        yield sound


def decoded(codec: Codec, frames: Sequence[Frame]) -> list[VideoFrame]:
    decoder = av.CodecContext.create(DECODERS[codec], "r")
    assert isinstance(decoder, VideoCodecContext)
    found: list[VideoFrame] = []
    for frame in frames:
        data = join_annex_b(frame.units) if codec in (Codec.H264, Codec.H265) else b"".join(frame.units)
        found += decoder.decode(decoder_packet(data))
    found += decoder.decode(None)
    return found


def looks_of(picture: VideoFrame) -> np.ndarray:
    """What it looks like, in 32x24 pixels of three colours from 0 to 255."""
    return picture.reformat(width=32, height=24, format="rgb24").to_ndarray().astype(float)
