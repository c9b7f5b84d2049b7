"""The log of one client's connection."""

from __future__ import annotations

import logging
from collections.abc import MutableMapping
from typing import Any


class ConnectionLog(logging.LoggerAdapter[logging.Logger]):
    """Puts who it is, protocol and address, before each line."""

    def __init__(self, logger: logging.Logger, client: str) -> None:
        super().__init__(logger, {})
        self._client = client

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        return f"{self._client}: {msg}", kwargs
