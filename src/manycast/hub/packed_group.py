"""A group of stored frames in bursts, for all RTP viewers who play it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from manycast.hub.burst import Burst
from manycast.hub.pace import Selection
from manycast.hub.stored import FrameGroup
from manycast.media.frame import Frame
from manycast.wire.rtp.sender import RtpTrackSender

BURST_US = 40_000  # a picture and the sound that is due so soon after it go together: one call, not three


class PackedGroup:
    """One group of frames, and their packets as far as they were sent."""

    __slots__ = (
        "__weakref__",
        "_pictures",
        "_senders",
        "_video_index",
        "bursts",
        "bytes_per_s",
        "earliest_us",
        "end_us",
        "group",
        "position_us",
        "sequences",
    )

    def __init__(
        self,
        group: FrameGroup,
        senders: Sequence[RtpTrackSender],
        sequences: tuple[int, ...],
        video_index: int | None,
    ) -> None:
        """`sequences` are the numbers of each track's first packet, for all who have no others."""
        self.group = group
        self.position_us = group.position_us
        self.end_us = group.end_us
        self.bytes_per_s = group.size_bytes * 1e6 / max(1, group.end_us - group.position_us)
        self.sequences = sequences
        self._senders = senders
        self._video_index = video_index
        # Of all pts: audio's priming and leading pictures are before the position.
        self.earliest_us = min((self._time_us(frame, frame.pts_ticks) for frame in group.frames), default=0)
        self.earliest_us = min(self.earliest_us, group.position_us)
        self.bursts = tuple(self._bursts_of(group.frames))
        self._pictures: tuple[Burst, ...] | None = None

    def select(self, selection: Selection) -> tuple[Burst, ...]:
        """What is to be sent, in the order of its dts."""
        if selection is Selection.ALL or self._video_index is None:
            return self.bursts
        if self._pictures is None:
            self._pictures = tuple(
                self._burst([frame]) for frame in self.group.frames if frame.track_index == self._video_index
            )
        if selection is Selection.PICTURES:
            return self._pictures
        return self._pictures[:1] if self._pictures and self._pictures[0].frames[0].keyframe else ()

    def before(self, burst: Burst, time_us: int) -> Burst:
        """Those frames of a burst that are due before a time, which is after the first one's."""
        frames = [frame for frame in burst.frames if self._time_us(frame, frame.dts_ticks) < time_us]
        return burst if len(frames) == len(burst.frames) else self._burst(frames)

    def _bursts_of(self, frames: Sequence[Frame]) -> Iterator[Burst]:
        """A picture always begins one, so that pictures alone are found at the same times."""
        row: list[Frame] = []
        until_us = 0
        for frame in frames:
            due_us = self._time_us(frame, frame.dts_ticks)
            if row and (frame.track_index == self._video_index or due_us >= until_us):
                yield self._burst(row)
                row = []
            if not row:
                until_us = due_us + BURST_US
            row.append(frame)
        if row:
            yield self._burst(row)

    def _burst(self, frames: Sequence[Frame]) -> Burst:
        return Burst(frames, self._senders, self._time_us(frames[0], frames[0].dts_ticks))

    def _time_us(self, frame: Frame, ticks: int) -> int:
        return ticks * 1_000_000 // self._senders[frame.track_index].clock_rate_hz
