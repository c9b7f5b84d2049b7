"""The latest lines of the log, for clients that ask for them."""

from __future__ import annotations

import logging
from collections import deque

MAX_LINES = 1000
MAX_LINE_CHARS = 500


class LogMemory(logging.Handler):
    """Keeps what is logged from `level` on."""

    def __init__(self, level: int = logging.INFO) -> None:
        super().__init__(level)
        self.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        self._lines: deque[str] = deque(maxlen=MAX_LINES)

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._lines.append(self.format(record)[:MAX_LINE_CHARS])
        except Exception:
            self.handleError(record)

    def text(self) -> str:
        return "".join(f"{line}\n" for line in tuple(self._lines))


class AccessLog:
    """Who called what."""

    def __init__(self) -> None:
        self._lines: deque[str] = deque(maxlen=MAX_LINES)

    def note(self, line: str) -> None:
        """What is in it may come from anybody: it stays one line."""
        one = "".join(character if character.isprintable() else " " for character in line[:MAX_LINE_CHARS])
        self._lines.append(one)

    def text(self) -> str:
        return "".join(f"{line}\n" for line in self._lines)
