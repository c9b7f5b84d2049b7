"""Frames to segments and parts, and what of them is listed. Knows no clock and no file."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import ceil

from manycast.media.frame import Frame
from manycast.media.track import MediaKind, Track
from manycast.wire.hls.packaging import Packaging, packaging_for
from manycast.wire.hls.playlist import (
    MediaPlaylist,
    OpenSegment,
    PartEntry,
    SegmentEntry,
    Variant,
    rounded_duration_s,
)

FIRST_SEGMENTS_S = 1.0  # the first ones end with the first keyframe after so long: nobody waits longer than need be
MAX_FIRST_SEGMENTS = 2
FULL_SEGMENTS = 3  # of the list that are no such first ones: players need three target durations (section 6.2.2)
MAX_STEP_S = 10.0  # between frames of one track; more is a jump of the timeline
MAX_STEP_BACK_S = 1.0
MAX_SEGMENT_BYTES = 128 * 1024 * 1024  # a segment without end is cut there, and the next one begins with a keyframe
MAX_KEPT_BYTES = 512 * 1024 * 1024  # of all segments; those that are no longer listed go first
PART_SLACK = 1.05  # how much longer than the parts measured their target duration is

_ROUNDING_S = 0.49  # a segment may be so much longer than its target (section 4.3.3.1)
_LEAST_MEASURED_S = 0.5  # shorter segments say nothing of the bit rate
_SNAP_HZ = 0.02  # so near to a whole number, a measured frame rate is one


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmenterOptions:
    fragment_s: float = 5.0
    playlist: int = 5  # segments listed at most
    part_s: float | None = 0.25  # how long parts are at most; None: no low latency


@dataclass(slots=True, eq=False)
class File:
    """What can be asked for by its name."""

    name: str
    media_type: str
    data: bytes | memoryview


@dataclass(slots=True, eq=False)
class Segment:
    """One that is whole. Its bytes are those of its parts, one after the other."""

    sequence: int
    file: File
    entry: SegmentEntry
    parts: tuple[File, ...]


@dataclass(slots=True)
class Cut:
    """What has come to its end: at least a part."""

    segment: Segment | None = None
    removed: tuple[str, ...] = ()  # names of segments that are gone
    overflowed: bool = False


@dataclass(slots=True)
class _Open:
    """The segment under way."""

    sequence: int
    start_s: float
    unix_s: float | None
    discontinuity: bool
    map_uri: str | None
    part_start_s: float
    independent: bool = True  # of the part under way: decoding can begin in it
    frames: int = 0  # of the leading track
    size_bytes: int = 0
    parts: list[File] = field(default_factory=list)
    entries: list[PartEntry] = field(default_factory=list)


class Segmenter:
    """One row of segments, over any number of streams that follow each other in the same packaging."""

    def __init__(self, options: SegmenterOptions) -> None:
        self._options = options
        self._packaging: Packaging | None = None
        self._rate_hz = 1
        self._leads_with_video = False
        self._version: object = None  # of the parameters the segment under way began with
        self._map_uri: str | None = None
        self._maps = 0
        self._unix_at_zero_s: float | None = None
        self._open: _Open | None = None
        self._next_sequence = 0
        self._discontinuity = False  # before the next segment
        self._discontinuity_sequence = 0
        self._listed: deque[Segment] = deque()
        self._kept: deque[Segment] = deque()  # no longer listed, but some player may still want them
        self._last_s = 0.0
        self._step_s = 0.0  # between the latest two frames
        self._keyframe_s: float | None = None
        self._group_s = 0.0  # from keyframe to keyframe
        self._part_target_s: float | None = None  # once it is known, it stays
        self._target_duration_s = rounded_duration_s(options.fragment_s)
        self._first_segments = max(1, min(options.playlist - FULL_SEGMENTS, MAX_FIRST_SEGMENTS))
        self._peak_bps = self._bits = self._seconds = 0.0
        self._frame_rate: float | None = None
        self.files: dict[str, File] = {}
        self.ended = False

    # Streams

    @staticmethod
    def can_carry(tracks: Sequence[Track]) -> bool:
        return packaging_for(tracks).leading is not None

    def accepts(self, tracks: Sequence[Track]) -> bool:
        """Whether a stream of these tracks can go on where another one has ended: there is no way back to segments
        without EXT-X-MAP."""
        packaging = packaging_for(tracks)
        before = self._packaging
        return packaging.leading is not None and (before is None or before.suffix == packaging.suffix)

    def begin(self, tracks: Sequence[Track]) -> Sequence[Track]:
        """Go on with a stream that is accepted; return the tracks that are left out."""
        self._packaging = packaging = packaging_for(tracks)
        assert packaging.leading is not None
        self._rate_hz = tracks[packaging.leading].clock_rate_hz
        self._leads_with_video = tracks[packaging.leading].kind is MediaKind.VIDEO
        self._discontinuity = self._next_sequence > 0
        self._version = self._unix_at_zero_s = self._keyframe_s = None
        self._step_s = self._group_s = 0.0
        return packaging.left_out

    def set_clock(self, unix_at_zero_s: float) -> None:
        self._unix_at_zero_s = unix_at_zero_s

    def push(self, frame: Frame) -> Cut | None:
        """Take a frame, in decoding order. Returns what has come to its end before it, if anything has."""
        packaging = self._packaging
        if packaging is None or not packaging.pack(frame):
            return None
        cut = self._advance(frame, packaging) if frame.track_index == packaging.leading else None
        if self._open is not None:
            packaging.add()
            self._open.size_bytes += frame.size_bytes
        return cut

    def end_stream(self) -> Cut | None:
        """What is under way is whole. Another stream may follow."""
        if self._open is None or self._packaging is None:
            return None
        return self._close_segment(self._open, self._packaging, self._last_s + self._step_s)

    # Cutting

    def _advance(self, frame: Frame, packaging: Packaging) -> Cut | None:
        """Cut before a frame of the leading track, if it is time to."""
        now_s = frame.dts_ticks / self._rate_hz
        can_begin = frame.keyframe or not self._leads_with_video
        opened, cut = self._open, None
        if opened is not None:
            step_s = now_s - self._last_s
            jumps = step_s > MAX_STEP_S or step_s < -MAX_STEP_BACK_S
            overflows = opened.size_bytes > MAX_SEGMENT_BYTES
            if jumps or overflows:
                cut = self._close_segment(opened, packaging, self._last_s + self._step_s)
                cut.overflowed = overflows
                self._discontinuity, self._keyframe_s = True, None
            else:
                now_s = max(now_s, self._last_s)
                self._step_s = step_s if step_s > 0 else self._step_s
                cut = self._cut(opened, packaging, now_s, can_begin)
        self._last_s = now_s
        if can_begin:
            self._group_s = 0.0 if self._keyframe_s is None else now_s - self._keyframe_s
            self._keyframe_s = now_s
            if self._open is None:
                self._open = self._begin_segment(frame, packaging, now_s)
            self._open.independent = True
        if self._open is not None:
            self._open.frames += 1
        return cut

    def _cut(self, opened: _Open, packaging: Packaging, now_s: float, can_begin: bool) -> Cut | None:
        if can_begin and (packaging.version is not self._version or self._segment_is_due(opened, now_s)):
            return self._close_segment(opened, packaging, now_s)
        if self._options.part_s is not None:
            target_s = self._part_target_s or self._options.part_s
            if now_s > opened.part_start_s and now_s + self._step_s - opened.part_start_s > target_s:
                self._close_part(opened, packaging, now_s)
                return Cut()
        return None

    def _segment_is_due(self, opened: _Open, now_s: float) -> bool:
        """Whether it is long enough, or would be too long at the next keyframe."""
        duration_s = now_s - opened.start_s
        if opened.sequence < self._first_segments and duration_s >= min(FIRST_SEGMENTS_S, self._options.fragment_s):
            return True
        group_s = 0.0 if self._keyframe_s is None else now_s - self._keyframe_s
        return duration_s + group_s > self._options.fragment_s + _ROUNDING_S

    def _begin_segment(self, frame: Frame, packaging: Packaging, now_s: float) -> _Open:
        if packaging.version is not self._version:
            self._discontinuity = self._discontinuity or self._version is not None
            self._version = packaging.version
            self._map_uri = None
            init = packaging.init_segment
            if init is not None:
                self._map_uri = f"init{self._maps}.mp4"
                self._maps += 1
                self.files[self._map_uri] = File(self._map_uri, packaging.media_type, init)
        zero = self._unix_at_zero_s
        opened = _Open(
            sequence=self._next_sequence,
            start_s=now_s,
            unix_s=None if zero is None else zero + frame.pts_ticks / self._rate_hz,
            discontinuity=self._discontinuity,
            map_uri=self._map_uri,
            part_start_s=now_s,
        )
        self._next_sequence += 1
        self._discontinuity = False
        return opened

    def _close_part(self, opened: _Open, packaging: Packaging, now_s: float) -> None:
        name = f"{opened.sequence}.{len(opened.parts)}.{packaging.suffix}"
        part = File(name, packaging.media_type, packaging.cut())
        opened.parts.append(part)
        opened.entries.append(PartEntry(name, now_s - opened.part_start_s, opened.independent))
        if self._options.part_s is not None:
            self.files[name] = part
        opened.part_start_s = now_s
        opened.independent = False

    def _close_segment(self, opened: _Open, packaging: Packaging, now_s: float) -> Cut:
        self._close_part(opened, packaging, now_s)
        self._open = None
        low_latency = self._options.part_s is not None
        data = b"".join([part.data for part in opened.parts])
        view, start = memoryview(data), 0
        for part in opened.parts:  # which need no bytes of their own any more
            end = start + len(part.data)
            part.data = view[start:end]
            start = end
        duration_s = now_s - opened.start_s
        name = f"{opened.sequence}.{packaging.suffix}"
        entry = SegmentEntry(
            uri=name,
            duration_s=duration_s,
            unix_s=opened.unix_s,
            discontinuity=opened.discontinuity,
            map_uri=opened.map_uri,
            parts=tuple(opened.entries) if low_latency else (),
        )
        parts = tuple(opened.parts) if low_latency else ()
        segment = Segment(opened.sequence, File(name, packaging.media_type, data), entry, parts)
        self.files[name] = segment.file
        self._listed.append(segment)
        self._measure(segment, opened)
        return Cut(segment=segment, removed=self._tidy())

    def _measure(self, segment: Segment, opened: _Open) -> None:
        duration_s, bits = segment.entry.duration_s, 8 * len(segment.file.data)
        self._target_duration_s = max(self._target_duration_s, rounded_duration_s(duration_s))
        if self._part_target_s is None and self._options.part_s is not None:
            longest_s = max(part.duration_s for part in opened.entries)
            self._part_target_s = ceil(longest_s * PART_SLACK * 1000) / 1000
        self._bits += bits
        self._seconds += duration_s
        if duration_s >= _LEAST_MEASURED_S:
            self._peak_bps = max(self._peak_bps, bits / duration_s)
            if self._leads_with_video:
                rate = opened.frames / duration_s
                self._frame_rate = float(round(rate)) if abs(rate - round(rate)) < _SNAP_HZ else rate

    def _tidy(self) -> tuple[str, ...]:
        """Take off the list what is too many, and forget what nobody can want any more (section 6.2.2)."""
        while len(self._listed) > self._options.playlist:
            oldest = self._listed.popleft()
            self._discontinuity_sequence += oldest.entry.discontinuity
            self._kept.append(oldest)
        size = sum(len(segment.file.data) for segment in (*self._kept, *self._listed))
        removed = []
        while self._kept and (len(self._kept) > self._options.playlist + 1 or size > MAX_KEPT_BYTES):
            gone = self._kept.popleft()
            size -= len(gone.file.data)
            for file in (gone.file, *gone.parts):
                del self.files[file.name]
            removed.append(gone.file.name)
            map_uri = gone.entry.map_uri
            following = self._kept[0] if self._kept else self._listed[0]
            if map_uri is not None and following.entry.map_uri != map_uri:
                del self.files[map_uri]
        return tuple(removed)

    # What players are told

    @property
    def ready(self) -> bool:
        """There is something to play."""
        return bool(self._listed)

    @property
    def target_duration_s(self) -> int:
        return self._target_duration_s

    @property
    def left_out(self) -> Sequence[Track]:
        return self._packaging.left_out if self._packaging is not None else ()

    def has(self, sequence: int, part: int | None) -> bool:
        """Whether the list has come as far as a segment, or a part of it (section 6.2.5.2).

        A part behind the last one of its segment stands for the first one of the next segment.
        """
        made = self._listed[-1].sequence + 1 if self._listed else 0
        if part is None or sequence < made - 1:
            return sequence < made
        if sequence == made - 1:
            if part < len(self._listed[-1].parts):
                return True
            sequence, part = made, 0
        return sequence == made and self._open is not None and part < len(self._open.parts)

    def is_near(self, sequence: int) -> bool:
        """Whether a segment is no further than a player may ask ahead (section 6.2.5.2)."""
        return sequence <= (self._listed[-1].sequence if self._listed else -1) + 2

    @property
    def hint(self) -> str | None:
        """The name of the part that comes next."""
        if self.ended or self._options.part_s is None or self._packaging is None:
            return None
        opened = self._open
        sequence, part = (self._next_sequence, 0) if opened is None else (opened.sequence, len(opened.parts))
        return f"{sequence}.{part}.{self._packaging.suffix}"

    def playlist(self, *, skip: bool = False) -> bytes:
        """The media playlist as it is now."""
        opened, hint = self._open, self.hint
        open_segment = None
        if hint is not None:
            open_segment = OpenSegment(
                unix_s=None if opened is None else opened.unix_s,
                discontinuity=opened is not None and opened.discontinuity,
                map_uri=None if opened is None else opened.map_uri,
                parts=() if opened is None else opened.entries,
                hint=hint,
            )
        return MediaPlaylist(
            target_duration_s=self._target_duration_s,
            first_sequence=self._listed[0].sequence if self._listed else 0,
            discontinuity_sequence=self._discontinuity_sequence,
            segments=[segment.entry for segment in self._listed],
            part_target_s=self._part_target_s,
            open_segment=open_segment,
            ended=self.ended,
        ).serialize(skip=skip)

    def variant(self, uri: str) -> Variant:
        """What the multivariant playlist says, once `ready`."""
        assert self._packaging is not None
        average_bps = ceil(self._bits / self._seconds) if self._seconds else 0
        return Variant(
            uri=uri,
            peak_bps=max(ceil(self._peak_bps), average_bps),
            average_bps=average_bps,
            codecs=self._packaging.codecs,
            size=self._packaging.size,
            frame_rate=self._frame_rate,
        )
