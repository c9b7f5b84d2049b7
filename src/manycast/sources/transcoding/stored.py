"""A file as an output asks for it: transcoded where somebody plays it, once for all who play it there."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from manycast.hub.source import SourceError
from manycast.hub.stored import FrameGroup, StoredMedia
from manycast.media.track import Track
from manycast.sources.encoding.engines import SOFTWARE, Engines
from manycast.sources.transcoding.plan import Wanted

if TYPE_CHECKING:
    from manycast.media.frame import Frame
    from manycast.sources.transcoding.group_run import GroupRun

PIECE_US = 400_000  # what a viewer waits for before his first picture
MAX_RUNS = 4  # places in one file that are played at the same time with their encoders kept
KEPT_BYTES = 32 * 1024 * 1024  # of finished pieces, for viewers behind the first
IDLE_S = 10.0  # encoders that nobody needed for so long go

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Place:
    """A run, and the file's group that it is in."""

    run: GroupRun
    source: FrameGroup


class TranscodedMedia:
    """The groups are those of the file, cut into pieces, and made when they are asked for, one ahead of that.

    A piece that begins a group of the file can be played from. Belongs to an event loop.
    """

    costly = True

    def __init__(
        self, media: StoredMedia, wanted: Sequence[Wanted], executor: Executor, engines: Engines = SOFTWARE
    ) -> None:
        """Made by `open_transcoded`."""
        self._media = media
        self._wanted = tuple(wanted)
        self._executor = executor
        self._engines = engines
        self._tracks = media.tracks
        self._made: OrderedDict[int, FrameGroup] = OrderedDict()
        self._made_bytes = 0
        self._making: dict[int, asyncio.Task[FrameGroup]] = {}
        self._places: OrderedDict[int, _Place] = OrderedDict()  # by the position they go on at
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
        source = await self._media.group_at(position_us)
        return await self._piece(source.position_us)

    def held(self, position_us: int) -> FrameGroup | None:
        return self._made.get(position_us)

    async def group_after(self, group: FrameGroup) -> FrameGroup | None:
        if group.last:
            return None
        piece = await self._piece(group.end_us)
        if not piece.last:
            self._make_soon(piece.end_us)
        return piece

    async def begin(self) -> None:
        """Make the first piece, from which the tracks are known. Raises SourceError."""
        await self.group_at(0)

    async def _piece(self, position_us: int) -> FrameGroup:
        made = self._made.get(position_us)
        if made is not None:
            self._made.move_to_end(position_us)
            return made
        task = self._make_soon(position_us)
        await asyncio.wait([task])  # which, unlike awaiting the task, does not cancel it with its viewer
        return task.result()

    def _make_soon(self, position_us: int) -> asyncio.Task[FrameGroup]:
        task = self._making.get(position_us)
        if task is None:
            task = self._making[position_us] = asyncio.create_task(self._make(position_us))
            task.add_done_callback(lambda done: self._was_made(position_us, done))
        return task

    def _was_made(self, position_us: int, task: asyncio.Task[FrameGroup]) -> None:
        self._making.pop(position_us, None)
        if not task.cancelled():
            task.exception()  # nobody may have waited for it

    async def _make(self, position_us: int) -> FrameGroup:
        place = self._places.pop(position_us, None) or await self._place_at(position_us)
        source = place.source
        whole = position_us + PIECE_US * 3 // 2 > source.end_us
        following = await self._media.group_after(source) if whole and not source.last else None
        end_us = source.end_us if whole else position_us + PIECE_US
        frames = await self._in_thread(lambda: _taken(place.run, None if whole else end_us, following))
        piece = FrameGroup(
            position_us=position_us,
            end_us=end_us,
            frames=tuple(frames),
            seekable=source.seekable and position_us == source.position_us,
            last=whole and following is None,
        )
        if not self._made:
            self._tracks = place.run.tracks
        self._keep(piece)
        if not piece.last:
            self._wait_at(end_us, _Place(place.run, following or source))
        return piece

    async def _place_at(self, position_us: int) -> _Place:
        """A new run, at the beginning of a piece. Raises SourceError."""
        groups = [await self._media.group_at(position_us)]
        while groups[-1].end_us <= position_us and not groups[-1].last:
            following = await self._media.group_after(groups[-1])
            if following is None:
                break
            groups.append(following)
        return _Place(await self._in_thread(lambda: self._new_run(groups, position_us)), groups[-1])

    def _new_run(self, groups: Sequence[FrameGroup], position_us: int) -> GroupRun:
        from manycast.sources.transcoding.group_run import GroupRun

        run = GroupRun(self._media.tracks, self._wanted, self.name, self._engines)
        if position_us <= groups[0].position_us:
            run.begin(groups[0])
        else:
            run.skip(groups, position_us)
        return run

    async def _in_thread(self, work: Callable[[], T]) -> T:
        """Raises SourceError."""

        def guarded() -> T:
            from av.error import FFmpegError

            try:
                return work()
            except FFmpegError as error:
                raise SourceError(f"{self.name} cannot be transcoded: {error}") from error

        return await asyncio.get_running_loop().run_in_executor(self._executor, guarded)

    def _wait_at(self, position_us: int, place: _Place) -> None:
        self._places[position_us] = place
        if len(self._places) > MAX_RUNS:
            self._places.popitem(last=False)
        if self._idle_timer is not None:
            self._idle_timer.cancel()
        self._idle_timer = asyncio.get_running_loop().call_later(IDLE_S, self._places.clear)

    def _keep(self, piece: FrameGroup) -> None:
        self._made[piece.position_us] = piece
        self._made_bytes += piece.size_bytes
        while self._made_bytes > KEPT_BYTES and len(self._made) > 1:
            _, gone = self._made.popitem(last=False)
            self._made_bytes -= gone.size_bytes


def _taken(run: GroupRun, end_us: int | None, following: FrameGroup | None) -> list[Frame]:
    """The frames up to a time, or, without one, the rest of the group under way; then the following one is begun."""
    if end_us is not None:
        return run.take_until(end_us)
    frames = run.take_rest(following)
    if following is not None:
        run.begin(following)
    return frames


async def open_transcoded(
    media: StoredMedia, wanted: Sequence[Wanted], executor: Executor, engines: Engines = SOFTWARE
) -> TranscodedMedia:
    """Raises SourceError."""
    transcoded = TranscodedMedia(media, wanted, executor, engines)
    await transcoded.begin()
    return transcoded
