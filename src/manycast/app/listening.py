"""The ports of the server: where each protocol listens, and what is said when it cannot."""

from __future__ import annotations

import errno
import socket
from collections.abc import Mapping
from dataclasses import dataclass

from manycast.errors import ManycastError

ALL_INTERFACES = ("0.0.0.0", "::")


class StartError(ManycastError):
    """The server cannot start; the message says why and what to do about it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listening:
    """Where one protocol listens, and who says so."""

    protocol: str  # as people write it: "RTSP"
    scheme: str
    addresses: tuple[str, ...]  # empty: all interfaces
    port: int
    origin: str
    option: str  # the command line's
    required: bool = True  # False where nobody asked for it: then the server runs without, rather than not at all
    udp: bool = False

    @property
    def base(self) -> str:
        """What addresses of this protocol begin with, as others can reach it; without a slash at the end."""
        host = self.addresses[0] if self.addresses else own_address()
        return f"{self.scheme}://{bracketed(host)}:{self.port}"


def bracketed(host: str) -> str:
    """A host as it is written in an address."""
    return f"[{host}]" if ":" in host else host


def open_listeners(listening: Listening) -> list[socket.socket]:
    """Bind the port on every address. Raises StartError naming the port, the setting and what to do."""
    opened: list[socket.socket] = []
    everywhere = not listening.addresses
    try:
        for address in listening.addresses or ALL_INTERFACES:
            for family, resolved in _resolve(address, listening):
                try:
                    opened.append(_bind(family, resolved, listening))
                except OSError as error:
                    if everywhere and opened and family == socket.AF_INET6 and error.errno != errno.EADDRINUSE:
                        continue  # a machine without IPv6
                    raise StartError(_explain(error, listening, address)) from error
    except StartError:
        for sock in opened:
            sock.close()
        raise
    return opened


def _resolve(address: str, listening: Listening) -> list[tuple[socket.AddressFamily, str]]:
    try:
        found = socket.getaddrinfo(address, listening.port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as error:
        raise StartError(
            f"{listening.protocol} cannot listen on {address!r}: no such address or name ({error})"
        ) from error
    return list(dict.fromkeys((family, str(name[0])) for family, _, _, _, name in found))


def _bind(family: socket.AddressFamily, address: str, listening: Listening) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_DGRAM if listening.udp else socket.SOCK_STREAM)
    try:
        if not listening.udp:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((address, listening.port))
        if not listening.udp:
            sock.listen(1)  # two servers may bind a port with SO_REUSEADDR; only one may listen
    except OSError:
        sock.close()
        raise
    return sock


_ADVICE: Mapping[int, str] = {
    errno.EADDRINUSE: "another program has it. Stop that one, or choose another port with {option}",
    errno.EACCES: "ports below 1024 need root. Start as root, give Python the capability "
    "CAP_NET_BIND_SERVICE, or choose another port with {option}",
    errno.EADDRNOTAVAIL: "no interface of this machine has that address. Choose another with --host",
}


def _explain(error: OSError, listening: Listening, address: str) -> str:
    advice = _ADVICE.get(error.errno or 0, error.strerror or str(error)).format(option=listening.option)
    place = f" on {address}" if listening.addresses else ""
    return f"{listening.protocol} port {listening.port}{place} (set by {listening.origin}) cannot be opened: {advice}"


def own_address() -> str:
    """The address other machines reach this one by, as far as it can be told; nothing is sent for it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.connect(("192.0.2.1", 9))  # a documentation address (RFC 5737): only the route is looked up
            return str(sock.getsockname()[0])
        except OSError:
            return "127.0.0.1"
