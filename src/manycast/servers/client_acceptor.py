"""Takes clients from listening sockets, behind TLS where that is asked for."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable, Sequence

from manycast.hub.pipe import SocketPipe
from manycast.hub.tls_pipe import HandshakeFailed, TlsPipe
from manycast.servers.acceptor import Acceptor, Peer, prepare_socket
from manycast.servers.client import Client
from manycast.servers.connection_log import ConnectionLog
from manycast.servers.faults import FaultLog

ContextMaker = Callable[[], ssl.SSLContext]


class ClientAcceptor:
    """For protocols in which nothing but the port tells whether there is TLS."""

    def __init__(
        self,
        protocol: str,
        on_client: Callable[[Client], None],
        faults: FaultLog,
        log: logging.Logger,
        *,
        make_context: ContextMaker | None = None,
        handshake_timeout_s: float,
    ) -> None:
        """With `make_context` clients speak TLS; it is asked for each, so that a certificate can be renewed.

        `protocol` is what the log calls it.
        """
        self._protocol = protocol
        self._on_client = on_client
        self._faults = faults
        self._log = log
        self._make_context = make_context
        self._handshake_timeout_s = handshake_timeout_s
        self._acceptor = Acceptor(self._accept, faults, log)
        self._handshakes: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()

    def listen(self, listeners: Sequence[socket.socket]) -> None:
        """Take clients from bound sockets; the acceptor owns them from now on."""
        self._acceptor.listen(listeners)

    def close(self) -> None:
        self._acceptor.close()
        for handshake in tuple(self._handshakes):
            handshake.cancel()

    def _accept(self, sock: socket.socket, peer: Peer) -> None:
        try:
            prepare_socket(sock)
            local_address = sock.getsockname()[0]
        except OSError:
            sock.close()  # gone before it was greeted
            return
        if self._make_context is None:
            self._on_client(Client(SocketPipe(sock), peer, local_address, secure=False))
            return
        task = self._loop.create_task(self._shake_hands(self._make_context(), sock, peer, local_address))
        self._handshakes.add(task)
        task.add_done_callback(self._handshakes.discard)

    async def _shake_hands(self, context: ssl.SSLContext, sock: socket.socket, peer: Peer, local_address: str) -> None:
        try:
            pipe = TlsPipe(sock, context)
        except OSError:
            sock.close()
            return
        client = Client(pipe, peer, local_address, secure=True)
        try:
            await pipe.handshake(self._handshake_timeout_s)
        except HandshakeFailed as error:
            pipe.close()
            self._faults.note(ConnectionLog(self._log, f"{self._protocol} {client}"), str(error))
            return
        except BaseException:
            pipe.close()
            raise
        self._on_client(client)
