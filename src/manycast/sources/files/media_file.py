"""A media file as the hub sees it: groups of frames at positions, shared by all viewers."""

from __future__ import annotations

import asyncio
import logging
from bisect import bisect_right, insort
from concurrent.futures import Executor
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from manycast.hub.source import SourceError
from manycast.hub.stored import FrameGroup
from manycast.media.track import Track
from manycast.sources.files.cache import GroupCache
from manycast.sources.files.groups import NEAR_US, FileGroup
from manycast.sources.files.paths import FileStamp

if TYPE_CHECKING:  # they bring PyAV with them
    from manycast.sources.files.reading import AnyCursor, AnyPlan, OpenedFile

log = logging.getLogger(__name__)

MAX_CURSORS = 4  # open demuxers of one file; each holds a file descriptor and the container's index
IDLE_S = 10.0  # a demuxer that was not used for this long is closed

_numbers = count()


@dataclass(frozen=True, slots=True)
class _Extent:
    """What is remembered of a group that was read, whether it is still in memory or not."""

    end_us: int
    seekable: bool
    last: bool


@dataclass(slots=True)
class _IdleCursor:
    cursor: AnyCursor
    since_s: float


class MediaFile:
    """One state of one file. Its methods belong to the event loop; the reading is done by threads.

    A group that two viewers want at the same time is read once. Viewers at different places read with demuxers
    of their own, up to a number; a demuxer that stands in the right place reads on without a search.
    """

    costly = False

    def __init__(self, name: str, opened: OpenedFile, cache: GroupCache, executor: Executor) -> None:
        """Made by `open_media_file`."""
        self.stamp = opened.plan.stamp
        self._name = name
        self._plan = opened.plan
        self._duration_us = opened.plan.duration_us
        self._first_end_us = opened.first.end_us
        self._cache = cache
        self._executor = executor
        self._number = next(_numbers)
        self._slots = asyncio.Semaphore(MAX_CURSORS)
        self._idle: list[_IdleCursor] = []
        self._reads: dict[tuple[int, bool], asyncio.Task[FileGroup]] = {}
        self._at_work = 0  # cursors that are in a thread's hands
        self._starts: list[int] = []  # of the known groups, in order
        self._known: dict[int, _Extent] = {}
        self._reported = False
        self._closed = False
        self._put_back(opened.cursor, [opened.first])

    @property
    def name(self) -> str:
        return self._name

    @property
    def tracks(self) -> tuple[Track, ...]:
        return self._plan.tracks

    @property
    def duration_us(self) -> int | None:
        return self._duration_us

    @property
    def demuxers(self) -> int:
        """How many are open, at work or kept for reading on."""
        return self._at_work + len(self._idle)

    async def group_at(self, position_us: int) -> FrameGroup:
        """The last seekable group that starts at or before a position. Raises SourceError."""
        position_us = max(position_us, 0)
        start_us = self._known_start(position_us)
        if start_us is not None:
            return await self._group(start_us)
        return await self._read(position_us, exact=False)

    def held(self, position_us: int) -> FrameGroup | None:
        """The group that starts at a position, where it is in memory."""
        return self._cache.get((self._number, position_us))

    async def group_after(self, group: FrameGroup) -> FrameGroup | None:
        """The group that follows, None after the last. Raises SourceError when it cannot be read."""
        return None if group.last else await self._group(group.end_us)

    def tidy(self, now_s: float) -> None:
        """Close the demuxers that nobody has used for a while; `now_s` is the event loop's `time()`."""
        for idle in [idle for idle in self._idle if now_s - idle.since_s >= IDLE_S]:
            self._idle.remove(idle)
            self._executor.submit(idle.cursor.close)

    async def close(self) -> None:
        """Close everything; no more groups can be had."""
        self._closed = True
        await asyncio.gather(*self._reads.values(), return_exceptions=True)
        self.tidy(float("inf"))
        self._cache.forget_file(self._number)

    async def _group(self, start_us: int) -> FileGroup:
        """The group that starts at a position."""
        group = self._cache.get((self._number, start_us))
        return group or await self._read(start_us, exact=True)

    async def _read(self, position_us: int, *, exact: bool) -> FileGroup:
        """Read a group, or wait for it if it is being read. A viewer that gives up waiting stops nobody."""
        if self._closed:
            raise SourceError(f"{self._name}: closed")
        key = (position_us, exact)
        task = self._reads.get(key)
        if task is None:
            task = self._reads[key] = asyncio.create_task(self._read_now(position_us, exact=exact))
            task.add_done_callback(lambda task: self._read_done(key, task))
        await asyncio.wait([task])  # which, unlike awaiting the task, does not cancel it with its viewer
        return task.result()

    def _read_done(self, key: tuple[int, bool], task: asyncio.Task[FileGroup]) -> None:
        del self._reads[key]
        if not task.cancelled():
            task.exception()  # seen, even if nobody waits for it any more

    async def _read_now(self, position_us: int, *, exact: bool) -> FileGroup:
        loop = asyncio.get_running_loop()
        async with self._slots:
            self._at_work += 1
            try:
                cursor, groups = await loop.run_in_executor(
                    self._executor,
                    _read_in_thread,
                    self._plan,
                    self._take_cursor(position_us),
                    position_us,
                    self._first_end_us,
                    exact,
                )
            finally:
                self._at_work -= 1
        groups = self._put_back(cursor, groups)
        group = next((group for group in groups if not exact or group.position_us == position_us), None)
        if group is None:
            raise SourceError(f"{self._name}: nothing to be read at {position_us / 1e6:.3f} s; was it changed?")
        return group

    def _take_cursor(self, position_us: int) -> AnyCursor | None:
        """The idle cursor that gets to a position with the least work; None where a new one is better."""
        near_us = NEAR_US if self._plan.indexed else position_us
        best: _IdleCursor | None = None
        best_us = position_us - near_us
        for idle in self._idle:
            next_us = idle.cursor.next_position_us
            if next_us is not None and best_us <= next_us <= position_us:
                best, best_us = idle, next_us
        if best is None and self._at_work + len(self._idle) > MAX_CURSORS:
            best = self._idle[0]  # unused for longest
        if best is None:
            return None
        self._idle.remove(best)
        return best.cursor

    def _put_back(self, cursor: AnyCursor, groups: list[FileGroup]) -> list[FileGroup]:
        """Keep a cursor for later, and what it has read; returns the groups that hold from now on."""
        self._idle.append(_IdleCursor(cursor, asyncio.get_running_loop().time()))
        for group in groups:
            if group.position_us not in self._known:
                insort(self._starts, group.position_us)
            self._known[group.position_us] = _Extent(group.end_us, group.seekable, group.last)
            if group.last:
                self._note_end(group, cursor.damaged)
        return [self._cache.put((self._number, group.position_us), group) for group in groups]

    def _note_end(self, group: FileGroup, damaged: int) -> None:
        self._duration_us = group.end_us
        if damaged and not self._reported:
            log.warning("%s: %d damaged packets left out", self._name, damaged)
        self._reported = True

    def _known_start(self, position_us: int) -> int | None:
        """Where the last seekable group at or before a position starts, if that is known without reading."""
        index = bisect_right(self._starts, position_us) - 1
        if index < 0:
            return None
        extent = self._known[self._starts[index]]
        if position_us >= extent.end_us and not extent.last:
            return None
        while index > 0 and not extent.seekable:
            index -= 1
            before = self._known[self._starts[index]]
            if before.end_us != self._starts[index + 1]:
                return None
            extent = before
        return self._starts[index] if extent.seekable else None


async def open_media_file(
    name: str, path: Path, stamp: FileStamp, cache: GroupCache, executor: Executor, *, whole: bool = False
) -> MediaFile:
    """Open a file that was found as `stamp` says, and read its first group.

    `whole` asks for a transport stream as one track. Raises SourceError when it is no media file, or nothing in it
    can be carried.
    """
    loop = asyncio.get_running_loop()
    opened = await loop.run_in_executor(executor, _open_in_thread, path, stamp, whole)
    return MediaFile(name, opened, cache, executor)


def _open_in_thread(path: Path, stamp: FileStamp, whole: bool) -> OpenedFile:
    from manycast.sources.files.reading import open_and_begin

    return open_and_begin(path, stamp, whole=whole)


def _read_in_thread(
    plan: AnyPlan, cursor: AnyCursor | None, position_us: int, first_end_us: int, exact: bool
) -> tuple[AnyCursor, list[FileGroup]]:
    from manycast.sources.files.reading import read_groups

    return read_groups(plan, cursor, position_us, first_end_us, exact=exact)
