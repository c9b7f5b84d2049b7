"""Fragments are built once, each new parameter is announced, and a gap does not make browsers wait."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import av
import pytest
from support.movies import CLOCK_HZ, coded_video, normalised

from manycast.hub.fanout import BacklogLimit
from manycast.hub.fmp4_packager import Fmp4Packager
from manycast.media.frame import Frame
from manycast.media.track import AudioParameters, Codec, PlainParameters, Track
from manycast.wire.fmp4.mux import Movie

TRACK, FRAMES = normalised(Codec.H264, coded_video(Codec.H264))
LAW = Track(codec=Codec.G711A, clock_rate_hz=8000, parameters=AudioParameters(sample_rate_hz=8000, channels=1))


@dataclass(frozen=True)
class Plain:
    def start(self, movie: Movie) -> bytes:
        return movie.init_segment

    def serialize(self, fragment: bytes) -> bytes:
        return fragment


@dataclass
class Notes:
    """A viewer that keeps what it is given."""

    first: list[bytes] = field(default_factory=list)
    waits_for_keyframe: bool | None = None
    chunks: list[bytes] = field(default_factory=list)
    joinable: list[bool] = field(default_factory=list)
    controls: list[bytes] = field(default_factory=list)

    def begin(self, chunks: Sequence[bytes], *, wait_for_keyframe: bool) -> None:
        self.first = list(chunks)
        self.waits_for_keyframe = wait_for_keyframe

    def offer(self, chunk: bytes, joinable: bool) -> None:
        self.chunks.append(chunk)
        self.joinable.append(joinable)

    def control(self, chunk: bytes) -> None:
        self.chunks.append(chunk)
        self.controls.append(chunk)

    def clear(self) -> None:
        self.first = []


def make_packager(*cached: Frame, tracks: Sequence[Track] = (TRACK,)) -> Fmp4Packager:
    return Fmp4Packager(tracks, cached, BacklogLimit(), "live")


def packets_of(data: bytes) -> list[tuple[int, int]]:
    with av.open(io.BytesIO(data), "r") as container:
        return [(packet.dts or 0, packet.pts or 0) for packet in container.demux(0) if packet.size]


def test_viewers_get_the_very_same_object() -> None:
    packager = make_packager(*FRAMES[:5])
    viewers = [Notes() for _ in range(3)]
    for viewer in viewers:
        packager.join(viewer, Plain(), preamble=b"hello")
    packager.push(FRAMES[5])
    assert len({id(viewer.chunks[0]) for viewer in viewers}) == 1
    assert [len(viewer.first) for viewer in viewers] == [6] * 3
    assert viewers[0].first[0].startswith(b"hello\0\0\0")
    assert viewers[0].waits_for_keyframe is False
    assert len(packets_of(b"".join(viewers[0].first)[5:] + viewers[0].chunks[0])) == 6


def test_a_viewer_who_comes_before_all_frames_waits_for_a_keyframe() -> None:
    video = Track(codec=Codec.VP9, clock_rate_hz=CLOCK_HZ, parameters=PlainParameters())
    _, frames = normalised(Codec.VP9, coded_video(Codec.VP9))
    packager = make_packager(tracks=[video])
    viewer = Notes()
    packager.join(viewer, Plain(), preamble=b"hello")
    assert viewer.first == [b"hello"]
    assert viewer.waits_for_keyframe
    for frame in frames[1:3]:
        packager.push(frame)
    assert not viewer.chunks
    for frame in frames[:3]:
        packager.push(frame)
    assert len(viewer.controls) == 1
    assert viewer.joinable == [True, False, False]
    assert len(packets_of(b"".join(viewer.chunks))) == 3


def test_new_parameters_are_announced_before_their_keyframe() -> None:
    _, others = normalised(Codec.H264, coded_video(Codec.H264, 30, width=160, height=120))
    packager = make_packager(*FRAMES)
    viewer = Notes()
    packager.join(viewer, Plain())
    packager.push(replace(others[0], dts_ticks=1_000_000, pts_ticks=1_000_000))
    assert len(viewer.controls) == 1
    assert viewer.chunks[0] is viewer.controls[0]
    with av.open(io.BytesIO(b"".join(viewer.chunks)), "r") as container:
        assert [(picture.width, picture.height) for picture in container.decode(video=0)] == [(160, 120)]


def test_after_a_gap_steps_are_small_and_pictures_stay_where_they_are() -> None:
    gap = 20 * CLOCK_HZ // 25
    later = [replace(frame, dts_ticks=frame.dts_ticks + gap, pts_ticks=frame.pts_ticks + gap) for frame in FRAMES[5:25]]
    packager = make_packager()
    viewer = Notes()
    packager.join(viewer, Plain())
    for frame in [*FRAMES[:5], *later]:
        packager.push(frame)
    assert viewer.first
    packets = packets_of(viewer.first[0] + b"".join(viewer.chunks))
    steps = [after - before for (before, _), (after, _) in pairwise(packets)]
    assert max(steps) <= 2 * CLOCK_HZ // 25
    moved = packets[0][1] - FRAMES[0].pts_ticks
    assert [pts - moved for _, pts in packets] == [frame.pts_ticks for frame in [*FRAMES[:5], *later]]
    assert packets[-1][0] - moved == later[-1].dts_ticks  # caught up


def test_what_cannot_be_carried_is_named_once(caplog: pytest.LogCaptureFixture) -> None:
    packager = make_packager(tracks=[TRACK, LAW])
    assert [record.getMessage() for record in caplog.records] == [
        "live: MP4 for browsers cannot carry G711A, which is left out; "
        "it is converted where `convert` is not switched off"
    ]
    viewer = Notes()
    packager.join(viewer, Plain())
    packager.push(Frame(track_index=1, dts_ticks=0, pts_ticks=0, keyframe=True, units=[b"x"]))
    assert not viewer.chunks
