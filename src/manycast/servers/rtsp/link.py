"""The way of bytes between a client and its RTSP connection: a TCP or TLS connection, a tunnel, a WebSocket."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Callable
from typing import Protocol

from manycast.hub.pipe import HungUp, Pipe, receive
from manycast.hub.rtp_packager import Framing
from manycast.hub.tcp_viewer import TcpOutbox


class Link(Protocol):
    """What an RTSP connection needs of what is below it."""

    name: str  # for people: "TCP", "TLS", "HTTP"
    secure: bool  # nobody between here and the client can read along
    peer_address: str
    peer_port: int
    local_address: str
    outbox: TcpOutbox  # the one way out, for replies and media
    framing: Framing | None  # what every piece put into the outbox is wrapped with; None: nothing

    def start(self, on_data: Callable[[bytes], None], on_end: Callable[[str], None]) -> None:
        """Pass on what the client sends from now on; `on_end` is called once, with the reason, when no more can come
        or go."""

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def close(self) -> None:
        """Hang up, after what the kernel has taken already."""


class PipeLink:
    """A TCP or TLS connection."""

    framing: Framing | None = None

    def __init__(
        self,
        pipe: Pipe,
        *,
        name: str,
        secure: bool,
        peer: tuple[str, int],
        local_address: str,
        received: bytes = b"",
    ) -> None:
        """`received` has been read from the pipe before."""
        self.name = name
        self.secure = secure
        self.peer_address, self.peer_port = peer
        self.local_address = local_address
        self._pipe = pipe
        self._received = received
        self._on_data: Callable[[bytes], None] = _ignore
        self._on_end: Callable[[str], None] = _ignore
        self._closed = False
        self._loop = asyncio.get_running_loop()
        self.outbox = TcpOutbox(pipe, self._loop, self._end)

    def start(self, on_data: Callable[[bytes], None], on_end: Callable[[str], None]) -> None:
        self._on_data, self._on_end = on_data, on_end
        if self._received:
            self._loop.call_soon(self._pass_received)
        else:
            self._pipe.when_readable(self._readable)

    def pause_reading(self) -> None:
        self._pipe.when_readable(None)

    def resume_reading(self) -> None:
        self._pipe.when_readable(self._readable)

    def close(self) -> None:
        self._closed = True
        self.outbox.close()
        self._pipe.close()

    def _pass_received(self) -> None:
        if self._closed:
            return
        received, self._received = self._received, b""
        self._pipe.when_readable(self._readable)
        self._on_data(received)

    def _readable(self) -> None:
        try:
            data = receive(self._pipe)
        except HungUp as reason:
            self._end(str(reason))
            return
        if data:
            self._on_data(data)

    def _end(self, reason: str) -> None:
        if not self._closed:
            self._on_end(reason)


def family_of(address: str) -> socket.AddressFamily:
    """The family of a numeric address."""
    return socket.AF_INET6 if ipaddress.ip_address(address).version == 6 else socket.AF_INET


def _ignore(_value: object) -> None:
    pass
