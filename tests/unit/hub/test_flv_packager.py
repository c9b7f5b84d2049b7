"""FLV messages are built once, and no viewer misses new parameters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from support.movies import coded_video, normalised

from manycast.hub.fanout import BacklogLimit
from manycast.hub.flv_packager import FlvPackager, TagLayout
from manycast.media.frame import Frame
from manycast.media.track import Codec
from manycast.wire.websocket import binary_frame

TRACK, FRAMES = normalised(Codec.H264, coded_video(Codec.H264))
_, OTHERS = normalised(Codec.H264, coded_video(Codec.H264, 30, width=160, height=120))
SEQUENCE_HEADER = b"\x17\0"


@dataclass
class Notes:
    """A viewer that keeps what it is given."""

    first: list[bytes] = field(default_factory=list)
    chunks: list[bytes] = field(default_factory=list)
    controls: list[bytes] = field(default_factory=list)

    def begin(self, chunks: Sequence[bytes], *, wait_for_keyframe: bool) -> None:
        self.first = list(chunks)

    def offer(self, chunk: bytes, joinable: bool) -> None:
        self.chunks.append(chunk)

    def control(self, chunk: bytes) -> None:
        self.controls.append(chunk)

    def clear(self) -> None:
        self.first = []


def make_packager(*cached: Frame) -> FlvPackager:
    return FlvPackager([TRACK], cached, BacklogLimit(), "live")


def test_viewers_of_one_layout_get_the_very_same_object() -> None:
    packager = make_packager(*FRAMES[:5])
    viewers = [Notes() for _ in range(3)]
    framed = Notes()
    for viewer in viewers:
        packager.join(viewer, TagLayout(), preamble=b"hello")
    packager.join(framed, TagLayout(binary_frame))
    packager.push(FRAMES[5])
    assert len({id(viewer.chunks[0]) for viewer in viewers}) == 1
    assert len(viewers[0].first) == 6
    assert viewers[0].first[0].startswith(b"hello\x12")
    assert framed.chunks == [binary_frame(viewers[0].chunks[0])]


def test_new_parameters_are_no_part_of_a_frame_that_may_be_dropped() -> None:
    packager = make_packager(*FRAMES)
    viewer = Notes()
    packager.join(viewer, TagLayout())
    assert not viewer.controls
    packager.push(replace(OTHERS[0], dts_ticks=10**6, pts_ticks=10**6))
    assert len(viewer.controls) == 1
    assert viewer.controls[0][11:13] == SEQUENCE_HEADER
    assert viewer.chunks[0][11:13] == b"\x17\x01"


def test_who_joins_later_gets_the_parameters_once() -> None:
    packager = make_packager(*FRAMES)
    packager.push(replace(OTHERS[0], dts_ticks=10**6, pts_ticks=10**6))
    viewer = Notes()
    packager.join(viewer, TagLayout())
    start, *frames = viewer.first
    assert SEQUENCE_HEADER in start
    assert [frame[11:13] for frame in frames] == [b"\x17\x01"]
