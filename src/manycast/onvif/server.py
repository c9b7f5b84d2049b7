"""The web server of one device: HTTP and HTTPS, by aiohttp."""

from __future__ import annotations

import asyncio
import logging
import re
import socket
import ssl
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http_parser import RawRequestMessage
from aiohttp.streams import StreamReader
from aiohttp.web_exceptions import HTTPException

from manycast.onvif.connection import Connection, dispensable, refuse
from manycast.onvif.content_coding import CODINGS, Damaged, TooLarge, unpack
from manycast.onvif.discovery.interfaces import Endpoint
from manycast.onvif.ip_rules import lets_in
from manycast.onvif.onvif_device import Answer, Delivery, NeedsLogin, OnvifDevice
from manycast.onvif.onvif_paths import FILES
from manycast.onvif.security.login import LoginFailed, TooManyAttempts
from manycast.onvif.soap.envelope import MAX_MESSAGE_BYTES
from manycast.onvif.soap.fault import Fault
from manycast.onvif.transfers import Download, Receive, UploadRefused, UploadTooLarge
from manycast.servers.acceptor import Acceptor, Peer
from manycast.servers.faults import FaultLog

BODY_TIMEOUT_S = 20.0  # of a message
CHUNK_TIMEOUT_S = 20.0  # of an upload
UPLOAD_CHUNK_BYTES = 64 * 1024
WATCH_INTERVAL_S = 1.0
HANDSHAKE_TIMEOUT_S = 10.0

_SERVER = {"Server": "manycast"}
_HOST = re.compile(r"(\[[0-9A-Fa-f:.%]{2,60}\]|[A-Za-z0-9_.-]{1,253})(:[0-9]{1,5})?")

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Port:
    """Where one protocol listens."""

    number: int
    sockets: Sequence[socket.socket]
    acceptor: Acceptor
    context: ssl.SSLContext | None  # of HTTPS

    def close(self) -> None:
        self.acceptor.close()
        for sock in self.sockets:
            sock.close()


