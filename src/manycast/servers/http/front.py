"""Who answers at the HTTP and HTTPS ports: takes connections, reads the first request, and hands both on."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from functools import partial

from manycast.hub.pipe import Pipe, SocketPipe
from manycast.hub.tls_pipe import HandshakeFailed, TlsPipe
from manycast.servers.acceptor import Acceptor, Peer, prepare_socket
from manycast.servers.client import Client
from manycast.servers.connection_log import ConnectionLog
from manycast.servers.faults import FaultLog
from manycast.servers.http.pages import Pages
from manycast.servers.http.request import HttpRequest, HttpRoute, RtspTaker, refuse
from manycast.servers.waiting_room import WaitingRoom
from manycast.wire.http import HttpError, RequestHead, find_head_end

HEAD_TIMEOUT_S = 10.0  # for the TLS handshake, and again for the first request
TIMER_INTERVAL_S = 0.5
MAX_WAITING = 2000  # connections whose first request has not come
MAX_WAITING_PER_ADDRESS = 1000  # behind one there may be a whole network, whose viewers all come back at once

_READ_BYTES = 64 * 1024  # more than a TLS record: what OpenSSL holds back would wake nobody
_TLS_HANDSHAKE = 0x16  # RFC 8446 section 5.1

ContextMaker = Callable[[], ssl.SSLContext]

_read_buffer = memoryview(bytearray(_READ_BYTES))


@dataclass(frozen=True, slots=True)
class _Port:
    name: str
    routes: tuple[HttpRoute, ...]
    take_rtsp: RtspTaker | None
    make_context: ContextMaker | None


class HttpFront:
    """All HTTP ports. The pages get what no route of a port takes."""

    def __init__(self, pages: Pages, *, head_timeout_s: float = HEAD_TIMEOUT_S) -> None:
        self.faults = FaultLog()
        self.log = logging.getLogger(__name__)
        self._pages = pages
        self._head_timeout_s = head_timeout_s
        self._acceptors: list[Acceptor] = []
        self._waiting: WaitingRoom[asyncio.Task[None]] = WaitingRoom(MAX_WAITING, MAX_WAITING_PER_ADDRESS)
        self._tasks: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()

    @property
    def waiting(self) -> int:
        """Connections whose first request has not come."""
        return len(self._waiting)

    def listen(
        self,
        listeners: Sequence[socket.socket],
        routes: Sequence[HttpRoute],
        *,
        take_rtsp: RtspTaker | None = None,
        make_context: ContextMaker | None = None,
    ) -> None:
        """Take connections from bound sockets; the front owns them from now on.

        Routes are asked in their order. `take_rtsp` gets clients who speak RTSP at once, without HTTP around it.
        With `make_context` the port speaks TLS; it is asked for each connection, so that a certificate can be renewed.
        """
        name = "HTTP" if make_context is None else "HTTPS"
        port = _Port(name, tuple(routes), take_rtsp, make_context)
        acceptor = Acceptor(partial(self._accept, port), self.faults, self.log)
        acceptor.listen(listeners)
        self._acceptors.append(acceptor)

    def start(self) -> None:
        """Begin to look after the log of faults."""
        self._timer = self._loop.call_later(TIMER_INTERVAL_S, self._handle_timer)

    async def close(self) -> None:
        """Close the ports, the connections without a request, and the pages. What routes took is theirs."""
        if self._timer is not None:
            self._timer.cancel()
        for acceptor in self._acceptors:
            acceptor.close()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._pages.close()

    def _accept(self, port: _Port, sock: socket.socket, peer: Peer) -> None:
        try:
            prepare_socket(sock)
            local_address = sock.getsockname()[0]
            client = Client(SocketPipe(sock), peer, local_address, secure=False, again=partial(self._again, port))
        except OSError:
            sock.close()  # gone before it was greeted
            return
        task = self._run(port, client, self._receive(port, client, sock))
        gone = self._waiting.add(task, peer[0])
        if gone is not None:
            self.faults.note(self.log, f"too many connections wait for their first {port.name} request, one closed")
            gone.cancel()

    def _again(self, port: _Port, client: Client, received: bytes) -> None:
        """A route gives a connection back."""
        self._run(port, client, self._receive(port, client, None, received))

    def _run(self, port: _Port, client: Client, serving: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = self._loop.create_task(serving, name=f"{port.name} request")
        self._tasks.add(task)
        task.add_done_callback(partial(self._forget, client))
        return task

    def _forget(self, client: Client, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._waiting.remove(task)
        if task.cancelled():
            client.pipe.close()  # perhaps it had not even begun
        elif (error := task.exception()) is not None:
            self.log.error("failed", exc_info=error)

    async def _receive(self, port: _Port, client: Client, sock: socket.socket | None, received: bytes = b"") -> None:
        """From the first byte to who serves it. The socket is that of a connection which has not said anything yet."""
        try:
            if sock is not None and port.make_context is not None:
                client = await self._secured(client, sock, port.make_context)
            async with asyncio.timeout(self._head_timeout_s):
                head, received = await _read_head(client, received)
            task = asyncio.current_task()
            assert task is not None
            self._waiting.remove(task)
            await self._route(port, client, head, received)
        except HttpError as error:
            self._note(port, client, f"refused with {error.status}: {error}")
            refuse(client, error)
        except HandshakeFailed as error:
            self._note(port, client, str(error))
            client.pipe.close()
        except TimeoutError:
            late = HttpError(408, f"no request within {self._head_timeout_s:.0f} s")
            self._note(port, client, str(late))
            refuse(client, late)
        except OSError:
            client.pipe.close()
        except BaseException:
            client.pipe.close()
            raise

    async def _secured(self, client: Client, sock: socket.socket, make_context: ContextMaker) -> Client:
        """The client behind TLS. Raises HttpError for one who speaks plain HTTP, and can read the answer."""
        async with asyncio.timeout(self._head_timeout_s):
            await _readable(client.pipe)
        first = sock.recv(1, socket.MSG_PEEK)
        if not first:
            raise ConnectionResetError
        if first[0] != _TLS_HANDSHAKE:
            async with asyncio.timeout(self._head_timeout_s):
                await _read_head(client)
            raise HttpError(400, "plain HTTP on the HTTPS port: use https://, or in an RTSP player RTSP over HTTPS")
        pipe = TlsPipe(sock, make_context())
        try:
            await pipe.handshake(self._head_timeout_s)
        except BaseException:
            pipe.close()
            raise
        return Client(pipe, client.peer, client.local_address, secure=True, again=client.again)

    async def _route(self, port: _Port, client: Client, head: bytes, received: bytes) -> None:
        if _speaks_rtsp(head):
            if port.take_rtsp is None:
                raise HttpError(400, f"RTSP on the {port.name} port, where it is switched off")
            port.take_rtsp(client, head + received)
            return
        request = HttpRequest(client, RequestHead.parse(head), head, received)
        for route in port.routes:
            if route.take(request):
                return
        request.head.check_framing()
        await self._pages.serve(request, port.routes)

    def _note(self, port: _Port, client: Client, text: str) -> None:
        self.faults.note(ConnectionLog(self.log, f"{port.name} {client}"), text)

    def _handle_timer(self) -> None:
        self.faults.handle_timer(time.monotonic())
        self._timer = self._loop.call_later(TIMER_INTERVAL_S, self._handle_timer)


async def _read_head(client: Client, received: bytes = b"") -> tuple[bytes, bytes]:
    """The next request's head with its empty line, and what came behind it. Raises HttpError and OSError."""
    data = bytearray(received)
    while (end := find_head_end(data)) is None:
        try:
            size = client.pipe.recv_into(_read_buffer)
        except BlockingIOError:
            await _readable(client.pipe)
            continue
        if not size:
            raise ConnectionResetError
        data += _read_buffer[:size]
        if data[0] == _TLS_HANDSHAKE:
            # No answer in plain text would be understood.
            raise HandshakeFailed("TLS on the plain HTTP port: the address begins with http:// there")
    return bytes(data[:end]), bytes(data[end:])


async def _readable(pipe: Pipe) -> None:
    ready = asyncio.get_running_loop().create_future()
    pipe.when_readable(lambda: None if ready.done() else ready.set_result(None))
    try:
        await ready
    finally:
        pipe.when_readable(None)


def _speaks_rtsp(head: bytes) -> bool:
    return head.partition(b"\n")[0].rstrip().upper().endswith(b" RTSP/1.0")
