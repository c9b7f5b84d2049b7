"""A stream's frames as they are, for those who make another stream of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace

from manycast.hub.fanout import BacklogLimit
from manycast.hub.source import FrameSink, SourceError
from manycast.hub.stream import Stream
from manycast.media.frame import Frame
from manycast.media.track import Track


class FrameTap:
    """The packager of no format: hands on copies, for whoever gets a frame may change it."""

    def __init__(self, tracks: Sequence[Track], cached: Sequence[Frame], limit: BacklogLimit, name: str) -> None:
        self._cached = list(cached)
        self._sinks: list[FrameSink] = []

    def push(self, frame: Frame) -> None:
        self._cached = []  # it was for those who came with the packager
        for sink in self._sinks:
            sink.push(_copy(frame))

    def join(self, sink: FrameSink) -> None:
        for frame in self._cached:
            sink.push(_copy(frame))
        self._sinks.append(sink)

    def set_clock(self, unix_at_zero_s: float) -> None:
        """Frames have no wall clock."""

    def handle_timer(self, *, now_s: float, unix_s: float) -> None:
        """Nothing is due."""

    def end(self) -> None:
        """Those who watch the stream are told by it."""


class StreamSource:
    """A live stream as a source of another one, which ends with it."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    async def run(self, publish: Callable[[Sequence[Track]], FrameSink]) -> None:
        ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        watcher = object()
        tap = self._stream.watch(watcher, FrameTap, ended.set_result)
        try:
            tap.join(publish(self._stream.tracks))
            raise SourceError(await ended)
        finally:
            self._stream.unwatch(watcher)


def _copy(frame: Frame) -> Frame:
    return replace(frame, units=list(frame.units))
