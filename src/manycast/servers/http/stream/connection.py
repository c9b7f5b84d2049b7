"""One request for a stream, from its head to the end of the reply."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Protocol

from manycast import __version__
from manycast.hub.catalogue import Catalogue
from manycast.hub.hops import LoopFound
from manycast.hub.pipe import HungUp, receive
from manycast.hub.rtp_packager import Framing
from manycast.hub.sessions import TooManySessions
from manycast.hub.source import SourceError, SourceMissing
from manycast.hub.stored import StoredMedia
from manycast.hub.stored_player import StoredPlayer
from manycast.hub.stream import Stream
from manycast.hub.tcp_viewer import TcpOutbox
from manycast.servers.connection_log import ConnectionLog
from manycast.servers.faults import FaultLog
from manycast.servers.http.login import HttpLogin
from manycast.servers.http.request import HttpRequest
from manycast.servers.http.stream.address import Form, StreamAddress, parse_address, said_of
from manycast.servers.http.stream.codecs import codecs_for
from manycast.servers.http.stream.layouts import LAST_CHUNK, MessageLayout, ProgressiveLayout, chunk
from manycast.servers.http.stream.options import StreamOptions
from manycast.servers.http.stream.play import FlvPlay, Mp4Play, Play
from manycast.wire.http import HttpError, date_of, refusal, response_head
from manycast.wire.websocket import (
    CloseReceived,
    PeerFailed,
    PingReceived,
    accept_upgrade,
    asks_for_websocket,
    binary_frame,
    close_frame,
    pong_frame,
)

if TYPE_CHECKING:
    from manycast.wire.websocket_receiver import WebSocketReceiver

COMPLETE_TIMEOUT_S = 3.0  # for parameter sets that a publisher sends in band only
MAX_IGNORED_BYTES = 1024 * 1024  # of what a viewer sends, who has nothing more to say
DRAIN_INTERVAL_S = 0.05

METHODS = "GET, HEAD, OPTIONS"
CORS = [("Access-Control-Allow-Origin", "*")]  # streams are watched by pages of other servers
_PREFLIGHT = [
    ("Access-Control-Allow-Methods", METHODS),
    ("Access-Control-Allow-Headers", "Authorization, Range, *"),
    ("Access-Control-Max-Age", "86400"),
]
_SERVER = ("Server", f"manycast/{__version__}")
_CODEC_ID_HEVC = "12"
_NORMAL_CLOSURE = 1000  # RFC 6455 section 7.4.1


def _common() -> list[tuple[str, str]]:
    return [("Connection", "close"), ("Cache-Control", "no-store"), *CORS, ("Date", date_of(time.time())), _SERVER]


class Host(Protocol):
    """What a connection needs of the server that took it."""

    catalogue: Catalogue
    options: StreamOptions
    login: HttpLogin | None
    faults: FaultLog
    log: logging.Logger

    def forget(self, connection: StreamConnection) -> None:
        """The connection was closed."""


class StreamConnection:
    """Looks for what is asked for, and sends it until it ends or the client goes."""

    def __init__(self, host: Host, request: HttpRequest) -> None:
        """The connection owns the request's pipe from now on."""
        self._host = host
        self._head = request.head
        self._early = bool(request.received)
        self._client = request.client
        self._pipe = request.client.pipe
        self._loop = asyncio.get_running_loop()
        self._receiver = _receiver() if asks_for_websocket(request.head) else None
        names = ("HTTP", "HTTPS") if self._receiver is None else ("WebSocket", "secure WebSocket")
        protocol = names[request.client.secure]
        self.log = ConnectionLog(host.log, f"{protocol} {request.client}")
        self.outbox = TcpOutbox(self._pipe, self._loop, self.close)
        self.closed = False
        self._opened_s = time.monotonic()
        self._answered = False
        self._ignored_bytes = 0
        self._name = ""
        self._play: Play | None = None
        self._player: StoredPlayer | None = None
        self._trailer = b""
        self._drain_timer: asyncio.TimerHandle | None = None
        self._drained_s: float | None = None  # since when nothing waits any more, but perhaps in TLS
        self._pipe.when_readable(self._readable)
        self._task = self._loop.create_task(self._serve(), name=f"{protocol} stream")

    @property
    def plays(self) -> bool:
        return self._play is not None

    def handle_timer(self, now_s: float) -> None:
        stall_s = self._host.options.stall_s
        drained = self._drained_s is not None and now_s - self._drained_s > stall_s
        if drained or self.outbox.stuck_s(now_s) > stall_s:
            self.close(f"read nothing for {stall_s:.0f} s")

    def finish(self, reason: str) -> None:
        """Say that the stream has ended, and hang up when all has gone out."""
        if self.closed or self._drain_timer is not None:
            return
        self._stop_playing(reason)
        if self._receiver is not None:
            self._trailer = close_frame(_NORMAL_CLOSURE, reason)
        self.outbox.write(self._trailer)
        self._drain_timer = self._loop.call_later(0.0, self._drain)

    def close(self, reason: str) -> None:
        """Hang up, now."""
        if self.closed:
            return
        self.closed = True
        self._stop_playing(reason)
        if self._task is not asyncio.current_task():
            self._task.cancel()
        if self._drain_timer is not None:
            self._drain_timer.cancel()
        self.outbox.close()
        self._pipe.close()
        self._host.forget(self)

    # The request

    async def _serve(self) -> None:
        try:
            await self._answer()
        except HttpError as error:
            if error.status != 401:  # the first of them is how every login begins
                self._host.faults.note(self.log, f"refused with {error.status}: {error}")
            self._refuse(error)
        except Exception:
            self.log.exception("failed")
            self._refuse(HttpError(500, "our own mistake"))

    async def _answer(self) -> None:
        """Raises HttpError."""
        head = self._head
        if head.method not in METHODS.split(", "):
            raise HttpError(405, f"{head.method} on a stream, which knows {METHODS}", [("Allow", METHODS)])
        if self._receiver is not None and self._early:
            raise HttpError(400, "data before the WebSocket was opened")
        address = parse_address(head.target)
        if head.method == "OPTIONS":
            self._send_head(204, [("Allow", METHODS), *_PREFLIGHT])
            self.finish("answered")
            return
        await self._admit(address)
        self._check_loop(address)
        found, form = await self._find(address)
        upgrade = None if self._receiver is None else accept_upgrade(head, None)
        play = await self._open(found, form, old_hevc=address.parameters.get("codecid") == _CODEC_ID_HEVC)
        if upgrade is None and head.method == "HEAD":
            play.close()
            self._send_head(200, self._headers(play))
            self.finish("answered")
            return
        self._check_room(play)
        self._play = play
        self._name = address.name
        self._answered = True
        self.log.info("plays %s as %s", address.name, form.name)
        play.begin(upgrade or response_head(200, [*self._headers(play), *_common()]))
        if self._player is not None:
            self._player.play()

    async def _admit(self, address: StreamAddress) -> None:
        """Before it is said whether a name is known, whoever may not see all forms of it has to log in."""
        options = self._host.options
        needed = options.mp4_login if address.form is Form.MP4 else options.flv_login
        if address.form is Form.MP4 and self._receiver is None:
            needed = needed or options.flv_login  # it may be the name of a file
        if needed and self._host.login is not None:
            await self._host.login.check(self._client, self._head, address.parameters, self.log)

    def _check_room(self, play: Play) -> None:
        """Raises HttpError."""
        try:
            self._host.catalogue.hub.sessions.check_room()
        except TooManySessions as error:
            play.close()
            raise HttpError(503, str(error), [("Retry-After", "10")]) from error

    def _check_loop(self, address: StreamAddress) -> None:
        """Raises HttpError."""
        try:
            self._host.catalogue.asked(address.plain_name, self._head.tokens("Via"))
        except LoopFound as error:
            raise HttpError(508, str(error)) from error

    async def _find(self, address: StreamAddress) -> tuple[Stream | StoredMedia, Form]:
        """What the name stands for, else the name without its end, and in which form it is wanted.

        A file is played as FLV under its own name, whatever that ends in. Raises HttpError.
        """
        form = address.form or Form.FLV
        found = await self._look_for(address.name)
        if found is not None:
            form = form if self._receiver is not None else Form.FLV
        elif address.form is not None:
            found = await self._look_for(address.plain_name)
        if found is None:
            raise HttpError(404, f"nothing is called {address.name!r}; what can be played is listed at /")
        if not (self._host.options.flv if form is Form.FLV else self._host.options.mp4):
            block = "http-flv" if form is Form.FLV else "http-mp4"
            raise HttpError(404, f"{form.name} over HTTP is switched off ({block})")
        return found, form

    async def _look_for(self, name: str) -> Stream | StoredMedia | None:
        catalogue = self._host.catalogue
        try:
            return await catalogue.find(name)
        except SourceMissing as error:
            raise HttpError(404, said_of(name, error)) from error
        except SourceError as error:
            status = 503 if catalogue.hub.owner(catalogue.path_of(name)) is not None else 404
            raise HttpError(status, said_of(name, error)) from error

    async def _open(self, found: Stream | StoredMedia, form: Form, *, old_hevc: bool) -> Play:
        """Raises HttpError."""
        catalogue, carried = self._host.catalogue, codecs_for(form, self._head)
        try:
            if isinstance(found, Stream):
                stream = await catalogue.stream_for(found, carried)
                await stream.wait_complete(COMPLETE_TIMEOUT_S)
            else:
                media = await catalogue.media_for(found, carried)
                self._player = StoredPlayer(media, self._host.options.loops, catalogue.hub.limits, self.finish)
                stream = self._player.stream
        except SourceError as error:
            raise HttpError(503, str(error)) from error
        framing: Framing | None = binary_frame
        if self._receiver is None:
            chunked = self._host.options.chunked and self._head.version >= (1, 1)
            framing, self._trailer = (chunk, LAST_CHUNK) if chunked else (None, b"")
        if form is Form.FLV:
            return FlvPlay(stream, self.outbox, framing, self.finish, old_hevc=old_hevc)
        layout = ProgressiveLayout(framing) if self._receiver is None else MessageLayout()
        return Mp4Play(stream, self.outbox, layout, self.finish)

    # The reply

    def _headers(self, play: Play) -> list[tuple[str, str]]:
        return [
            ("Content-Type", play.content_type),
            *([("Transfer-Encoding", "chunked")] if self._trailer else []),
            ("Accept-Ranges", "none"),
            ("X-Accel-Buffering", "no"),  # nginx in front passes pieces on as they come
        ]

    def _send_head(self, status: int, headers: list[tuple[str, str]]) -> None:
        self._answered = True
        self._trailer = b""
        self.outbox.write(response_head(status, [*headers, *_common()]))

    def _refuse(self, error: HttpError) -> None:
        if self.closed or self._answered:
            self.close(str(error))
            return
        self._answered = True
        told = HttpError(error.status, str(error), [*error.headers, *CORS, ("Date", date_of(time.time())), _SERVER])
        self._receiver = None
        self._trailer = refusal(told, method=self._head.method)
        self.finish(str(error))

    def _stop_playing(self, reason: str) -> None:
        if self._player is not None:
            self._player.close()
        if self._play is not None:
            seconds = time.monotonic() - self._opened_s
            self.log.info("closed: %s; %s, %.1f s, %s", reason, self._name, seconds, self._play.viewer.counters)
            self._play.close()
            self._play = None

    def _drain(self) -> None:
        """Hang up once nothing waits; a client who does not read is noticed by the timer."""
        if self.outbox.backlog_bytes:
            self._drain_timer = self._loop.call_later(DRAIN_INTERVAL_S, self._drain)
        else:
            self._drained_s = time.monotonic()
            self._pipe.when_writable(self._drained)  # called when what TLS still held has gone

    def _drained(self) -> None:
        self.close("all was sent")

    # What the client sends

    def _readable(self) -> None:
        try:
            data = receive(self._pipe)
        except HungUp as reason:
            self.close(str(reason))
            return
        if self._receiver is not None:
            if data:
                self._received(self._receiver, data)
            return
        self._ignored_bytes += len(data)
        if self._ignored_bytes > MAX_IGNORED_BYTES:
            self.close(f"sent more than {MAX_IGNORED_BYTES} bytes behind the request")

    def _received(self, receiver: WebSocketReceiver, data: bytes) -> None:
        if not self._answered:
            self._refuse(HttpError(400, "data before the WebSocket was opened"))
            return
        for event in receiver.receive(data):
            match event:
                case PingReceived():
                    self.outbox.write(pong_frame(event.payload))
                case CloseReceived():
                    self.outbox.write(close_frame(event.code))  # echoed: RFC 6455 section 5.5.1
                    self.close("the client closed the WebSocket")
                case PeerFailed():
                    self._host.faults.note(self.log, f"no WebSocket frame: {event.reason}")
                    self.outbox.write(close_frame(event.code))
                    self.close(f"no WebSocket frame: {event.reason}")
            if self.closed:
                return


def _receiver() -> WebSocketReceiver:
    from manycast.wire.websocket_receiver import WebSocketReceiver

    return WebSocketReceiver()
