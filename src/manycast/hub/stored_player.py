"""Plays stored media into a stream of its own, in real time, for protocols that know streams only."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from manycast.hub.limits import ViewerLimits
from manycast.hub.source import SourceError
from manycast.hub.stored import FrameGroup, StoredMedia
from manycast.hub.stream import Stream
from manycast.media.frame import Frame

ENDLESS = -1
STEP_S = 0.010  # frames due this soon go together
LEAD_S = 0.5  # what a player gets at once, so that it need not wait before its first picture

log = logging.getLogger(__name__)


class StoredPlayer:
    """One viewer's way through a file. Timestamps are the file's own, and go on through its loops."""

    def __init__(
        self, media: StoredMedia, loops: int, limits: ViewerLimits | None, on_end: Callable[[str], None]
    ) -> None:
        """`loops` is how often the file is played, ENDLESS for ever; `on_end` is called at its end."""
        self.media = media
        self.stream = self._make_stream(media, limits)
        self.stop_us: int | None = None  # where to end before the end, on the timeline of the timestamps
        self._limits = limits
        self._loops = loops
        self._on_end = on_end
        self._task: asyncio.Task[None] | None = None
        self._group: FrameGroup | None = None  # where a pause goes on
        self._next_frame = 0
        self._shift_us = 0
        self._loops_left = loops

    async def seek(self, position_us: int) -> int:
        """Go to the keyframe at or before a position, in a new stream, and wait there; return where that is.

        Raises SourceError.
        """
        group = await self.media.group_at(position_us)
        self.pause()
        self.stream = self._make_stream(self.media, self._limits)
        self._group, self._next_frame, self._shift_us, self._loops_left = group, 0, 0, self._loops
        return group.position_us

    def play(self) -> None:
        """Go on from where `seek` or `pause` has left off, else from the start."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name=f"plays {self.media.name}")

    def pause(self) -> None:
        if self._task is not None:
            self._task.cancel()
            self._task = None

    def close(self) -> None:
        self.pause()

    @staticmethod
    def _make_stream(media: StoredMedia, limits: ViewerLimits | None) -> Stream:
        return Stream(media.name, media.tracks, "file", limits)

    async def _run(self) -> None:
        try:
            reason = await self._play()
        except SourceError as error:
            reason = str(error)
        except Exception:
            log.exception("playing %s failed", self.media.name)
            reason = "our own mistake"
        self._task = None
        self._group = None
        self._on_end(reason)

    async def _play(self) -> str:
        """Return what has ended."""
        loop = asyncio.get_running_loop()
        group = self._group or await self.media.group_at(0)
        self._group = group
        first_us = self._due_us(group, self._next_frame)
        zero_s = loop.time() - first_us / 1e6 - LEAD_S
        while True:
            for position in range(self._next_frame, len(group.frames)):
                self._next_frame = position
                due_us = self._due_us(group, position)
                ahead_s = zero_s + due_us / 1e6 - loop.time()
                if ahead_s > STEP_S:
                    await asyncio.sleep(ahead_s)
                if self.stop_us is not None and due_us >= self.stop_us and position:
                    return "the end of what was asked for"
                self.stream.push(self._shifted(group.frames[position]))
            following = None if group.last else await self.media.group_after(group)
            if following is None:
                if self._loops_left != ENDLESS:
                    self._loops_left -= 1
                    if self._loops_left <= 0:
                        await asyncio.sleep(max(0.0, zero_s + (group.end_us + self._shift_us) / 1e6 - loop.time()))
                        return "the end of the file"
                following = await self.media.group_at(0)
                self._shift_us += group.end_us - following.position_us
            self._group = group = following
            self._next_frame = 0

    def _due_us(self, group: FrameGroup, position: int) -> int:
        if position >= len(group.frames):
            return group.end_us + self._shift_us
        frame = group.frames[position]
        return frame.dts_ticks * 1_000_000 // self.media.tracks[frame.track_index].clock_rate_hz + self._shift_us

    def _shifted(self, frame: Frame) -> Frame:
        """A copy for the stream, which changes what it is given."""
        shift = self._shift_us * self.media.tracks[frame.track_index].clock_rate_hz // 1_000_000
        return Frame(
            track_index=frame.track_index,
            dts_ticks=frame.dts_ticks + shift,
            pts_ticks=frame.pts_ticks + shift,
            keyframe=frame.keyframe,
            units=list(frame.units),
        )
