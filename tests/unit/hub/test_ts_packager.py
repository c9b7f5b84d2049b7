"""Streams as transport stream packets for many viewers."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import pytest
from support.clips import make_clip, slices

from manycast.hub.fanout import BacklogLimit
from manycast.hub.ts_packager import PAYLOAD_PACKETS, Payloads, TsLayout, TsPackager
from manycast.media.frame import Frame
from manycast.media.track import AudioParameters, Codec, Track
from manycast.wire.mpegts.demux import TsDemuxer
from manycast.wire.mpegts.packet import PACKET_BYTES

CLIP = make_clip()
AUDIO = AudioParameters(sample_rate_hz=48_000, channels=2)
OPUS = Track(codec=Codec.OPUS, clock_rate_hz=48_000, parameters=AUDIO)
LAYOUT = TsLayout()


class Viewer:
    def __init__(self) -> None:
        self.chunks: list[Payloads] = []
        self.joinable: list[bool] = []
        self.waits = False

    def begin(self, chunks: Sequence[Payloads], *, wait_for_keyframe: bool) -> None:
        self.chunks += chunks
        self.waits = wait_for_keyframe

    def offer(self, chunk: Payloads, joinable: bool) -> None:
        self.chunks.append(chunk)
        self.joinable.append(joinable)

    def control(self, chunk: Payloads) -> None: ...

    def clear(self) -> None: ...

    @property
    def data(self) -> bytes:
        return b"".join(part for chunk in self.chunks for part in chunk.parts)


def packager(*tracks: Track) -> TsPackager:
    return TsPackager(tracks, [], BacklogLimit(), "cam")


def sound(number: int, size: int = 160) -> Frame:
    ticks = number * 960
    return Frame(track_index=1, dts_ticks=ticks, pts_ticks=ticks, keyframe=True, units=[b"\xfc" + bytes(size)])


def test_all_viewers_get_the_very_same_payloads() -> None:
    packed = packager(CLIP.track)
    viewers = [Viewer(), Viewer()]
    for viewer in viewers:
        packed.join(viewer, LAYOUT)
    for number in range(12):
        packed.push(CLIP.frame(number))
    first, second = viewers
    assert all(a is b for a, b in zip(first.chunks, second.chunks, strict=True))
    assert first.waits
    assert first.joinable == [number in (0, 10) for number in range(12)]
    for chunk in first.chunks:
        assert chunk.size_bytes == sum(map(len, chunk.parts))
        assert all(len(part) == PAYLOAD_PACKETS * PACKET_BYTES for part in chunk.parts[:-1])


def test_who_joins_begins_at_the_latest_keyframe() -> None:
    packed = packager(CLIP.track)
    for number in range(15):
        packed.push(CLIP.frame(number))
    viewer = Viewer()
    packed.join(viewer, LAYOUT)
    assert not viewer.waits
    assert len(viewer.chunks) == 5
    packed.push(CLIP.frame(15))
    packed.leave(viewer, LAYOUT)
    packed.push(CLIP.frame(16))
    demuxer = TsDemuxer()
    frames = demuxer.receive(viewer.data) + demuxer.flush()
    assert [slices(frame.units) for frame in frames] == [slices(CLIP.pictures[number]) for number in range(10, 16)]


def test_smaller_payloads_hold_the_same_packets() -> None:
    packed = packager(CLIP.track)
    usual, small = Viewer(), Viewer()
    packed.join(usual, LAYOUT)
    packed.join(small, TsLayout(2))
    packed.push(CLIP.frame(0))
    assert small.data == usual.data
    assert {len(part) for part in small.chunks[0].parts[:-1]} == {2 * PACKET_BYTES}


def test_sound_goes_with_the_next_picture() -> None:
    packed = packager(CLIP.track, OPUS)
    viewer = Viewer()
    packed.join(viewer, LAYOUT)
    packed.push(CLIP.frame(0))
    packed.push(sound(0))
    packed.push(sound(1))
    assert len(viewer.chunks) == 1
    packed.push(CLIP.frame(1))
    assert len(viewer.chunks) == 2
    demuxer = TsDemuxer()
    frames = demuxer.receive(viewer.data) + demuxer.flush()
    assert [frame.track_index for frame in frames] == [0, 1, 1, 0]


def test_sound_does_not_wait_for_a_picture_that_does_not_come() -> None:
    packed = packager(CLIP.track, OPUS)
    viewer = Viewer()
    packed.join(viewer, LAYOUT)
    packed.push(CLIP.frame(0))
    for number in range(20):
        packed.push(sound(number))
    assert len(viewer.chunks) > 2


def test_who_joins_a_stream_of_sound_has_its_tables_at_once() -> None:
    packed = packager(OPUS)
    early = Viewer()
    packed.join(early, LAYOUT)
    for number in range(10):
        frame = sound(number)
        frame.track_index = 0
        packed.push(frame)
    viewer = Viewer()
    packed.join(viewer, LAYOUT)
    assert not viewer.waits
    for number in range(10, 12):
        frame = sound(number)
        frame.track_index = 0
        packed.push(frame)
    demuxer = TsDemuxer()
    assert len(demuxer.receive(viewer.data)) == 2
    assert len(TsDemuxer().receive(early.data)) == 12


def test_what_cannot_be_carried_is_named(caplog: pytest.LogCaptureFixture) -> None:
    g711 = Track(codec=Codec.G711U, clock_rate_hz=8000, parameters=AudioParameters(sample_rate_hz=8000, channels=1))
    with caplog.at_level(logging.WARNING):
        packed = packager(g711)
    assert not packed.muxer.usable
    assert "cam: SRT cannot carry" in caplog.text
    packed.push(Frame(track_index=0, dts_ticks=0, pts_ticks=0, keyframe=True, units=[bytes(160)]))
    packed.end()
