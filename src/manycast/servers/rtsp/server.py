"""The RTSP server: listens, takes connections, keeps the sessions."""

from __future__ import annotations

import importlib
import logging

from manycast.errors import ProtocolError
from manycast.hub.catalogue import Catalogue
from manycast.hub.source import SourceError
from manycast.servers.client import Client
from manycast.servers.rtsp.connection import RtspConnection
from manycast.servers.rtsp.context import RtspContext
from manycast.servers.rtsp.handlers import handle
from manycast.servers.rtsp.link import Link, PipeLink
from manycast.servers.rtsp.options import RtspOptions
from manycast.servers.rtsp.reply import Reply, complete
from manycast.servers.tcp_service import TcpService
from manycast.wire.masking import masked
from manycast.wire.rtsp.errors import NotFound, RtspError, SessionNotFound, Unauthorized
from manycast.wire.rtsp.message import Request, Response

DESCRIPTORS_WITHOUT_LIMIT = 10_000


class RtspServer(TcpService):
    """All connections and sessions of one RTSP service, on any number of addresses."""

    def __init__(self, catalogue: Catalogue, options: RtspOptions) -> None:
        self.context = RtspContext(catalogue, options)
        super().__init__(
            "RTSP",
            "RTSPS",
            logging.getLogger(__name__),
            self.context.faults,
            handshake_timeout_s=options.first_request_timeout_s,
        )
        self.options = options
        self._connections: set[RtspConnection] = set()

    @property
    def connections(self) -> int:
        return len(self._connections)

    # Requests

    async def answer(self, connection: RtspConnection, request: Request) -> Reply:
        """The reply to one request, whatever happens."""
        try:
            reply = await handle(self.context, connection, request)
        except RtspError as error:
            if _is_usual(request, error):
                connection.log.debug("%s refused with %d: %s", _short(request), error.status, error)
            else:
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

    def adopt(self, link: Link) -> None:
        """Serve a client, whatever way its bytes come; the server owns the link from now on."""
        if len(self._connections) >= self.options.max_connections:
            self._refuse(link)
        else:
            self._connections.add(RtspConnection(self, link))

    def take(self, client: Client, received: bytes = b"") -> None:
        """Serve a client who speaks RTSP with nothing but TLS around it, at whatever port; `received` came already."""
        name = "TLS" if client.secure else "TCP"
        link = PipeLink(
            client.pipe,
            name=name,
            secure=client.secure,
            peer=client.peer,
            local_address=client.local_address,
            received=received,
        )
        self.adopt(link)

    def forget(self, connection: RtspConnection) -> None:
        self._connections.discard(connection)

    def _refuse(self, link: Link) -> None:
        """Say why, and hang up."""
        self.faults.note(self.log, f"all {self.options.max_connections} connections are in use")
        response = Response(status=503)
        response.headers.set("Retry-After", "10")
        data = complete(response, None).serialize()
        link.outbox.write(link.framing(data) if link.framing is not None else data)
        link.close()

    def handle_timer(self, now_s: float) -> None:
        for session in tuple(self.context.sessions.values()):
            session.handle_timer(now_s)
        for connection in tuple(self._connections):
            connection.handle_timer(now_s)

    def end_all(self, reason: str) -> None:
        for session in tuple(self.context.sessions.values()):
            session.close(reason)
        for connection in tuple(self._connections):
            connection.close(reason)


def _is_usual(request: Request, error: RtspError) -> bool:
    """Whether nobody did anything wrong: logins begin with a 401; who hangs up may do so after the session's end."""
    return isinstance(error, Unauthorized) or (request.method == "TEARDOWN" and isinstance(error, SessionNotFound))


def _short(request: Request) -> str:
    return f"{request.method} {masked(request.uri)!r}"


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
