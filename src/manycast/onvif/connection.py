"""One HTTP connection: the limits of time and number that aiohttp does not have."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
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

    def leave(self, connection: Connection) -> None: ...


class Connection(web.RequestHandler):
    """A connection of one device."""

    def __init__(self, owner: Owner, server: web.Server, secure: bool, peer: tuple[str, int]) -> None:
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            keepalive_timeout=IDLE_TIMEOUT_S,
            lingering_time=LINGER_S,
            access_log_class=_NoAccessLog,
            auto_decompress=False,  # aiohttp unpacks all before it looks how large that is
        )
        self.secure = secure
        self.peer = peer
        self.local: tuple[str, int] = ("", 0)
        self.opening: asyncio.Task[object] | None = None
        self.proven = False  # a whole request has come
        self.logins: set[str] = set()  # the names of right ones
        self.ended = False  # by us
        self._owner = owner
        self._deadline_s: float | None = None
        self._reading_head = False

    @property
    def waiting(self) -> bool:
        """For a request, or for the rest of its head."""
        return self._deadline_s is not None

    def open(self, sock: socket.socket, context: ssl.SSLContext | None, handshake_timeout_s: float) -> None:
        """Speak on a socket that does not block, with a context after a TLS handshake."""
        loop = asyncio.get_running_loop()
        timeout_s = None if context is None else handshake_timeout_s
        taken = loop.connect_accepted_socket(lambda: self, sock, ssl=context, ssl_handshake_timeout=timeout_s)
        self.opening = loop.create_task(taken, name="onvif connection")
        self.opening.add_done_callback(lambda task: self._opened(task, sock))

    def _opened(self, task: asyncio.Task[object], sock: socket.socket) -> None:
        self.opening = None
        if self.transport is None:
            sock.close()
            self._owner.leave(self)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.debug("%s: no connection: %s", self.peer[0], error)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        taken = cast(asyncio.Transport, transport)
        self.local = tuple(taken.get_extra_info("sockname")[:2])
        super().connection_made(transport)
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
        self.proven = True
        self._deadline_s = time.monotonic() + IDLE_TIMEOUT_S

    def end_if_late(self, now_s: float) -> None:
        if self._deadline_s is not None and now_s > self._deadline_s:
            self.abort()

    def log_exception(self, *args: object, **more: object) -> None:
        """What comes here is the rest of a damaged request: those of our own are logged where they happen."""
        log.debug("%s: damaged request", self.peer[0])

    def abort(self) -> None:
        self.ended = True
        if self.opening is not None:
            self.opening.cancel()
        if self.transport is not None:
            self.transport.abort()


def dispensable(connections: Sequence[Connection], address: str) -> Connection | None:
    """Which of these, the oldest first, has to go for one more from an address; None: none of them.

    It is one that has not brought a whole request yet, else one that waits for its next, of the address that has the
    most. Nobody has to go for an address that has more connections itself, nor an idle one for as many.
    """
    counts = Counter(each.peer[0] for each in connections)
    own = counts[address]
    unproven = [each for each in connections if not each.proven and counts[each.peer[0]] >= own]
    idle = [each for each in connections if each.proven and each.waiting and counts[each.peer[0]] > own + 1]
    return max(unproven or idle, key=lambda each: counts[each.peer[0]], default=None)


def refuse(sock: socket.socket, *, secure: bool) -> None:
    """Close a connection for which there is no place; by HTTP with a word, by TLS there is no cheap one."""
    with sock, suppress(OSError):
        sock.setblocking(False)
        if not secure:
            sock.send(_FULL)


class _NoAccessLog(AbstractAccessLogger):
    """Operations are logged by their names, elsewhere."""

    def log(self, request: web.BaseRequest, response: web.StreamResponse, time: float) -> None:
        pass

    @property
    def enabled(self) -> bool:
        return False
