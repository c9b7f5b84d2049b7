"""One viewer's way through stored media: his own position, pace, pauses and loops."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Generic, NamedTuple, Protocol, TypeVar

from manycast.hub.fanout import BacklogLimit, Viewer
from manycast.hub.rtp_packager import REPORT_INTERVAL_S, Layout, TrackStart
from manycast.hub.rtp_title import PackedGroup, RtpTitle
from manycast.hub.source import SourceError
from manycast.hub.stored import FrameGroup

ENDLESS = -1
AHEAD_S = 0.005  # frames due this soon go together: fewer wake-ups, and no jitter that is seen
MAX_LAG_S = 0.5  # after a longer standstill the clock is set anew, instead of sending all that was missed at once
MAX_BACKLOG_BYTES = 1024 * 1024  # a viewer of a file who is too slow is waited for: nobody else is held up
BACKLOG_RETRY_S = 0.05
SEEK_GAP_US = 1000  # between the timestamps before and after a seek

log = logging.getLogger(__name__)

ChunkT = TypeVar("ChunkT")
ChunkT_contra = TypeVar("ChunkT_contra", contravariant=True)


class _Next(NamedTuple):
    group: FrameGroup
    shift_us: int
    loops_left: int


class PacedViewer(Viewer[ChunkT_contra], Protocol[ChunkT_contra]):
    @property
    def backlog_bytes(self) -> int:
        """What waits to be sent to this viewer."""


class Playback(Generic[ChunkT]):
    """Sends one file to one viewer in real time."""

    def __init__(
        self,
        title: RtpTitle,
        viewer: PacedViewer[ChunkT],
        layout: Layout[ChunkT],
        *,
        loops: int,
        limit: BacklogLimit,
        on_end: Callable[[str], None],
    ) -> None:
        """`loops` is how often the file is played, ENDLESS for ever; `on_end` is called once, at its end.

        `limit` is the viewer's own, and is set so that nothing is ever dropped.
        """
        self._title = title
        self._viewer = viewer
        self._layout = layout
        self._loops_left = loops
        self._limit = limit
        limit.size_bytes = BacklogLimit.MAX_BYTES
        self._on_end = on_end
        self._loop = asyncio.get_running_loop()
        self._packed: PackedGroup | None = None
        self._next_frame = 0
        self._stop_us: int | None = None
        self._zero_s = 0.0  # loop time at which position 0 of the first loop was, or would have been, due
        self._timer: asyncio.TimerHandle | None = None
        self._turning: asyncio.Task[None] | None = None
        self._ahead: asyncio.Task[_Next | None] | None = None  # reads the group after the one being sent
        self._next_report_s = 0.0
        self._packet_counts = [0] * len(title.senders)
        self._octet_counts = [0] * len(title.senders)
        self.playing = False

    @property
    def position_us(self) -> int:
        """Where the next frame stands in the file."""
        packed = self._packed
        if packed is None:
            return 0
        if self._next_frame < len(packed.frames):
            return max(0, packed.frames[self._next_frame].due_us) if self._next_frame else packed.group.position_us
        return packed.group.end_us

    async def seek(self, position_us: int, *, loops: int | None = None) -> None:
        """Go to the keyframe at or before a position, and count loops anew where `loops` says so.

        For a viewer who has had packets, sequence numbers and timestamps go on where they were (RFC 2326
        appendix B): LIVE555 drops what goes back, ffmpeg what jumps far. Raises SourceError when the file cannot be
        read; then nothing has changed.
        """
        group = await self._title.media.group_at(position_us)
        sequences, shift_us = self._title.sequences_at(group), 0
        if self._packed is not None:
            sequences = tuple(start.sequence for start in self.starts())
            sent_us = self._title.latest_us(self._packed, self._next_frame)
            shift_us = sent_us + SEEK_GAP_US + self._title.lead_us(group) - group.position_us
        self.pause()
        self._viewer.clear()
        if loops is not None:
            self._loops_left = loops
        self._take_up(self._title.pack(group, sequences, shift_us))

    @property
    def ready(self) -> bool:
        return self._packed is not None

    def starts(self) -> list[TrackStart]:
        """The first packet of each track that play() will send."""
        assert self._packed is not None
        return [
            self._title.start_of(self._packed, self._next_frame, index, self.position_us)
            for index in range(len(self._title.senders))
        ]

    def play(self, stop_us: int | None = None) -> None:
        """Send from the position on, up to one in the same loop where `stop_us` says so."""
        assert self._packed is not None
        self._stop_us = stop_us
        self.playing = True
        self._set_clock()
        self._send_reports()
        self._read_ahead()
        self._step()

    def pause(self) -> None:
        self.playing = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for task in (self._turning, self._ahead):
            if task is not None:
                task.cancel()
        self._turning = self._ahead = None

    def goodbye(self) -> None:
        """Tell the viewer that nothing more comes."""
        for index, sender in enumerate(self._title.senders):
            self._control(self._layout.report(index, sender.goodbye()))

    def _set_clock(self) -> None:
        """Make the next frame due now."""
        assert self._packed is not None
        if self._next_frame < len(self._packed.frames):
            due_us = self._packed.frames[self._next_frame].due_us
        else:
            due_us = self._packed.group.end_us
        self._zero_s = self._loop.time() - (due_us + self._packed.shift_us) / 1e6

    def _due_s(self, due_us: int) -> float:
        assert self._packed is not None
        return self._zero_s + (due_us + self._packed.shift_us) / 1e6

    def _step(self) -> None:
        """Send all that is due, and come back for the next frame."""
        self._timer = None
        packed = self._packed
        assert packed is not None
        now_s = self._loop.time()
        if self._viewer.backlog_bytes > MAX_BACKLOG_BYTES:
            self._timer = self._loop.call_later(BACKLOG_RETRY_S, self._step)
            return
        if now_s >= self._next_report_s:
            self._send_reports()
        frames = packed.frames
        if self._next_frame < len(frames) and now_s - self._due_s(frames[self._next_frame].due_us) > MAX_LAG_S:
            self._set_clock()
        until_us = (now_s + AHEAD_S - self._zero_s) * 1e6 - packed.shift_us
        while self._next_frame < len(frames) and frames[self._next_frame].due_us <= until_us:
            if self._stop_us is not None and frames[self._next_frame].due_us >= self._stop_us:
                break
            self._send(self._next_frame)
        if self._stop_us is not None and self.position_us >= self._stop_us:
            self._finish("the end of the range")
        elif self._next_frame < len(frames):
            self._timer = self._loop.call_at(self._due_s(frames[self._next_frame].due_us), self._step)
        else:
            self._turning = self._loop.create_task(self._turn_over(packed), name="playback")

    def _send(self, position: int) -> None:
        assert self._packed is not None
        frame = self._packed.frames[position].frame
        self._next_frame = position + 1
        chunk = self._layout.frame(frame)
        if chunk is None or not frame.packets:
            return
        self._packet_counts[frame.track_index] += len(frame.packets)
        self._octet_counts[frame.track_index] += frame.size_bytes - 12 * len(frame.packets)
        self._viewer.offer(chunk, frame.joinable)

    async def _turn_over(self, packed: PackedGroup) -> None:
        """Go on with the next group, or the next loop, or end."""
        assert self._ahead is not None
        try:
            following = await self._ahead
        except SourceError as error:
            self._finish(str(error))
            return
        if following is None:
            await asyncio.sleep(self._due_s(packed.group.end_us) - self._loop.time())
            self._finish("the end of the file")
            return
        self._loops_left = following.loops_left
        self._take_up(self._title.pack(following.group, packed.next_sequences, following.shift_us))
        self._turning = None
        self._read_ahead()
        self._step()

    def _take_up(self, packed: PackedGroup) -> None:
        self._packed = packed
        self._next_frame = 0
        self._limit.bytes_per_s = packed.bytes_per_s

    def _read_ahead(self) -> None:
        assert self._packed is not None
        self._ahead = self._loop.create_task(self._following(self._packed), name="read ahead")

    async def _following(self, packed: PackedGroup) -> _Next | None:
        media = self._title.media
        if not packed.group.last:
            group = await media.group_after(packed.group)
            if group is not None:
                return _Next(group, packed.shift_us, self._loops_left)
        loops_left = self._loops_left
        if loops_left != ENDLESS:
            loops_left -= 1
            if loops_left <= 0:
                return None
        first = await media.group_at(0)
        shift_us = packed.shift_us + packed.group.end_us + self._title.lead_us(first) - first.position_us
        return _Next(first, shift_us, loops_left)

    def _finish(self, reason: str) -> None:
        self.pause()
        self.goodbye()
        self._on_end(reason)

    def _send_reports(self) -> None:
        """Tie all tracks to the wall clock at this moment."""
        self._next_report_s = self._loop.time() + REPORT_INTERVAL_S
        unix_s = time.time()
        since_zero_s = self._loop.time() - self._zero_s
        for index, sender in enumerate(self._title.senders):
            ticks = round(since_zero_s * sender.clock_rate_hz)
            report = sender.report_of(self._packet_counts[index], self._octet_counts[index], unix_s=unix_s, ticks=ticks)
            self._control(self._layout.report(index, report))

    def _control(self, chunk: ChunkT | None) -> None:
        if chunk is not None:
            self._viewer.control(chunk)
