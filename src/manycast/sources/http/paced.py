"""Frames that come in heaps, handed on in real time, as a player's buffer would."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from heapq import heappop, heappush

from manycast.hub.source import FrameSink
from manycast.media.frame import Frame
from manycast.media.track import Track

LATE_S = 0.1  # less is no reason to put everything off
TICK_S = 0.01
CATCH_UP = 0.03  # so much faster than time passes, while too much is held


class PacedSink:
    """The sink of a source that loads ahead. Frames leave in the order of their times, whatever track they are of."""

    def __init__(self, publish: Callable[[Sequence[Track]], FrameSink], *, held_s: float) -> None:
        """What is held beyond `held_s` leaves a little faster than it should: the source's clock is ahead of ours."""
        self._publish = publish
        self._held_s = held_s
        self._sink: FrameSink | None = None
        self._clock_rates: list[int] = []
        self._heap: list[tuple[float, int, Frame]] = []  # by time, then as they came
        self._number = 0
        self._latest_s = 0.0  # of the frames' times
        self._base_s: float | None = None  # monotonic, when the frames' time was 0
        self._changed = asyncio.Event()

    def open(self, tracks: Sequence[Track]) -> FrameSink:
        self._clock_rates = [track.clock_rate_hz for track in tracks]
        self._sink = self._publish(tracks)
        return self

    def push(self, frame: Frame) -> None:
        time_s = frame.dts_ticks / self._clock_rates[frame.track_index]
        now_s = time.monotonic()
        if self._base_s is None or (not self._heap and self._base_s + time_s < now_s - LATE_S):
            self._base_s = now_s - time_s
            self._latest_s = time_s
        self._latest_s = max(self._latest_s, time_s)
        heappush(self._heap, (time_s, self._number, frame))
        self._number += 1
        self._changed.set()

    @property
    def ahead_s(self) -> float:
        """How long what is held will last."""
        return 0.0 if self._base_s is None or not self._heap else self._base_s + self._latest_s - time.monotonic()

    async def room(self, limit_s: float) -> None:
        """Wait until no more than that is held."""
        await asyncio.sleep(max(0.0, self.ahead_s - limit_s))

    async def run(self) -> None:
        """Hand frames on, until cancelled. Raises what the sink does."""
        last_s = time.monotonic()
        while True:
            if not self._heap:
                self._changed.clear()
                await self._changed.wait()
            assert self._base_s is not None
            assert self._sink is not None
            now_s = time.monotonic()
            if self.ahead_s > self._held_s:
                self._base_s -= CATCH_UP * (now_s - last_s)
            last_s = now_s
            while self._heap and self._base_s + self._heap[0][0] <= now_s:
                self._sink.push(heappop(self._heap)[2])
            if self._heap:
                await asyncio.sleep(max(TICK_S, self._base_s + self._heap[0][0] - now_s))
