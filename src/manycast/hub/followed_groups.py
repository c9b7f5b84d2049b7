"""Groups of files that one viewer has played and another comes to: kept in between, so that they are read once."""

from __future__ import annotations

import asyncio
from bisect import bisect_left, insort
from itertools import count
from typing import NamedTuple

DEFAULT_LIMIT_BYTES = 64 << 20  # of frames; their packets take as much again
MAX_WAIT_S = 60.0
SLACK_S = 1.0  # for a follower who is late


class _Kept(NamedTuple):
    needed_s: float  # when, by the event loop's clock
    number: int  # no two have the same: so groups are never compared
    size_bytes: int
    group: object


class FollowedGroups:
    """Keeps what is needed soonest, of all files together up to a number of bytes. Belongs to one event loop.

    So viewers who are near to each other share what is read, as many of them as the memory allows; of those far apart
    each reads for himself.
    """

    def __init__(self, limit_bytes: int = DEFAULT_LIMIT_BYTES) -> None:
        self.size_bytes = 0
        self._limit_bytes = limit_bytes
        self._numbers = count()
        self._row: list[_Kept] = []  # what is needed soonest first
        self._by_group: dict[object, _Kept] = {}
        self._timer: asyncio.TimerHandle | None = None

    def keep(self, group: object, size_bytes: int, wait_s: float) -> None:
        """Keep a group for a follower who needs it in so many seconds, unless the memory has better uses."""
        known = self._by_group.get(group)
        if known is not None:
            self._drop(known)
        if wait_s > MAX_WAIT_S:
            return
        loop = asyncio.get_running_loop()
        kept = self._by_group[group] = _Kept(loop.time() + wait_s, next(self._numbers), size_bytes, group)
        insort(self._row, kept)
        self.size_bytes += size_bytes
        while self.size_bytes > self._limit_bytes:
            self._drop(self._row[-1])
        if self._row and self._row[0] is kept:
            self._set_timer(loop)

    def _drop(self, kept: _Kept) -> None:
        del self._row[bisect_left(self._row, kept)]
        del self._by_group[kept.group]
        self.size_bytes -= kept.size_bytes

    def _set_timer(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = loop.call_at(self._row[0].needed_s + SLACK_S, self._drop_passed, loop)

    def _drop_passed(self, loop: asyncio.AbstractEventLoop) -> None:
        """Whoever needed them has them by now."""
        self._timer = None
        while self._row and self._row[0].needed_s + SLACK_S <= loop.time():
            self._drop(self._row[0])
        if self._row:
            self._set_timer(loop)
