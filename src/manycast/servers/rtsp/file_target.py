"""A file as what a session plays, with a position of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from manycast.hub.fanout import BacklogLimit
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
        self._at_end = False
        self._stop_us: int | None = None

    async def prepare(self, viewer: Viewer, layout: Layout, wanted: Range | None) -> PlayInfo:
        """Without a range, go on from where a pause left off, or from the start."""
        if isinstance(wanted, ClockRange):
            raise InvalidRange("a file has no wall clock: ask for npt")
        start_us, stop_us = self._checked(wanted)
        if self._playback is None:
            self._playback = Playback(
                self._title, viewer, layout, loops=self._loops, limit=self.limit, on_end=self._ended
            )
        playback = self._playback
        if self._at_end or not playback.ready:
            await playback.seek(start_us or 0, loops=self._loops)
            self._at_end = False
        elif start_us is not None:
            await playback.seek(start_us)
        self._stop_us = stop_us
        end_s = stop_us / 1e6 if stop_us is not None else self._end_s()
        return PlayInfo(NptRange(start_s=playback.position_us / 1e6, end_s=end_s).serialize(), playback.starts())

    def _checked(self, wanted: NptRange | None) -> tuple[int | None, int | None]:
        """Where to start and to stop, None where it is not said; nothing is touched before all is right."""
        if wanted is None:
            return None, None
        duration_us = self._title.media.duration_us
        start_us = None if wanted.start_s is None else round(wanted.start_s * 1e6)
        if start_us is not None and duration_us is not None and start_us > duration_us:
            raise InvalidRange(f"npt={start_us / 1e6:g} is behind the end at {duration_us / 1e6:g}")
        if wanted.end_s is None:
            return start_us, None
        stop_us = round(wanted.end_s * 1e6)
        from_us = round((self.position_s() or 0.0) * 1e6) if start_us is None else start_us
        if stop_us < from_us:
            raise InvalidRange(f"the range ends at {wanted.end_s:g}, before it starts")
        # Players ask for "all" by the duration they were told; that is no reason to leave the later loops out.
        return start_us, stop_us if duration_us is None or stop_us < duration_us else None

    def _end_s(self) -> float | None:
        """Where playing ends, as far as it is known: what is played again has no end in its own time."""
        duration_us = self._title.media.duration_us
        return duration_us / 1e6 if duration_us is not None and self._loops == 1 else None

    def begin(self) -> None:
        if self._playback is not None and not self._playback.playing:
            self._playback.play(self._stop_us)

    def pause(self) -> None:
        if self._playback is not None:
            self._playback.pause()

    def position_s(self) -> float | None:
        return self._playback.position_us / 1e6 if self._playback is not None else 0.0

    def close(self, *, say_goodbye: bool) -> None:
        if self._playback is not None:
            if say_goodbye and self._playback.playing:
                self._playback.goodbye()
            self._playback.pause()

    def _ended(self, reason: str) -> None:
        """The next PLAY starts at the beginning again, with all its loops."""
        self._at_end = True
        self._on_end(reason)
