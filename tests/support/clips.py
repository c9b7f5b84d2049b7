"""Real pictures to publish, encoded once, in this process."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cache

import av
from av.filter import Graph
from av.video.frame import VideoFrame

from manycast.media.frame import Frame
from manycast.media.h264 import with_parameter_set
from manycast.media.nal import split_annex_b
from manycast.media.track import Codec, H264Parameters, Track

CLOCK_HZ = 90_000


@dataclass(frozen=True, slots=True)
class Clip:
    """An H.264 test pattern without B-frames; it starts with a keyframe and can be repeated."""

    track: Track
    pictures: tuple[tuple[bytes, ...], ...]  # the NAL units of each, parameter sets in front of keyframes
    keyframes: frozenset[int]
    frame_rate: int

    def frame(self, number: int) -> Frame:
        """Picture `number` of the endlessly repeated clip."""
        ticks = number * CLOCK_HZ // self.frame_rate
        position = number % len(self.pictures)
        units = list(self.pictures[position])
        return Frame(track_index=0, dts_ticks=ticks, pts_ticks=ticks, keyframe=position in self.keyframes, units=units)


@cache
def make_clip(
    *, width: int = 320, height: int = 240, count: int = 50, gop: int = 10, bit_rate_bps: int = 600_000
) -> Clip:
    frame_rate = 25
    graph = Graph()
    graph.link_nodes(
        graph.add("testsrc2", f"size={width}x{height}:rate={frame_rate}"),
        graph.add("format", "yuv420p"),
        graph.add("buffersink"),
    ).configure()
    encoder = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt = width, height, "yuv420p"
    encoder.time_base, encoder.framerate = Fraction(1, frame_rate), Fraction(frame_rate)
    encoder.gop_size = gop
    encoder.bit_rate = bit_rate_bps
    options = {"preset": "ultrafast", "tune": "zerolatency", "threads": "1"}
    encoder.options = options | {"x264-params": f"keyint={gop}:min-keyint={gop}:scenecut=0:repeat-headers=1"}
    packets = []
    for number in range(count):
        picture = graph.pull()
        assert isinstance(picture, VideoFrame)
        picture.pts, picture.time_base, picture.pict_type = number, Fraction(1, frame_rate), 0
        packets += encoder.encode(picture)
    packets += encoder.encode(None)
    pictures = []
    parameters = H264Parameters()
    for packet in packets:
        units = [unit for unit in split_annex_b(bytes(packet)) if unit[0] & 0x1F not in (6, 9)]
        pictures.append(tuple(units))
        for unit in units:
            if unit[0] & 0x1F in (7, 8):
                parameters = with_parameter_set(parameters, unit)
    return Clip(
        track=Track(codec=Codec.H264, clock_rate_hz=CLOCK_HZ, parameters=parameters),
        pictures=tuple(pictures),
        keyframes=frozenset(index for index, packet in enumerate(packets) if packet.is_keyframe),
        frame_rate=frame_rate,
    )


def slices(units: list[bytes] | tuple[bytes, ...]) -> tuple[bytes, ...]:
    """The NAL units of a picture that carry the picture."""
    return tuple(unit for unit in units if unit[0] & 0x1F in (1, 5))
