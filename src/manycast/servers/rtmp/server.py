"""The RTMP server: takes connections, and looks after their time limits."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import time
from collections.abc import Callable, Sequence
from functools import partial

from manycast.hub.catalogue import Catalogue
from manycast.hub.pipe import Pipe, SocketPipe
from manycast.hub.tls_pipe import HandshakeFailed, TlsPipe
from manycast.servers.acceptor import Acceptor, Peer, prepare_socket
from manycast.servers.faults import FaultLog
from manycast.servers.rtmp.connection import RtmpConnection
from manycast.servers.rtmp.login import RtmpLogin
from manycast.servers.rtmp.options import RtmpOptions
from manycast.servers.rtmp.session import RtmpSession

TIMER_INTERVAL_S = 0.5

ContextMaker = Callable[[], ssl.SSLContext]


class RtmpServer:
    """All connections of one RTMP service, on any number of addresses."""

    def __init__(self, catalogue: Catalogue, options: RtmpOptions) -> None:
        self.options = options
        self.faults = FaultLog()
        self.log = logging.getLogger(__name__)
        self._catalogue = catalogue
        self._login = RtmpLogin(options.users, self.faults) if options.users is not None else None
        self._connections: set[RtmpConnection] = set()
        self._acceptors: list[Acceptor] = []
        self._handshakes: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()

    @property
    def connections(self) -> int:
        return len(self._connections)

    def listen(self, listeners: Sequence[socket.socket], *, make_context: ContextMaker | None = None) -> None:
        """Take connections from bound sockets; the server owns them from now on.

        With `make_context` they speak TLS (RTMPS); it is asked for each connection.
        """
        accept = self._accept if make_context is None else partial(self._accept_tls, make_context)
        acceptor = Acceptor(accept, self.faults, self.log)
        acceptor.listen(listeners)
        self._acceptors.append(acceptor)

    def start(self) -> None:
        """Begin to look after time limits."""
        self._timer = self._loop.call_later(TIMER_INTERVAL_S, self._handle_timer)

    async def close(self, reason: str) -> None:
        if self._timer is not None:
            self._timer.cancel()
        for acceptor in self._acceptors:
            acceptor.close()
        for handshake in tuple(self._handshakes):
            handshake.cancel()
        for connection in tuple(self._connections):
            connection.close(reason)

    def forget(self, connection: RtmpConnection) -> None:
        self._connections.discard(connection)

    def _adopt(self, pipe: Pipe, peer: Peer, *, secure: bool) -> None:
        if len(self._connections) >= self.options.max_connections:
            self.faults.note(self.log, f"all {self.options.max_connections} connections are in use")
            pipe.close()
            return
        make_session = partial(RtmpSession, self, self._catalogue, self._login, adobe_auth=self.options.adobe_auth)
        self._connections.add(RtmpConnection(self, pipe, peer, secure=secure, make_session=make_session))

    def _accept(self, sock: socket.socket, peer: Peer) -> None:
        try:
            prepare_socket(sock)
        except OSError:
            sock.close()  # gone before it was greeted
            return
        self._adopt(SocketPipe(sock), peer, secure=False)

    def _accept_tls(self, make_context: ContextMaker, sock: socket.socket, peer: Peer) -> None:
        task = self._loop.create_task(self._shake_hands(make_context(), sock, peer), name="TLS handshake")
        self._handshakes.add(task)
        task.add_done_callback(self._handshakes.discard)

    async def _shake_hands(self, context: ssl.SSLContext, sock: socket.socket, peer: Peer) -> None:
        try:
            prepare_socket(sock)
            pipe = TlsPipe(sock, context)
        except OSError:
            sock.close()
            return
        try:
            await pipe.handshake(self.options.beginning_s)
        except HandshakeFailed as error:
            pipe.close()
            self.faults.note(self.log, f"RTMPS {peer[0]}:{peer[1]}: {error}")
            return
        except BaseException:
            pipe.close()
            raise
        self._adopt(pipe, peer, secure=True)

    def _handle_timer(self) -> None:
        now_s = time.monotonic()
        for connection in tuple(self._connections):
            connection.handle_timer(now_s)
        self.faults.handle_timer(now_s)
        self._timer = self._loop.call_later(TIMER_INTERVAL_S, self._handle_timer)
