"""The log of one client's connection."""

from __future__ import annotations

import logging
from collections.abc import MutableMapping
from typing import Any


class ConnectionLog(logging.LoggerAdapter[logging.Logger]):
    """Puts who it is, protocol and address, before each line."""

    def __init__(self, logger: logging.Logger, client: str) -> None:
        """`client` is written as `RTSP 192.0.2.1:5000`."""
        super().__init__(logger, {})
        self._client = client

    @property
    def host(self) -> str:
        """The client without its port, which is another one for each connection."""
        return self._client.rpartition(":")[0] or self._client

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        return f"{self._client}: {msg}", kwargs
