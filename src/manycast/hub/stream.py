"""A live thing at a path."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from manycast.errors import ManycastError
from manycast.hub.counters import StreamCounters
from manycast.hub.fanout import BacklogLimit
from manycast.hub.gop import GopCache
from manycast.hub.keyframes import KeyframeRequests
from manycast.hub.limits import ViewerLimits
from manycast.hub.packager import Packager
from manycast.media.frame import Frame
from manycast.media.normalise import normalise
from manycast.media.track import MediaKind, Track

MAX_CLOCK_ERROR_S = 5.0  # the timeline has jumped when it is further than this from the wall clock


PackagerT = TypeVar("PackagerT", bound=Packager)


class StreamEnded(ManycastError):
    """The stream came to its end."""


@dataclass(frozen=True, slots=True)
class _Watcher:
    on_end: Callable[[str], None]
    packager: type[Packager]
    on_change: Callable[[Track], None] | None


class Stream:
    """A live stream: its tracks, its group of pictures so far, its packagers, who watches.

    All methods are for the event loop's thread.
    """

    def __init__(self, path: str, tracks: Sequence[Track], source: str, limits: ViewerLimits | None = None) -> None:
        """`source` says for logs who fills it, such as "RTSP publisher 192.0.2.7:4711"."""
        self.path = path
        self.source = source
        self.tracks: tuple[Track, ...] = tuple(tracks)
        self.counters = StreamCounters()
        self.ended: str | None = None  # why, once it has
        self.opened_s = time.monotonic()
        self.bytes_per_s = 0.0
        self._has_video = any(track.kind is MediaKind.VIDEO for track in self.tracks)
        self._gop: GopCache[Frame] = GopCache()
        self.keyframes = KeyframeRequests()  # to whoever fills the stream
        self._limit = BacklogLimit((limits or ViewerLimits()).backlog_s, self.keyframes)
        self._packagers: dict[type[Packager], Packager] = {}
        self._unix_at_zero_s: float | None = None
        self._watchers: dict[object, _Watcher] = {}
        self._changed = asyncio.Event()
        self.on_idle: Callable[[], None] | None = None  # called when the last watcher has gone
        self._counted_bytes = 0
        self._counted_s = self.opened_s

    def __str__(self) -> str:
        codecs = "+".join(track.codec_name for track in self.tracks)
        return f"{self.path} ({codecs}, {self.source})"

    @property
    def complete(self) -> bool:
        """Every track is known well enough to be described."""
        return all(track.parameters.complete for track in self.tracks)

    @property
    def watchers(self) -> int:
        return len(self._watchers)

    def push(self, frame: Frame) -> None:
        """Take the next frame of one track, in decoding order; the stream owns it from now on."""
        if self.ended is not None:
            return
        index = frame.track_index
        track = normalise(frame, self.tracks[index])
        if track is not self.tracks[index]:
            self._change_track(index, track)
        if not frame.units:
            return
        size = frame.size_bytes
        counters = self.counters
        counters.received_frames += 1
        counters.received_bytes += size
        video_keyframe = frame.keyframe and track.kind is MediaKind.VIDEO
        if video_keyframe:
            counters.keyframes += 1
            self.keyframes.came()
        self._gop.add(frame, size_bytes=size, keyframe=video_keyframe)
        if video_keyframe or not self._has_video or self._unix_at_zero_s is None:
            self._check_clock(frame.dts_ticks / track.clock_rate_hz)
        for packager in self._packagers.values():
            packager.push(frame)

    async def wait_complete(self, timeout_s: float) -> bool:
        """Wait until every track can be described; False when it took too long."""
        deadline_s = time.monotonic() + timeout_s
        while not self.complete and self.ended is None:
            self._changed.clear()
            try:
                await asyncio.wait_for(self._changed.wait(), deadline_s - time.monotonic())
            except TimeoutError:
                break
        return self.complete

    def watch(
        self,
        watcher: object,
        packager: type[PackagerT],
        on_end: Callable[[str], None],
        on_change: Callable[[Track], None] | None = None,
    ) -> PackagerT:
        """Register someone who needs the stream in one format, and is told when it ends, or a track becomes another.

        The packager is made for its first watcher and goes with its last one. Raises StreamEnded.
        """
        if self.ended is not None:
            raise StreamEnded(self.ended)
        found = self._packagers.get(packager)
        if found is None:
            found = packager(self.tracks, list(self._gop), self._limit, self.path)
            if self._unix_at_zero_s is not None:
                found.set_clock(self._unix_at_zero_s)
            self._packagers[packager] = found
        assert isinstance(found, packager)
        self._watchers[watcher] = _Watcher(on_end, packager, on_change)
        return found

    def packager(self, packager: type[PackagerT]) -> PackagerT | None:
        """The packager of a format, where somebody watches in it."""
        found = self._packagers.get(packager)
        assert found is None or isinstance(found, packager)
        return found

    def unwatch(self, watcher: object) -> None:
        gone = self._watchers.pop(watcher, None)
        if gone is None:
            return
        if not any(other.packager is gone.packager for other in self._watchers.values()):
            self._packagers.pop(gone.packager).close()
        if not self._watchers and self.on_idle is not None:
            self.on_idle()

    def end(self, reason: str) -> None:
        """Tell all watchers; nothing comes after it."""
        if self.ended is not None:
            return
        self.ended = reason
        self.keyframes.close()
        self._changed.set()
        for packager in self._packagers.values():
            packager.end()
        watchers, self._watchers = list(self._watchers.values()), {}
        for watcher in watchers:
            watcher.on_end(reason)
        for packager in self._packagers.values():
            packager.close()
        self._packagers.clear()
        self._gop.clear()

    def handle_timer(self, *, now_s: float, unix_s: float) -> None:
        """Keep the rate and with it the viewers' limit, and let packagers do what is due; about once a second."""
        elapsed_s = now_s - self._counted_s
        if elapsed_s > 0.5:
            rate = (self.counters.received_bytes - self._counted_bytes) / elapsed_s
            self.bytes_per_s = rate if not self.bytes_per_s else 0.7 * self.bytes_per_s + 0.3 * rate
            self._counted_bytes, self._counted_s = self.counters.received_bytes, now_s
            self._limit.follow(self.bytes_per_s)
        for packager in self._packagers.values():
            packager.handle_timer(now_s=now_s, unix_s=unix_s)

    def _change_track(self, index: int, track: Track) -> None:
        self.tracks = (*self.tracks[:index], track, *self.tracks[index + 1 :])
        self._changed.set()
        for watcher in list(self._watchers.values()):
            if watcher.on_change is not None:
                watcher.on_change(track)

    def _check_clock(self, stream_s: float) -> None:
        """Tie the timeline to the wall clock, and anew when it has jumped."""
        unix_s = time.time()
        zero = self._unix_at_zero_s
        if zero is not None and abs(unix_s - (zero + stream_s)) < MAX_CLOCK_ERROR_S:
            return
        self._unix_at_zero_s = unix_s - stream_s
        for packager in self._packagers.values():
            packager.set_clock(self._unix_at_zero_s)
