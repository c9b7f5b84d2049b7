"""The load generator: N viewers in one process, who read, follow the framing and count."""

from __future__ import annotations

import multiprocessing
import resource
import select
import socket
import struct
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import ForkProcess
from typing import Protocol

from rtsp import RtspClient
from server import HOST, STREAMS
from streams import open_stream
from viewers import ViewerFigures
from ways import open_way

LAP_S = 0.025  # a lap reads what has come for everybody; seldom enough to take several frames with one call
CONNECT_BATCH = 10  # handshakes between two laps, so that those who play already are read
BUFFER_BYTES = 1 << 20
UDP_RECEIVE_BYTES = 1 << 22
MAX_DATAGRAMS_PER_LAP = 512
SOL_UDP = 17
UDP_GRO = 104  # linux/udp.h, since 5.0
REPORT_INTERVAL_S = 10.0

_fork = multiprocessing.get_context("fork")
_INTERLEAVED = struct.Struct(">BBHHHI")  # $, channel, length; of RTP: flags and type, sequence number, timestamp
_buffer = bytearray(BUFFER_BYTES)
_view = memoryview(_buffer)
# An empty receiver report (RFC 3550 section 6.4.2): a sign of life.
_RECEIVER_REPORT = struct.pack(">BBHI", 0x80, 201, 1, 0x0BE9C)


@dataclass(frozen=True, slots=True)
class Start:
    """Where and when a viewer of a file starts."""

    address: str
    position_s: float
    after_s: float  # since the load generator's own start


class LoadViewer(Protocol):
    def sockets(self) -> Sequence[socket.socket]: ...

    def read(self, sock: socket.socket) -> bool:
        """Take what has come, when a socket is readable; False when it is not to be read any more."""

    def report(self) -> None:
        """Give a sign of life."""

    def figures(self) -> ViewerFigures: ...

    def close(self) -> None: ...


class TcpLoadViewer:
    """Hops from one interleaved packet to the next and checks every sequence number."""

    def __init__(self, sock: socket.socket, session: str = "", rest: bytes = b"") -> None:
        self._sock = sock
        self._session = session
        self._held = rest  # the beginning of a packet
        self._expected = [-1] * 256  # by channel
        self._bytes = self._packets = self._gaps = 0
        self._video_timestamp = 0
        self._fault = ""
        sock.setblocking(False)

    def sockets(self) -> Sequence[socket.socket]:
        return (self._sock,)

    def read(self, sock: socket.socket) -> bool:
        held = self._held
        start = len(held)
        if start:
            _buffer[:start] = held
        try:
            got = sock.recv_into(_view[start:])
        except BlockingIOError:
            return True
        except OSError as error:
            self._fault = str(error)
            return False
        if not got:
            self._fault = "the server hung up"
            return False
        self._bytes += got
        end = start + got
        position = packets = 0
        expected = self._expected
        buffer, unpack_from = _buffer, _INTERLEAVED.unpack_from
        while position + 12 <= end:
            dollar, channel, size, _, sequence, timestamp = unpack_from(buffer, position)
            if dollar != 0x24:
                self._fault = f"no packet begins with byte {dollar:#x}"
                return False
            if position + 4 + size > end:
                break
            position += 4 + size
            if channel & 1:
                continue
            if sequence != expected[channel] and expected[channel] >= 0:
                self._gaps += 1
            expected[channel] = (sequence + 1) & 0xFFFF
            packets += 1
            if not channel:
                self._video_timestamp = timestamp
        self._packets += packets
        self._held = bytes(_view[position:end])
        return True

    def report(self) -> None:
        try:
            self._sock.send(b"$\x01" + len(_RECEIVER_REPORT).to_bytes(2) + _RECEIVER_REPORT)
        except OSError as error:
            self._fault = str(error)

    def figures(self) -> ViewerFigures:
        last = (self._expected[0], self._expected[2])
        return ViewerFigures(
            self._bytes, self._packets, self._gaps, self._fault, last, self._session, self._video_timestamp
        )

    def close(self) -> None:
        self._sock.close()


