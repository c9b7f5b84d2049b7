"""A path that belongs to a source which runs as long as the server does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from manycast.hub.on_demand import START_TIMEOUT_S
from manycast.hub.source import SourceError
from manycast.hub.stream import Stream
from manycast.media.track import Track


class Reservation:
    """Nobody else can publish at the path. Viewers who come while nothing is there wait a while, and are told then why
    nothing has come."""

    def __init__(
        self,
        description: str,
        *,
        publish: Callable[[Sequence[Track]], Stream],
        unpublish: Callable[[Stream, str], None],
    ) -> None:
        self.description = description
        self._publish = publish
        self._unpublish = unpublish
        self._stream: Stream | None = None
        self._waiting: set[asyncio.Future[Stream]] = set()
        self._wanted = asyncio.Event()
        self._reason = ""  # of the last failure
        self._denied = False  # until something comes all the same, nobody waits

    def publish(self, tracks: Sequence[Track]) -> Stream:
        """Begin a stream at the path."""
        self._denied = False
        stream = self._stream = self._publish(tracks)
        for waiting in self._waiting:
            if not waiting.done():
                waiting.set_result(stream)
        return stream

    def end(self, reason: str) -> None:
        """The source has failed, before or after it has published; who watches is told."""
        stream, self._stream = self._stream, None
        self._reason = reason
        if stream is not None:
            self._unpublish(stream, reason)

    def deny(self, reason: str) -> None:
        """Waiting is of no use: who waits is told as well, and who comes later."""
        self.end(reason)
        self._denied = True
        for waiting in self._waiting:
            if not waiting.done():
                waiting.set_exception(SourceError(reason))

    def close(self, reason: str) -> None:
        """Nothing will come any more."""
        self.deny(reason)

    async def pause(self, seconds: float) -> None:
        """Wait, but not longer than until a viewer waits."""
        if self._waiting:
            return
        self._wanted.clear()
        try:
            await asyncio.wait_for(self._wanted.wait(), seconds)
        except TimeoutError:
            pass

    async def open(self) -> Stream:
        """The stream, for a viewer. Raises SourceError when it does not come in time."""
        if self._stream is not None and self._stream.ended is None:
            return self._stream
        if self._denied:
            raise SourceError(self._reason)
        waiting: asyncio.Future[Stream] = asyncio.get_running_loop().create_future()
        self._waiting.add(waiting)
        self._wanted.set()
        try:
            return await asyncio.wait_for(waiting, START_TIMEOUT_S)
        except TimeoutError:
            raise SourceError(self._reason or f"nothing comes from {self.description}") from None
        finally:
            self._waiting.discard(waiting)
