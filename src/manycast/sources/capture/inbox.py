"""What devices hand to those who encode."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from manycast.hub.source import SourceError
from manycast.media.track import Codec

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

MAX_PICTURES = 4  # more waiting ones make the picture late; the oldest goes
MAX_CODED = 60  # the same of coded ones, which need each other: all go, up to the next keyframe
MAX_SOUND_S = 2.0


@dataclass(frozen=True, slots=True)
class Picture:
    """Shared by all who encode it: nobody changes it."""

    image: VideoFrame
    time_s: float  # on the monotonic clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Coded:
    """A picture as the camera has coded it."""

    codec: Codec
    data: bytes  # with start codes, where the codec has NAL units
    keyframe: bool
    size: tuple[int, int]
    rate: float
    time_s: float  # on the monotonic clock


@dataclass(frozen=True, slots=True)
class Sound:
    """16-bit samples, little-endian, channels interleaved."""

    samples: bytes
    sample_rate_hz: int
    channels: int
    time_s: float  # of the first sample, on the monotonic clock

    @property
    def duration_s(self) -> float:
        return len(self.samples) / (2 * self.channels * self.sample_rate_hz)


Captured = Picture | Coded | Sound


class Inbox:
    """A bounded queue between threads: several devices put in, one encoder takes out. Nobody waits to put in."""

    def __init__(self) -> None:
        self._waiting: deque[Captured] = deque()
        self._changed = threading.Condition()
        self._error: SourceError | None = None
        self._broken = False  # a coded picture is missing
        self.dropped = 0  # pictures that were not encoded

    def put(self, item: Captured) -> None:
        with self._changed:
            if isinstance(item, Coded) and self._leaves_out(item):
                self.dropped += 1
                return
            self._waiting.append(item)
            self._bound()
            self._changed.notify()

    def fail(self, error: SourceError) -> None:
        """A device has ended; `take` raises this from now on."""
        with self._changed:
            self._error = self._error or error
            self._changed.notify()

    def take(self, timeout_s: float) -> Captured | None:
        """The next item; None when there is none in time. Raises SourceError."""
        with self._changed:
            if not self._waiting and self._error is None:
                self._changed.wait(timeout_s)
            if self._error is not None:
                raise self._error
            return self._waiting.popleft() if self._waiting else None

    def _leaves_out(self, picture: Coded) -> bool:
        waiting = [item for item in self._waiting if isinstance(item, Coded)]
        if len(waiting) >= (MAX_PICTURES if picture.codec is Codec.MJPEG else MAX_CODED):
            self._waiting = deque(item for item in self._waiting if not isinstance(item, Coded))
            self.dropped += len(waiting)
            self._broken = True
        self._broken = self._broken and not picture.keyframe
        return self._broken

    def _bound(self) -> None:
        pictures = [item for item in self._waiting if isinstance(item, Picture)]
        if len(pictures) > MAX_PICTURES:
            self._waiting.remove(pictures[0])
            self.dropped += 1
        sounds = [item for item in self._waiting if isinstance(item, Sound)]
        if sounds and sounds[-1].time_s - sounds[0].time_s > MAX_SOUND_S:
            self._waiting.remove(sounds[0])
