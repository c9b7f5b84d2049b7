"""Datagrams of WS-Discovery, with the interface that they come and go by."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass

from manycast.onvif.discovery.messages import MAX_DATAGRAM_BYTES

PORT = 3702
GROUPS = {socket.AF_INET: "239.255.255.250", socket.AF_INET6: "ff02::c"}
HOPS = 1
MAX_DATAGRAMS_PER_WAKE_UP = 64  # then the others get their turn

_IP_PKTINFO = getattr(socket, "IP_PKTINFO", 8)  # linux/in.h
_IP_MULTICAST_ALL = 49  # likewise; IPV6_MULTICAST_ALL: 29
_IPV6_MULTICAST_ALL = 29
_ANCILLARY_BYTES = 128
_PKTINFO = struct.Struct("@i4s4s")  # in_pktinfo: interface, local address, destination
_PKTINFO_6 = struct.Struct("@16sI")  # in6_pktinfo: address, interface

log = logging.getLogger(__name__)

Address = tuple[str, int] | tuple[str, int, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """A datagram, and how it came."""

    data: bytes
    sender: Address
    interface: int  # index
    local: bytes  # the address it was sent to, packed
    multicast: bool

    @property
    def host(self) -> str:
        return self.sender[0].partition("%")[0]


class DiscoverySocket:
    """The port of discovery, for one version of IP, on several interfaces. Shared with other programs."""

    def __init__(
        self,
        family: socket.AddressFamily,
        on_arrival: Callable[[DiscoverySocket, Arrival], None],
        port: int = PORT,
    ) -> None:
        """Raises OSError where this is not to be had."""
        self.family = family
        self.port = port
        self._group = GROUPS[family]
        self._on_arrival = on_arrival
        self.joined: set[int] = set()  # interfaces, by their indexes
        self._socket = _bound(family, port)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._socket, self._readable)

    @property
    def version(self) -> int:
        return 6 if self.family == socket.AF_INET6 else 4

    def join(self, index: int) -> None:
        """Hear what is sent to everybody on an interface."""
        if index in self.joined:
            return
        self._membership(index, joins=True)
        self.joined.add(index)

    def leave(self, index: int) -> None:
        if index in self.joined:
            self.joined.discard(index)
            try:
                self._membership(index, joins=False)
            except OSError:
                pass  # the interface has gone, and the membership with it

    def send_to_all(self, data: bytes, index: int) -> None:
        """To everybody on an interface."""
        if self.family == socket.AF_INET6:
            self._send(data, (self._group, self.port, 0, index), index, bytes(16))
        else:
            self._send(data, (self._group, self.port), index, bytes(4))

    def reply(self, data: bytes, arrival: Arrival) -> None:
        """To who sent a datagram, by the way it came."""
        width = 16 if self.family == socket.AF_INET6 else 4
        self._send(data, arrival.sender, arrival.interface, bytes(width) if arrival.multicast else arrival.local)

    def close(self) -> None:
        self._loop.remove_reader(self._socket)
        self._socket.close()

    def _send(self, data: bytes, to: Address, index: int, source: bytes) -> None:
        if self.family == socket.AF_INET6:
            information = (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, _PKTINFO_6.pack(source, index))
        else:
            information = (socket.IPPROTO_IP, _IP_PKTINFO, _PKTINFO.pack(index, source, bytes(4)))
        try:
            self._socket.sendmsg([data], [information], 0, to)
        except OSError as error:  # the network is down, or the sender cannot be reached
            log.debug("discovery: not sent to %s by interface %d: %s", to[0], index, error)

    def _readable(self) -> None:
        for _ in range(MAX_DATAGRAMS_PER_WAKE_UP):
            try:
                data, ancillary, flags, sender = self._socket.recvmsg(MAX_DATAGRAM_BYTES, _ANCILLARY_BYTES)
            except OSError:
                return
            if flags & socket.MSG_TRUNC:
                continue
            for level, kind, value in ancillary:
                arrival = self._arrival(data, sender, level, kind, value)
                if arrival is not None and arrival.interface in self.joined:
                    self._on_arrival(self, arrival)

    def _arrival(self, data: bytes, sender: Address, level: int, kind: int, value: bytes) -> Arrival | None:
        if (level, kind) == (socket.IPPROTO_IP, _IP_PKTINFO):
            index, local, destination = _PKTINFO.unpack(value)
            multicast = destination[0] & 0xF0 == 0xE0
        elif (level, kind) == (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO):
            local, index = _PKTINFO_6.unpack(value)
            multicast = local[0] == 0xFF
        else:
            return None
        return Arrival(data=data, sender=sender, interface=index, local=local, multicast=multicast)

    def _membership(self, index: int, *, joins: bool) -> None:
        group = socket.inet_pton(self.family, self._group)
        if self.family == socket.AF_INET6:
            option = socket.IPV6_JOIN_GROUP if joins else socket.IPV6_LEAVE_GROUP
            self._socket.setsockopt(socket.IPPROTO_IPV6, option, group + struct.pack("@I", index))
        else:
            option = socket.IP_ADD_MEMBERSHIP if joins else socket.IP_DROP_MEMBERSHIP
            self._socket.setsockopt(socket.IPPROTO_IP, option, group + bytes(4) + struct.pack("@i", index))


def _bound(family: socket.AddressFamily, port: int) -> socket.socket:
    """By SO_REUSEADDR alone if that does: with SO_REUSEPORT, another program would get some of our datagrams."""
    for options in ((socket.SO_REUSEADDR,), (socket.SO_REUSEADDR, socket.SO_REUSEPORT)):
        sock = socket.socket(family, socket.SOCK_DGRAM)
        try:
            for option in options:
                sock.setsockopt(socket.SOL_SOCKET, option, 1)
            _prepare(sock, family)
            sock.bind(("", port))
        except OSError as error:
            sock.close()
            if error.errno != errno.EADDRINUSE or socket.SO_REUSEPORT in options:
                raise
        else:
            return sock
    raise AssertionError


def _prepare(sock: socket.socket, family: socket.AddressFamily) -> None:
    sock.setblocking(False)
    if family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, HOPS)
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_LOOP, 1)
        sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_MULTICAST_ALL, 0)
    else:
        sock.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, HOPS)
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 1)
        sock.setsockopt(socket.IPPROTO_IP, _IP_MULTICAST_ALL, 0)
