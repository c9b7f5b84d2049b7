"""A file as what a session plays, with a position of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from manycast.hub.fanout import BacklogLimit
from manycast.hub.pace import Pace, nearest_pace
from manycast.hub.playback import Playback
from manycast.hub.rtp_title import RtpTitle
from manycast.servers.rtsp.targets import Layout, PlayInfo, Viewer
from manycast.wire.rtsp.errors import InvalidRange
from manycast.wire.rtsp.headers import ClockRange, NptRange, Range


class FileTarget:
    def __init__(self, title: RtpTitle, loops: int, on_end: Callable[[str], None]) -> None:
        self.tracks = title.media.tracks
        self.senders = title.senders
        self.limit = BacklogLimit()
        self._title = title
        self._loops = loops
        self._on_end = on_end
        self._playback: Playback[Any] | None = None
        self._viewer: Viewer | None = None  # whom it is played to
        self._stop_us: int | None = None

    async def prepare(
        self,
        viewer: Viewer,
        layout: Layout,
        wanted: Range | None,
        *,
        scale: float | None = None,
        speed: float | None = None,
    ) -> PlayInfo:
        """Without a range, go on from where a pause left off, or from the start; without a scale, at 1."""
        if isinstance(wanted, ClockRange):
            raise InvalidRange("a file has no wall clock: ask for npt")
        if viewer is not self._viewer:
            self._playback, self._viewer = None, viewer
        pace = nearest_pace(scale or 1.0, speed or 1.0, has_video=self._title.video_index is not None)
        fresh = self._playback is None or self._playback.at_end or not self._playback.ready
        start_us, stop_us = self._checked(wanted or NptRange(), pace, fresh=fresh)
        if self._playback is None:
            self._playback = Playback(
                self._title, viewer, layout, loops=self._loops, limit=self.limit, on_end=self._on_end
            )
        playback = self._playback
        if fresh:
            await playback.seek(start_us or 0, loops=self._loops, pace=pace)
        elif start_us is not None:
            await playback.seek(start_us, pace=pace)
        elif pace != playback.pace:
            await playback.change_pace(pace)
        position_us = playback.position_us
        if wanted is None and not fresh and self._stop_us is not None:
            ahead = self._stop_us <= position_us if pace.backwards else self._stop_us >= position_us
            stop_us = self._stop_us if ahead else None  # it goes on, up to where it was to go
        if stop_us is not None and pace.backwards:
            stop_us = min(stop_us, position_us)  # the picture of the start is shown in any case
        self._stop_us = stop_us
        end_s = stop_us / 1e6 if stop_us is not None else self._end_s(pace)
        return PlayInfo(NptRange(start_s=position_us / 1e6, end_s=end_s).serialize(), playback.starts(), pace)

    def _checked(self, wanted: NptRange, pace: Pace, *, fresh: bool) -> tuple[int | None, int | None]:
        """Where to start and to stop, None where it is not said; nothing is touched before all is right."""
        duration_us = self._title.media.duration_us
        start_us = None if wanted.start_s is None else round(wanted.start_s * 1e6)
        if start_us is None and fresh and pace.backwards:
            if duration_us is None:
                raise InvalidRange("nobody knows yet where the end is: say where to start")
            start_us = duration_us
        if start_us is not None and duration_us is not None and start_us > duration_us:
            raise InvalidRange(f"npt={start_us / 1e6:g} is behind the end at {duration_us / 1e6:g}")
        if wanted.end_s is None:
            return start_us, None
        stop_us = round(wanted.end_s * 1e6)
        from_us = round((self.position_s() or 0.0) * 1e6) if start_us is None else start_us
        if stop_us > from_us if pace.backwards else stop_us < from_us:
            raise InvalidRange(f"at scale {pace.scale:g} the range ends at {wanted.end_s:g}, before it starts")
        # Players ask for "all" by the duration they were told; that is no reason to leave the later loops out.
        return start_us, stop_us if duration_us is None or stop_us < duration_us else None

    def _end_s(self, pace: Pace) -> float | None:
        """Where playing ends, as far as it is known: what is played again has no end in its own time."""
        if pace.backwards:
            return 0.0
        duration_us = self._title.media.duration_us
        return duration_us / 1e6 if duration_us is not None and self._loops == 1 else None

    def playing(self) -> PlayInfo:
        playback = self._playback
        assert playback is not None
        position_s = playback.position_us / 1e6
        end_s = self._stop_us / 1e6 if self._stop_us is not None else self._end_s(playback.pace)
        return PlayInfo(NptRange(start_s=position_s, end_s=end_s).serialize(), playback.starts(), playback.pace)

    def begin(self) -> None:
        if self._playback is None:
            return
        if self._playback.playing:
            self._playback.stop_at(self._stop_us)
        else:
            self._playback.play(self._stop_us)

    def pause(self) -> None:
        if self._playback is not None:
            self._playback.pause()

    def pause_at(self, wanted: Range) -> float | None:
        """Play on to the start of a range and pause there (RFC 2326 section 10.6)."""
        playback = self._playback
        if isinstance(wanted, ClockRange):
            raise InvalidRange("a file has no wall clock: ask for npt")
        if wanted.start_s is None or playback is None or not playback.playing:
            return None
        pause_us, position_us = round(wanted.start_s * 1e6), playback.position_us
        duration_us = self._title.media.duration_us
        passed = pause_us > position_us if playback.pace.backwards else pause_us < position_us
        if passed or (duration_us is not None and pause_us > duration_us):
            raise InvalidRange(f"npt={wanted.start_s:g} is not ahead: this is npt={position_us / 1e6:g}")
        playback.pause_at(pause_us)
        return wanted.start_s

    def position_s(self) -> float | None:
        return self._playback.position_us / 1e6 if self._playback is not None else 0.0

    def request_keyframe(self) -> None:
        """A file has them where they are."""

    def close(self, *, say_goodbye: bool) -> None:
        if self._playback is not None:
            if say_goodbye and self._playback.playing:
                self._playback.goodbye()
            self._playback.pause()
