"""One TCP connection of the RTSP server: reads requests and interleaved data, writes replies in order."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections import deque
from collections.abc import Callable
from typing import Protocol

from manycast.hub.tcp_viewer import TcpOutbox
from manycast.servers.faults import FaultLog
from manycast.servers.rtsp.announcement import Announcement
from manycast.servers.rtsp.options import RtspOptions
from manycast.servers.rtsp.reply import Reply, complete
from manycast.wire.rtsp.errors import RtspError
from manycast.wire.rtsp.message import Request, Response
from manycast.wire.rtsp.receiver import (
    InterleavedReceived,
    PeerFailed,
    RequestReceived,
    ResponseReceived,
    RtspEvent,
    RtspReceiver,
)

EVENTS_PER_TURN = 16  # then the other connections get theirs
MAX_UNEXPECTED_PACKETS = 10_000  # interleaved, on channels nobody set up: some players keep sending after TEARDOWN
MAX_WAITING_EVENTS = 256  # pipelined behind a request that takes time; reading pauses above it
SEND_BUFFER_BYTES = 512 * 1024  # more would only hide a slow viewer in the kernel for many seconds
LINGER_S = 10.0  # for the client to hang up after its last session was ended from our side

ChannelSink = Callable[[bytes, float], None]  # payload, now_s


class Host(Protocol):
    """What a connection needs of the server that took it."""

    options: RtspOptions
    faults: FaultLog
    log: logging.Logger
    read_buffer: memoryview  # shared by all connections

    async def answer(self, connection: RtspConnection, request: Request) -> Reply:
        """The complete reply to one request; never raises."""

    def forget(self, connection: RtspConnection) -> None:
        """The connection was closed."""


class HeldSession(Protocol):
    """A session, as far as the connection it was opened on is concerned."""

    def close(self, reason: str) -> None: ...


class RtspConnection:
    """Knows how to read, answer in order and close; what a request means is the handlers' business."""

    def __init__(self, host: Host, sock: socket.socket, peer: tuple[str, int]) -> None:
        self._host = host
        self.sock = sock
        self.peer_address, self.peer_port = peer[0], peer[1]
        self.local_address = sock.getsockname()[0]
        self.announcement: Announcement | None = None
        self.sessions: dict[HeldSession, bool] = {}  # opened here, and whether they end with the connection
        self.log = ConnectionLog(host.log, {"peer": self.peer})
        self.closed = False
        self._loop = asyncio.get_running_loop()
        self._receiver = RtspReceiver()
        self._channels: dict[int, ChannelSink] = {}
        self._waiting: deque[RtspEvent] = deque()
        self._pump: asyncio.Task[None] | None = None
        self._paused = False
        self.opened_s = time.monotonic()
        self._requests = 0
        self._last_event_s = self.opened_s
        self._close_by_s: float | None = None
        self.unexpected_packets = 0
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        notice_dead_peers(sock)
        self.outbox = TcpOutbox(sock, self._loop, self.close)
        self._loop.add_reader(sock, self._readable)

    @property
    def peer(self) -> str:
        host = f"[{self.peer_address}]" if ":" in self.peer_address else self.peer_address
        return f"{host}:{self.peer_port}"

    # Interleaved channels

    def free_channels(self, wanted: tuple[int, int] | None) -> tuple[int, int]:
        """The channels asked for where they are free, else the lowest free even pair (RFC 2326 section 10.12)."""
        if wanted is not None and not self._channels.keys() & set(wanted):
            return wanted
        for channel in range(0, 256, 2):
            if channel not in self._channels and channel + 1 not in self._channels:
                return channel, channel + 1
        raise RtspError("all 256 interleaved channels of this connection are in use")

    def route(self, channel: int, sink: ChannelSink) -> None:
        self._channels[channel] = sink

    def unroute(self, channel: int) -> None:
        self._channels.pop(channel, None)

    # Sessions

    def hold(self, session: HeldSession, *, ends_here: bool) -> None:
        """Keep the connection open for a session; `ends_here` when the session is nothing without it."""
        self.sessions[session] = ends_here
        self._close_by_s = None

    def release(self, session: HeldSession, *, linger: bool) -> None:
        """`linger` when the client did not ask for the end: it is given time to hang up or to ask for more."""
        self.sessions.pop(session, None)
        if linger and not self.sessions:
            self._close_by_s = time.monotonic() + LINGER_S

    # Reading

    def _readable(self) -> None:
        try:
            size = self.sock.recv_into(self._host.read_buffer)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self.close(error.strerror or str(error))
            return
        if not size:
            self.close("the client hung up")
            return
        events = self._receiver.receive(bytes(self._host.read_buffer[:size]))
        if not events:
            return
        now_s = self._last_event_s = time.monotonic()
        if self._pump is None:
            for position, event in enumerate(events):
                if type(event) is not InterleavedReceived:
                    self._start_pump(events[position:])
                    return
                self._pass_on(event, now_s)
        else:
            self._waiting.extend(events)
            if len(self._waiting) > MAX_WAITING_EVENTS and not self._paused:
                self._paused = True
                self._loop.remove_reader(self.sock)

    def _start_pump(self, events: list[RtspEvent]) -> None:
        self._waiting.extend(events)
        self._pump = self._loop.create_task(self._take_waiting(), name=f"RTSP requests of {self.peer}")

    async def _take_waiting(self) -> None:
        """Answer requests one after another: replies leave in the order of the requests."""
        try:
            turn = 0
            while self._waiting and not self.closed:
                await self._take(self._waiting.popleft())
                turn += 1
                if turn % EVENTS_PER_TURN == 0:
                    await asyncio.sleep(0)
        except Exception:
            self.log.exception("failed")
            self.close("our own mistake")
        self._pump = None
        if self._paused and not self.closed:
            self._paused = False
            self._loop.add_reader(self.sock, self._readable)

    async def _take(self, event: RtspEvent) -> None:
        match event:
            case RequestReceived():
                await self._answer(event.request)
            case InterleavedReceived():
                self._pass_on(event, time.monotonic())
            case ResponseReceived():
                pass  # we ask clients nothing
            case PeerFailed():
                self._refuse(event)

    def _pass_on(self, packet: InterleavedReceived, now_s: float) -> None:
        sink = self._channels.get(packet.channel)
        if sink is not None:
            sink(packet.payload, now_s)
            return
        self.unexpected_packets += 1
        if self.unexpected_packets > MAX_UNEXPECTED_PACKETS:
            self.close("floods channels that nobody set up")

    async def _answer(self, request: Request) -> None:
        self._requests += 1
        self._close_by_s = None
        if self.log.isEnabledFor(logging.DEBUG):
            self.log.debug("%s", request)
        reply = await self._host.answer(self, request)
        if self.closed:
            return
        self.outbox.write(reply.response.serialize())
        if reply.then is not None:
            reply.then()

    def _refuse(self, failed: PeerFailed) -> None:
        """Answer what is no request, and hang up: where the next one would begin is unknown."""
        self._host.faults.note(self.log, str(failed.error))
        cseq = None if failed.cseq is None else str(failed.cseq)
        self.outbox.write(complete(Response.of_error(failed.error), cseq).serialize())
        self.close(f"bad request: {failed.error}")

    # Closing

    def handle_timer(self, now_s: float) -> None:
        options = self._host.options
        if self.outbox.stuck_s(now_s) > options.stall_s:
            self.close(f"read nothing for {options.stall_s:.0f} s")
        elif self._close_by_s is not None and now_s > self._close_by_s:
            self.close("its session has ended")
        elif self.sessions or self._pump is not None:
            return
        elif not self._requests:
            if now_s - self.opened_s > options.first_request_timeout_s:
                self.close(f"sent no request for {options.first_request_timeout_s:.0f} s")
        elif self._receiver.pending and now_s - self._last_event_s > options.first_request_timeout_s:
            self.close("sent half a request")
        elif now_s - self._last_event_s > options.idle_timeout_s:
            self.close(f"idle for {options.idle_timeout_s:.0f} s")

    def close(self, reason: str) -> None:
        if self.closed:
            return
        self.closed = True
        for session, ends_here in tuple(self.sessions.items()):
            if ends_here:
                session.close(reason)
        self._loop.remove_reader(self.sock)
        self.outbox.close()
        if self._pump is not None and self._pump is not asyncio.current_task():
            self._pump.cancel()
        # The parts of a connection refer to each other, so only the cycle collector frees them, some time later:
        # what may be large is let go now.
        self._waiting.clear()
        self._channels.clear()
        self._receiver = RtspReceiver()
        self.sock.close()
        self._host.forget(self)
        if self.unexpected_packets:
            self.log.debug("%d interleaved packets on channels nobody set up", self.unexpected_packets)
        self.log.debug("closed: %s", reason)


def notice_dead_peers(sock: socket.socket) -> None:
    """Let the kernel ask after a client that lost its power or its cable: such a one never says that it is gone."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3)):
        if hasattr(socket, name):  # not everywhere; there the system's own, longer times hold
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


class ConnectionLog(logging.LoggerAdapter[logging.Logger]):
    """Puts protocol and peer before each line."""

    def process(self, msg: str, kwargs: object) -> tuple[str, object]:  # type: ignore[override]
        return f"RTSP {self.extra['peer'] if self.extra else ''}: {msg}", kwargs
