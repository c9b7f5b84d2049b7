"""The table of paths: what is live, and what can be started for a viewer."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Sequence

from manycast.errors import ManycastError
from manycast.hub.limits import ViewerLimits
from manycast.hub.metadata import MetadataFeeds
from manycast.hub.on_demand import LINGER_S, OnDemand
from manycast.hub.reservation import Reservation
from manycast.hub.sessions import Sessions
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
        self.sessions = Sessions(self.limits.max_sessions)
        self.metadata = MetadataFeeds(self.limits)
        self._streams: dict[str, Stream] = {}
        self._on_demand: dict[str, OnDemand] = {}
        self._passing: set[str] = set()  # those of them that are forgotten when they end
        self._reserved: dict[str, Reservation] = {}

    def __iter__(self) -> Iterator[Stream]:
        return iter(tuple(self._streams.values()))

    def live(self, path: str) -> Stream | None:
        return self._streams.get(path)

    def publish(self, path: str, tracks: Sequence[Track], source: str) -> Stream:
        """Make a stream at a free path; raises PathTaken where it is not."""
        owner = self.owner(path)
        if owner is not None:
            raise PathTaken(f"{path} belongs to {owner}")
        return self._add(path, tracks, source)

    def unpublish(self, stream: Stream, reason: str) -> None:
        """End a stream; its path is free at once."""
        if self._streams.get(stream.path) is stream:
            del self._streams[stream.path]
            log.info("stream %s ended: %s; %s", stream.path, reason, stream.counters)
        stream.end(reason)

    async def interrupt(self, path: str, reason: str) -> None:
        """End the stream at a path, if there is one; whoever fills it may begin anew."""
        on_demand = self._on_demand.get(path)
        if on_demand is not None:
            await on_demand.close()
        elif (stream := self.live(path)) is not None:
            self.unpublish(stream, reason)

    def offer(
        self, path: str, make_source: Callable[[], Source], description: str, *, linger_s: float = LINGER_S
    ) -> None:
        """Let a source fill a path while someone watches it, and `linger_s` longer."""
        self._check_free(path)
        self._on_demand[path] = OnDemand(
            make_source,
            publish=lambda tracks: self._add(path, tracks, description),
            unpublish=self.unpublish,
            name=path,
            linger_s=linger_s,
        )

    def reserve(self, path: str, description: str) -> Reservation:
        """Keep a path for a source that runs all the time. Raises PathTaken."""
        self._check_free(path)
        reservation = self._reserved[path] = Reservation(
            description,
            publish=lambda tracks: self._add(path, tracks, description),
            unpublish=self.unpublish,
        )
        return reservation

    def owner(self, path: str) -> str | None:
        """Whom a path is kept for, whether or not there is a stream; None where it is anybody's."""
        if path in self._on_demand:
            return "the server itself"
        reservation = self._reserved.get(path)
        return None if reservation is None else reservation.description

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
        on_demand = self._on_demand.get(path) or self._reserved.get(path)
        if on_demand is None:
            return stream
        return await on_demand.open()

    async def start(
        self, path: str, make_source: Callable[[], Source], description: str, *, linger_s: float = LINGER_S
    ) -> Stream:
        """The stream of a source at a path, started if need be and forgotten when it has ended.

        Raises SourceError when it does not start, PathTaken when somebody else has the path.
        """
        for other in [other for other in self._passing if self._on_demand[other].idle]:
            self._passing.discard(other)
            del self._on_demand[other]
        if path not in self._passing:
            self.offer(path, make_source, description, linger_s=linger_s)
            self._passing.add(path)
        return await self._on_demand[path].open()

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
        for reservation in self._reserved.values():
            reservation.close(reason)
        self.metadata.close(reason)
        await asyncio.gather(*(on_demand.close() for on_demand in self._on_demand.values()))

    def _check_free(self, path: str) -> None:
        if self.owner(path) is not None or path in self._streams:
            raise PathTaken(f"{path} is taken")

    def _add(self, path: str, tracks: Sequence[Track], source: str) -> Stream:
        taken = self._streams.get(path)
        if taken is not None:
            raise PathTaken(f"{path} is already published by {taken.source}")
        stream = self._streams[path] = Stream(path, tracks, source, self.limits)
        log.info("stream %s opened", stream)
        return stream
