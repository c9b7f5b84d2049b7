"""The test pattern: a live source that needs no camera."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from manycast.hub.source import FrameSink
from manycast.media.track import Track
from manycast.sources.outlet import Outlet

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
        self._encoder: DemoEncoder | None = None  # while it runs

    async def run(self, publish: Callable[[Sequence[Track]], FrameSink]) -> None:
        """Publish the pattern until cancelled; raises SourceError when it cannot be encoded here."""
        await Outlet(publish).run(self._produce, "test pattern")

    @property
    def makes_keyframes(self) -> bool:
        return True

    def request_keyframe(self) -> None:
        if self._encoder is not None:
            self._encoder.force_keyframe()

    def _produce(self, outlet: Outlet) -> None:
        """What the thread does."""
        from manycast.sources.demo_encoder import DemoEncoder  # brings PyAV with it

        encoder = self._encoder = DemoEncoder(self.width, self.height, self.frame_rate, self.bit_rate_bps)
        frames = encoder.encode_slot(0)
        outlet.begin(encoder.tracks)
        outlet.give(frames)
        self._pace(encoder, outlet)

    def _pace(self, encoder: DemoEncoder, outlet: Outlet) -> None:
        """Encode one picture's time after the other, each when its time has come, until told to stop."""
        started_s = time.monotonic()
        slot = 1
        while not outlet.stop.is_set():
            late_s = time.monotonic() - started_s - slot / self.frame_rate
            if late_s < 0:
                outlet.stop.wait(-late_s)
                continue
            if late_s > MAX_LATE_S:
                skipped = int(late_s * self.frame_rate)
                log.debug("test pattern is %.1f s late: %d pictures left out", late_s, skipped)
                slot += skipped
            outlet.give(encoder.encode_slot(slot))
            slot += 1
