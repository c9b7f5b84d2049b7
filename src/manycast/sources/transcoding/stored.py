"""A file as an output asks for it: transcoded where somebody plays it, once for all who play it there."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import Executor
from typing import TYPE_CHECKING

from manycast.hub.source import SourceError
from manycast.hub.stored import FrameGroup, StoredMedia
from manycast.media.track import Track

if TYPE_CHECKING:
    from manycast.sources.transcoding.group_run import GroupRun
    from manycast.sources.transcoding.transcoder import Wanted

MAX_RUNS = 4  # places in one file that are played at the same time with their encoders kept
KEPT_BYTES = 32 * 1024 * 1024  # of finished groups, for viewers behind the first
IDLE_S = 10.0  # encoders that nobody needed for so long go


class TranscodedMedia:
    """The groups are those of the file, made when they are asked for. Belongs to an event loop."""

    costly = True

    def __init__(self, media: StoredMedia, wanted: Sequence[Wanted], executor: Executor) -> None:
        """Made by `open_transcoded`."""
        self._media = media
        self._wanted = tuple(wanted)
        self._executor = executor
        self._tracks = media.tracks
        self._made: OrderedDict[int, FrameGroup] = OrderedDict()
        self._made_bytes = 0
        self._making: dict[int, asyncio.Task[FrameGroup]] = {}
        self._runs: OrderedDict[int, GroupRun] = OrderedDict()  # by the position they go on at
        self._idle_timer: asyncio.TimerHandle | None = None

    @property
    def name(self) -> str:
        return self._media.name

    @property
    def tracks(self) -> tuple[Track, ...]:
        return self._tracks

    @property
    def duration_us(self) -> int | None:
        return self._media.duration_us

    async def group_at(self, position_us: int) -> FrameGroup:
        return await self._group(await self._media.group_at(position_us))

    def held(self, position_us: int) -> FrameGroup | None:
        return self._made.get(position_us)

    async def group_after(self, group: FrameGroup) -> FrameGroup | None:
        made = None if group.last else self._made.get(group.end_us)
        if made is not None:
            self._made.move_to_end(group.end_us)
            return made
        source = await self._media.group_after(group)
        return None if source is None else await self._group(source)

    async def begin(self) -> None:
        """Make the first group, from which the tracks are known. Raises SourceError."""
        await self.group_at(0)

    async def _group(self, source: FrameGroup) -> FrameGroup:
        position_us = source.position_us
        made = self._made.get(position_us)
        if made is not None:
            return made
        task = self._making.get(position_us)
        if task is None:
            task = self._making[position_us] = asyncio.create_task(self._make(source))
            task.add_done_callback(lambda _task: self._making.pop(position_us, None))
        await asyncio.wait([task])  # which, unlike awaiting the task, does not cancel it with its viewer
        return task.result()

    async def _make(self, source: FrameGroup) -> FrameGroup:
        following = await self._media.group_after(source)
        waiting = self._runs.pop(source.position_us, None)
        loop = asyncio.get_running_loop()
        run, group = await loop.run_in_executor(self._executor, self._transcode, waiting, source, following)
        if not self._made:
            self._tracks = run.tracks
        self._keep(group)
        if not source.last:
            self._runs[source.end_us] = run
            if len(self._runs) > MAX_RUNS:
                self._runs.popitem(last=False)
        if self._idle_timer is not None:
            self._idle_timer.cancel()
        self._idle_timer = loop.call_later(IDLE_S, self._runs.clear)
        return group

    def _transcode(
        self, run: GroupRun | None, source: FrameGroup, following: FrameGroup | None
    ) -> tuple[GroupRun, FrameGroup]:
        """In a thread. Raises SourceError."""
        from av.error import FFmpegError

        from manycast.sources.transcoding.group_run import GroupRun

        try:
            if run is None:
                run = GroupRun(self._media.tracks, self._wanted, self.name)
            return run, run.transcode(source, following)
        except FFmpegError as error:
            raise SourceError(f"{self.name} cannot be transcoded: {error}") from error

    def _keep(self, group: FrameGroup) -> None:
        self._made[group.position_us] = group
        self._made_bytes += group.size_bytes
        while self._made_bytes > KEPT_BYTES and len(self._made) > 1:
            _, gone = self._made.popitem(last=False)
            self._made_bytes -= gone.size_bytes


async def open_transcoded(media: StoredMedia, wanted: Sequence[Wanted], executor: Executor) -> TranscodedMedia:
    """Raises SourceError."""
    transcoded = TranscodedMedia(media, wanted, executor)
    await transcoded.begin()
    return transcoded
