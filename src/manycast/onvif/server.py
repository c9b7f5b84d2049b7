"""The web server of one device: HTTP and HTTPS, by aiohttp."""

from __future__ import annotations

import asyncio
import logging
import re
import socket
import ssl
import time
from collections.abc import Sequence
from typing import cast

from aiohttp import web
from aiohttp.abc import AbstractAccessLogger, AbstractStreamWriter
from aiohttp.http_parser import RawRequestMessage
from aiohttp.streams import StreamReader
from aiohttp.web_exceptions import HTTPException

from manycast.onvif.onvif_device import Answer, Delivery, OnvifDevice
from manycast.onvif.security.login import TooManyAttempts
from manycast.onvif.soap.envelope import MAX_MESSAGE_BYTES

HEAD_TIMEOUT_S = 10.0  # from the first byte of a request, or a connection's beginning, to the end of its head
BODY_TIMEOUT_S = 20.0
IDLE_TIMEOUT_S = 60.0  # between requests; the reply has to be read within it, too
WATCH_INTERVAL_S = 1.0
SOAP_TYPE = "application/soap+xml; charset=utf-8"

_HOST = re.compile(r"(\[[0-9A-Fa-f:.%]{2,60}\]|[A-Za-z0-9_.-]{1,253})(:[0-9]{1,5})?")
_SERVER = {"Server": "manycast"}
_FULL = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"

log = logging.getLogger(__name__)


class OnvifServer:
    """Listens for one device. At most `http_max_users` connections for HTTP, and as many for HTTPS."""

    def __init__(self, device: OnvifDevice) -> None:
        self.device = device
        self._web = web.Server(self._handle, request_factory=_make_request, handler_cancellation=True)
        self._servers: list[asyncio.Server] = []
        self._connections: set[_Connection] = set()
        self._watcher: asyncio.Task[None] | None = None

    async def listen(self, sockets: Sequence[socket.socket], context: ssl.SSLContext | None = None) -> None:
        """Take connections from bound sockets, which are the server's from now on."""
        loop = asyncio.get_running_loop()
        for sock in sockets:
            self._servers.append(
                await loop.create_server(lambda: self._connect(context is not None), sock=sock, ssl=context)
            )
        if self._watcher is None:
            self._watcher = loop.create_task(self._watch(), name="onvif time limits")

    async def close(self) -> None:
        if self._watcher is not None:
            self._watcher.cancel()
        for server in self._servers:
            server.close()
        await self._web.shutdown(timeout=0.5)

    def full(self, secure: bool) -> bool:
        limit = self.device.store.state.server.http_max_users
        return sum(each.secure == secure for each in self._connections) >= limit

    def allows(self, address: str) -> bool:
        """Whether the device's filter lets an address in."""
        return True

    def _connect(self, secure: bool) -> _Connection:
        return _Connection(self, self._web, secure)

    async def _watch(self) -> None:
        """End connections on which nothing moves."""
        while True:
            await asyncio.sleep(WATCH_INTERVAL_S)
            now_s = time.monotonic()
            for connection in tuple(self._connections):
                connection.end_if_late(now_s)

    def join(self, connection: _Connection) -> None:
        self._connections.add(connection)

    def leave(self, connection: _Connection) -> None:
        self._connections.discard(connection)

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        connection = request.protocol
        assert isinstance(connection, _Connection)
        connection.busy()
        try:
            return await self._respond(request, connection)
        except TooManyAttempts as error:
            return _plain(503, str(error), {"Retry-After": "5"})
        except HTTPException as error:  # of aiohttp's own: a body that is too large, or damaged
            return _plain(error.status, error.reason)
        except TimeoutError:
            return _plain(408, "the request did not come in time")
        finally:
            connection.idle()

    async def _respond(self, request: web.BaseRequest, connection: _Connection) -> web.StreamResponse:
        if not request.path.startswith("/onvif/"):
            return _plain(404, "ONVIF's services are below /onvif/")
        if request.method != "POST":
            return _plain(405, "SOAP is sent by POST", {"Allow": "POST"})
        if request.content_type.startswith("multipart/"):
            return _plain(415, "SOAP without attachments is wanted")
        async with asyncio.timeout(BODY_TIMEOUT_S):
            data = await request.read()
        if not data:
            if "Authorization" not in request.headers and self.device.store.state.server.need_auth:
                return _answered(self.device.challenge())  # curl asks this way before it sends its message
            return _plain(400, "an empty request")
        try:
            answer = await self.device.answer(data, _delivery(request, connection))
        except (TooManyAttempts, asyncio.CancelledError):
            raise
        except Exception:
            log.exception("%s: a request failed", self.device.name)
            answer = self.device.failed()
        return _answered(answer)


class _NoAccessLog(AbstractAccessLogger):
    """Operations are in the log by their names."""

    def log(self, request: web.BaseRequest, response: web.StreamResponse, time: float) -> None:
        pass

    @property
    def enabled(self) -> bool:
        return False


class _Connection(web.RequestHandler):
    """One connection, with its time limits."""

    def __init__(self, owner: OnvifServer, server: web.Server, secure: bool) -> None:
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            keepalive_timeout=IDLE_TIMEOUT_S,
            access_log_class=_NoAccessLog,
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
        if not self._owner.allows(self.peer[0]):
            taken.abort()
            return
        if self._owner.full(self.secure):
            taken.write(_FULL)
            taken.close()
            return
        self._owner.join(self)
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
        if self._deadline_s is not None and now_s > self._deadline_s and self.transport is not None:
            self.transport.abort()


def _make_request(
    message: RawRequestMessage,
    payload: StreamReader,
    protocol: web.RequestHandler,
    writer: AbstractStreamWriter,
    task: asyncio.Task[None],
) -> web.BaseRequest:
    loop = asyncio.get_running_loop()
    return web.BaseRequest(message, payload, protocol, writer, task, loop, client_max_size=MAX_MESSAGE_BYTES)


def _delivery(request: web.BaseRequest, connection: _Connection) -> Delivery:
    return Delivery(
        method=request.method,
        target=request.raw_path,
        base_url=_base_url(request, connection),
        authorization=request.headers.get("Authorization"),
        address=connection.peer[0],
        port=connection.peer[1],
        secure=connection.secure,
        connection=connection,
    )


def _base_url(request: web.BaseRequest, connection: _Connection) -> str:
    """As the client wrote it; what could not stand in an address is not repeated."""
    host = request.headers.get("Host", "")
    if _HOST.fullmatch(host) is None:
        address, port = connection.local
        host = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
    return f"{'https' if connection.secure else 'http'}://{host}"


def _answered(answer: Answer) -> web.Response:
    response = web.Response(status=answer.status, body=answer.body, headers={"Content-Type": SOAP_TYPE, **_SERVER})
    for challenge in answer.challenges:
        response.headers.add("WWW-Authenticate", challenge)
    return response


def _plain(status: int, text: str, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(status=status, text=f"{text}\n", headers={**_SERVER, **(headers or {})})
