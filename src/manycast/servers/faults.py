"""Logging of what peers do wrong, without letting them fill the log."""

from __future__ import annotations

import logging
import time

INTERVAL_S = 1.0

AnyLog = logging.Logger | logging.LoggerAdapter[logging.Logger]


class FaultLog:
    """Writes the first fault of a second at once and counts the others, one line a second in all."""

    def __init__(self) -> None:
        self._last_s = -INTERVAL_S
        self._held = 0
        self._latest: tuple[AnyLog, str] | None = None

    def note(self, log: AnyLog, text: str) -> None:
        now_s = time.monotonic()
        if now_s - self._last_s >= INTERVAL_S:
            self.handle_timer(now_s)
            self._last_s = now_s
            log.warning("%s", text)
        else:
            self._held += 1
            self._latest = (log, text)

    def handle_timer(self, now_s: float) -> None:
        """Tell what was held back."""
        if self._latest is None or now_s - self._last_s < INTERVAL_S:
            return
        log, text = self._latest
        others = f" (and {self._held - 1} more such faults)" if self._held > 1 else ""
        log.warning("%s%s", text, others)
        self._last_s, self._held, self._latest = now_s, 0, None