class OnvifServer:
    """Listens for one device. At most `http_max_users` connections by HTTP, and as many by HTTPS."""

    def __init__(self, device: OnvifDevice) -> None:
        self.device = device
        self._web = web.Server(self._handle, request_factory=_make_request, handler_cancellation=True)
        self._ports: dict[bool, _Port] = {}  # by whether it is that of HTTPS
        self._connections: dict[Connection, None] = {}  # the oldest first
        self._faults = FaultLog()
        self._watcher: asyncio.Task[None] | None = None

    def port(self, *, secure: bool) -> int | None:
        """The port of HTTP or HTTPS; None: it is off."""
        found = self._ports.get(secure)
        return None if found is None else found.number

    @property
    def listens(self) -> bool:
        return bool(self._ports)

    def endpoints(self) -> list[Endpoint]:
        """What it listens on."""
        return [
            Endpoint.of("https" if secure else "http", sock)
            for secure, port in self._ports.items()
            for sock in port.sockets
        ]

    async def listen(
        self, number: int, sockets: Sequence[socket.socket], context: ssl.SSLContext | None = None
    ) -> None:
        """Take connections from bound sockets, which are the server's from now on; with a context by HTTPS.

        What the protocol had before is closed, but for the connections that are open.
        """
        secure = context is not None
        acceptor = Acceptor(lambda sock, peer: self._accept(sock, peer, port.context), self._faults, log)
        port = _Port(number, sockets, acceptor, context)
        try:
            acceptor.listen(sockets)
        except BaseException:  # it is to end before it began, too
            port.close()
            raise
        self.silence(secure=secure)
        self._ports[secure] = port
        if self._watcher is None:
            self._watcher = asyncio.get_running_loop().create_task(self._watch(), name="onvif time limits")

    async def use(self, context: ssl.SSLContext) -> None:
        """Take another context for new connections by HTTPS."""
        port = self._ports.get(True)
        if port is not None:
            port.context = context

    def silence(self, *, secure: bool) -> None:
        """Close the port of HTTP or HTTPS."""
        port = self._ports.pop(secure, None)
        if port is not None:
            port.close()

    async def close(self) -> None:
        """Close ports and connections; `listen` may follow."""
        if self._watcher is not None:
            self._watcher.cancel()
            self._watcher = None
        for secure in tuple(self._ports):
            self.silence(secure=secure)
        ending = tuple(self._connections)
        for connection in ending:
            connection.abort()
        await asyncio.gather(*(each.opening for each in ending if each.opening), return_exceptions=True)
        await asyncio.sleep(0)

    def lets_in(self, address: str) -> bool:
        return lets_in(self.device.store.state.network.ip_filter, address)

    def leave(self, connection: Connection) -> None:
        self._connections.pop(connection, None)

    def _accept(self, sock: socket.socket, peer: Peer, context: ssl.SSLContext | None) -> None:
        """Count a connection before anything is spent on it: a TLS handshake, too, may never be finished."""
        secure = context is not None
        if not self.lets_in(peer[0]):
            sock.close()
            return
        if not self._has_room(peer[0], secure=secure):
            refuse(sock, secure=secure)
            return
        sock.setblocking(False)
        connection = Connection(self, self._web, secure, peer)
        self._connections[connection] = None
        connection.open(sock, context, HANDSHAKE_TIMEOUT_S)

    def _has_room(self, address: str, *, secure: bool) -> bool:
        """Whether one more may come from there. When all places are taken, one may be made free for it."""
        limit = self.device.store.state.server.http_max_users
        counted = [each for each in self._connections if each.secure == secure]
        staying = [each for each in counted if not each.ended]
        if len(staying) < limit:
            return True
        if len(counted) >= 2 * limit:  # those that were ended are closed in a moment
            return False
        leaving = dispensable(staying, address)
        if leaving is None:
            return False
        leaving.abort()
        return True

    async def _watch(self) -> None:
        """End connections on which nothing moves, and those of addresses that are let in no more."""
        while True:
            await asyncio.sleep(WATCH_INTERVAL_S)
            now_s = time.monotonic()
            self._faults.handle_timer(now_s)
            for connection in tuple(self._connections):
                connection.end_if_late(now_s)
                if not self.lets_in(connection.peer[0]):
                    connection.abort()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        connection = _connection(request)
        connection.busy()
        delivery = _delivery(request, connection)
        try:
            return await self._respond(request, delivery)
        except TooManyAttempts as error:
            return _plain(503, str(error), {"Retry-After": "5"})
        except (UploadTooLarge, TooLarge) as error:
            return _plain(413, str(error), {"Connection": "close"})
        except UploadRefused as error:
            return _plain(415, str(error), {"Connection": "close"})
        except HTTPException as error:  # of aiohttp's own: a body that is too large, or damaged
            return _plain(error.status, error.reason)
        except Damaged as error:
            return _plain(400, str(error))
        except web.RequestPayloadError:
            return _plain(400, "the request is damaged", {"Connection": "close"})
        except TimeoutError:
            return _plain(408, "the request did not come in time", {"Connection": "close"})
        except asyncio.CancelledError:
            raise
        except Exception:
            log.exception("%s: a request failed", self.device.name)
            return _answered(self.device.failed())
        finally:
            connection.idle()

    async def _respond(self, request: web.BaseRequest, delivery: Delivery) -> web.StreamResponse:
        if not request.path.startswith("/onvif/"):
            return _plain(404, "ONVIF's services are below /onvif/")
        transfers = self.device.transfers
        if (download := transfers.downloads.get(request.path)) is not None:
            return await self._send_file(request, delivery, download)
        coding = request.headers.get("Content-Encoding", "identity").strip().lower().replace("identity", "")
        if coding and (coding not in CODINGS or request.path.startswith(FILES)):
            return _plain(415, f"{coding[:60]!r} is not unpacked here", {"Accept-Encoding": ", ".join(CODINGS)})
        if request.method == "POST" and (receive := transfers.take(request.path)) is not None:
            _connection(request).proven = True
            await _take_file(request, receive)
            return _plain(200, "taken")
        if request.path.startswith(FILES):
            return _plain(404, "there is no such file, or nobody expects it any more")
        if request.method != "POST":
            return _plain(405, "SOAP is sent by POST", {"Allow": "POST"})
        if request.content_type.startswith("multipart/"):
            return _plain(415, "SOAP without attachments is wanted")
        _let_it_come(request)
        async with asyncio.timeout(BODY_TIMEOUT_S):
            data = await request.read()
        _connection(request).proven = True
        if coding:
            data = unpack(data, coding, MAX_MESSAGE_BYTES)
        if data:
            return _answered(await self.device.answer(data, delivery))
        if delivery.authorization is None and self.device.store.state.server.need_auth:
            return _answered(self.device.challenge())  # curl asks this way before it sends its message
        return _plain(400, "an empty request")

    async def _send_file(self, request: web.BaseRequest, delivery: Delivery, download: Download) -> web.StreamResponse:
        if request.method != "GET":
            return _plain(405, "this address is to be fetched", {"Allow": "GET"})
        try:
            await self.device.authorize(download.access, delivery)
        except (NeedsLogin, LoginFailed) as error:
            stale = isinstance(error, LoginFailed) and not error.guess
            return _challenged(_plain(401, "a login is needed"), self.device.login.challenges(stale=stale))
        except Fault:
            return _plain(403, "not for users of this level")
        headers = {"Content-Disposition": f'attachment; filename="{download.file_name}"', "Cache-Control": "no-store"}
        return web.Response(
            body=await download.produce(), headers={**_SERVER, **headers, "Content-Type": download.content_type}
        )


