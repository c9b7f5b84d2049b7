"""The port of RTSP while the server runs: ONVIF clients may change it."""

from __future__ import annotations

from dataclasses import replace

from manycast.app.listening import Listening, StartError, open_listeners
from manycast.servers.client_acceptor import ClientAcceptor
from manycast.servers.tcp_service import TcpService


class RtspPort:
    def __init__(self, server: TcpService, listening: Listening, acceptor: ClientAcceptor) -> None:
        """`acceptor` is what listens now, as `listening` says."""
        self._server = server
        self._listening = listening
        self._acceptor: ClientAcceptor | None = acceptor
        self._number: int | None = listening.port

    def move(self, number: int | None) -> None:
        """Listen at another port, None: at none. Open connections stay. Raises OSError, and then nothing changes."""
        if number == self._number:
            return
        acceptor = None
        if number is not None:
            listening = replace(self._listening, port=number, origin="an ONVIF client")
            try:
                acceptor = self._server.listen(open_listeners(listening))
            except StartError as error:
                raise OSError(str(error)) from error
        if self._acceptor is not None:
            self._server.deafen(self._acceptor)
        self._acceptor, self._number = acceptor, number
