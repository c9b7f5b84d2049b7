"""Multicast addresses, and the sockets that send to one."""

from __future__ import annotations

import asyncio
import ipaddress
import secrets
import socket
import struct
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from manycast.hub.udp_viewer import RunSender
from manycast.servers.rtsp.link import family_of
from manycast.servers.rtsp.udp_ports import SessionPorts
from manycast.wire.rtsp.headers import PortPair

IPV4_RANGE = 232 << 24  # source-specific multicast (RFC 4607 section 1)
IPV6_RANGE = 0xFF38 << 112  # the same for IPv6, within an organisation; the last 32 bits name the group
IPV6_DYNAMIC = 1 << 31  # set in the names a host may choose (RFC 4607 section 1, RFC 3307 section 4.3)

MAX_DATAGRAMS_PER_WAKE_UP = 64  # then the other sockets get their turn
MAX_DATAGRAM_BYTES = 65536
IPV6_ADDRESSES = Path("/proc/net/if_inet6")

RtcpSink = Callable[[bytes, str], None]  # compound packet, the sender's address


def random_group(family: socket.AddressFamily) -> str:
    """A group's address that nobody else is likely to have."""
    if family == socket.AF_INET6:
        return str(ipaddress.IPv6Address(IPV6_RANGE | IPV6_DYNAMIC | secrets.randbits(31)))
    while True:
        number = secrets.randbits(24)
        # Of 232.0.0.x the standard keeps its hands on. With 232.128.0.x, it has the Ethernet addresses of 224.0.0.x,
        # which switches send everywhere.
        if number & 0x7FFF00:
            return str(ipaddress.IPv4Address(IPV4_RANGE | number))


class _GroupSender:
    """Sends datagrams to a group through a socket that listens to everybody."""

    __slots__ = ("_sock", "_to")

    def __init__(self, sock: socket.socket, to: tuple[str, int] | tuple[str, int, int, int]) -> None:
        self._sock = sock
        self._to = to

    def send(self, run: bytes) -> object:
        return self._sock.sendto(run, self._to)


class GroupSockets:
    """The sockets of one track that is sent to a group; the ports at both ends are the same.

    Receivers report to the group, or to us alone: who joins a source of a group cannot hear others (RFC 5760).
    """

    def __init__(
        self,
        ports: SessionPorts,
        slot: int,
        *,
        group: str,
        local_address: str,
        ttl: int,
        segmentation: bool,
        on_rtcp: RtcpSink,
    ) -> None:
        """Media goes out by the interface that has `local_address`. Raises NoPortsLeft, and OSError where that
        interface cannot do it."""
        self._session_ports = ports
        self._on_rtcp = on_rtcp
        self._loop = asyncio.get_running_loop()
        interface = _Interface(local_address)
        with ExitStack() as undo:
            self._listener = undo.enter_context(socket.socket(family_of(local_address), socket.SOCK_DGRAM))
            self.rtp, self.rtcp = self._pair = ports.open_pair(slot)
            undo.callback(ports.close_pair, self._pair)
            self.ports: PortPair = (self.rtp.getsockname()[1], self.rtcp.getsockname()[1])
            for sock in (*self._pair, self._listener):
                # Viewers on this machine bind the same ports.
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            for sock in self._pair:
                interface.send_by(sock, ttl)
            self.rtp.connect(interface.name_of(group, self.ports[0]))
            self._listener.setblocking(False)
            self._listener.bind(interface.name_of(group, self.ports[1]))
            interface.join(self._listener, group)
            undo.pop_all()
        self._own_name = self.rtcp.getsockname()[:2]
        self.senders = (
            RunSender(self.rtp, segmentation=segmentation),
            _GroupSender(self.rtcp, interface.name_of(group, self.ports[1])),
        )
        for sock in (self.rtcp, self._listener):
            self._loop.add_reader(sock, self._readable, sock)

    def close(self) -> None:
        for sock in (self.rtcp, self._listener):
            self._loop.remove_reader(sock)
        self._listener.close()
        self._session_ports.close_pair(self._pair)

    def _readable(self, sock: socket.socket) -> None:
        for _ in range(MAX_DATAGRAMS_PER_WAKE_UP):
            try:
                data, sender = sock.recvfrom(MAX_DATAGRAM_BYTES)
            except OSError:
                return
            if sender[:2] != self._own_name:  # our own reports come back
                self._on_rtcp(data, sender[0])


class _Interface:
    """The interface that has an address, as the socket options of its family name it."""

    def __init__(self, address: str) -> None:
        self._family = family_of(address)
        self._address = address
        self._index = _ipv6_interface(address) if self._family == socket.AF_INET6 else 0

    def name_of(self, group: str, port: int) -> tuple[str, int] | tuple[str, int, int, int]:
        return (group, port, 0, self._index) if self._family == socket.AF_INET6 else (group, port)

    def send_by(self, sock: socket.socket, ttl: int) -> None:
        """What the socket sends to groups goes out here, passes `ttl` routers, and is heard on this machine too."""
        if self._family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, self._index)
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, ttl)
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_LOOP, 1)
        else:
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(self._address))
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, ttl)
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 1)

    def join(self, sock: socket.socket, group: str) -> None:
        if self._family == socket.AF_INET6:
            membership = socket.inet_pton(socket.AF_INET6, group) + struct.pack("@I", self._index)
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, membership)
        else:
            membership = socket.inet_aton(group) + socket.inet_aton(self._address)
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, membership)


def _ipv6_interface(address: str) -> int:
    """The index of the interface that has an address; 0, which leaves the choice to the routes, where it is unknown."""
    host, _, scope = address.partition("%")
    if scope:
        return socket.if_nametoindex(scope)
    wanted = ipaddress.IPv6Address(host).packed.hex()
    try:
        lines = IPV6_ADDRESSES.read_text().splitlines()
    except OSError:
        return 0
    return next((int(fields[1], 16) for fields in map(str.split, lines) if fields[0] == wanted), 0)
