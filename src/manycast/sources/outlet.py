"""The way from a source's thread to the event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence

from manycast.hub.source import FrameSink, SourceError
from manycast.media.frame import Frame
from manycast.media.track import Track

STOP_TIMEOUT_S = 2.0  # then a thread that hangs in a driver is left behind; it ends when the driver lets it


class Outlet:
    """`post`, `begin`, `give` and `stop` are for the thread, all else for the loop."""

    def __init__(self, publish: Callable[[Sequence[Track]], FrameSink]) -> None:
        self.stop = threading.Event()
        self._loop = asyncio.get_running_loop()
        self._ended: asyncio.Future[None] = self._loop.create_future()
        self._thread_done = asyncio.Event()
        self._publish = publish
        self._sink: FrameSink | None = None

    async def run(self, work: Callable[[Outlet], None], name: str) -> None:
        """Do blocking work in a thread, until it returns or this is cancelled; then `stop` is set.

        Raises SourceError when the work fails, with its message behind the name.
        """
        thread = threading.Thread(target=self._work, args=(work, name), name=name, daemon=True)
        thread.start()
        try:
            await asyncio.shield(self._ended)
        finally:
            self.stop.set()
            try:
                await asyncio.wait_for(self._thread_done.wait(), STOP_TIMEOUT_S)
            except TimeoutError:
                pass
            else:
                thread.join()

    def begin(self, tracks: Sequence[Track]) -> None:
        """Publish the tracks; once, before any frame."""
        self.post(self._begin, tracks)

    def give(self, frames: Sequence[Frame]) -> None:
        """Push frames, in decoding order per track."""
        if frames:
            self.post(self._push, frames)

    def post(self, call: Callable[..., object], *arguments: object) -> None:
        """Have the event loop call something soon."""
        try:
            self._loop.call_soon_threadsafe(call, *arguments)
        except RuntimeError:  # the loop was closed without waiting for us
            self.stop.set()

    def _work(self, work: Callable[[Outlet], None], name: str) -> None:
        try:
            work(self)
            self.post(self._end, None)
        except SourceError as error:
            self.post(self._end, error)
        except Exception as error:
            self.post(self._end, SourceError(f"{name}: {error}"))
        finally:
            self.post(self._thread_done.set)

    def _begin(self, tracks: Sequence[Track]) -> None:
        if self.stop.is_set():
            return
        try:
            self._sink = self._publish(tracks)
        except Exception as error:
            self._end(error)

    def _push(self, frames: Sequence[Frame]) -> None:
        if self.stop.is_set() or self._sink is None:
            return
        try:
            for frame in frames:
                self._sink.push(frame)
        except Exception as error:
            self._end(error)

    def _end(self, error: Exception | None) -> None:
        """End the source, unless it is ending anyway."""
        if self.stop.is_set() or self._ended.done():
            return
        self.stop.set()
        if error is None:
            self._ended.set_result(None)
        else:
            self._ended.set_exception(error)
