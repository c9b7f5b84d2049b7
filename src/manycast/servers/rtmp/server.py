"""The RTMP server: takes connections, and looks after their time limits."""

from __future__ import annotations

import logging
from functools import partial

from manycast.hub.catalogue import Catalogue
from manycast.servers.client import Client
from manycast.servers.faults import FaultLog
from manycast.servers.rtmp.connection import RtmpConnection
from manycast.servers.rtmp.login import RtmpLogin
from manycast.servers.rtmp.options import RtmpOptions
from manycast.servers.rtmp.session import RtmpSession
from manycast.servers.tcp_service import TcpService


class RtmpServer(TcpService):
    """All connections of one RTMP service, on any number of addresses."""

    def __init__(self, catalogue: Catalogue, options: RtmpOptions) -> None:
        super().__init__(
            "RTMP", "RTMPS", logging.getLogger(__name__), FaultLog(), handshake_timeout_s=options.beginning_s
        )
        self.options = options
        self._catalogue = catalogue
        self._login = RtmpLogin(options.users, self.faults) if options.users is not None else None
        self._connections: set[RtmpConnection] = set()
        catalogue.hub.sessions.count_by(lambda: sum(each.session.active for each in tuple(self._connections)))

    @property
    def connections(self) -> int:
        return len(self._connections)

    def forget(self, connection: RtmpConnection) -> None:
        self._connections.discard(connection)

    def take(self, client: Client) -> None:
        if len(self._connections) >= self.options.max_connections:
            self.faults.note(self.log, f"all {self.options.max_connections} connections are in use")
            client.pipe.close()
            return
        make_session = partial(RtmpSession, self, self._catalogue, self._login, adobe_auth=self.options.adobe_auth)
        self._connections.add(RtmpConnection(self, client, make_session))

    def handle_timer(self, now_s: float) -> None:
        for connection in tuple(self._connections):
            connection.handle_timer(now_s)

    def end_all(self, reason: str) -> None:
        for connection in tuple(self._connections):
            connection.close(reason)
