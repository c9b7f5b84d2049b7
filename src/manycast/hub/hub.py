"""The table of paths: what is live, and what can be started for a viewer."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Sequence

from manycast.errors import ManycastError
from manycast.hub.limits import ViewerLimits
from manycast.hub.metadata import MetadataFeeds
from manycast.hub.on_demand import OnDemand
from manycast.hub.source import Source
from manycast.hub.stream import Stream
from manycast.media.track import Track

TIMER_INTERVAL_S = 1.0

log = logging.getLogger(__name__)


class PathTaken(ManycastError):
    """Someone else publishes at the path, or it belongs to a source of our own."""


class Hub:
    """Every live stream of the server. All methods are for the event loop's thread."""

    def __init__(self, limits: ViewerLimits | None = None) -> None:
        self.limits = limits or ViewerLimits()
        self.metadata = MetadataFeeds(self.limits)
        self._streams: dict[str, Stream] = {}
        self._on_demand: dict[str, OnDemand] = {}

    def __iter__(self) -> Iterator[Stream]:
        return iter(tuple(self._streams.values()))

    def live(self, path: str) -> Stream | None:
        return self._streams.get(path)

    def publish(self, path: str, tracks: Sequence[Track], source: str) -> Stream:
        """Make a stream at a free path; raises PathTaken where it is not."""
        if path in self._on_demand:
            raise PathTaken(f"{path} belongs to the server")
        return self._add(path, tracks, source)

    def unpublish(self, stream: Stream, reason: str) -> None:
        """End a stream; its path is free at once."""
        if self._streams.get(stream.path) is stream:
            del self._streams[stream.path]
            log.info("stream %s ended: %s; %s", stream.path, reason, stream.counters)
        stream.end(reason)

    def offer(self, path: str, make_source: Callable[[], Source], description: str) -> None:
        """Let a source fill a path while someone watches it."""
        if path in self._on_demand or path in self._streams:
            raise PathTaken(f"{path} is taken")
        self._on_demand[path] = OnDemand(
            make_source,
            publish=lambda tracks: self._add(path, tracks, description),
            unpublish=self.unpublish,
        )

    async def withdraw(self, path: str) -> None:
        """Take an offer back; a source that runs is stopped first, and its viewers are told."""
        on_demand = self._on_demand.pop(path, None)
        if on_demand is not None:
            await on_demand.close()

    async def open(self, path: str) -> Stream | None:
        """The stream at a path, started if need be; None where there is none.

        Raises SourceError when it could not be started.
        """
        stream = self._streams.get(path)
        on_demand = self._on_demand.get(path)
        if on_demand is None:
            return stream
        return await on_demand.open()

    @property
    def offered(self) -> tuple[str, ...]:
        """The paths that are filled on demand."""
        return tuple(self._on_demand)

    async def run_timer(self) -> None:
        """Let every stream do what is due, until cancelled."""
        while True:
            await asyncio.sleep(TIMER_INTERVAL_S)
            now_s, unix_s = time.monotonic(), time.time()
            for stream in self:
                stream.handle_timer(now_s=now_s, unix_s=unix_s)
            self.metadata.handle_timer(now_s=now_s, unix_s=unix_s)

    async def close(self, reason: str) -> None:
        """End everything, telling all viewers."""
        for stream in self:
            self.unpublish(stream, reason)
        self.metadata.close(reason)
        await asyncio.gather(*(on_demand.close() for on_demand in self._on_demand.values()))

    def _add(self, path: str, tracks: Sequence[Track], source: str) -> Stream:
        taken = self._streams.get(path)
        if taken is not None:
            raise PathTaken(f"{path} is already published by {taken.source}")
        stream = self._streams[path] = Stream(path, tracks, source, self.limits)
        log.info("stream %s opened", stream)
        return stream