class UdpLoadViewer:
    """Four sockets: RTP and RTCP of video and audio. Checks every sequence number."""

    def __init__(self, *, merged: bool) -> None:
        self.client: RtspClient | None = None
        self._pairs = [_open_pair(merged) for _ in range(2)]
        self._media = {pair[0]: index for index, pair in enumerate(self._pairs)}
        self._expected = [-1, -1]
        self._bytes = self._packets = self._gaps = 0
        self._fault = ""

    @property
    def rtp_ports(self) -> tuple[int, int]:
        return self._pairs[0][0].getsockname()[1], self._pairs[1][0].getsockname()[1]

    def set_up(self, client: RtspClient) -> None:
        self.client = client
        for control, pair in zip(client.controls, self._pairs, strict=True):
            rtp, rtcp = (sock.getsockname()[1] for sock in pair)
            reply = client.request("SETUP", control, Transport=f"RTP/AVP;unicast;client_port={rtp}-{rtcp}")
            ports = reply.headers["transport"].partition("server_port=")[2].partition(";")[0].split("-")
            for sock, port in zip(pair, ports, strict=True):
                sock.connect((HOST, int(port)))

    def sockets(self) -> Sequence[socket.socket]:
        return [sock for pair in self._pairs for sock in pair]

    def read(self, sock: socket.socket) -> bool:
        index = self._media.get(sock)
        if index is None:
            try:
                sock.recv_into(_view)
            except OSError as error:
                self._fault = str(error)
            return True
        expected, size, packets = self._expected[index], 0, 0
        try:
            for _ in range(MAX_DATAGRAMS_PER_LAP):
                got, ancillary, _, _ = sock.recvmsg_into((_view,), 64)
                size += got
                # What the sender's kernel was given as one run may come as one: the datagrams' size stands beside it.
                segment = int.from_bytes(ancillary[0][2], sys.byteorder) if ancillary else got
                for start in range(0, got, segment or 1):
                    sequence = _buffer[start + 2] << 8 | _buffer[start + 3]
                    if sequence != expected and expected >= 0:
                        self._gaps += 1
                    expected = (sequence + 1) & 0xFFFF
                    packets += 1
        except BlockingIOError:
            pass
        except OSError as error:
            self._fault = str(error)
        self._expected[index] = expected
        self._bytes += size
        self._packets += packets
        return True

    def report(self) -> None:
        for _, rtcp in self._pairs:
            try:
                rtcp.send(_RECEIVER_REPORT)
            except OSError as error:
                self._fault = str(error)

    def figures(self) -> ViewerFigures:
        session = self.client.session if self.client else ""
        last = (self._expected[0], self._expected[1])
        return ViewerFigures(self._bytes, self._packets, self._gaps, self._fault, last, session)

    def close(self) -> None:
        for sock in self.sockets():
            sock.close()
        if self.client is not None:
            self.client.sock.close()


class LoadGenerator:
    """The parent's end of the process."""

    def __init__(self, pid: int, control: Connection) -> None:
        self.pid = pid
        self._control = control

    def wait_ready(self) -> list[tuple[int, int]]:
        """Wait until all viewers play; for UDP without a server, their RTP ports."""
        try:
            ready: list[tuple[int, int]] = self._control.recv()
        except EOFError:
            raise SystemExit("the load generator gave up") from None
        return ready

    def figures(self) -> list[ViewerFigures]:
        self._control.send("figures")
        figures: list[ViewerFigures] = self._control.recv()
        return figures


@contextmanager
def viewing(viewers: int, transport: str, address: str, *, merged: bool = True) -> Iterator[LoadGenerator]:
    """N viewers of a stream's address, of a plain TCP address ("tcp://..."), or of nobody yet ("").

    With `merged`, UDP viewers take a run of datagrams as the one piece it was sent in, where the kernel can.
    """
    ours, theirs = _fork.Pipe()
    process = _fork.Process(target=_run, args=(viewers, transport, address, merged, theirs), daemon=True)
    with _generating(process, ours, theirs) as load:
        yield load


@contextmanager
def viewing_files(starts: Sequence[Start]) -> Iterator[LoadGenerator]:
    """Viewers over TCP who start at moments and positions of their own; of plain TCP addresses all positions are 0."""
    ours, theirs = _fork.Pipe()
    with _generating(_fork.Process(target=_run_files, args=(starts, theirs), daemon=True), ours, theirs) as load:
        yield load


@contextmanager
def _generating(process: ForkProcess, ours: Connection, theirs: Connection) -> Iterator[LoadGenerator]:
    process.start()
    theirs.close()
    try:
        yield LoadGenerator(process.pid or 0, ours)
    finally:
        ours.close()
        process.join(10.0)
        if process.is_alive():
            process.terminate()


