"""The test pattern: a live source that needs no camera."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from manycast.hub.source import FrameSink, SourceError
from manycast.media.frame import Frame
from manycast.media.track import Track

if TYPE_CHECKING:
    from manycast.sources.demo_encoder import DemoEncoder

log = logging.getLogger(__name__)

MAX_LATE_S = 0.5  # further behind the clock than this, pictures are left out instead of sent in a burst


class DemoSource:
    """A moving test pattern and a tone that beeps every second, encoded live as H.264 and AAC.

    1280x720 at 25 pictures a second costs 8 to 10 % of one core of a small machine. Drawing and encoding have
    a thread of their own, which hands each picture to the event loop together with its sound.
    """

    def __init__(
        self, *, width: int = 1280, height: int = 720, frame_rate: int = 25, bit_rate_bps: int = 2_000_000
    ) -> None:
        self.width = width
        self.height = height
        self.frame_rate = frame_rate
        self.bit_rate_bps = bit_rate_bps

    async def run(self, publish: Callable[[Sequence[Track]], FrameSink]) -> None:
        """Publish the pattern until cancelled; raises SourceError when it cannot be encoded here."""
        outlet = _Outlet(asyncio.get_running_loop(), publish)
        thread = threading.Thread(target=self._produce, args=(outlet,), name="demo-source", daemon=True)
        thread.start()
        try:
            await asyncio.shield(outlet.ended)
        finally:
            outlet.stop.set()
            # At most one picture is still being encoded: this is a matter of milliseconds.
            await asyncio.shield(outlet.thread_done.wait())
            thread.join()

    def _produce(self, outlet: _Outlet) -> None:
        """What the thread does."""
        try:
            from manycast.sources.demo_encoder import DemoEncoder  # brings PyAV with it

            encoder = DemoEncoder(self.width, self.height, self.frame_rate, self.bit_rate_bps)
            outlet.post(outlet.start, encoder.tracks)
            self._pace(encoder, outlet)
        except Exception as error:
            outlet.post(outlet.fail, SourceError(f"test pattern: {error}"))
        finally:
            outlet.post(outlet.thread_done.set)

    def _pace(self, encoder: DemoEncoder, outlet: _Outlet) -> None:
        """Encode one picture's time after the other, each when its time has come, until told to stop."""
        started_s = time.monotonic()
        slot = 0
        while not outlet.stop.is_set():
            late_s = time.monotonic() - started_s - slot / self.frame_rate
            if late_s < 0:
                outlet.stop.wait(-late_s)
                continue
            if late_s > MAX_LATE_S:
                skipped = int(late_s * self.frame_rate)
                log.debug("test pattern is %.1f s late: %d pictures left out", late_s, skipped)
                slot += skipped
            outlet.post(outlet.push, encoder.encode_slot(slot))
            slot += 1


class _Outlet:
    """The way from the encoding thread to the event loop; all but `post` and `stop` belong to the loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, publish: Callable[[Sequence[Track]], FrameSink]) -> None:
        self.stop = threading.Event()
        self.ended: asyncio.Future[None] = loop.create_future()
        self.thread_done = asyncio.Event()
        self._loop = loop
        self._publish = publish
        self._sink: FrameSink | None = None

    def post(self, call: Callable[..., object], *args: object) -> None:
        """Have the event loop call something soon."""
        try:
            self._loop.call_soon_threadsafe(call, *args)
        except RuntimeError:  # the loop was closed without waiting for us
            self.stop.set()

    def start(self, tracks: Sequence[Track]) -> None:
        if self.stop.is_set():
            return
        try:
            self._sink = self._publish(tracks)
        except Exception as error:
            self.fail(error)

    def push(self, frames: Sequence[Frame]) -> None:
        if self.stop.is_set() or self._sink is None:
            return
        try:
            for frame in frames:
                self._sink.push(frame)
        except Exception as error:
            self.fail(error)

    def fail(self, error: Exception) -> None:
        """End the source with an error, unless it is ending anyway."""
        if not self.stop.is_set():
            self.stop.set()
            self.ended.set_exception(error)
