"""What time the device says it is. The machine's clock is not touched: an offset to it is kept."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from manycast.onvif.state.clock import Clock


class DeviceClock:
    def __init__(self, settings: Callable[[], Clock]) -> None:
        """`settings` is asked each time: a reset puts others in its place."""
        self._settings = settings

    def now(self) -> datetime:
        """In UTC."""
        return datetime.now(UTC) + timedelta(seconds=self._settings().offset_s)
