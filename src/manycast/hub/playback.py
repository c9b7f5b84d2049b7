"""One viewer's way through stored media: his own position, pace, pauses and loops."""

from __future__ import annotations

import asyncio
import time
from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import Generic, NamedTuple, Protocol, TypeVar, cast

from manycast.hub.burst import Burst, Channels, NumberedFrame, timestamp_of
from manycast.hub.fanout import BacklogLimit, Viewer
from manycast.hub.pace import NORMAL_PACE, Pace, Selection
from manycast.hub.pacer import NO_TURN
from manycast.hub.packed_group import PackedGroup
from manycast.hub.rtp_packager import REPORT_INTERVAL_S, Framing, InterleavedLayout, Layout, TrackStart
from manycast.hub.rtp_title import RtpTitle
from manycast.hub.source import SourceError
from manycast.hub.stored import FrameGroup

ENDLESS = -1
AHEAD_S = 0.005  # frames due this soon go together, in one call: fewer of them, and no jitter that is seen
MAX_LAG_S = 0.5  # after a longer standstill the clock is set anew, instead of sending all that was missed at once
MAX_BACKLOG_BYTES = 1024 * 1024  # a viewer of a file who is too slow is waited for: nobody else is held up
BACKLOG_RETRY_S = 0.05
SEEK_GAP_US = 1000  # between the timestamps before and after a seek
END_OF_RANGE, PAUSE_POINT = "the end of the range", "the pause point"

ChunkT = TypeVar("ChunkT")
ChunkT_contra = TypeVar("ChunkT_contra", contravariant=True)


class _Next(NamedTuple):
    group: PackedGroup | FrameGroup
    again: bool  # it begins the next loop


class PacedViewer(Viewer[ChunkT_contra], Protocol[ChunkT_contra]):
    @property
    def backlog_bytes(self) -> int:
        """What waits to be sent to this viewer."""

    def offer_together(self, chunks: Sequence[ChunkT_contra], frames: int) -> None:
        """Send what is due, so many frames, in as few calls as can be."""


