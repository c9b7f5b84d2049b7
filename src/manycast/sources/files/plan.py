"""How to read a file: what was found out when it was opened, and holds for every later reading of it."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from manycast.media.track import MediaKind, Track
from manycast.sources.files.demuxer import Demuxer
from manycast.sources.files.paths import FileStamp
from manycast.sources.files.timing import (
    AnchorTimes,
    FrameGrid,
    GivenTimes,
    PcmTimes,
    SortedTimes,
    TimeScale,
    TrackTimes,
)
from manycast.sources.files.tracks import ANCHORED_CODECS, Carried

MADE_UP_S = 2  # writers of Ogg end a page after a second at most


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """One stream of a file on its way to becoming a track."""

    stream_index: int
    carried: Carried
    time_base: Fraction
    zero_s: Fraction = Fraction(0)  # the container's time that is 0
    ordered: bool = False  # whether the pts follow from the pictures' order
    untimed: bool = False  # whether the container's times are better not used
    delay: int | None = None  # for SortedTimes, in units of the time base
    depth: int = 0  # likewise, in frames
    origin: int | None = None  # for FrameGrid: the time of the first frame

    def make_times(self) -> TrackTimes:
        """The timing for one reading of the file."""
        carried = self.carried
        scale = TimeScale(self.time_base, self.zero_s, carried.track.clock_rate_hz)
        if carried.bits_per_tick is not None:
            return PcmTimes(scale, carried.bits_per_tick)
        if carried.frame_ticks is not None and self.origin is not None and scale.unit_ticks != 1:
            return GivenTimes(scale, FrameGrid(carried.frame_ticks, scale.ticks(self.origin), scale.unit_ticks))
        if self.delay is not None:
            return SortedTimes(scale, scale.length_ticks(self.delay), self.depth)
        return AnchorTimes(scale) if carried.track.codec in ANCHORED_CODECS else GivenTimes(scale)


@dataclass(frozen=True, slots=True, kw_only=True)
class FilePlan:
    """How to read a file."""

    path: Path
    stamp: FileStamp
    lanes: tuple[Lane, ...]  # video first
    zero_s: Fraction
    indexed: bool  # whether the container can be searched
    made_up_times: bool  # whether the first times after a search may be wrong
    duration_us: int | None

    @property
    def preroll_s(self) -> int:
        """How far before a wanted place a search has to go."""
        if self.made_up_times:
            return MADE_UP_S
        # Without video the first second that is read is not whole.
        return 0 if self.tracks[0].kind is MediaKind.VIDEO else 1

    @property
    def tracks(self) -> tuple[Track, ...]:
        return tuple(lane.carried.track for lane in self.lanes)

    def open_again(self) -> Demuxer:
        """Open the file for one more reading, from its start. Raises SourceError."""
        demuxer = Demuxer(self.path, self.stamp)
        demuxer.select([lane.stream_index for lane in self.lanes])
        return demuxer
