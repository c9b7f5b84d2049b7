"""One HTTP connection: the limits of time and number that aiohttp does not have."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Protocol, cast

from aiohttp import web
from aiohttp.abc import AbstractAccessLogger

HEAD_TIMEOUT_S = 10.0  # from the first byte of a request, or a connection's beginning, to the end of its head
IDLE_TIMEOUT_S = 60.0  # between requests; the reply has to be read within it, too
LINGER_S = 1.0  # for which the rest of a request that is refused is taken in, so that the reply gets through

_FULL = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


log = logging.getLogger(__name__)


class Owner(Protocol):
    """Who counts the connections."""

    def lets_in(self, address: str) -> bool: ...
    def join(self, connection: Connection) -> bool: ...
    def leave(self, connection: Connection) -> None: ...


class Connection(web.RequestHandler):
    """A connection of one device."""

    def __init__(self, owner: Owner, server: web.Server, secure: bool) -> None:
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            keepalive_timeout=IDLE_TIMEOUT_S,
            lingering_time=LINGER_S,
            access_log_class=_NoAccessLog,
            auto_decompress=False,  # aiohttp unpacks all before it looks how large that is
        )
        self.secure = secure
        self.peer: tuple[str, int] = ("", 0)
        self.local: tuple[str, int] = ("", 0)
        self._owner = owner
        self._deadline_s: float | None = None
        self._reading_head = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        taken = cast(asyncio.Transport, transport)
        self.peer = tuple(taken.get_extra_info("peername")[:2])
        self.local = tuple(taken.get_extra_info("sockname")[:2])
        super().connection_made(transport)
        if not self._owner.lets_in(self.peer[0]):
            taken.abort()
        elif not self._owner.join(self):
            taken.write(_FULL)
            taken.close()
        else:
            self._deadline_s = time.monotonic() + HEAD_TIMEOUT_S
            self._reading_head = True

    def connection_lost(self, exc: BaseException | None) -> None:
        self._owner.leave(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._deadline_s is not None and not self._reading_head:
            self._reading_head = True
            self._deadline_s = time.monotonic() + HEAD_TIMEOUT_S
        super().data_received(data)

    def busy(self) -> None:
        """A request's head is there."""
        self._reading_head = False
        self._deadline_s = None

    def idle(self) -> None:
        """The reply is ready to be sent."""
        self._deadline_s = time.monotonic() + IDLE_TIMEOUT_S

    def end_if_late(self, now_s: float) -> None:
        if self._deadline_s is not None and now_s > self._deadline_s:
            self.abort()

    def log_exception(self, *args: object, **more: object) -> None:
        """What comes here is the rest of a damaged request: those of our own are logged where they happen."""
        log.debug("%s: damaged request", self.peer[0])

    def abort(self) -> None:
        if self.transport is not None:
            self.transport.abort()


class _NoAccessLog(AbstractAccessLogger):
    """Operations are logged by their names, elsewhere."""

    def log(self, request: web.BaseRequest, response: web.StreamResponse, time: float) -> None:
        pass

    @property
    def enabled(self) -> bool:
        return False
