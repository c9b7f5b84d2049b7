"""Raw RTP that is sent to ports of its own, by UDP or framed by TCP; nothing but the configuration describes it."""

from __future__ import annotations

import asyncio
import random
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from manycast.errors import ManycastError
from manycast.hub.gathering import Gathering
from manycast.hub.source import FrameSink, SourceError
from manycast.media.frame import Frame
from manycast.media.track import Track
from manycast.sources.dialling import Link
from manycast.sources.path_log import AnyLog
from manycast.wire.rtp.framed import FramedReader
from manycast.wire.rtp.payload import PayloadFormat
from manycast.wire.rtp.receiver import RtpSessionReceiver
from manycast.wire.rtp.rtcp import is_rtcp

SILENCE_S = 10.0  # then the stream ends
SENDER_SILENCE_S = 1.0  # then another sender may take over a port
TICK_S = 0.25
MAX_DATAGRAMS_PER_WAKE_UP = 64
MAX_DATAGRAM_BYTES = 65536
RECEIVE_BUFFER_BYTES = 4 * 1024 * 1024

_random = random.SystemRandom()

Packets = Callable[[bytes, float], None]  # packet, now_s


class NoPort(SourceError):
    """A port that is not to be had."""


@dataclass(frozen=True, slots=True)
class RawMedium:
    """What comes to one port."""

    track: Track
    payload_format: PayloadFormat
    port: int


class RawRtpSource:
    """One pusher's ports. A run is one push: from the first packet to the silence behind the last."""

    def __init__(self, media: Sequence[RawMedium], *, tcp: bool, ip: str | None, log: AnyLog) -> None:
        """`ip` is numeric; None listens on every address."""
        self._media = tuple(media)
        self._tcp = tcp
        self._ip = ip
        self._log = log

    async def run(self, publish: Callable[[Sequence[Track]], FrameSink]) -> None:
        """As `hub.source.Source` says; waits for as long as it takes until somebody sends."""
        push = _Push(self._media, publish, ordered=self._tcp)
        ports: list[_UdpPort | _TcpPort] = []
        try:
            for index, medium in enumerate(self._media):
                sink, other = partial(push.packet, index), partial(push.sender_changed, index)
                port = _TcpPort(sink, other, self._log) if self._tcp else _UdpPort(sink, other, self._log)
                ports.append(port)
                await port.open(self._ip, medium.port)
            while True:
                await asyncio.sleep(TICK_S)
                if push.begun and self._tcp and not any(port.alive for port in ports):
                    raise SourceError("the sender has closed its connections")
                push.handle_timer(time.monotonic())
        finally:
            for port in ports:
                port.close()


class _Push:
    """What has come since the ports were opened."""

    def __init__(
        self, media: Sequence[RawMedium], publish: Callable[[Sequence[Track]], FrameSink], *, ordered: bool
    ) -> None:
        tracks = [medium.track for medium in media]
        self._tracks: dict[int, Track | None] = dict.fromkeys(range(len(tracks)))  # those that have come
        self._configured = tracks
        self._receiver = RtpSessionReceiver(tracks, ssrc=_random.getrandbits(32), cname="manycast")
        for index, medium in enumerate(media):
            self._receiver.add_track(index, None, medium.payload_format, ordered=ordered)
        self._gathering = Gathering(publish)
        self._first_s: float | None = None
        self._latest_s = 0.0
        self._fault: ManycastError | None = None

    @property
    def begun(self) -> bool:
        return self._first_s is not None

    def packet(self, index: int, data: bytes, now_s: float) -> None:
        if is_rtcp(data):  # of a sender whose ports are adjacent: that of one is the other's RTCP port
            return
        if self._first_s is None:
            self._first_s = now_s
        self._latest_s = now_s
        self._push(self._receiver.receive_rtp(index, data, now_s=now_s), now_s)

    def sender_changed(self, index: int) -> None:
        self._receiver.sender_changed(index)

    def handle_timer(self, now_s: float) -> None:
        """Raises ManycastError when the push is over."""
        if self._fault is not None:
            raise self._fault
        if self._first_s is None:
            return
        self._push(self._receiver.handle_timer(now_s=now_s), now_s)
        if now_s - self._latest_s > SILENCE_S:
            raise SourceError(f"no packet for {SILENCE_S:.0f} s")
        if not self._gathering.published and now_s - self._first_s > SILENCE_S:
            faults = [track.counters.last_fault for track in self._receiver.tracks.values()]
            fault = next(filter(None, faults), "nothing is ever complete")
            raise SourceError(f"packets come, but they make no frames of the codecs configured: {fault}")

    def _push(self, frames: Sequence[Frame], now_s: float) -> None:
        if not self._gathering.published:  # for what comes too late the senders' connections are not cut
            for frame in frames:
                self._tracks[frame.track_index] = self._configured[frame.track_index]
        try:
            self._gathering.push(frames, self._tracks, expected=self._tracks, now_s=now_s)
        except ManycastError as error:
            self._fault = self._fault or error


