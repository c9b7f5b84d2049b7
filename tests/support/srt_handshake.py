"""SRT's handshake by hand, for what no library would send."""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass

from support.inprocess import HOST

INDUCTION, CONCLUSION = 1, 0xFFFF_FFFF
REJECTED = 1000  # handshake types from here on are reasons (SRT draft section 4.3)
SRT_VERSION = 0x010501
FLAGS = 0xBF  # what a live connection of libsrt's has
ANSWER_S = 2.0


@dataclass(frozen=True)
class Answer:
    """A handshake that has come back."""

    kind: int
    sock: int
    cookie: int

    @property
    def reason(self) -> int | None:
        """Why it is refused."""
        return self.kind - REJECTED if REJECTED <= self.kind < 0x8000_0000 else None


def handshake(kind: int, *, version: int, extensions: int, sock: int, cookie: int = 0, more: bytes = b"") -> bytes:
    header = struct.pack("!IIII", 0x8000_0000, 0, 1, 0)
    body = struct.pack("!IHHIIIIII", version, 0, extensions, 0x1234, 1500, 8192, kind, sock, cookie)
    return header + body + bytes(16) + more


def extension(kind: int, content: bytes) -> bytes:
    return struct.pack("!HH", kind, len(content) // 4) + content


def stream_id_extension(stream_id: bytes) -> bytes:
    """Words of four bytes, each the other way round."""
    padded = stream_id + bytes(-len(stream_id) % 4)
    return extension(5, b"".join(padded[at : at + 4][::-1] for at in range(0, len(padded), 4)))


class HandCaller:
    """Calls from one UDP port, as many connections as it likes."""

    def __init__(self, port: int) -> None:
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind((HOST, 0))
        self.udp.settimeout(ANSWER_S)
        self._server = HOST, port

    def __enter__(self) -> HandCaller:
        return self

    def __exit__(self, *_: object) -> None:
        self.udp.close()

    def induce(self, sock: int) -> Answer:
        """Ask for a cookie."""
        self.send(handshake(INDUCTION, version=4, extensions=2, sock=sock))
        answer = self.answer()
        assert answer is not None
        return answer

    def conclude(self, sock: int, cookie: int, stream_id: bytes) -> None:
        """Ask to be let in, without waiting for the answer."""
        self.conclude_with(sock, cookie, stream_id_extension(stream_id))

    def conclude_with(self, sock: int, cookie: int, more: bytes) -> None:
        """The same with other extensions behind the first one."""
        more = extension(1, struct.pack("!IIHH", SRT_VERSION, FLAGS, 120, 120)) + more
        self.send(handshake(CONCLUSION, version=5, extensions=5, sock=sock, cookie=cookie, more=more))

    def answer(self) -> Answer | None:
        """The next handshake that comes; None where none does."""
        while True:
            try:
                data = self.udp.recv(2048)
            except TimeoutError:
                return None
            if data[:4] == bytes.fromhex("80000000"):
                kind, sock, cookie = struct.unpack_from("!III", data, 16 + 20)
                return Answer(kind, sock, cookie)

    def send(self, data: bytes) -> None:
        self.udp.sendto(data, self._server)
