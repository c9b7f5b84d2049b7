"""One RTMP connection: handshake, messages in, messages out."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections import deque
from collections.abc import Callable
from typing import Protocol

from manycast.errors import ProtocolError
from manycast.hub.pipe import HungUp, receive
from manycast.hub.tcp_viewer import TcpOutbox
from manycast.servers.client import Client
from manycast.servers.connection_log import ConnectionLog
from manycast.servers.faults import FaultLog
from manycast.servers.rtmp.layout import CHUNK_BYTES
from manycast.servers.rtmp.options import RtmpOptions
from manycast.wire.rtmp.chunk import ChunkReader, RtmpMessage, RtmpType, serialize_message
from manycast.wire.rtmp.commands import (
    COMMAND_CHUNK_STREAM,
    CONTROL_CHUNK_STREAM,
    UserControl,
    acknowledgement,
    set_chunk_size,
    user_control,
)
from manycast.wire.rtmp.handshake import NOISE_BYTES, ServerHandshake

MAX_WAITING = 256  # messages behind one that takes time; reading pauses above it
PING_INTERVAL_S = 30.0


class Session(Protocol):
    """What the messages mean."""

    @property
    def active(self) -> int:
        """How many streams it plays or publishes."""

    async def command(self, message: RtmpMessage) -> None:
        """Take a command."""

    def media(self, message: RtmpMessage) -> None:
        """Take sound, picture or data."""

    def handle_timer(self, now_s: float) -> None: ...

    def close(self, reason: str) -> None: ...


class Host(Protocol):
    """What a connection needs of the server that took it."""

    options: RtmpOptions
    faults: FaultLog
    log: logging.Logger

    def forget(self, connection: RtmpConnection) -> None:
        """The connection was closed."""


class RtmpConnection:
    """Knows how to read, write and close; what is asked is the session's business."""

    def __init__(self, host: Host, client: Client, make_session: Callable[[RtmpConnection], Session]) -> None:
        pipe = client.pipe
        self.peer_address = client.peer[0]
        self.peer = str(client)
        self.log = ConnectionLog(host.log, f"{'RTMPS' if client.secure else 'RTMP'} {self.peer}")
        self.closed = False
        self.opened_s = time.monotonic()
        self._host = host
        self._pipe = pipe
        self._loop = asyncio.get_running_loop()
        self._handshake: ServerHandshake | None = ServerHandshake(secrets.token_bytes(NOISE_BYTES))
        self._reader = ChunkReader()
        self._acknowledged_bytes = 0
        self._window_bytes = 2_500_000  # until the client says another
        self._waiting: deque[RtmpMessage] = deque()
        self._pump: asyncio.Task[None] | None = None
        self._paused = False
        self._next_ping_s = self.opened_s + PING_INTERVAL_S
        self.outbox = TcpOutbox(pipe, self._loop, self.close)
        self.session = make_session(self)
        pipe.when_readable(self._readable)

    def send(self, message: RtmpMessage) -> None:
        chunk_stream_id = CONTROL_CHUNK_STREAM if message.kind < RtmpType.AUDIO else COMMAND_CHUNK_STREAM
        self.outbox.write(serialize_message(message, chunk_stream_id=chunk_stream_id, chunk_bytes=CHUNK_BYTES))

    def refuse(self, error: ProtocolError) -> None:
        """What a client cannot mean: said in the log, and the connection closed."""
        self._host.faults.note(self.log, str(error))
        self.close(str(error))

    def handle_timer(self, now_s: float) -> None:
        if self.outbox.stuck_s(now_s) > self._host.options.stall_s:
            self.close(f"read nothing for {self._host.options.stall_s:.0f} s")
            return
        if self._handshake is None and now_s >= self._next_ping_s:
            self._next_ping_s = now_s + PING_INTERVAL_S
            self.send(user_control(UserControl.PING_REQUEST, int(now_s * 1000)))
        self.session.handle_timer(now_s)

    def close(self, reason: str) -> None:
        if self.closed:
            return
        self.closed = True
        self.session.close(reason)
        self.outbox.close()
        if self._pump is not None and self._pump is not asyncio.current_task():
            self._pump.cancel()
        self._waiting.clear()
        self._reader = ChunkReader()
        self._pipe.close()
        self._host.forget(self)
        self.log.debug("closed: %s", reason)

    def _readable(self) -> None:
        try:
            data = receive(self._pipe)
        except HungUp as reason:
            self.close(str(reason))
            return
        try:
            if data:
                self._received(data)
        except ProtocolError as error:
            self.refuse(error)

    def _received(self, data: bytes) -> None:
        if self._handshake is not None:
            reply, rest = self._handshake.receive(data)
            self.outbox.write(reply)
            if rest is None:
                return
            self._handshake = None
            self.send(set_chunk_size(CHUNK_BYTES))
            data = rest
        for message in self._reader.receive(data):
            self._take(message)
            if self.closed:
                return
        if self._reader.received_bytes - self._acknowledged_bytes >= self._window_bytes:
            self._acknowledged_bytes = self._reader.received_bytes
            self.send(acknowledgement(self._acknowledged_bytes))

    def _take(self, message: RtmpMessage) -> None:
        kind = message.kind
        if self._pump is not None or kind in (RtmpType.COMMAND, RtmpType.COMMAND_AMF3):
            self._waiting.append(message)
            if self._pump is None:
                self._pump = self._loop.create_task(self._take_waiting(), name="RTMP commands")
            elif len(self._waiting) > MAX_WAITING and not self._paused:
                self._paused = True
                self._pipe.when_readable(None)
        else:
            self._take_now(message)

    def _take_now(self, message: RtmpMessage) -> None:
        kind, body = message.kind, message.body
        if kind in (RtmpType.AUDIO, RtmpType.VIDEO, RtmpType.DATA, RtmpType.DATA_AMF3, RtmpType.AGGREGATE):
            self.session.media(message)
        elif kind == RtmpType.WINDOW_ACKNOWLEDGEMENT_SIZE and len(body) >= 4:
            self._window_bytes = max(1, int.from_bytes(body[:4]))
        elif kind == RtmpType.USER_CONTROL and len(body) >= 6:
            event, value = int.from_bytes(body[:2]), int.from_bytes(body[2:6])
            if event == UserControl.PING_REQUEST:
                self.send(user_control(UserControl.PING_RESPONSE, value))

    async def _take_waiting(self) -> None:
        try:
            while self._waiting and not self.closed:
                message = self._waiting.popleft()
                if message.kind in (RtmpType.COMMAND, RtmpType.COMMAND_AMF3):
                    await self.session.command(message)
                else:
                    self._take_now(message)
        except ProtocolError as error:
            self.refuse(error)
        except Exception:
            self.log.exception("failed")
            self.close("our own mistake")
        self._pump = None
        if self._paused and not self.closed:
            self._paused = False
            self._pipe.when_readable(self._readable)
