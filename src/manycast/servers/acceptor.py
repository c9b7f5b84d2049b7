"""Takes TCP connections from listening sockets, and makes them fit for media."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections.abc import Callable, Sequence

from manycast.servers.faults import FaultLog

LISTEN_BACKLOG = 1024
SEND_BUFFER_BYTES = 512 * 1024  # more would only hide a slow viewer in the kernel for many seconds
ACCEPT_PAUSE_S = 0.5  # when the process has no more file descriptors

# What tells that a peer is gone: 60 s without an answer, whether something was sent to it (which the kernel would
# else try for a quarter of an hour) or nothing was.
_LOST_PEER = (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3), ("TCP_USER_TIMEOUT", 60_000))

Peer = tuple[str, int]


class Acceptor:
    """Hands every new connection to `on_accept`, with the address and port it comes from."""

    def __init__(self, on_accept: Callable[[socket.socket, Peer], None], faults: FaultLog, log: logging.Logger) -> None:
        self._on_accept = on_accept
        self._faults = faults
        self._log = log
        self._listeners: list[socket.socket] = []
        self._loop = asyncio.get_running_loop()

    def listen(self, listeners: Sequence[socket.socket]) -> None:
        """Take connections from bound sockets; the acceptor owns them from now on."""
        for listener in listeners:
            listener.setblocking(False)
            listener.listen(LISTEN_BACKLOG)
            self._listeners.append(listener)
            self._loop.add_reader(listener, self._accept, listener)

    def close(self) -> None:
        for listener in self._listeners:
            self._loop.remove_reader(listener)
            listener.close()

    def _accept(self, listener: socket.socket) -> None:
        for _ in range(LISTEN_BACKLOG):
            try:
                sock, peer = listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno not in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                    raise
                # The one who waits stays in the backlog; without a pause the loop would spin on it.
                self._faults.note(self._log, f"cannot take another connection: {error.strerror}")
                self._loop.remove_reader(listener)
                self._loop.call_later(ACCEPT_PAUSE_S, self._resume, listener)
                return
            self._on_accept(sock, (peer[0], peer[1]))

    def _resume(self, listener: socket.socket) -> None:
        if listener.fileno() >= 0:
            self._loop.add_reader(listener, self._accept, listener)


def prepare_socket(sock: socket.socket) -> None:
    """Set what every connection that carries media needs. Raises OSError for a peer that has gone already."""
    sock.setblocking(False)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
    # Let the kernel ask after a client that lost its power or its cable: such a one never says that it is gone.
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _LOST_PEER:
        if hasattr(socket, name):  # not everywhere; there the system's own, longer times hold
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
