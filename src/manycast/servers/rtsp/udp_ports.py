"""The UDP ports of RTSP sessions."""

from __future__ import annotations

import errno
import heapq
import socket

from manycast.errors import ManycastError
from manycast.servers.rtsp.link import family_of

PORTS_PER_SESSION = 8  # RTP and RTCP each for video, audio, metadata and the back channel
LAST_PORT = 65535
RECEIVE_BUFFER_BYTES = 4 * 1024 * 1024  # a publisher's keyframe comes at wire speed; the kernel may give less


class NoPortsLeft(ManycastError):
    """Every port from the base port on is in use, or the process has no more sockets."""


class UdpPorts:
    """Gives out blocks of eight ports upward from a base port, the lowest free one first."""

    def __init__(self, base_port: int) -> None:
        """`base_port` is rounded up to an even number: RTP ports are even (RFC 3550 section 11)."""
        self._base = base_port + base_port % 2
        self._fresh = 0  # blocks from here on were never given out
        self._freed: list[int] = []

    def take_block(self) -> int:
        """The number of a free block."""
        if self._freed:
            return heapq.heappop(self._freed)
        if self._base + PORTS_PER_SESSION * (self._fresh + 1) - 1 > LAST_PORT:
            raise NoPortsLeft(f"all UDP ports from {self._base} to {LAST_PORT} are in use")
        self._fresh += 1
        return self._fresh - 1

    def give_back(self, block: int) -> None:
        heapq.heappush(self._freed, block)

    def port(self, block: int, slot: int) -> int:
        return self._base + PORTS_PER_SESSION * block + slot


class SessionPorts:
    """The ports of one session."""

    def __init__(self, ports: UdpPorts, address: str) -> None:
        """`address` is the one the client reached us by, so that media comes from there too."""
        self._ports = ports
        self._address = address
        self._family = family_of(address)
        self._blocks: list[int] = []
        self._sockets: list[socket.socket] = []

    def open_pair(self, slot: int) -> tuple[socket.socket, socket.socket]:
        """Bind an RTP and an RTCP socket; `slot` is 0 for video, 2 for audio, 4 for metadata, 6 for the back channel.

        Where another program has a port of the block, the same slot of the next block is tried. Raises NoPortsLeft.
        """
        for block in self._blocks:
            pair = self._bind(block, slot)
            if pair is not None:
                return pair
        while True:
            block = self._ports.take_block()
            self._blocks.append(block)
            pair = self._bind(block, slot)
            if pair is not None:
                return pair

    def close_pair(self, pair: tuple[socket.socket, socket.socket]) -> None:
        """Give one pair back; its ports stay with the session."""
        for sock in pair:
            self._sockets.remove(sock)
            sock.close()

    def close(self) -> None:
        for sock in self._sockets:
            sock.close()
        self._sockets.clear()
        for block in self._blocks:
            self._ports.give_back(block)
        self._blocks.clear()

    def _bind(self, block: int, slot: int) -> tuple[socket.socket, socket.socket] | None:
        pair: list[socket.socket] = []
        for offset in (0, 1):
            try:
                sock = socket.socket(self._family, socket.SOCK_DGRAM)
                pair.append(sock)
                sock.setblocking(False)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
                sock.bind((self._address, self._ports.port(block, slot + offset)))
            except OSError as error:
                for opened in pair:
                    opened.close()
                if error.errno in (errno.EADDRINUSE, errno.EACCES):
                    return None
                raise NoPortsLeft(f"no UDP socket: {error.strerror}") from error
        self._sockets += pair
        return pair[0], pair[1]
