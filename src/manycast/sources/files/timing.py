"""Timestamps of stored frames: brought into the track's clock, and made up where the container has none."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import gcd
from typing import Protocol

from manycast.media.frame import Frame

PCM_BLOCKS_PER_SECOND = 50  # 20 ms, what RTP carries in a packet (RFC 3551 section 4.2)
MAX_B_PICTURES = 32  # between two anchors; far beyond what encoders make
MAX_BACKWARD_S = 1.0  # a step back by less is a wrong timestamp, one by more another recording


@dataclass(slots=True, kw_only=True)
class Sample:
    """A frame as the container has it; its times are in the container's units, and may be missing."""

    track_index: int
    dts: int | None
    pts: int | None
    duration: int
    keyframe: bool
    units: list[bytes]


class TimeScale:
    """How a container's times become ticks: (time * time_base - zero) * clock_rate, to the nearest tick."""

    __slots__ = (
        "_denominator",
        "_factor",
        "_shift",
        "_unit_denominator",
        "_unit_numerator",
        "clock_rate_hz",
        "unit_ticks",
    )

    def __init__(self, time_base: Fraction, zero_s: Fraction, clock_rate_hz: int) -> None:
        """`zero_s` is the container's time that is 0 for all tracks of the file."""
        self.clock_rate_hz = clock_rate_hz
        factor, zero = time_base * clock_rate_hz, zero_s * clock_rate_hz
        self.unit_ticks = factor  # one unit of the container's time: the grain of its rounding
        self._unit_numerator, self._unit_denominator = factor.numerator, factor.denominator
        self._denominator = factor.denominator * zero.denominator
        self._factor = factor.numerator * zero.denominator
        self._shift = self._denominator // 2 - zero.numerator * factor.denominator

    def ticks(self, time: int) -> int:
        return (time * self._factor + self._shift) // self._denominator

    def length_ticks(self, duration: int) -> int:
        return _nearest(duration * self._unit_numerator, self._unit_denominator)


class TrackTimes(Protocol):
    """Turns the samples of one track into frames with times. Remembers what is needed for that only.

    The dts of its frames grow strictly, and no pts is before its dts. Apart from what that demands in broken
    files, a frame's times do not depend on where reading has started.
    """

    @property
    def end_ticks(self) -> int:
        """Where the last frame given out stops being shown, or an earlier one that does so later."""

    def push(self, sample: Sample) -> list[Frame]:
        """Return the frames whose times are now certain, in decoding order."""

    def flush(self) -> list[Frame]:
        """Return what is still held back: the track has ended."""

    def reset(self) -> None:
        """Forget everything: reading goes on elsewhere."""


class _Order:
    """Makes frames, and sees to it that time never stands still or goes back within a track.

    Where it goes back far, recordings were put together without regard to their clocks: what follows is moved
    to where the part before has ended.
    """

    def __init__(self, clock_rate_hz: int) -> None:
        self._far_ticks = int(MAX_BACKWARD_S * clock_rate_hz)
        self.reset()

    def reset(self) -> None:
        self.end_ticks = 0
        self._last_dts: int | None = None
        self._shift_ticks = 0

    def frame(self, sample: Sample, dts: int, pts: int, duration: int) -> Frame:
        dts, pts = dts + self._shift_ticks, pts + self._shift_ticks
        last = self._last_dts
        if last is not None and dts <= last:
            missing = last + max(duration, 1) - dts
            if missing > self._far_ticks:
                self._shift_ticks += missing
                dts, pts = dts + missing, pts + missing
            else:
                dts = last + 1
        self._last_dts = dts
        if pts < dts:
            pts = dts
        if pts + duration > self.end_ticks:
            self.end_ticks = pts + duration
        return Frame(
            track_index=sample.track_index,
            dts_ticks=dts,
            pts_ticks=pts,
            keyframe=sample.keyframe,
            units=sample.units,
        )