def raise_descriptor_limit() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _run(count: int, transport: str, address: str, merged: bool, control: Connection) -> None:
    raise_descriptor_limit()
    readers = _Readers(reports=address.startswith("rtsp:"))
    for number in range(count):
        readers.add(_connect(transport, address, merged))
        if number % CONNECT_BATCH == 0:
            readers.lap()
    control.send([viewer.rtp_ports for viewer in readers.viewers if isinstance(viewer, UdpLoadViewer)])
    _read_on(readers, control)


def _run_files(starts: Sequence[Start], control: Connection) -> None:
    raise_descriptor_limit()
    readers = _Readers(reports=True)
    started_s = time.monotonic()
    for start in sorted(starts, key=lambda start: start.after_s):
        readers.lap()  # even if the server is so late that there is no time left: who plays must go on reading
        while (pause_s := started_s + start.after_s - time.monotonic()) > 0:
            time.sleep(min(LAP_S, pause_s))
            readers.lap()
        readers.add(_connect("tcp", start.address, False, start.position_s))
    control.send([])
    _read_on(readers, control)


def _read_on(readers: _Readers, control: Connection) -> None:
    next_lap_s = time.monotonic()
    while True:
        readers.lap()
        now_s = time.monotonic()
        next_lap_s = max(next_lap_s + LAP_S, now_s)
        if control.poll(max(0.0, next_lap_s - now_s)):
            try:
                control.recv()
            except EOFError:
                break
            control.send([viewer.figures() for viewer in readers.viewers])
    for viewer in readers.viewers:
        viewer.close()


class _Readers:
    def __init__(self, *, reports: bool) -> None:
        self.viewers: list[LoadViewer] = []
        self._reports = reports
        self._next_report_s = time.monotonic() + REPORT_INTERVAL_S
        self._by_descriptor: dict[int, tuple[LoadViewer, socket.socket]] = {}
        self._epoll = select.epoll()

    def add(self, viewer: LoadViewer) -> None:
        self.viewers.append(viewer)
        for sock in viewer.sockets():
            self._by_descriptor[sock.fileno()] = (viewer, sock)
            self._epoll.register(sock, select.EPOLLIN)

    def lap(self) -> None:
        by_descriptor = self._by_descriptor
        for descriptor, _ in self._epoll.poll(0, max(1, len(by_descriptor))):
            viewer, sock = by_descriptor[descriptor]
            if not viewer.read(sock):
                self._epoll.unregister(descriptor)
        now_s = time.monotonic()
        if self._reports and now_s > self._next_report_s:
            self._next_report_s = now_s + REPORT_INTERVAL_S
            for viewer in self.viewers:
                viewer.report()


def _connect(transport: str, address: str, merged: bool, position_s: float = 0.0) -> LoadViewer:
    if transport in STREAMS:
        place, _, path = address.partition("://")[2].partition("/")
        host, _, port = place.partition(":")
        return open_stream(transport, host, int(port), path)
    if transport != "udp":
        if address.startswith("tcp://"):
            host, _, port = address.removeprefix("tcp://").partition(":")
            return TcpLoadViewer(open_way(transport, host, int(port)))
        client = RtspClient(address, transport)
        client.describe()
        client.set_up_interleaved()
        client.request("PLAY", Range=f"npt={position_s:.3f}-")
        return TcpLoadViewer(client.sock, client.session, client.rest)
    viewer = UdpLoadViewer(merged=merged)
    if address:
        client = RtspClient(address)
        client.describe()
        viewer.set_up(client)
        client.request("PLAY", Range="npt=0.000-")
    return viewer


def _open_pair(merged: bool) -> tuple[socket.socket, socket.socket]:
    """Sockets on an even port and the one above it."""
    while True:
        rtp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        rtcp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        for sock in (rtp, rtcp):
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, UDP_RECEIVE_BYTES)
        if merged:
            rtp.setsockopt(SOL_UDP, UDP_GRO, 1)
        try:
            rtp.bind((HOST, 0))
            port = int(rtp.getsockname()[1])
            rtcp.bind((HOST, port + 1 if port % 2 == 0 else 0))
        except OSError:
            pass
        else:
            if port % 2 == 0:
                return rtp, rtcp
        rtp.close()
        rtcp.close()
