"""Puts the tracks of one RTP sender on one zero."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from manycast.media.clock import Unwrapper, unix_from_ntp

MAX_CORRECTION_S = 10.0  # more is a sender whose wall clock was set, not two tracks out of step
MIN_CORRECTION_S = 0.015  # less is not seen or heard, and correcting it would only shake the timestamps


@dataclass(slots=True)
class _TrackClock:
    rate_hz: int
    offset_ticks: int | None = None  # stream time = RTP timestamp + offset
    unwrapper: Unwrapper | None = None
    reported: bool = False  # a sender report has come


class SenderTimeline:
    """Maps the RTP timestamps of each track to ticks on the stream's one timeline.

    RTP timestamps of different tracks start at unrelated values. Sender reports tie each to the sender's wall
    clock (RFC 3550 section 6.4.1); before they come, the time of arrival has to do. The first track that has a
    report is the reference and is never shifted; the others are moved to it.
    """

    def __init__(self, clock_rates_hz: Sequence[int]) -> None:
        self._clocks = [_TrackClock(rate) for rate in clock_rates_hz]
        self._start_s: float | None = None
        self._reference: int | None = None
        self._zero_unix_s = 0.0  # the sender's wall clock at stream time 0

    def unwrap(self, track_index: int, timestamp: int, *, now_s: float) -> int:
        """The unwrapped RTP timestamp of a packet; the track's first one also fixes where it stands."""
        clock = self._clocks[track_index]
        if clock.unwrapper is None:
            clock.unwrapper = Unwrapper(32)
            unwrapped = clock.unwrapper.unwrap(timestamp)
            if clock.offset_ticks is None:
                clock.offset_ticks = int(self._elapsed_s(now_s) * clock.rate_hz) - unwrapped
            return unwrapped
        return clock.unwrapper.unwrap(timestamp)

    def stream_ticks(self, track_index: int, unwrapped: int) -> int:
        """Where an unwrapped timestamp stands on the stream's timeline."""
        return unwrapped + (self._clocks[track_index].offset_ticks or 0)

    def arrived_in_one(self, track_index: int, first: int, last: int) -> None:
        """The track's first packet held frames from one unwrapped timestamp to another: it was sent when the last of
        them was there. Reports know better."""
        clock = self._clocks[track_index]
        if clock.offset_ticks is None or clock.reported:
            return
        clock.offset_ticks -= last - first
        below_zero_s = -(first + clock.offset_ticks) / clock.rate_hz
        if below_zero_s > 0 and self._start_s is not None:
            self._start_s -= below_zero_s
            for other in self._clocks:
                if other.offset_ticks is not None:
                    other.offset_ticks += round(below_zero_s * other.rate_hz)
            self._zero_unix_s -= below_zero_s

    def restart(self, track_index: int, timestamp: int, *, now_s: float, reached_ticks: int | None) -> None:
        """A new source sends this track: its timestamps have nothing to do with those before.

        It goes on at the time of its arrival, and behind `reached_ticks`, the latest of the track so far: where that is
        ahead, so are all tracks that start anew from now on.
        """
        clock = self._clocks[track_index]
        if reached_ticks is not None and self._start_s is not None:
            self._start_s -= max(0.0, (reached_ticks + 1) / clock.rate_hz - self._elapsed_s(now_s))
        clock.unwrapper = None
        clock.offset_ticks = None
        clock.reported = False
        if self._reference == track_index:
            self._reference = None
        self.unwrap(track_index, timestamp, now_s=now_s)

    def sender_report(self, track_index: int, *, ntp: int, rtp_timestamp: int, now_s: float) -> None:
        """Take what a sender report says about a track's clock; an NTP of 0 says nothing."""
        if ntp == 0:
            return
        clock = self._clocks[track_index]
        unwrapped = self.unwrap(track_index, rtp_timestamp, now_s=now_s)
        clock.reported = True
        unix_s = unix_from_ntp(ntp)
        assert clock.offset_ticks is not None
        if self._reference is None or self._reference == track_index:
            self._reference = track_index
            self._zero_unix_s = unix_s - (unwrapped + clock.offset_ticks) / clock.rate_hz
            return
        wanted = round((unix_s - self._zero_unix_s) * clock.rate_hz) - unwrapped
        error_s = abs(wanted - clock.offset_ticks) / clock.rate_hz
        if MIN_CORRECTION_S < error_s < MAX_CORRECTION_S:
            clock.offset_ticks = wanted

    def _elapsed_s(self, now_s: float) -> float:
        if self._start_s is None:
            self._start_s = now_s
        return now_s - self._start_s