class Playback(Generic[ChunkT]):
    """Sends one file to one viewer in real time.

    Two lines hold from one seek, loop or change of pace to the next: a frame is due at `_zero_s + dts * _s_per_us`
    of the loop's clock, and its timestamp is `pts / scale + _shift_us`.
    """

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
        """`loops` is how often the file is played, ENDLESS for ever.

        `on_end` is called when the end of the file, of the range or a pause point is reached, or the file cannot be
        read any more. `limit` is the viewer's own, and is set so that nothing is ever dropped.
        """
        self._title = title
        self._viewer = viewer
        self._layout = layout
        self._loops_left = loops
        self._limit = limit
        limit.size_bytes = BacklogLimit.MAX_BYTES
        self._on_end = on_end
        self._loop = asyncio.get_running_loop()
        self._channels: Channels | None = None
        self._framing: Framing | None = None
        if isinstance(layout, InterleavedLayout):
            self._channels = tuple(pair and pair[0] for pair in layout.channels)
            self._framing = layout.framing
        self.pace = NORMAL_PACE
        self._selection = Selection.ALL
        self.playing = False
        self.at_end = False  # and a goodbye was said; not so at a pause point
        self.turn = NO_TURN
        self._packed: PackedGroup | None = None
        self._bursts: tuple[Burst, ...] = ()  # those of the group that are to be sent
        self._next_burst = 0
        self._stop_us: int | None = None
        self._stop_reason = ""
        self._ending: str | None = None
        self._taken: list[ChunkT] = []  # in the turn under way
        self._frames_taken = 0
        self._following: _Next | SourceError | None = None
        self._reading: asyncio.Task[_Next | None] | None = None  # what follows
        self._waits_for_group = False
        self._zero_s = 0.0
        self._s_per_us = 1e-6
        self._shift_us = 0
        self._unshifted = True  # timestamps are those of the file
        self._timestamp_bases = [0] * len(title.senders)  # what is added to pts / scale
        self._sequences = [0] * len(title.senders)  # of each track's next packet, unwrapped
        self._counts_as_packed = False  # numbers and times are those that the group under way was packed with
        self._first_sequences: tuple[int, ...] = ()
        self._octet_counts = [0] * len(title.senders)  # up to the burst `_counted_bursts` of the group under way
        self._counted_bursts = 0
        self._unix_at_zero_s = 0.0  # of this viewer's timeline; it holds from one play() to the next
        self._next_report_s = 0.0

    @property
    def position_us(self) -> int:
        """Where the next frame stands in the file."""
        packed = self._packed
        if packed is None:
            return 0
        if not self._next_burst or self.pace.backwards:
            return packed.position_us
        if self._next_burst < len(self._bursts):
            return max(0, self._bursts[self._next_burst].dts_us)
        if self._stop_us is not None and self._stops_in(packed, self._stop_us):
            return self._stop_us
        return packed.end_us

    @property
    def ready(self) -> bool:
        return self._packed is not None

    async def seek(self, position_us: int, *, loops: int | None = None, pace: Pace | None = None) -> None:
        """Go to the keyframe at or before a position, and count loops anew where `loops` says so.

        For a viewer who has had packets, sequence numbers and timestamps go on where they were (RFC 2326
        appendix B): LIVE555 drops what goes back, ffmpeg what jumps far. Raises SourceError when the file cannot be
        read; then nothing has changed.
        """
        packed = self._title.pack(await self._title.media.group_at(position_us))
        self.pause()
        self._viewer.clear()
        if loops is not None:
            self._loops_left = loops
        latest_us = self._latest_timestamp_us()
        self._set_pace(pace or self.pace)
        if latest_us is None:
            self._first_sequences = self._title.start_sequences(packed, low=self._channels is None)
            self._sequences = list(self._first_sequences)
            self._set_shift(0)
        else:
            self._set_shift(latest_us + SEEK_GAP_US - self._stretched_us(self._earliest_us(packed)))
        self._stop_us = None
        self._take_up(packed)

    async def change_pace(self, pace: Pace) -> None:
        """Go on at another pace: from here, or where one of the two has only keyframes, from the one before."""
        assert self._packed is not None
        if pace.scale != self.pace.scale and Selection.KEYFRAMES in (pace.selection, self._selection):
            await self.seek(self.position_us, pace=pace)
            return
        self.pause()
        latest_us = self._latest_timestamp_us() or 0
        sent_us = round((latest_us - self._shift_us) * self.pace.scale)  # on the file's timeline
        next_us = self._bursts[self._next_burst].dts_us if self._next_burst < len(self._bursts) else None
        self._set_pace(pace)
        self._set_shift(latest_us - self._stretched_us(sent_us))
        self._stop_us = None
        self._count_octets()
        self._counts_as_packed = False
        self._bursts = self._selected(self._packed)
        self._next_burst = (
            len(self._bursts) if next_us is None else bisect_left(self._bursts, next_us, key=lambda burst: burst.dts_us)
        )
        self._counted_bursts = self._next_burst

    def starts(self) -> list[TrackStart]:
        """The next packet of each track, and the RTP time of the position itself.

        The two need not belong together: a packet may be of a little earlier (audio's priming) or later.
        """
        position_us = self._stretched_us(self.position_us) + self._shift_us
        return [
            TrackStart(sequence & 0xFFFF, sender.rtp_timestamp(position_us * sender.clock_rate_hz // 1_000_000))
            for sequence, sender in zip(self._sequences, self._title.senders, strict=True)
        ]

    def play(self, stop_us: int | None = None) -> None:
        """Send from the position on, up to one in the same loop where `stop_us` says so."""
        self.playing = True
        self.at_end = False
        self._take_place()
        self._set_stop(stop_us, END_OF_RANGE)
        now_s = self._loop.time()
        self._set_clock(now_s)
        self._unix_at_zero_s = time.time() - self._timeline_s(now_s)
        self._send_reports(now_s)
        self._look_ahead()
        self._turn_now(now_s)

    def pause_at(self, position_us: int) -> None:
        """Play on to a position ahead and pause there (RFC 2326 section 10.6)."""
        self._set_stop(position_us, PAUSE_POINT)
        self._turn_soon()

    def stop_at(self, stop_us: int | None) -> None:
        """While playing: end at a position ahead, or nowhere before the end."""
        self._set_stop(stop_us, END_OF_RANGE)
        self._turn_soon()

    def pause(self) -> None:
        self.playing = False
        self._take_place()
        self.turn = NO_TURN
        self._ending = self._following = None
        self._waits_for_group = False
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None

    def goodbye(self) -> None:
        """Tell the viewer that nothing more comes."""
        for index, sender in enumerate(self._title.senders):
            self._control(self._layout.report(index, sender.goodbye()))

    def _turn_now(self, now_s: float) -> None:
        self.take_turn(now_s)
        self.send_taken()

    def take_turn(self, now_s: float) -> None:
        """Take all that is due, and come back for the next frame."""
        if self._viewer.backlog_bytes > MAX_BACKLOG_BYTES:
            self._title.pacer.ask(self, now_s + BACKLOG_RETRY_S)
            return
        if now_s >= self._next_report_s:
            self._send_reports(now_s)
        if self._next_burst < len(self._bursts):
            due_s = self._zero_s + self._bursts[self._next_burst].dts_us * self._s_per_us
            if now_s - due_s > MAX_LAG_S:
                self._set_clock(now_s)
        until_s = now_s + AHEAD_S
        while True:
            next_s = self._take_due(until_s)
            if next_s is not None:
                self._title.pacer.ask(self, next_s)
                break
            if not self._go_on(until_s):
                break

    def send_taken(self) -> None:
        """Send what the turn was for."""
        if self._taken:
            taken, self._taken = self._taken, []
            self._viewer.offer_together(taken, self._frames_taken)
            self._frames_taken = 0
        if self._ending is not None:
            self._finish(self._ending)

    def _take_due(self, until_s: float) -> float | None:
        """Take what is due; return when the next frame of the group is, None after the last."""
        bursts, index, end = self._bursts, self._next_burst, len(self._bursts)
        zero_s, s_per_us, channels = self._zero_s, self._s_per_us, self._channels
        next_s = None
        while index < end:
            burst = bursts[index]
            due_s = zero_s + burst.dts_us * s_per_us
            if due_s > until_s:
                next_s = due_s
                break
            index += 1
            if channels is None:
                self._take_frames(burst)
                continue
            form = burst.form(channels)  # in one piece, and the very same bytes for all who count alike
            if self._counts_as_packed:
                data = form.shared(self._sequences, self._timestamp_bases)
            else:
                data = form.numbered(self._sequences, self._timestamp_bases, self.pace.scale)
            if data:  # else it is all of tracks that nobody has set up
                self._frames_taken += len(form.frames)
                self._taken.append(cast(ChunkT, data if self._framing is None else self._framing(data)))
        self._next_burst = index
        return next_s

    def _take_frames(self, burst: Burst) -> None:
        """A burst for any other transport: frame by frame."""
        scale, sequences, shared = self.pace.scale, self._sequences, self._counts_as_packed
        for stored in burst.each:
            timestamp = timestamp_of(stored.frame, self._timestamp_bases, scale)
            numbered = NumberedFrame(stored, sequences[stored.track_index], timestamp, shared=shared)
            chunk = self._layout.frame(numbered)
            sequences[stored.track_index] += len(stored.payloads)
            if chunk is not None and stored.payloads:
                self._frames_taken += 1
                self._taken.append(chunk)

    def _go_on(self, until_s: float) -> bool:
        """After a group's last frame, take up the next group; False when there is none, or none yet."""
        packed = self._packed
        assert packed is not None
        if self._stop_us is not None and self._stops_in(packed, self._stop_us):
            self._end_at(self._stop_us, self._stop_reason, until_s)
        elif self._reading is not None:
            self._waits_for_group = True
        elif isinstance(self._following, SourceError):
            self._ending = str(self._following)
        elif self._following is not None:
            self._turn_over(packed, self._following)
            return True
        elif self.pace.backwards:
            self._ending = "the start of the file"
        else:
            self._end_at(packed.end_us, "the end of the file", until_s)
        return False

    def _end_at(self, position_us: int, reason: str, until_s: float) -> None:
        due_s = self._zero_s + position_us * self._s_per_us
        if due_s > until_s:
            self._title.pacer.ask(self, due_s)
        else:
            self._ending = reason

    def _finish(self, reason: str) -> None:
        self.pause()
        if reason != PAUSE_POINT:
            self.at_end = True
            self.goodbye()
        self._on_end(reason)

    def _turn_over(self, packed: PackedGroup, following: _Next) -> None:
        group = following.group
        if isinstance(group, FrameGroup):
            group = self._title.pack(group, tuple(sequence & 0xFFFF for sequence in self._sequences))
        if following.again:
            if self._loops_left != ENDLESS:
                self._loops_left -= 1
            gap_us = packed.end_us - self._earliest_us(group)
            self._zero_s += gap_us * self._s_per_us
            self._set_shift(self._shift_us + self._stretched_us(gap_us))
        self._take_up(group)
        self._title.leave(packed)
        self._look_ahead()

    def _take_up(self, packed: PackedGroup) -> None:
        self._count_octets()
        self._packed = packed
        self._bursts = self._selected(packed)
        self._next_burst = self._counted_bursts = 0
        self._counts_as_packed = self._unshifted and all(
            (self._channels is not None and self._channels[track] is None) or sequence & 0xFFFF == first
            for track, (sequence, first) in enumerate(zip(self._sequences, packed.sequences, strict=True))
        )
        self._limit.bytes_per_s = packed.bytes_per_s * self.pace.rate
        self._take_place()

    def _take_place(self) -> None:
        """Let others know that what they leave is needed here."""
        if self.playing and not self.pace.backwards and self._packed is not None:
            self._title.places[self] = self._packed.position_us
        else:
            self._title.places.pop(self, None)

    def _look_ahead(self) -> None:
        """Find out what follows the group under way: from memory, or by a task that reads it."""
        packed = self._packed
        assert packed is not None
        self._following = None
        if packed.position_us <= 0 if self.pace.backwards else packed.group.last and self._loops_left == 1:
            return
        self._following = self._following_in_memory(packed)
        if self._following is None:
            self._reading = self._loop.create_task(self._read_following(packed), name="read ahead")
            self._reading.add_done_callback(self._was_read)

    def _following_in_memory(self, packed: PackedGroup) -> _Next | None:
        again = packed.group.last
        if self.pace.backwards or (self._skips_groups(packed) and not again):
            return None
        position_us = 0 if again else packed.end_us
        group = self._title.packed_at(position_us) or self._title.media.held(position_us)
        return None if group is None else _Next(group, again)

    async def _read_following(self, packed: PackedGroup) -> _Next | None:
        media = self._title.media
        stride_us = int(self.pace.stride_us)
        if self.pace.backwards:
            return _Next(await media.group_at(packed.position_us - max(1, stride_us)), again=False)
        if not packed.group.last:
            group: FrameGroup | None = None
            if self._skips_groups(packed):
                group = await media.group_at(packed.position_us + stride_us)
            if group is None or group.position_us <= packed.position_us:
                group = await media.group_after(packed.group)
            if group is not None:
                return _Next(group, again=False)
        return None if self._loops_left == 1 else _Next(await media.group_at(0), again=True)

    def _was_read(self, task: asyncio.Task[_Next | None]) -> None:
        if task is not self._reading:
            return
        self._reading = None
        try:
            self._following = task.result()
        except SourceError as error:
            self._following = error
        if self._waits_for_group:
            self._waits_for_group = False
            self._turn_now(self._loop.time())

    def _skips_groups(self, packed: PackedGroup) -> bool:
        """Whether the next keyframe is nearer than those that are shown are to be."""
        return self._selection is Selection.KEYFRAMES and packed.end_us - packed.position_us < self.pace.stride_us

    def _selected(self, packed: PackedGroup) -> tuple[Burst, ...]:
        """What is to be sent of a group, up to where it stops."""
        bursts = packed.select(self._selection)
        stop_us = self._stop_us
        if stop_us is None or not self._stops_in(packed, stop_us):
            return bursts
        if self.pace.backwards:
            return bursts if packed.position_us == stop_us else ()
        count = bisect_left(bursts, stop_us, key=lambda burst: burst.dts_us)
        return (*bursts[: count - 1], packed.before(bursts[count - 1], stop_us)) if count else ()

    def _set_stop(self, stop_us: int | None, reason: str) -> None:
        assert self._packed is not None
        self._stop_us = stop_us
        self._stop_reason = reason
        self._bursts = self._selected(self._packed)

    def _turn_soon(self) -> None:
        """What comes next may have changed."""
        if not self._waits_for_group:
            self._title.pacer.ask(self, self._loop.time())

    def _stops_in(self, packed: PackedGroup, stop_us: int) -> bool:
        return packed.position_us <= stop_us if self.pace.backwards else stop_us <= packed.end_us

    # Times

    def _set_pace(self, pace: Pace) -> None:
        self.pace = pace
        self._selection = pace.selection
        self._s_per_us = 1e-6 / (pace.scale * pace.speed)

    def _set_shift(self, shift_us: int) -> None:
        self._shift_us = shift_us
        self._unshifted = not shift_us and self.pace.scale == 1.0
        self._timestamp_bases = [
            sender.timestamp_offset + shift_us * sender.clock_rate_hz // 1_000_000 for sender in self._title.senders
        ]

    def _set_clock(self, now_s: float) -> None:
        """Make the next frame due now."""
        due = self._next_burst < len(self._bursts)
        position_us = self._bursts[self._next_burst].dts_us if due else self.position_us
        self._zero_s = now_s - position_us * self._s_per_us

    def _stretched_us(self, position_us: int) -> int:
        """A time of the file as this viewer sees it."""
        return position_us if self.pace.scale == 1.0 else round(position_us / self.pace.scale)

    def _earliest_us(self, packed: PackedGroup) -> int:
        """The earliest pts of what is sent of a group, or one before it."""
        return packed.position_us if self._selection is Selection.KEYFRAMES else packed.earliest_us

    def _latest_timestamp_us(self) -> int | None:
        """The latest time that the viewer has had a packet of; None when he has had none."""
        if self._packed is None:
            return None
        sent = [
            self._title.time_us(frame.track_index, frame.pts_ticks)
            for burst in self._bursts[: self._next_burst]
            for frame in burst.frames
        ]
        return max(self._stretched_us(time_us) for time_us in (self._packed.position_us, *sent)) + self._shift_us

    # Reports

    def _send_reports(self, now_s: float) -> None:
        """Tie all tracks to one clock, that of the wall at play(), which runs as fast as they do and stands as they do.

        Receivers take times by the latest report: with the true clock they would go back at each where the speed is
        another, and show a gap where nothing was sent for a while to a viewer too slow, though nothing is missing.
        """
        self._next_report_s = now_s + REPORT_INTERVAL_S
        self._count_octets()
        since_zero_s = self._timeline_s(now_s)
        unix_s = self._unix_at_zero_s + since_zero_s
        for index, sender in enumerate(self._title.senders):
            ticks = round(since_zero_s * sender.clock_rate_hz)
            packets = self._sequences[index] - self._first_sequences[index]
            report = sender.report_of(packets, self._octet_counts[index], unix_s=unix_s, ticks=ticks)
            self._control(self._layout.report(index, report))

    def _timeline_s(self, now_s: float) -> float:
        """Where this viewer's timestamps stand at a time of the loop's clock."""
        return (now_s - self._zero_s) * self.pace.speed + self._shift_us * 1e-6

    def _count_octets(self) -> None:
        """Seldom, for many bursts: only reports want to know."""
        for burst in self._bursts[self._counted_bursts : self._next_burst]:
            for track_index, octets in enumerate(burst.octets(self._channels)):
                self._octet_counts[track_index] += octets
        self._counted_bursts = self._next_burst

    def _control(self, chunk: ChunkT | None) -> None:
        if chunk is not None:
            self._viewer.control(chunk)
