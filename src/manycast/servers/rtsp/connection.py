"""One connection of the RTSP server: takes requests and interleaved data, gives replies in order."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from typing import Protocol

from manycast.servers.connection_log import ConnectionLog
from manycast.servers.faults import FaultLog
from manycast.servers.rtsp.announcement import Announcement
from manycast.servers.rtsp.link import Link
from manycast.servers.rtsp.options import RtspOptions
from manycast.servers.rtsp.reply import Reply, complete
from manycast.servers.rtsp.told_keys import ToldKeys
from manycast.wire.http import HttpError, refusal
from manycast.wire.rtsp.errors import HttpOnRtspPort, RtspError
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
MAX_TOLD_KEYS = 8  # a client that shows many cameras at once has a connection for each, or nearly so
LINGER_S = 10.0  # for the client to hang up after its last session was ended from our side

ChannelSink = Callable[[bytes, float], None]  # payload, now_s


class Host(Protocol):
    """What a connection needs of the server that took it."""

    options: RtspOptions
    faults: FaultLog
    log: logging.Logger

    async def answer(self, connection: RtspConnection, request: Request) -> Reply:
        """The complete reply to one request; never raises."""

    def forget(self, connection: RtspConnection) -> None:
        """The connection was closed."""


class HeldSession(Protocol):
    """A session, as far as the connection it was opened on is concerned."""

    def close(self, reason: str) -> None: ...


class RtspConnection:
    """Knows how to read, answer in order and close; what a request means is the handlers' business."""

    def __init__(self, host: Host, link: Link) -> None:
        self._host = host
        self.link = link
        self.outbox = link.outbox
        self.peer_address, self.peer_port = link.peer_address, link.peer_port
        self.local_address = link.local_address
        self.announcement: Announcement | None = None
        self.told_keys: dict[str, ToldKeys] = {}  # by the name described
        self.sessions: dict[HeldSession, bool] = {}  # opened here, and whether they end with the connection
        self.log = ConnectionLog(host.log, f"RTSP {self.peer}")
        self.logged_in = False
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
        link.start(self._received, self.close)

    @property
    def peer(self) -> str:
        host = f"[{self.peer_address}]" if ":" in self.peer_address else self.peer_address
        return f"{host}:{self.peer_port}"

    # Interleaved channels

    def free_channels(self, wanted: tuple[int, int] | None) -> tuple[int, int]:
        """The channels asked for where they are free, else the lowest free even pair (RFC 2326 section 10.12)."""
        if wanted is not None and wanted[0] != wanted[1] and not self._channels.keys() & set(wanted):
            return wanted
        for channel in range(0, 256, 2):
            if channel not in self._channels and channel + 1 not in self._channels:
                return channel, channel + 1
        raise RtspError("all 256 interleaved channels of this connection are in use")

    def route(self, channel: int, sink: ChannelSink) -> None:
        self._channels[channel] = sink

    def unroute(self, channel: int) -> None:
        self._channels.pop(channel, None)

    def tell_keys(self, name: str, keys: ToldKeys) -> None:
        """Remember what a DESCRIBE has told, for the SETUP that follows."""
        self.told_keys.pop(name, None)
        self.told_keys[name] = keys
        while len(self.told_keys) > MAX_TOLD_KEYS:
            del self.told_keys[next(iter(self.told_keys))]

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

    def write(self, data: bytes) -> None:
        """Send what is no frame of a viewer: replies, reports."""
        framing = self.link.framing
        self.outbox.write(framing(data) if framing is not None else data)

    # Reading

    def _received(self, data: bytes) -> None:
        events = self._receiver.receive(data)
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
                self.link.pause_reading()

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
            self.link.resume_reading()

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
        self.write(reply.response.serialize())
        if reply.then is not None:
            reply.then()

    def _refuse(self, failed: PeerFailed) -> None:
        """Answer what is no request, and hang up: where the next one would begin is unknown."""
        self._host.faults.note(self.log, str(failed.error))
        if isinstance(failed.error, HttpOnRtspPort):
            self.write(
                refusal(HttpError(400, "this is an RTSP port; HTTP, and RTSP over HTTP, have ports of their own"))
            )
        else:
            cseq = None if failed.cseq is None else str(failed.cseq)
            self.write(complete(Response.of_error(failed.error), cseq).serialize())
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
        if self._pump is not None and self._pump is not asyncio.current_task():
            self._pump.cancel()
        # The parts of a connection refer to each other, so only the cycle collector frees them, some time later:
        # what may be large is let go now.
        self._waiting.clear()
        self._channels.clear()
        self.told_keys.clear()
        self._receiver = RtspReceiver()
        self.link.close()
        self._host.forget(self)
        if self.unexpected_packets:
            self.log.debug("%d interleaved packets on channels nobody set up", self.unexpected_packets)
        self.log.debug("closed: %s", reason)
