"""Ways for bytes between us and one peer, that never wait: plain TCP."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Sequence
from typing import Protocol

Buffer = bytes | bytearray | memoryview
READ_BYTES = 64 * 1024  # more than a TLS record: what OpenSSL holds back would wake nobody

CLIENT_HUNG_UP = "the client hung up"

# One for all: what one read holds is taken out before anyone else's.
_read_buffer = memoryview(bytearray(READ_BYTES))


class HungUp(Exception):
    """Nothing more will come, and why."""


class Pipe(Protocol):
    """Bytes in and out. What cannot be done at once raises BlockingIOError, what can no longer be done OSError."""

    def send(self, data: Buffer, /) -> int:
        """Send the front of `data`; return how many bytes of it have gone, or are sure to be sent next."""

    def sendmsg(self, parts: Sequence[Buffer], /) -> int:
        """The same for several pieces in a row."""

    def recv_into(self, buffer: Buffer, /) -> int:
        """Read what there is, as far as it fits; return its size, 0 at the end."""

    def when_readable(self, callback: Callable[[], None] | None) -> None:
        """Call whenever there is something to read, from now on; None: no longer."""

    def when_writable(self, callback: Callable[[], None] | None) -> None:
        """Call whenever something can be sent, from now on; None: no longer."""

    def close(self) -> None:
        """Hang up. What the kernel has is still sent."""


class SocketPipe:
    """A TCP socket as it is."""

    def __init__(self, sock: socket.socket) -> None:
        """The pipe owns the socket from now on."""
        sock.setblocking(False)
        self._sock = sock
        self._loop = asyncio.get_running_loop()
        # Bound once and without a layer between: they are called for every viewer and frame.
        self.send: Callable[[Buffer], int] = sock.send
        self.sendmsg: Callable[[Sequence[Buffer]], int] = sock.sendmsg
        self.recv_into: Callable[[Buffer], int] = sock.recv_into

    def when_readable(self, callback: Callable[[], None] | None) -> None:
        if callback is None:
            self._loop.remove_reader(self._sock)
        else:
            self._loop.add_reader(self._sock, callback)

    def when_writable(self, callback: Callable[[], None] | None) -> None:
        if callback is None:
            self._loop.remove_writer(self._sock)
        else:
            self._loop.add_writer(self._sock, callback)

    def close(self) -> None:
        if self._sock.fileno() >= 0:
            self.when_readable(None)
            self.when_writable(None)
            self._sock.close()


def told_to_viewers(reason: str) -> str:
    """Why a publisher was closed, as those read it who watched: for them it is not the client."""
    return "the publisher hung up" if reason == CLIENT_HUNG_UP else reason


def receive(pipe: Pipe) -> bytes:
    """What has come, at most `READ_BYTES`; nothing where it was a false alarm. Raises HungUp."""
    try:
        size = pipe.recv_into(_read_buffer)
    except (BlockingIOError, InterruptedError):
        return b""
    except OSError as error:
        raise HungUp(error.strerror or str(error)) from error
    if not size:
        raise HungUp(CLIENT_HUNG_UP)
    return bytes(_read_buffer[:size])
