"""The RTSP server: listens, takes connections, keeps the sessions."""

from __future__ import annotations

import asyncio
import errno
import logging
import resource
import secrets
import socket
import time
from collections.abc import Sequence

from manycast import __version__
from manycast.errors import ProtocolError
from manycast.hub.catalogue import Catalogue
from manycast.hub.source import SourceError
from manycast.servers.faults import FaultLog
from manycast.servers.rtsp.connection import RtspConnection
from manycast.servers.rtsp.handlers import handle, name_in
from manycast.servers.rtsp.login import Login
from manycast.servers.rtsp.options import RtspOptions
from manycast.servers.rtsp.play import PlaySession
from manycast.servers.rtsp.publish import PublishSession
from manycast.servers.rtsp.reply import Reply
from manycast.servers.rtsp.session import RtspSession
from manycast.servers.rtsp.udp_ports import UdpPorts
from manycast.wire.rtsp.errors import NotEnoughBandwidth, NotFound, RtspError, Unauthorized
from manycast.wire.rtsp.headers import http_date
from manycast.wire.rtsp.message import Request, Response

READ_BUFFER_BYTES = 256 * 1024  # shared by all connections: a read is taken apart before the next one
LISTEN_BACKLOG = 1024
ACCEPT_PAUSE_S = 0.5  # when the process has no more file descriptors
TIMER_INTERVAL_S = 0.5


class RtspServer:
    """All connections and sessions of one RTSP service, on any number of addresses."""

    def __init__(self, catalogue: Catalogue, options: RtspOptions) -> None:
        self.catalogue = catalogue
        self.options = options
        self.log = logging.getLogger(__name__)
        self.login = Login(options.users) if options.users is not None else None
        self.sessions: dict[str, RtspSession] = {}
        self.udp_ports = UdpPorts(options.udp_base_port)
        self.read_buffer = bytearray(READ_BUFFER_BYTES)
        self.read_view = memoryview(self.read_buffer)
        self.faults = FaultLog()
        self.started_unix_s = time.time()
        self._connections: set[RtspConnection] = set()
        self._listeners: list[socket.socket] = []
        self._timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        self._refused_connections = 0

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
        for session in tuple(self.sessions.values()):
            session.close(reason)
        for connection in tuple(self._connections):
            connection.close(reason)

    # Requests

    async def answer(self, connection: RtspConnection, request: Request) -> Reply:
        """The reply to one request, whatever happens."""
        try:
            reply = await handle(self, connection, request)
        except RtspError as error:
            # The first 401 is how every login begins.
            level = logging.DEBUG if isinstance(error, Unauthorized) else logging.INFO
            connection.log.log(level, "%s refused with %d: %s", request, error.status, error)
            reply = Reply(Response.of_error(error))
        except (SourceError, ProtocolError) as error:
            connection.log.warning("%s: %s", request, error)
            reply = Reply(Response.of_error(NotFound(str(error))))
        except Exception:
            connection.log.exception("%s failed", request)
            reply = Reply(Response(status=500))
        return Reply(self.complete(reply.response, request.headers.get("CSeq")), reply.then)

    def complete(self, response: Response, cseq: str | None) -> Response:
        """Put on the headers that every response has."""
        if cseq is not None:
            response.headers.set("CSeq", cseq)
        response.headers.set("Server", f"manycast/{__version__}")
        response.headers.set("Date", http_date(time.time()))
        return response

    # Sessions

    def open_session(self, connection: RtspConnection, request: Request) -> RtspSession:
        """A new session for a SETUP without one: it publishes when an ANNOUNCE came before, else it plays."""
        limit = self.options.max_sessions
        if limit is not None and len(self.sessions) >= limit:
            raise NotEnoughBandwidth(f"all {limit} sessions are in use")
        session_id = secrets.token_hex(8)
        session: RtspSession
        if connection.announcement is not None:
            session = PublishSession(self, connection, session_id, connection.announcement)
        else:
            session = PlaySession(self, connection, session_id, name_in(request.uri))
        self.sessions[session_id] = session
        return session

    def touch(self, session: RtspSession) -> None:
        """A request is a sign of life."""
        session.last_sign_s = time.monotonic()

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
            sock.send(self.complete(response, None).serialize())
        except OSError:
            pass
        sock.close()

    def _handle_timer(self) -> None:
        now_s = time.monotonic()
        for session in tuple(self.sessions.values()):
            session.handle_timer(now_s)
        for connection in tuple(self._connections):
            connection.handle_timer(now_s)
        self.faults.handle_timer(now_s)
        self._timer = self._loop.call_later(TIMER_INTERVAL_S, self._handle_timer)


def raise_descriptor_limit() -> int:
    """Let the process open as many files as it may at most; return how many that are."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard
