"""Keeps a transport stream's time going when its clock is set anew (ISO/IEC 13818-1 section 2.4.3.5)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from manycast.media.clock import rescale
from manycast.media.frame import Frame
from manycast.media.track import Track
from manycast.wire.mpegts.packet import CLOCK_HZ

MAX_STEP_TICKS = 10 * CLOCK_HZ  # from one frame to the next; more is another clock
MAX_STEP_BACK_TICKS = CLOCK_HZ
USUAL_STEP_TICKS = CLOCK_HZ // 25  # put between the last frame of one clock and the first of the next


class JumpMender:
    """All tracks have one clock: where one of them has jumped, the others follow by the same amount."""

    def __init__(self) -> None:
        self._offset = 0
        self._tracks: dict[int, tuple[int, int]] = {}  # the time of the latest frame as told on, and its offset
        self.jumps = 0

    def mend(self, frames: Sequence[Frame], tracks: Mapping[int, Track | None]) -> None:
        """Shift the frames of a demuxer whose tracks these are."""
        for frame in frames:
            track = tracks.get(frame.track_index)
            if track is not None:
                shift = self.shift(frame.track_index, frame.dts_ticks, track.clock_rate_hz)
                frame.dts_ticks += shift
                frame.pts_ticks += shift

    def shift(self, track_index: int, dts_ticks: int, clock_rate_hz: int) -> int:
        """What to add to a frame's timestamps, in ticks of its track; frames come in decoding order."""
        time = rescale(dts_ticks, clock_rate_hz, CLOCK_HZ)
        known = self._tracks.get(track_index)
        offset = self._offset
        if known is not None:
            latest, offset = known
            if not _follows(time + offset, latest):
                if not _follows(time + self._offset, latest):
                    self._offset = latest + USUAL_STEP_TICKS - time
                    self.jumps += 1
                offset = self._offset
        self._tracks[track_index] = time + offset, offset
        return rescale(offset, CLOCK_HZ, clock_rate_hz)


def _follows(time: int, latest: int) -> bool:
    return -MAX_STEP_BACK_TICKS <= time - latest <= MAX_STEP_TICKS
