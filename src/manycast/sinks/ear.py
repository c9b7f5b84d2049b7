"""Hears one talk in a thread of its own, as samples."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from manycast.media.frame import Frame
from manycast.media.track import Track

if TYPE_CHECKING:
    from manycast.sinks.decoder import SpeechDecoder

MAX_WAITING = 100  # packets, 2 s as they usually are: what is heard later than that is worse than a gap
CLOSE_TIMEOUT_S = 3.0  # a device plays what it has before it is let go; one that hangs is left behind
MAX_AHEAD_S = 2.0  # who sends more sound than time passes is not speaking

log = logging.getLogger(__name__)


class OutletFailed(OSError):
    """Nothing can be heard there any more; the message says why."""


class Outlet(Protocol):
    """Takes samples: a device, a file. Used by one thread; its calls may block."""

    rate_hz: int
    channels: int

    def write(self, samples: bytes, heard_s: float) -> None:
        """Take 16-bit little-endian samples; `heard_s` is when they came (monotonic).

        Raises OutletFailed.
        """

    def close(self) -> None:
        """Bring what was written to its end. Raises nothing."""


@dataclass(frozen=True, slots=True)
class _Sound:
    track: Track
    data: bytes
    heard_s: float


class DecodingEar:
    """One talk on its way to one outlet, which is opened at the first sound.

    What the outlet is too slow for is dropped, the oldest first; what comes faster than time passes is dropped too.
    """

    def __init__(self, open_outlet: Callable[[Track], Outlet | None], name: str) -> None:
        """`open_outlet` is called in the thread, with the track of the first sound; None: nobody listens there."""
        self._open_outlet = open_outlet
        self._name = name
        self._waiting: deque[_Sound] = deque()
        self._changed = threading.Condition()
        self._ended = False
        self._deaf = False
        self._thread: threading.Thread | None = None
        self.dropped = 0  # sounds
        self._decoders: dict[Track, SpeechDecoder] = {}
        self._started_s: float | None = None
        self._played_s = 0.0

    def hear(self, track: Track, frame: Frame) -> None:
        if self._deaf or self._ended:
            return
        sound = _Sound(track, b"".join(frame.units), time.monotonic())
        with self._changed:
            if len(self._waiting) >= MAX_WAITING:
                self._waiting.popleft()
                self.dropped += 1
            self._waiting.append(sound)
            self._changed.notify()
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            self._thread.start()

    def end(self) -> None:
        with self._changed:
            self._ended = True
            self._changed.notify()

    @property
    def done(self) -> bool:
        """It has ended, and its outlet is closed."""
        return self._ended and (self._thread is None or not self._thread.is_alive())

    def join(self, timeout_s: float | None = None) -> None:
        """Wait for that; blocks."""
        if self._thread is not None:
            self._thread.join(timeout_s)

    # In the thread

    def _run(self) -> None:
        outlet: Outlet | None = None
        try:
            while (sound := self._next()) is not None:
                if outlet is None:
                    outlet = self._open_outlet(sound.track)
                    if outlet is None:
                        break
                self._play(sound, outlet)
        except OutletFailed as error:
            log.warning("%s: %s", self._name, error)
        except Exception:
            log.exception("%s failed", self._name)
        finally:
            self._deaf = True
            with self._changed:
                self._waiting.clear()
            if outlet is not None:
                outlet.close()
            if self.dropped:
                log.warning(
                    "%s: %d packets were dropped, they came faster than they can be heard", self._name, self.dropped
                )

    def _next(self) -> _Sound | None:
        with self._changed:
            while not self._waiting:
                if self._ended:
                    return None
                self._changed.wait()
            return self._waiting.popleft()

    def _play(self, sound: _Sound, outlet: Outlet) -> None:
        if self._started_s is None:
            self._started_s = sound.heard_s
        if self._played_s > sound.heard_s - self._started_s + MAX_AHEAD_S:
            self.dropped += 1
            return
        samples = self._decode(sound, outlet)
        if samples:
            self._played_s += len(samples) / (2 * outlet.channels * outlet.rate_hz)
            outlet.write(samples, sound.heard_s)

    def _decode(self, sound: _Sound, outlet: Outlet) -> bytes:
        from av.error import FFmpegError

        from manycast.sinks.decoder import SpeechDecoder

        try:
            decoder = self._decoders.get(sound.track)
            if decoder is None:
                decoder = SpeechDecoder(sound.track, rate_hz=outlet.rate_hz, channels=outlet.channels)
                self._decoders[sound.track] = decoder
            return decoder.decode(sound.data)
        except FFmpegError as error:
            log.debug(
                "%s: %d bytes of %s cannot be decoded: %s", self._name, len(sound.data), sound.track.codec.value, error
            )
            return b""


class EarsAtWork:
    """The ears a listener has given out, so that a stop can wait for them."""

    def __init__(self) -> None:
        self._ears: list[DecodingEar] = []

    def add(self, ear: DecodingEar) -> DecodingEar:
        self._ears = [other for other in self._ears if not other.done]
        self._ears.append(ear)
        return ear

    async def close(self) -> None:
        """End them all, and wait until their outlets are closed."""
        ears, self._ears = self._ears, []
        for ear in ears:
            ear.end()
        await asyncio.gather(*(asyncio.to_thread(ear.join, CLOSE_TIMEOUT_S) for ear in ears))
