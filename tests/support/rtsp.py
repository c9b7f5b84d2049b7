"""A small RTSP client that does just what a test tells it to, and nothing by itself."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from manycast.wire.rtp.packet import RtpPacket
from support.sockets import kept

TIMEOUT_S = 60.0


class HungUp(Exception):
    """The server closed the connection."""


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    reason: str
    headers: dict[str, str]  # names in lower case; of several the last one
    body: bytes = b""
    challenges: tuple[str, ...] = ()  # every WWW-Authenticate

    def __getitem__(self, name: str) -> str:
        return self.headers[name.lower()]

    def get(self, name: str) -> str | None:
        return self.headers.get(name.lower())

    @property
    def session(self) -> str:
        return self["Session"].partition(";")[0]

    @property
    def parameters(self) -> dict[str, str]:
        """Those of the Transport header."""
        pairs = (part.partition("=") for part in self["Transport"].split(";")[1:])
        return {name: value for name, _, value in pairs}

    def pair(self, name: str) -> tuple[int, int]:
        first, _, second = self.parameters[name].partition("-")
        return int(first), int(second)


@dataclass(frozen=True, slots=True)
class Interleaved:
    channel: int
    payload: bytes

    @property
    def is_rtp(self) -> bool:
        return self.channel % 2 == 0


@dataclass(slots=True)
class RawRtsp:
    """One connection. What comes in between replies, interleaved packets, waits in `packets`."""

    sock: socket.socket
    base: str
    cseq: int = 0
    session: str | None = None
    packets: list[Interleaved] = field(default_factory=list)
    _buffer: bytearray = field(default_factory=bytearray, repr=False)

    @classmethod
    def connect(cls, host: str, port: int, *, timeout_s: float = TIMEOUT_S, receive_buffer: int | None = None) -> Self:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        sock = kept(socket.socket(family, socket.SOCK_STREAM))
        if receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.settimeout(timeout_s)
        try:
            sock.connect((host, port))
        except OSError:
            sock.close()
            raise
        shown = f"[{host}]" if ":" in host else host
        return cls(sock, f"rtsp://{shown}:{port}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.sock.close()

    def close(self) -> None:
        self.sock.close()

    def url(self, name: str) -> str:
        if "://" in name or name == "*":
            return name
        return f"{self.base}/{name}"

    def bytes_of(
        self, method: str, name: str, headers: dict[str, str] | None = None, body: bytes = b"", *, number: bool = True
    ) -> bytes:
        """A request's bytes; `headers` win over those the client adds (CSeq, Session, Content-Length)."""
        fields: dict[str, str] = {}
        if number:
            self.cseq += 1
            fields["CSeq"] = str(self.cseq)
        if self.session is not None:
            fields["Session"] = self.session
        if body:
            fields["Content-Length"] = str(len(body))
        fields |= headers or {}
        lines = "".join(f"{key}: {value}\r\n" for key, value in fields.items() if value != "")
        return f"{method} {self.url(name)} RTSP/1.0\r\n{lines}\r\n".encode() + body

    def send(self, method: str, name: str, headers: dict[str, str] | None = None, body: bytes = b"") -> None:
        self.sock.sendall(self.bytes_of(method, name, headers, body))

    def ask(self, method: str, name: str, headers: dict[str, str] | None = None, body: bytes = b"") -> Reply:
        """Send a request and wait for its reply; the CSeq must be echoed."""
        self.send(method, name, headers, body)
        reply = self.reply()
        if not headers or "CSeq" not in headers:
            assert reply.get("CSeq") == str(self.cseq), f"{method}: {reply}"
        return reply

    def reply(self) -> Reply:
        """The next reply; packets before it are kept."""
        while True:
            item = self.next_item()
            if isinstance(item, Reply):
                return item
            self.packets.append(item)

    def packet(self) -> Interleaved:
        """The next interleaved packet, those kept first."""
        if self.packets:
            return self.packets.pop(0)
        while True:
            item = self.next_item()
            if isinstance(item, Interleaved):
                return item

    def rtp(self, count: int, channel: int | None = None) -> list[RtpPacket]:
        """The next RTP packets, of one channel or of all."""
        found: list[RtpPacket] = []
        while len(found) < count:
            item = self.packet()
            if item.is_rtp and channel in (None, item.channel):
                found.append(RtpPacket.parse(item.payload))
        return found

    def stream(self) -> Iterator[Interleaved]:
        """All packets until the server hangs up."""
        while True:
            try:
                yield self.packet()
            except HungUp:
                return

    def next_item(self) -> Reply | Interleaved:
        while not self._buffer:
            self._read()
        if self._buffer[0] == 0x24:
            self._need(4)
            size = int.from_bytes(self._buffer[2:4])
            self._need(4 + size)
            item = Interleaved(self._buffer[1], bytes(self._buffer[4 : 4 + size]))
            del self._buffer[: 4 + size]
            return item
        while (end := self._buffer.find(b"\r\n\r\n")) < 0:
            self._read()
        head = bytes(self._buffer[:end]).decode()
        del self._buffer[: end + 4]
        start, *lines = head.split("\r\n")
        version, status, reason = start.split(" ", 2)
        assert version == "RTSP/1.0", start
        pairs = [(name.strip().lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines)]
        headers = dict(pairs)
        challenges = tuple(value for name, value in pairs if name == "www-authenticate")
        size = int(headers.get("content-length", "0"))
        self._need(size)
        body = bytes(self._buffer[:size])
        del self._buffer[:size]
        return Reply(int(status), reason, headers, body, challenges)

    def hangs_up(self) -> list[Reply | Interleaved]:
        """What still comes before the server closes the connection; times out when it does not."""
        items = []
        while True:
            try:
                items.append(self.next_item())
            except HungUp:
                return items

    # Whole exchanges

    def set_up(self, name: str, *, tracks: Iterable[int] = (0,), track_name: str = "trackID") -> list[Reply]:
        """SETUP of tracks, interleaved on channels 2n and 2n+1, in one session."""
        replies = []
        for track in tracks:
            transport = f"RTP/AVP/TCP;unicast;interleaved={2 * track}-{2 * track + 1}"
            reply = self.ask("SETUP", f"{name}/{track_name}={track}", {"Transport": transport})
            assert reply.status == 200, reply
            self.session = reply.session
            replies.append(reply)
        return replies

    def play(self, name: str, *, tracks: Iterable[int] = (0,), headers: dict[str, str] | None = None) -> Reply:
        """SETUP and PLAY over TCP."""
        self.set_up(name, tracks=tracks)
        reply = self.ask("PLAY", name, headers)
        assert reply.status == 200, reply
        return reply

    def publish(self, name: str, sdp: bytes, *, controls: Iterable[str] = ("trackID=0",)) -> Reply:
        """ANNOUNCE, SETUP of each control over TCP, RECORD; the reply to RECORD."""
        reply = self.ask("ANNOUNCE", name, {"Content-Type": "application/sdp"}, sdp)
        assert reply.status == 200, reply
        for index, control in enumerate(controls):
            transport = f"RTP/AVP/TCP;unicast;interleaved={2 * index}-{2 * index + 1};mode=record"
            reply = self.ask("SETUP", f"{name}/{control}", {"Transport": transport})
            assert reply.status == 200, reply
            self.session = reply.session
        return self.ask("RECORD", name, {"Range": "npt=0.000-"})

    def send_interleaved(self, channel: int, payload: bytes) -> None:
        self.sock.sendall(bytes((0x24, channel)) + len(payload).to_bytes(2) + payload)

    def _need(self, size: int) -> None:
        while len(self._buffer) < size:
            self._read()

    def _read(self) -> None:
        try:
            data = self.sock.recv(65536)
        except ConnectionResetError:
            raise HungUp("reset") from None
        if not data:
            raise HungUp("closed")
        self._buffer += data
