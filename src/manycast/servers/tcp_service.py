"""What the servers of protocols with a TCP port of their own share: listening, and looking after time limits."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

from manycast.servers.client import Client
from manycast.servers.client_acceptor import ClientAcceptor, ContextMaker
from manycast.servers.faults import FaultLog

TIMER_INTERVAL_S = 0.5
MAX_STANDSTILL_S = 3.0  # of the server itself: too much to do, or the machine was asleep


class TcpService(ABC):
    def __init__(
        self, plain_name: str, secure_name: str, log: logging.Logger, faults: FaultLog, *, handshake_timeout_s: float
    ) -> None:
        """The names are those of the protocol without and with TLS, for the log."""
        self.log = log
        self.faults = faults
        self._plain_name = plain_name
        self._secure_name = secure_name
        self._handshake_timeout_s = handshake_timeout_s
        self.admits: Callable[[str], bool] = _everybody  # whether clients of an address are served
        self._acceptors: list[ClientAcceptor] = []
        self._timer: asyncio.TimerHandle | None = None
        self._ticked_s = 0.0
        self._stood_still = False  # so the last time; never twice in a row, or time limits would not hold at all
        self._loop = asyncio.get_running_loop()

    def listen(self, listeners: Sequence[socket.socket], *, make_context: ContextMaker | None = None) -> ClientAcceptor:
        """Take connections from bound sockets; the server owns them from now on.

        With `make_context` they speak TLS; it is asked for each connection, so that a certificate can be renewed.
        What is returned can be given to `deafen`.
        """
        acceptor = ClientAcceptor(
            self._plain_name if make_context is None else self._secure_name,
            self._admit,
            self.faults,
            self.log,
            make_context=make_context,
            handshake_timeout_s=self._handshake_timeout_s,
        )
        acceptor.listen(listeners)
        self._acceptors.append(acceptor)
        return acceptor

    def deafen(self, acceptor: ClientAcceptor) -> None:
        """Take no more connections from these sockets; those that are open stay."""
        acceptor.close()
        self._acceptors.remove(acceptor)

    def start(self) -> None:
        """Begin to look after time limits."""
        self._ticked_s = time.monotonic()
        self._timer = self._loop.call_later(TIMER_INTERVAL_S, self._tick)

    async def close(self, reason: str) -> None:
        """Take nobody any more, and end what there is."""
        if self._timer is not None:
            self._timer.cancel()
        for acceptor in self._acceptors:
            acceptor.close()
        self.end_all(reason)

    @abstractmethod
    def take(self, client: Client) -> None:
        """Serve a client, or refuse him where there are too many."""

    @abstractmethod
    def handle_timer(self, now_s: float) -> None:
        """Look after the time limits of all clients."""

    @abstractmethod
    def end_all(self, reason: str) -> None:
        """Tell all clients why, and hang up."""

    def _admit(self, client: Client) -> None:
        if self.admits(client.peer[0]):
            self.take(client)
        else:
            client.pipe.close()

    def _tick(self) -> None:
        now_s = time.monotonic()
        # Who seems silent after a standstill of our own may well have spoken: what has come is read first.
        stood_still = now_s - self._ticked_s > MAX_STANDSTILL_S and not self._stood_still
        if not stood_still:
            self.handle_timer(now_s)
        self._ticked_s, self._stood_still = now_s, stood_still
        self.faults.handle_timer(now_s)
        self._timer = self._loop.call_later(TIMER_INTERVAL_S, self._tick)


def _everybody(address: str) -> bool:
    return True
