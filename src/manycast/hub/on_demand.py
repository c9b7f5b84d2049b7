"""Starts a source for its first viewer and stops it some time after the last."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

from manycast.hub.source import FrameSink, Source, SourceEnded, SourceError, keyframe_request_of
from manycast.hub.stream import Stream
from manycast.media.track import Track

LINGER_S = 10.0  # long enough for a player that describes, closes and comes back
START_TIMEOUT_S = 10.0  # how long a viewer waits for the source

log = logging.getLogger(__name__)


class OnDemand:
    """One source that runs while it is watched."""

    def __init__(
        self,
        make_source: Callable[[], Source],
        *,
        publish: Callable[[Sequence[Track]], Stream],
        unpublish: Callable[[Stream, str], None],
        name: str,
        linger_s: float = LINGER_S,
    ) -> None:
        self._make_source = make_source
        self._publish = publish
        self._unpublish = unpublish
        self._name = name
        self._linger_s = linger_s
        self._task: asyncio.Task[None] | None = None
        self._opened: asyncio.Future[Stream] | None = None
        self._idle_timer: asyncio.TimerHandle | None = None

    @property
    def idle(self) -> bool:
        """It does not run, and nobody waits for it."""
        return self._opened is None and (self._task is None or self._task.done())

    async def open(self) -> Stream:
        """The running stream. Raises SourceError when it does not start, or not in time."""
        if self._task is not None and self._opened is None:
            await asyncio.gather(self._task, return_exceptions=True)  # it is being stopped; then start anew
        if self._opened is None:
            self._opened = asyncio.get_running_loop().create_future()
            self._task = asyncio.create_task(self._run(self._opened), name="source on demand")
        opened = self._opened
        try:
            stream = await asyncio.wait_for(asyncio.shield(opened), START_TIMEOUT_S)
        except TimeoutError:
            if self._opened is opened and not opened.done() and self._task is not None:
                self._opened = None
                self._task.cancel()
            raise SourceError(f"the source did not start within {START_TIMEOUT_S:.0f} s") from None
        self._watch_idle(stream)
        return stream

    async def close(self) -> None:
        """Stop the source, now."""
        self._stop_timer()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self, opened: asyncio.Future[Stream]) -> None:
        streams: list[Stream] = []

        def publish(tracks: Sequence[Track]) -> FrameSink:
            stream = self._publish(tracks)
            stream.keyframes.on_request = keyframe_request_of(source)
            streams.append(stream)
            stream.on_idle = lambda: self._watch_idle(stream)
            opened.set_result(stream)
            self._watch_idle(stream)  # whoever asked for it may have gone meanwhile
            return stream

        reason = "nobody watches"
        try:
            source = self._make_source()
            await source.run(publish)
            reason = "the source has ended"
        except SourceEnded as error:
            reason = str(error)
        except SourceError as error:
            reason = str(error)
            log.warning("source of %s failed: %s", self._name, error)
        finally:
            self._stop_timer()
            for stream in streams:
                self._unpublish(stream, reason)
            if not opened.done():
                opened.set_exception(SourceError(reason))
                opened.exception()  # whoever waited has it; nobody waiting is no fault
            if self._opened is opened:
                self._opened = None

    def _watch_idle(self, stream: Stream) -> None:
        self._stop_timer()
        if not stream.watchers:
            loop = asyncio.get_running_loop()
            self._idle_timer = loop.call_later(self._linger_s, self._stop_if_idle, stream)

    def _stop_if_idle(self, stream: Stream) -> None:
        self._idle_timer = None
        if not stream.watchers and self._task is not None:
            self._opened = None
            self._task.cancel()

    def _stop_timer(self) -> None:
        if self._idle_timer is not None:
            self._idle_timer.cancel()
            self._idle_timer = None
