"""Opens connections to sources."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TypeVar, cast

from manycast.hub.source import SourceDenied, SourceError
from manycast.wire.address import SourceAddress

CONNECT_TIMEOUT_S = 8.0  # less than a viewer waits, so that he is told why

ProtocolT = TypeVar("ProtocolT", bound=asyncio.Protocol)


@dataclass(frozen=True, slots=True)
class DialOptions:
    """What holds for every connection of a source."""

    verify_tls: bool = True
    allow_private_redirects: bool = False  # from the internet to addresses behind a router


class Link(asyncio.Protocol):
    """A connection whose bytes go to a function, which may be exchanged."""

    def __init__(self, on_data: Callable[[bytes], None], on_end: Callable[[str], None]) -> None:
        """`on_end` is called once when the peer ends it, with the reason, but not after `close`."""
        self.on_data = on_data
        self._on_end = on_end
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are none by inheritance

    def data_received(self, data: bytes) -> None:
        if self._transport is not None:
            self.on_data(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._transport is not None:
            self._transport = None
            self._on_end(_reason_of(exc) if exc is not None else "the server hung up")

    def write(self, data: bytes) -> None:
        if data and self._transport is not None:
            self._transport.write(data)

    def close(self) -> None:
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.close()

    @property
    def peer(self) -> tuple[str, int]:
        return self._name("peername")

    @property
    def local(self) -> tuple[str, int]:
        return self._name("sockname")

    def _name(self, which: str) -> tuple[str, int]:
        name = self._transport.get_extra_info(which) if self._transport is not None else None
        if name is None:
            raise SourceError("the server hung up")
        return str(name[0]).removeprefix("::ffff:"), int(name[1])  # IPv4 at a socket for both


async def dial(address: SourceAddress, make: Callable[[], ProtocolT], options: DialOptions) -> ProtocolT:
    """Connect, with TLS where the address says so. Raises SourceError, in time."""
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            return await _dial(address, make, options)
    except TimeoutError:
        raise SourceError(f"{address.authority} does not answer within {CONNECT_TIMEOUT_S:.0f} s") from None


async def _dial(address: SourceAddress, make: Callable[[], ProtocolT], options: DialOptions) -> ProtocolT:
    context = tls_context(options.verify_tls) if address.secure else None
    server_hostname = address.host if address.secure else None
    failure = f"{address.host} has no address"
    for host in await resolve(address.host, address.port):
        try:
            _, protocol = await asyncio.get_running_loop().create_connection(
                make, host, address.port, ssl=context, server_hostname=server_hostname
            )
            return protocol
        except ssl.SSLCertVerificationError as error:
            raise SourceDenied(
                f"the certificate of {address.authority} cannot be trusted ({error.verify_message}); "
                "set tls_verify to 0 in the proxy to take it all the same"
            ) from error
        except ssl.SSLError as error:
            raise SourceError(f"no TLS with {address.authority}: {error.reason}; check the port") from error
        except OSError as error:
            failure = f"cannot connect to {address.authority}: {_reason_of(error)}"
    raise SourceError(failure)


async def resolve(host: str, port: int) -> list[str]:
    """The numeric addresses of a host. Raises SourceError.

    Each lookup has a thread, which nobody waits for: the loop's own are few, and a name that nobody knows holds one for
    half a minute.
    """
    try:
        return [str(ipaddress.ip_address(host))]
    except ValueError:
        pass
    loop = asyncio.get_running_loop()
    found: asyncio.Future[list[str]] = loop.create_future()
    threading.Thread(target=_look_up, args=(host, port, loop, found), name="resolve", daemon=True).start()
    return await found


def _look_up(host: str, port: int, loop: asyncio.AbstractEventLoop, found: asyncio.Future[list[str]]) -> None:
    def settle(result: list[str] | SourceError) -> None:
        if found.done():
            return
        if isinstance(result, SourceError):
            found.set_exception(result)
        else:
            found.set_result(result)

    result: list[str] | SourceError
    try:
        rows = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        result = list(dict.fromkeys(str(row[4][0]) for row in rows))
    except (OSError, UnicodeError) as error:
        result = SourceError(f"the name {host} cannot be resolved: {_reason_of(error)}")
    try:
        loop.call_soon_threadsafe(settle, result)
    except RuntimeError:
        pass  # the loop was closed meanwhile


@cache
def tls_context(verify: bool) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def check_redirect(first_peer: str, peer: str, options: DialOptions) -> None:
    """A server of the internet must not send us to addresses that only we can reach. Raises SourceDenied."""
    if options.allow_private_redirects or not _is_global(first_peer) or _is_global(peer):
        return
    raise SourceDenied(
        f"redirected from {first_peer}, in the internet, to the private address {peer}; "
        "set private_redirects to 1 in the proxy to allow it"
    )


def _is_global(address: str) -> bool:
    return ipaddress.ip_address(address.partition("%")[0]).is_global


def _reason_of(error: Exception) -> str:
    text = error.strerror if isinstance(error, OSError) else None
    return text or str(error) or type(error).__name__
