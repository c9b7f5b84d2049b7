"""Streams of publishers who say what they send only by sending it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from manycast.hub.gathering import Gathering, OtherTracks
from manycast.hub.hub import Hub, PathTaken
from manycast.hub.stream import Stream
from manycast.media.frame import Frame
from manycast.media.track import Track


class GatheredStream:
    """A stream at a path once its tracks are known; when they change, another one in its place."""

    def __init__(self, hub: Hub, path: str, source: str, on_refused: Callable[[str], None]) -> None:
        """`on_refused` is called when the path was taken after all, by the time the tracks were known."""
        self._hub = hub
        self._path = path
        self._source = source
        self._on_refused = on_refused
        self._gathering = Gathering(self._publish)
        self._stream: Stream | None = None

    @property
    def live(self) -> bool:
        return self._stream is not None

    def push(
        self, frames: Sequence[Frame], tracks: Mapping[int, Track | None], *, expected: Collection[int], now_s: float
    ) -> bool:
        """As `Gathering.push`, but that it goes on with other tracks; returns whether it has begun anew for that."""
        try:
            try:
                self._gathering.push(frames, tracks, expected=expected, now_s=now_s)
            except OtherTracks:
                self.close("the publisher changed its tracks")
                self._gathering.push(frames, tracks, expected=expected, now_s=now_s)
                return True
        except PathTaken as error:
            self._on_refused(str(error))
        return False

    def handle_timer(self, now_s: float) -> None:
        """Begin without a track that does not come."""
        try:
            self._gathering.handle_timer(now_s)
        except PathTaken as error:
            self._on_refused(str(error))

    def close(self, reason: str) -> None:
        if self._stream is not None:
            self._hub.unpublish(self._stream, reason)
            self._stream = None
        self._gathering = Gathering(self._publish)

    def _publish(self, tracks: Sequence[Track]) -> Stream:
        self._stream = self._hub.publish(self._path, tracks, self._source)
        return self._stream
