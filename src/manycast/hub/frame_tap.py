"""A stream's frames as they are, for those who make another stream of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from manycast.hub.fanout import BacklogLimit
from manycast.hub.gop import GopCache
from manycast.hub.source import FrameSink, SourceEnded
from manycast.hub.stream import Stream, StreamEnded
from manycast.media.frame import Frame
from manycast.media.track import MediaKind, Track


class FrameTap:
    """The packager of no format: hands on copies, for whoever gets a frame may change it."""

    def __init__(self, tracks: Sequence[Track], cached: Sequence[Frame], limit: BacklogLimit, name: str) -> None:
        self._kinds = [track.kind for track in tracks]
        self._gop: GopCache[Frame] = GopCache()
        self._sinks: dict[FrameSink, Mapping[int, int]] = {}
        for frame in cached:
            self.push(frame)

    def push(self, frame: Frame) -> None:
        video_keyframe = frame.keyframe and self._kinds[frame.track_index] is MediaKind.VIDEO
        self._gop.add(frame, size_bytes=frame.size_bytes, keyframe=video_keyframe)
        for sink, numbers in self._sinks.items():
            _hand_on(frame, sink, numbers)

    def join(self, sink: FrameSink, numbers: Mapping[int, int]) -> None:
        """Give a sink what came since the latest keyframe, and what comes; `numbers` are what the tracks it wants are
        called there."""
        for frame in self._gop:
            _hand_on(frame, sink, numbers)
        self._sinks[sink] = numbers

    def leave(self, sink: FrameSink) -> None:
        self._sinks.pop(sink, None)

    def set_clock(self, unix_at_zero_s: float) -> None:
        """Frames have no wall clock."""

    def handle_timer(self, *, now_s: float, unix_s: float) -> None:
        """Nothing is due."""

    def end(self) -> None:
        """Those who watch the stream are told by it."""

    def close(self) -> None:
        self._gop.clear()


class StreamSource:
    """Some tracks of a live stream as a source of another one, which ends with it."""

    def __init__(self, stream: Stream, track_indices: Sequence[int] | None = None) -> None:
        """By default it has all tracks."""
        self._stream = stream
        self._indices = tuple(range(len(stream.tracks)) if track_indices is None else track_indices)

    async def run(self, publish: Callable[[Sequence[Track]], FrameSink]) -> None:
        ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        watcher = object()
        try:
            tap = self._stream.watch(watcher, FrameTap, ended.set_result)
        except StreamEnded as error:
            raise SourceEnded(str(error)) from error
        try:
            sink = publish([self._stream.tracks[index] for index in self._indices])
            tap.join(sink, {index: number for number, index in enumerate(self._indices)})
            try:
                raise SourceEnded(await ended)
            finally:
                tap.leave(sink)
        finally:
            self._stream.unwatch(watcher)

    @property
    def makes_keyframes(self) -> bool:
        return self._stream.keyframes.possible

    def request_keyframe(self) -> None:
        self._stream.keyframes.request()


def _hand_on(frame: Frame, sink: FrameSink, numbers: Mapping[int, int]) -> None:
    number = numbers.get(frame.track_index)
    if number is not None:
        sink.push(replace(frame, track_index=number, units=list(frame.units)))