class _UdpPort:
    """Takes the packets of one sender; another one is heard when the first has fallen silent."""

    alive = True

    def __init__(self, sink: Packets, on_other_sender: Callable[[], None], log: AnyLog) -> None:
        self._sink = sink
        self._on_other_sender = on_other_sender
        self._log = log
        self._sock: socket.socket | None = None
        self._sender: object = None
        self._latest_s = 0.0
        self._warned_s = 0.0

    async def open(self, ip: str | None, port: int) -> None:
        """Raises NoPort."""
        self._sock = sock = _bound(ip, port, socket.SOCK_DGRAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
        asyncio.get_running_loop().add_reader(sock, self._readable, sock)

    def close(self) -> None:
        if self._sock is not None:
            asyncio.get_running_loop().remove_reader(self._sock)
            self._sock.close()

    def _readable(self, sock: socket.socket) -> None:
        now_s = time.monotonic()
        for _ in range(MAX_DATAGRAMS_PER_WAKE_UP):
            try:
                data, sender = sock.recvfrom(MAX_DATAGRAM_BYTES)
            except OSError:
                return
            if sender != self._sender:
                # RTCP comes from a port of its own, and takes nothing over.
                if is_rtcp(data) or not self._gives_way(sender, now_s):
                    continue
                self._sender = sender
                self._on_other_sender()
            self._latest_s = now_s
            self._sink(data, now_s)

    def _gives_way(self, sender: tuple[str, int], now_s: float) -> bool:
        if self._sender is None or now_s - self._latest_s > SENDER_SILENCE_S:
            return True
        if now_s - self._warned_s > SILENCE_S:
            self._warned_s = now_s
            self._log.warning("%s:%d sends to a port that another one uses; its packets are left out", *sender[:2])
        return False


class _TcpPort:
    """Takes the packets of one connection; another one is taken when the first has ended or fallen silent."""

    def __init__(self, sink: Packets, on_other_sender: Callable[[], None], log: AnyLog) -> None:
        self._sink = sink
        self._on_other_sender = on_other_sender
        self._log = log
        self._server: asyncio.Server | None = None
        self._connection: _FramedConnection | None = None

    @property
    def alive(self) -> bool:
        """Whether a sender is connected, or is only away and may come back."""
        return self._connection is not None and not self._connection.closed

    async def open(self, ip: str | None, port: int) -> None:
        """Raises NoPort."""
        sock = _bound(ip, port, socket.SOCK_STREAM)
        self._server = await asyncio.get_running_loop().create_server(self._accept, sock=sock)

    def close(self) -> None:
        if self._server is not None:
            self._server.close()
        if self._connection is not None:
            self._connection.close()

    def _accept(self) -> _FramedConnection:
        return _FramedConnection(self._admit, self._sink, self._log)

    def _admit(self, newcomer: _FramedConnection) -> bool:
        current = self._connection
        if current is not None and not current.closed:
            if time.monotonic() - current.latest_s < SENDER_SILENCE_S:
                self._log.warning("%s:%d connects to a port that another one uses; refused", *newcomer.peer)
                return False
            current.close()
        self._connection = newcomer
        self._on_other_sender()
        self._log.info("%s:%d is connected", *newcomer.peer)
        return True


class _FramedConnection(Link):
    def __init__(self, admit: Callable[[_FramedConnection], bool], sink: Packets, log: AnyLog) -> None:
        super().__init__(self._received, self._ended)
        self.closed = False
        self.latest_s = -SILENCE_S  # nothing came yet: it gives way to another one
        self._admit = admit
        self._sink = sink
        self._log = log
        self._reader = FramedReader()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if not self._admit(self):
            self.close()

    def close(self) -> None:
        self.closed = True
        super().close()

    def _received(self, data: bytes) -> None:
        now_s = self.latest_s = time.monotonic()
        for packet in self._reader.receive(data):
            self._sink(packet, now_s)

    def _ended(self, reason: str) -> None:
        self.closed = True
        if self._reader.skipped_bytes:
            self._log.warning("%d bytes between packets were passed over", self._reader.skipped_bytes)
        self._log.info("the connection has ended: %s", reason)


def _bound(ip: str | None, port: int, kind: socket.SocketKind) -> socket.socket:
    """Raises NoPort."""
    try:
        if ip is not None:
            return _bind(socket.AF_INET6 if ":" in ip else socket.AF_INET, ip, port, kind)
        try:
            return _bind(socket.AF_INET6, "::", port, kind)
        except OSError:  # a machine without IPv6
            return _bind(socket.AF_INET, "0.0.0.0", port, kind)
    except OSError as error:
        where = f"{ip or 'every address'}, port {port}"
        raise NoPort(f"cannot listen at {where}: {error.strerror}; free the port or configure another") from error


def _bind(family: socket.AddressFamily, ip: str, port: int, kind: socket.SocketKind) -> socket.socket:
    sock = socket.socket(family, kind)
    try:
        sock.setblocking(False)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if ip == "::" else 1)
        if kind == socket.SOCK_STREAM:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((ip, port))
    except OSError:
        sock.close()
        raise
    return sock
