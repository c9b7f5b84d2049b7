"""The RTMP server: takes connections, and looks after their time limits."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import Sequence
from functools import partial

from manycast.hub.catalogue import Catalogue
from manycast.servers.client import Client
from manycast.servers.client_acceptor import ClientAcceptor, ContextMaker
from manycast.servers.faults import FaultLog
from manycast.servers.rtmp.connection import RtmpConnection
from manycast.servers.rtmp.login import RtmpLogin
from manycast.servers.rtmp.options import RtmpOptions
from manycast.servers.rtmp.session import RtmpSession

TIMER_INTERVAL_S = 0.5


class RtmpServer:
    """All connections of one RTMP service, on any number of addresses."""

    def __init__(self, catalogue: Catalogue, options: RtmpOptions) -> None:
        self.options = options
        self.faults = FaultLog()
        self.log = logging.getLogger(__name__)
        self._catalogue = catalogue
        self._login = RtmpLogin(options.users, self.faults) if options.users is not None else None
        self._connections: set[RtmpConnection] = set()
        self._acceptors: list[ClientAcceptor] = []
        self._timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()

    @property
    def connections(self) -> int:
        return len(self._connections)

    def listen(self, listeners: Sequence[socket.socket], *, make_context: ContextMaker | None = None) -> None:
        """Take connections from bound sockets; the server owns them from now on.

        With `make_context` they speak TLS (RTMPS); it is asked for each connection.
        """
        acceptor = ClientAcceptor(
            "RTMP" if make_context is None else "RTMPS",
            self._take,
            self.faults,
            self.log,
            make_context=make_context,
            handshake_timeout_s=self.options.beginning_s,
        )
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
        for connection in tuple(self._connections):
            connection.close(reason)

    def forget(self, connection: RtmpConnection) -> None:
        self._connections.discard(connection)

    def _take(self, client: Client) -> None:
        if len(self._connections) >= self.options.max_connections:
            self.faults.note(self.log, f"all {self.options.max_connections} connections are in use")
            client.pipe.close()
            return
        make_session = partial(RtmpSession, self, self._catalogue, self._login, adobe_auth=self.options.adobe_auth)
        self._connections.add(RtmpConnection(self, client, make_session))

    def _handle_timer(self) -> None:
        now_s = time.monotonic()
        for connection in tuple(self._connections):
            connection.handle_timer(now_s)
        self.faults.handle_timer(now_s)
        self._timer = self._loop.call_later(TIMER_INTERVAL_S, self._handle_timer)
