"""Transport streams that come by UDP, to one address of this machine or to a multicast group."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import time
from collections.abc import Callable, Sequence

from manycast.errors import ManycastError
from manycast.hub.source import FrameSink, SourceError
from manycast.media.track import Track
from manycast.sources.dialling import resolve
from manycast.sources.ts_packets import TsIntake
from manycast.wire.address import SourceAddress

SILENCE_S = 10.0
TICK_S = 1.0
MAX_DATAGRAMS_PER_WAKE_UP = 64
MAX_DATAGRAM_BYTES = 65536
RECEIVE_BUFFER_BYTES = 4 * 1024 * 1024


class UdpSource:
    """Listens; whoever sends first is listened to."""

    def __init__(self, address: SourceAddress) -> None:
        self._address = address

    async def run(self, publish: Callable[[Sequence[Track]], FrameSink]) -> None:
        """As `hub.source.Source` says."""
        (host, *_) = await resolve(self._address.host, self._address.port)
        sock = _open(host, self._address.port)
        loop = asyncio.get_running_loop()
        listening = _Listening(sock, TsIntake(publish))
        loop.add_reader(sock, listening.readable)
        try:
            await listening.watch()
        finally:
            loop.remove_reader(sock)
            sock.close()


class _Listening:
    def __init__(self, sock: socket.socket, intake: TsIntake) -> None:
        self._sock = sock
        self._intake = intake
        self._sender: object = None
        self._latest_s = time.monotonic()
        self._fault: ManycastError | None = None

    async def watch(self) -> None:
        """Raises SourceError when nothing comes any more."""
        began_s = time.monotonic()
        while self._fault is None:
            await asyncio.sleep(TICK_S)
            now_s = time.monotonic()
            if now_s - self._latest_s > SILENCE_S:
                raise SourceError(f"no packet for {SILENCE_S:.0f} s")
            if not self._intake.published and now_s - began_s > SILENCE_S:
                raise SourceError(self._intake.last_fault or "what comes is no transport stream")
        raise self._fault

    def readable(self) -> None:
        now_s = time.monotonic()
        for _ in range(MAX_DATAGRAMS_PER_WAKE_UP):
            try:
                data, sender = self._sock.recvfrom(MAX_DATAGRAM_BYTES)
            except OSError:
                return
            if self._sender != sender and now_s - self._latest_s < 1.0 and self._sender is not None:
                continue
            self._sender, self._latest_s = sender, now_s
            try:
                self._intake.push_datagram(data, now_s=now_s)
            except ManycastError as error:
                self._fault = error
                return


def _open(host: str, port: int) -> socket.socket:
    """Raises SourceError."""
    address = ipaddress.ip_address(host)
    sock = socket.socket(socket.AF_INET6 if address.version == 6 else socket.AF_INET, socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
        if address.is_multicast:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
        if address.is_multicast and address.version == 4:
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(host) + bytes(4))
        elif address.is_multicast:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, address.packed + bytes(4))
    except OSError as error:
        sock.close()
        raise SourceError(f"cannot listen at {host} port {port}: {error.strerror}") from error
    return sock
