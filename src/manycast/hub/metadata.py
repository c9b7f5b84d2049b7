"""Metadata at the side of what is played: XML documents, for whoever asks for them."""

from __future__ import annotations

import time
from collections.abc import Iterator

from manycast.hub.limits import ViewerLimits
from manycast.hub.stream import Stream
from manycast.media.frame import Frame
from manycast.media.track import Codec, PlainParameters, Track

CLOCK_RATE_HZ = 90_000
QUIET_S = 1.0  # a viewer hears at least so often that there is nothing to tell

METADATA_TRACK = Track(codec=Codec.METADATA, clock_rate_hz=CLOCK_RATE_HZ, parameters=PlainParameters())

# The stream's root element without content, which its schema allows (onvif.xsd, tt:MetadataStream).
EMPTY_DOCUMENT = (
    b'<?xml version="1.0" encoding="UTF-8"?>\n<tt:MetadataStream xmlns:tt="http://www.onvif.org/ver10/schema"/>'
)


class MetadataFeeds:
    """One feed for each path that somebody watches. All methods are for the event loop's thread."""

    def __init__(self, limits: ViewerLimits | None = None) -> None:
        self._limits = limits
        self._feeds: dict[str, Stream] = {}
        self._latest_s: dict[str, float] = {}

    def __iter__(self) -> Iterator[Stream]:
        return iter(tuple(self._feeds.values()))

    def open(self, path: str) -> Stream:
        """The feed of a path. It is there until its last watcher has gone."""
        feed = self._feeds.get(path)
        if feed is None:
            feed = self._feeds[path] = Stream(path, (METADATA_TRACK,), "metadata", self._limits)
            feed.on_idle = lambda: self._forget(path)
        return feed

    def put(self, path: str, document: bytes) -> None:
        """Tell the watchers of a path something: one well-formed `tt:MetadataStream`. Without any it is lost."""
        feed = self._feeds.get(path)
        if feed is None:
            return
        now_s = time.monotonic()
        self._latest_s[path] = now_s
        ticks = int((now_s - feed.opened_s) * CLOCK_RATE_HZ)
        feed.push(Frame(track_index=0, dts_ticks=ticks, pts_ticks=ticks, keyframe=True, units=[document]))

    def handle_timer(self, *, now_s: float, unix_s: float) -> None:
        """Fill the silence, and let the feeds do what is due."""
        for path, feed in tuple(self._feeds.items()):
            if now_s - self._latest_s.get(path, 0.0) >= QUIET_S * 0.9:
                self.put(path, EMPTY_DOCUMENT)
            feed.handle_timer(now_s=now_s, unix_s=unix_s)

    def close(self, reason: str) -> None:
        for feed in self:
            feed.end(reason)
        self._feeds.clear()

    def _forget(self, path: str) -> None:
        self._feeds.pop(path, None)
        self._latest_s.pop(path, None)