class FrameGrid:
    """Takes the container's rounding out of the times of audio frames of equal length.

    A time as near to a multiple of the frame's length as rounding may have brought it becomes that multiple.
    No memory is needed for that, so it comes out the same wherever reading has started.
    """

    def __init__(self, frame_ticks: Fraction, origin_ticks: int, unit_ticks: Fraction) -> None:
        """`origin_ticks` is the time of the first frame of the file, as rounded as all the others."""
        self.frame_ticks = round(frame_ticks)
        self._numerator, self._denominator = frame_ticks.numerator, frame_ticks.denominator
        self._origin_ticks = origin_ticks
        self._tolerance_ticks = _rounding_ticks(unit_ticks)

    def nearest(self, ticks: int) -> int:
        count = _nearest((ticks - self._origin_ticks) * self._denominator, self._numerator)
        steady = self._origin_ticks + _nearest(count * self._numerator, self._denominator)
        return steady if abs(steady - ticks) <= self._tolerance_ticks else ticks


class GivenTimes:
    """Times as the container gives them; one that is missing follows from the frame before."""

    def __init__(self, scale: TimeScale, grid: FrameGrid | None = None) -> None:
        self._scale = scale
        self._grid = grid
        self._order = _Order(scale.clock_rate_hz)
        self._next_dts = 0

    @property
    def end_ticks(self) -> int:
        return self._order.end_ticks

    def push(self, sample: Sample) -> list[Frame]:
        duration = self._scale.length_ticks(sample.duration)
        given = sample.dts if sample.dts is not None else sample.pts
        dts = self._next_dts if given is None else self._scale.ticks(given)
        pts = dts if sample.pts is None or sample.pts == given else self._scale.ticks(sample.pts)
        if self._grid is not None:
            dts, pts, duration = self._grid.nearest(dts), self._grid.nearest(pts), self._grid.frame_ticks
        self._next_dts = dts + max(duration, 1)
        return [self._order.frame(sample, dts, pts, duration)]

    def flush(self) -> list[Frame]:
        return []

    def reset(self) -> None:
        self._order.reset()


class AnchorTimes:
    """Times of MPEG-1, MPEG-2 and MPEG-4 video as the container gives them, with some of the pts missing.

    Program streams need not have any but those of a group's first picture. Of the others FFmpeg tells all dts, and the
    pts of B pictures, which is their dts; an anchor is shown when the next one is decoded. After a search those dts
    are made up, until a picture with a pts comes.
    """

    def __init__(self, scale: TimeScale) -> None:
        self._given = GivenTimes(scale)
        self._certain = True
        self._waiting: list[Sample] = []  # an anchor without pts, and B pictures

    @property
    def end_ticks(self) -> int:
        return self._given.end_ticks

    def push(self, sample: Sample) -> list[Frame]:
        is_anchor = sample.pts is None or sample.pts != sample.dts
        if not self._certain and (sample.pts is None or not (is_anchor or sample.keyframe)):
            return []
        self._certain = True
        frames: list[Frame] = []
        if self._waiting and (is_anchor or len(self._waiting) > MAX_B_PICTURES):
            frames = self._release(sample.dts)
        if self._waiting or (sample.pts is None and sample.dts is not None):
            self._waiting.append(sample)
            return frames
        return frames + self._given.push(sample)

    def flush(self) -> list[Frame]:
        return self._release(None)

    def reset(self) -> None:
        self._given.reset()
        self._waiting.clear()
        self._certain = False

    def _release(self, shown: int | None) -> list[Frame]:
        """What was held back, its anchor shown at a time, or behind all there is."""
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return []
        last = waiting[-1]
        assert last.dts is not None
        waiting[0].pts = last.dts + last.duration if shown is None else shown
        return [frame for sample in waiting for frame in self._given.push(sample)]


class SortedTimes:
    """Only the pts are known: the dts of a group's frames are its pts in rising order, earlier by a delay.

    Holds frames back until it is certain which pts comes next.
    """

    def __init__(self, scale: TimeScale, delay_ticks: int, depth: int) -> None:
        """`delay_ticks` and `depth`, a number of frames, make room for the reordering in the whole file."""
        self._scale = scale
        self._depth = depth
        self._delay_ticks = delay_ticks
        self._order = _Order(scale.clock_rate_hz)
        self._waiting: deque[tuple[Sample, int]] = deque()  # with their pts
        self._times: list[int] = []  # a heap of pts: theirs, and earlier ones that are not used up
        self._next_pts = 0

    @property
    def end_ticks(self) -> int:
        return self._order.end_ticks

    def push(self, sample: Sample) -> list[Frame]:
        frames = self.flush() if sample.keyframe else []
        given = sample.pts if sample.pts is not None else sample.dts
        pts = self._next_pts if given is None else self._scale.ticks(given)
        self._next_pts = pts + self._scale.length_ticks(sample.duration)
        self._waiting.append((sample, pts))
        heapq.heappush(self._times, pts)
        if len(self._waiting) > self._depth:
            frames.append(self._take())
        return frames

    def flush(self) -> list[Frame]:
        return [self._take() for _ in range(len(self._waiting))]

    def reset(self) -> None:
        self._order.reset()
        self._waiting.clear()
        self._times.clear()

    def _take(self) -> Frame:
        sample, pts = self._waiting.popleft()
        dts = min(heapq.heappop(self._times) - self._delay_ticks, pts)
        return self._order.frame(sample, dts, pts, self._scale.length_ticks(sample.duration))


