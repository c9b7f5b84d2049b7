"""The RTSP server: listens, takes connections, keeps the sessions."""

from __future__ import annotations

import asyncio
import errno
import importlib
import logging
import socket
import time
from collections.abc import Sequence

from manycast.errors import ProtocolError
from manycast.hub.catalogue import Catalogue
from manycast.hub.source import SourceError
from manycast.servers.rtsp.connection import RtspConnection
from manycast.servers.rtsp.context import RtspContext
from manycast.servers.rtsp.handlers import handle
from manycast.servers.rtsp.options import RtspOptions
from manycast.servers.rtsp.reply import Reply, complete
from manycast.wire.rtsp.errors import NotFound, RtspError, Unauthorized
from manycast.wire.rtsp.message import Request, Response, without_userinfo

READ_BUFFER_BYTES = 64 * 1024  # shared by all connections; what one read holds is taken apart before anyone else's
LISTEN_BACKLOG = 1024
ACCEPT_PAUSE_S = 0.5  # when the process has no more file descriptors
TIMER_INTERVAL_S = 0.5
DESCRIPTORS_WITHOUT_LIMIT = 10_000


class RtspServer:
    """All connections and sessions of one RTSP service, on any number of addresses."""

    def __init__(self, catalogue: Catalogue, options: RtspOptions) -> None:
        self.context = RtspContext(catalogue, options)
        self.options = options
        self.faults = self.context.faults
        self.log = logging.getLogger(__name__)
        self.read_buffer = memoryview(bytearray(READ_BUFFER_BYTES))
        self._connections: set[RtspConnection] = set()
        self._listeners: list[socket.socket] = []
        self._timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()

    @property
    def connections(self) -> int:
        return len(self._connections)

    def listen(self, listeners: Sequence[socket.socket]) -> None:
        """Take connections from bound sockets; the server owns them from now on."""
        for listener in listeners:
            listener.setblocking(False)
            listener.listen(LISTEN_BACKLOG)
            self._listeners.append(listener)
            self._loop.add_reader(listener, self._accept, listener)
        self._timer = self._loop.call_later(TIMER_INTERVAL_S, self._handle_timer)

    async def close(self, reason: str) -> None:
        """End all sessions, telling viewers, and close everything."""
        if self._timer is not None:
            self._timer.cancel()
        for listener in self._listeners:
            self._loop.remove_reader(listener)
            listener.close()
        for session in tuple(self.context.sessions.values()):
            session.close(reason)
        for connection in tuple(self._connections):
            connection.close(reason)

    # Requests

    async def answer(self, connection: RtspConnection, request: Request) -> Reply:
        """The reply to one request, whatever happens."""
        try:
            reply = await handle(self.context, connection, request)
        except RtspError as error:
            if not isinstance(error, Unauthorized):  # the first 401 is how every login begins
                self.faults.note(connection.log, f"{_short(request)} refused with {error.status}: {error}")
            reply = Reply(Response.of_error(error))
        except (SourceError, ProtocolError) as error:
            self.faults.note(connection.log, f"{_short(request)} refused with 404: {error}")
            reply = Reply(Response.of_error(NotFound(str(error))))
        except Exception:
            connection.log.exception("%s failed", _short(request))
            reply = Reply(Response(status=500))
        return Reply(complete(reply.response, request.headers.get("CSeq")), reply.then)

    # Connections

    def forget(self, connection: RtspConnection) -> None:
        self._connections.discard(connection)

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
                self.faults.note(self.log, f"cannot take another connection: {error.strerror}")
                self._loop.remove_reader(listener)
                self._loop.call_later(ACCEPT_PAUSE_S, self._resume, listener)
                return
            sock.setblocking(False)
            if len(self._connections) >= self.options.max_connections:
                self._refuse(sock)
                continue
            try:
                self._connections.add(RtspConnection(self, sock, (peer[0], peer[1])))
            except OSError:
                sock.close()  # gone before it was greeted

    def _resume(self, listener: socket.socket) -> None:
        if listener.fileno() >= 0:
            self._loop.add_reader(listener, self._accept, listener)

    def _refuse(self, sock: socket.socket) -> None:
        """Say why, and hang up."""
        self.faults.note(self.log, f"all {self.options.max_connections} connections are in use")
        response = Response(status=503)
        response.headers.set("Retry-After", "10")
        try:
            sock.send(complete(response, None).serialize())
        except OSError:
            pass
        sock.close()

    def _handle_timer(self) -> None:
        now_s = time.monotonic()
        for session in tuple(self.context.sessions.values()):
            session.handle_timer(now_s)
        for connection in tuple(self._connections):
            connection.handle_timer(now_s)
        self.faults.handle_timer(now_s)
        self._timer = self._loop.call_later(TIMER_INTERVAL_S, self._handle_timer)


def _short(request: Request) -> str:
    return f"{request.method} {without_userinfo(request.uri)!r}"


def raise_descriptor_limit() -> int:
    """Let the process open as many files as it may at most; return how many that are."""
    try:
        resource = importlib.import_module("resource")
    except ImportError:
        return DESCRIPTORS_WITHOUT_LIMIT  # Windows counts none
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY:
        hard = max(soft, DESCRIPTORS_WITHOUT_LIMIT)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return int(hard)
