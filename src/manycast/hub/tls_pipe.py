"""Ways for bytes between us and one peer, that never wait: TLS."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable, Sequence

from manycast.errors import ManycastError
from manycast.hub.pipe import Buffer

MAX_JOINED_BYTES = 64 * 1024  # of small pieces that are encrypted together


# What OpenSSL says of a client that sends something else.
_NO_TLS = frozenset({"HTTP_REQUEST", "HTTPS_PROXY_REQUEST", "UNKNOWN_PROTOCOL", "WRONG_VERSION_NUMBER"})


class HandshakeFailed(ManycastError):
    """The peer does not speak TLS, or none that we accept."""


class TlsPipe:
    """TLS over a TCP socket. Call `handshake` before anything else."""

    def __init__(self, sock: socket.socket, context: ssl.SSLContext) -> None:
        """The pipe owns the socket from now on; `context` is a server's."""
        sock.setblocking(False)
        self._sock = context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
        self._loop = asyncio.get_running_loop()
        self._on_writable: Callable[[], None] | None = None
        self._held: bytes | None = None  # begun: OpenSSL wants the very same bytes again before any others

    async def handshake(self, timeout_s: float) -> None:
        """Agree on keys. Raises HandshakeFailed; the pipe is to be closed then."""
        try:
            await asyncio.wait_for(self._handshake(), timeout_s)
        except TimeoutError as error:
            raise HandshakeFailed(f"no TLS handshake within {timeout_s:.0f} s") from error
        except ssl.SSLError as error:
            if error.reason in _NO_TLS:
                raise HandshakeFailed("the client does not speak TLS: this port is for TLS only") from error
            raise HandshakeFailed(f"TLS: {error.reason or error}") from error
        except OSError as error:
            raise HandshakeFailed(f"TLS: {error.strerror or error}") from error

    def send(self, data: Buffer, /) -> int:
        if self._held is not None:
            raise BlockingIOError
        try:
            return self._sock.send(data)
        except (ssl.SSLWantWriteError, ssl.SSLWantReadError):
            self._held = bytes(data)
            self._loop.add_writer(self._sock, self._writable)
            return len(data)

    def sendmsg(self, parts: Sequence[Buffer], /) -> int:
        joined = bytearray()
        for part in parts:
            if joined and len(joined) + len(part) > MAX_JOINED_BYTES:
                break
            joined += part
        return self.send(joined)

    def recv_into(self, buffer: Buffer, /) -> int:
        try:
            return self._sock.recv_into(buffer)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError) as error:
            raise BlockingIOError from error

    def when_readable(self, callback: Callable[[], None] | None) -> None:
        if callback is None:
            self._loop.remove_reader(self._sock)
        else:
            self._loop.add_reader(self._sock, callback)

    def when_writable(self, callback: Callable[[], None] | None) -> None:
        self._on_writable = callback
        if callback is not None:
            self._loop.add_writer(self._sock, self._writable)
        elif self._held is None:
            self._loop.remove_writer(self._sock)

    def close(self) -> None:
        if self._sock.fileno() < 0:
            return
        self._loop.remove_reader(self._sock)
        self._loop.remove_writer(self._sock)
        self._on_writable = None
        try:
            self._sock.unwrap()  # says that we are done; the peer's answer is not waited for
        except (OSError, ValueError):
            pass
        self._sock.close()

    def _writable(self) -> None:
        if self._held is not None:
            try:
                self._sock.send(self._held)
            except (ssl.SSLWantWriteError, ssl.SSLWantReadError):
                return
            except OSError:
                pass  # the next send says so, or the reader does
            self._held = None
        if self._on_writable is not None:
            self._on_writable()
        else:
            self._loop.remove_writer(self._sock)

    async def _handshake(self) -> None:
        while True:
            try:
                self._sock.do_handshake()
                return
            except ssl.SSLWantReadError:
                await self._ready(self._loop.add_reader, self._loop.remove_reader)
            except ssl.SSLWantWriteError:
                await self._ready(self._loop.add_writer, self._loop.remove_writer)

    async def _ready(self, add: Callable[..., object], remove: Callable[..., object]) -> None:
        ready = self._loop.create_future()
        add(self._sock, _resolve, ready)
        try:
            await ready
        finally:
            remove(self._sock)


def _resolve(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)


def server_context(cert_file: str, key_file: str) -> ssl.SSLContext:
    """A context for servers. Raises OSError and ssl.SSLError when the files cannot be used."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    context.load_cert_chain(cert_file, key_file, password="")  # without one, OpenSSL would ask at the terminal
    return context
