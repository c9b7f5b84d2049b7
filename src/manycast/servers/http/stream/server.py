"""All viewers of streams over HTTP and WebSocket, on all HTTP ports."""

from __future__ import annotations

import asyncio
import logging
import time

from manycast.hub.catalogue import Catalogue
from manycast.servers.faults import FaultLog
from manycast.servers.http.login import HttpLogin
from manycast.servers.http.pages import is_page
from manycast.servers.http.request import HttpRequest
from manycast.servers.http.stream.address import Form
from manycast.servers.http.stream.connection import StreamConnection
from manycast.servers.http.stream.options import StreamOptions
from manycast.wire.http import HttpError
from manycast.wire.websocket import asks_for_websocket

TIMER_INTERVAL_S = 0.5


class StreamServer:
    """A route of the HTTP ports: takes what is no page, and WebSockets that name a stream and its form."""

    def __init__(
        self, catalogue: Catalogue, options: StreamOptions, faults: FaultLog, login: HttpLogin | None = None
    ) -> None:
        """`login` is for the forms that `options` say need one; `faults` may be shared with it."""
        self.catalogue = catalogue
        self.options = options
        self.login = login
        self.faults = faults
        self.log = logging.getLogger(__name__)
        self._connections: set[StreamConnection] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        catalogue.hub.sessions.count_by(lambda: sum(each.plays for each in tuple(self._connections)))

    @property
    def connections(self) -> int:
        return len(self._connections)

    def start(self) -> None:
        """Begin to look after time limits."""
        self._timer = self._loop.call_later(TIMER_INTERVAL_S, self._handle_timer)

    def close(self, reason: str) -> None:
        if self._timer is not None:
            self._timer.cancel()
        for connection in tuple(self._connections):
            connection.close(reason)

    def take(self, request: HttpRequest) -> bool:
        head = request.head
        if asks_for_websocket(head):
            names_form = head.path.endswith(tuple(form.value for form in Form))
            if not names_form or head.tokens("Sec-WebSocket-Protocol"):
                return False
        elif is_page(head.path):
            return False
        if len(self._connections) >= self.options.max_connections:
            text = f"all {self.options.max_connections} connections are in use"
            raise HttpError(503, text, [("Retry-After", "10")])
        self._connections.add(StreamConnection(self, request))
        return True

    def forget(self, connection: StreamConnection) -> None:
        self._connections.discard(connection)

    def _handle_timer(self) -> None:
        now_s = time.monotonic()
        for connection in tuple(self._connections):
            connection.handle_timer(now_s)
        self.faults.handle_timer(now_s)
        self._timer = self._loop.call_later(TIMER_INTERVAL_S, self._handle_timer)
