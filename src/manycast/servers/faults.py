"""Logging of what peers do wrong, without letting them fill the log."""

from __future__ import annotations

import logging
import re
import time
from dataclasses import dataclass

from manycast.servers.connection_log import ConnectionLog
from manycast.wire.masking import masked

INTERVAL_S = 1.0
MAX_LINES = 10  # in INTERVAL_S, of all kinds; one more says how many others there were
MAX_KINDS = 100  # remembered; each holds one text

AnyLog = logging.Logger | logging.LoggerAdapter[logging.Logger]

_PARTICULARS = re.compile(r"'[^']*'|[0-9]+")  # names and numbers: what differs among faults of one kind

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Kind:
    """Faults of one kind from one address."""

    told_s: float
    held: int = 0
    latest: tuple[AnyLog, str] | None = None


class FaultLog:
    """Writes the first fault of a kind from an address at once, and counts others like it: a line a second for each.

    Of one kind are faults whose texts differ in names and numbers only. Passwords are hidden.
    """

    def __init__(self) -> None:
        self._kinds: dict[tuple[str, str], _Kind] = {}
        self._others = 0  # that found no room
        self._window_s = 0.0
        self._lines = 0  # in the window

    def note(self, log: AnyLog, text: str) -> None:
        now_s = time.monotonic()
        host = log.host if isinstance(log, ConnectionLog) else ""
        key = host, _PARTICULARS.sub("#", text[:200])
        kind = self._kinds.get(key)
        if kind is None and len(self._kinds) < MAX_KINDS and self._has_room(now_s):
            self._kinds[key] = _Kind(now_s)
            self._write(log, text)
        elif kind is None:
            self._others += 1
        else:
            kind.held += 1
            kind.latest = log, text
            self._tell(kind, now_s)

    def handle_timer(self, now_s: float) -> None:
        """Tell what was held back."""
        for key, kind in tuple(self._kinds.items()):
            self._tell(kind, now_s)
            if not kind.held and now_s - kind.told_s >= INTERVAL_S:
                del self._kinds[key]
        if self._others and self._has_room(now_s):
            _log.warning("%d other faults, too many to tell each", self._others)
            self._others = 0

    def _tell(self, kind: _Kind, now_s: float) -> None:
        if kind.latest is None or now_s - kind.told_s < INTERVAL_S or not self._has_room(now_s):
            return
        others = f" (and {kind.held - 1} more such faults)" if kind.held > 1 else ""
        self._write(*kind.latest, others)
        kind.told_s, kind.held, kind.latest = now_s, 0, None

    def _has_room(self, now_s: float) -> bool:
        if now_s - self._window_s >= INTERVAL_S:
            self._window_s, self._lines = now_s, 0
        return self._lines < MAX_LINES

    def _write(self, log: AnyLog, text: str, others: str = "") -> None:
        self._lines += 1
        log.warning("%s%s", masked(text), others)
