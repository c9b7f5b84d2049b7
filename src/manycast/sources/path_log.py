"""The log of what fills one path."""

from __future__ import annotations

import logging
from collections.abc import MutableMapping
from typing import Any

AnyLog = logging.LoggerAdapter[logging.Logger] | logging.Logger


class PathLog(logging.LoggerAdapter[logging.Logger]):
    """Puts what it is, and the path, before each line."""

    def __init__(self, logger: logging.Logger, kind: str, path: str) -> None:
        super().__init__(logger, {})
        self._prefix = f"{kind} {path}"

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        return f"{self._prefix}: {msg}", kwargs
