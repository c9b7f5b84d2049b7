"""The UDP sockets of one medium: a pair of its own, or a multicast group's."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import struct
import time
from collections.abc import Callable

from manycast.hub.source import SourceError

MAX_DATAGRAMS_PER_WAKE_UP = 64  # then the other sockets get their turn
MAX_DATAGRAM_BYTES = 65536
RECEIVE_BUFFER_BYTES = 4 * 1024 * 1024  # a keyframe comes at wire speed; the kernel may give less
PAIR_TRIES = 50
OPENER = bytes(4)  # too short to be taken for a packet, protected or not

SOURCE_SPECIFIC = ipaddress.IPv4Network("232.0.0.0/8")  # no router forwards these without their source (RFC 4607)
IP_ADD_SOURCE_MEMBERSHIP = 39  # linux/in.h; Python has no name for it before 3.12

Sink = Callable[[bytes, float], None]  # packet, now_s


class MediaSockets:
    """Receives RTP and RTCP; packets of strangers are passed over."""

    def __init__(self, rtp: socket.socket, rtcp: socket.socket, sender: str | None) -> None:
        """`sender` is the one address packets are taken from; None takes all."""
        self.ports = (int(rtp.getsockname()[1]), int(rtcp.getsockname()[1]))
        self._rtp, self._rtcp = rtp, rtcp
        self._sender = sender
        self._packets_to: tuple[str, int] | None = None
        self._reports_to: tuple[str, int] | None = None
        self._loop = asyncio.get_running_loop()

    @classmethod
    def unicast(cls, local_address: str, server_address: str) -> MediaSockets:
        """A pair of ports, the first one even (RFC 3550 section 11). Raises SourceError."""
        family = _family_of(local_address)
        for _ in range(PAIR_TRIES):
            rtp, rtcp = _socket(family), _socket(family)
            try:
                rtp.bind((local_address, 0))
                port = int(rtp.getsockname()[1])
                if port % 2 == 0:
                    rtcp.bind((local_address, port + 1))
                    return cls(rtp, rtcp, server_address)
            except OSError:
                pass
            rtp.close()
            rtcp.close()
        raise SourceError("no pair of UDP ports is free")

    @classmethod
    def multicast(cls, group: str, ports: tuple[int, int], source: str, local_address: str) -> MediaSockets:
        """Joins the group on the interface that has `local_address`; `source` sends to it. Raises SourceError."""
        family = _family_of(group)
        rtp, rtcp = _socket(family), _socket(family)
        try:
            for sock, port in ((rtp, ports[0]), (rtcp, ports[1])):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # others here may watch the same group
                sock.bind((group, port))
                _join(sock, group, source, local_address)
        except OSError as error:
            rtp.close()
            rtcp.close()
            raise SourceError(f"cannot join the multicast group {group}: {error.strerror}") from error
        sockets = cls(rtp, rtcp, None)
        sockets._reports_to = (group, ports[1])
        return sockets

    def start(self, on_rtp: Sink, on_rtcp: Sink) -> None:
        for sock, sink in ((self._rtp, on_rtp), (self._rtcp, on_rtcp)):
            self._loop.add_reader(sock, self._readable, sock, sink)

    def open_way(self, server_address: str, server_ports: tuple[int, int]) -> None:
        """Send something from each port, so that a router on the way lets the answers in; reports go there, too."""
        self._packets_to, self._reports_to = (server_address, server_ports[0]), (server_address, server_ports[1])
        _send(self._rtp, OPENER, self._packets_to)

    def send_packet(self, data: bytes) -> None:
        if self._packets_to is not None:
            _send(self._rtp, data, self._packets_to)

    def send_report(self, data: bytes) -> None:
        if self._reports_to is not None:
            _send(self._rtcp, data, self._reports_to)

    def close(self) -> None:
        for sock in (self._rtp, self._rtcp):
            self._loop.remove_reader(sock)
            sock.close()

    def _readable(self, sock: socket.socket, sink: Sink) -> None:
        now_s = time.monotonic()
        for _ in range(MAX_DATAGRAMS_PER_WAKE_UP):
            try:
                data, sender = sock.recvfrom(MAX_DATAGRAM_BYTES)
            except OSError:  # nothing left, or a message that the other side is not there
                return
            if self._sender is None or sender[0] == self._sender:
                sink(data, now_s)


def _send(sock: socket.socket, data: bytes, to: tuple[str, int]) -> None:
    try:
        sock.sendto(data, to)
    except OSError:
        pass  # reports are advice; whether media comes is seen by itself


def _socket(family: socket.AddressFamily) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_DGRAM)
    sock.setblocking(False)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
    return sock


def _join(sock: socket.socket, group: str, source: str, local_address: str) -> None:
    if sock.family == socket.AF_INET6:
        _, _, scope = local_address.partition("%")
        index = socket.if_nametoindex(scope) if scope else 0
        membership = socket.inet_pton(socket.AF_INET6, group) + struct.pack("@I", index)
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, membership)
        return
    membership = socket.inet_aton(group) + socket.inet_aton(local_address)
    if ipaddress.IPv4Address(group) in SOURCE_SPECIFIC:
        sock.setsockopt(socket.IPPROTO_IP, IP_ADD_SOURCE_MEMBERSHIP, membership + socket.inet_aton(source))
    else:
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, membership)


def _family_of(address: str) -> socket.AddressFamily:
    version = ipaddress.ip_address(address.partition("%")[0]).version
    return socket.AF_INET6 if version == 6 else socket.AF_INET