def _make_request(
    message: RawRequestMessage,
    payload: StreamReader,
    protocol: web.RequestHandler,
    writer: AbstractStreamWriter,
    task: asyncio.Task[None],
) -> web.BaseRequest:
    loop = asyncio.get_running_loop()
    return web.BaseRequest(message, payload, protocol, writer, task, loop, client_max_size=MAX_MESSAGE_BYTES)


def _connection(request: web.BaseRequest) -> Connection:
    assert isinstance(request.protocol, Connection)
    return request.protocol


def _delivery(request: web.BaseRequest, connection: Connection) -> Delivery:
    return Delivery(
        method=request.method,
        target=request.raw_path,
        base_url=_base_url(request, connection),
        authorization=request.headers.get("Authorization"),
        address=connection.peer[0],
        port=connection.peer[1],
        secure=connection.secure,
        connection=connection,
        proven=connection.logins,
    )


def _base_url(request: web.BaseRequest, connection: Connection) -> str:
    """As the client wrote it; what could not stand in an address is not repeated."""
    host = request.headers.get("Host", "")
    if _HOST.fullmatch(host) is None:
        address, port = connection.local
        host = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
    return f"{'https' if connection.secure else 'http'}://{host}"


def _let_it_come(request: web.BaseRequest) -> None:
    """Ask for the body where a client waits for that, as those made with .NET do (RFC 9110 section 10.1.1)."""
    if request.headers.get("Expect", "").lower() == "100-continue" and request.transport is not None:
        request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")


async def _take_file(request: web.BaseRequest, receive: Receive) -> None:
    _let_it_come(request)

    async def chunks() -> AsyncIterator[bytes]:
        while True:
            async with asyncio.timeout(CHUNK_TIMEOUT_S):
                chunk = await request.content.read(UPLOAD_CHUNK_BYTES)
            if not chunk:
                return
            yield chunk

    await receive(chunks())


def _answered(answer: Answer) -> web.Response:
    response = web.Response(
        status=answer.status, body=answer.body, headers={"Content-Type": answer.media_type, **_SERVER}
    )
    return _challenged(response, answer.challenges)


def _challenged(response: web.Response, challenges: Sequence[str]) -> web.Response:
    for challenge in challenges:
        response.headers.add("WWW-Authenticate", challenge)
    return response


def _plain(status: int, text: str, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(status=status, text=f"{text}\n", headers={**_SERVER, **(headers or {})})