class PcmTimes:
    """Samples (G.711, G.722, G.726, L16), cut anew: containers pack any number together, and seek to the middle of a
    pack."""

    def __init__(self, scale: TimeScale, bits_per_tick: int) -> None:
        self._scale = scale
        self._bits_per_tick = bits_per_tick
        self._whole_ticks = 8 // gcd(bits_per_tick, 8)  # that make whole bytes
        block_ticks = scale.clock_rate_hz // PCM_BLOCKS_PER_SECOND
        self._block_ticks = max(block_ticks // self._whole_ticks, 1) * self._whole_ticks
        self._tolerance_ticks = _rounding_ticks(scale.unit_ticks)
        self._order = _Order(scale.clock_rate_hz)
        self._held = bytearray()
        self._held_ticks = 0  # the time of the first byte held
        self._last: Sample | None = None

    @property
    def end_ticks(self) -> int:
        return self._order.end_ticks

    def push(self, sample: Sample) -> list[Frame]:
        given = sample.pts if sample.pts is not None else sample.dts
        expected = self._held_ticks + len(self._held) * 8 // self._bits_per_tick
        pts = expected if given is None else self._scale.ticks(given)
        frames: list[Frame] = []
        if self._last is None or abs(pts - expected) > self._tolerance_ticks:
            frames = self.flush()
            self._held_ticks = pts
        self._last = sample
        self._held += b"".join(sample.units)
        return frames + self._whole_blocks()

    def flush(self) -> list[Frame]:
        ticks = len(self._held) * 8 // self._bits_per_tick
        ticks -= ticks % self._whole_ticks
        frames = [self._cut(ticks)] if ticks else []
        self._held.clear()  # half a sample: the file was cut there
        return frames

    def reset(self) -> None:
        self._order.reset()
        self._held.clear()
        self._last = None

    def _whole_blocks(self) -> list[Frame]:
        frames: list[Frame] = []
        while True:
            ticks = self._block_ticks - self._held_ticks % self._block_ticks
            ticks += -ticks % self._whole_ticks
            if len(self._held) * 8 < ticks * self._bits_per_tick:
                return frames
            frames.append(self._cut(ticks))

    def _cut(self, ticks: int) -> Frame:
        assert self._last is not None
        size = ticks * self._bits_per_tick // 8
        block = replace(self._last, units=[bytes(self._held[:size])])
        frame = self._order.frame(block, self._held_ticks, self._held_ticks, ticks)
        del self._held[:size]
        self._held_ticks += ticks
        return frame


def _nearest(numerator: int, denominator: int) -> int:
    """The integer nearest to a fraction; fractions themselves would take as long as all else that a frame needs."""
    return (2 * numerator + denominator) // (2 * denominator)


def _rounding_ticks(unit_ticks: Fraction) -> int:
    """How far apart two times can be that were the same before each was rounded to a unit."""
    return int(1.5 * unit_ticks) + 1


def reorder_delay(samples: Iterable[Sample]) -> int:
    """How far the frames' pts in rising order are ahead of the frames, at most, in the container's units.

    Taking that away from the rising pts gives dts that are nowhere after their pts.
    """
    delay = 0
    group: list[int] = []
    for sample in samples:
        if sample.keyframe:
            delay = max(delay, _group_delay(group))
            group = []
        if sample.pts is not None:
            group.append(sample.pts)
    return max(delay, _group_delay(group))


def _group_delay(times: Sequence[int]) -> int:
    return max((rising - time for rising, time in zip(sorted(times), times, strict=True)), default=0)
