"""The SRT server: takes callers, and looks after their time limits."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import Sequence
from functools import partial

from manycast.hub.catalogue import Catalogue
from manycast.hub.sessions import TooManySessions
from manycast.libsrt.library import (
    ERROR,
    MAX_ADDRESS_BYTES,
    MAX_PAYLOAD_BYTES,
    Events,
    Option,
    SrtLibrary,
    State,
)
from manycast.libsrt.poller import Poller
from manycast.servers.connection_log import ConnectionLog
from manycast.servers.faults import FaultLog
from manycast.servers.srt.admission import Admission, Caller, Refused
from manycast.servers.srt.connection import SrtConnection
from manycast.servers.srt.options import SrtOptions
from manycast.wire.srt.streamid import Rejection, StreamId

TIMER_INTERVAL_S = 0.5
LISTEN_BACKLOG = 1024
UDP_BUFFER_BYTES = 8 * 1024 * 1024  # all callers share one socket; the kernel gives what it allows
HANDSHAKE_S = 1.0  # from the request granted to the connection; what takes longer has failed
MAX_HANDSHAKES = 2000
UNLIMITED = -1
FOLLOWS_STREAM = 0


class SrtServer:
    """All callers of one SRT service, on any number of addresses."""

    def __init__(self, library: SrtLibrary, catalogue: Catalogue, options: SrtOptions) -> None:
        """The server owns the library from now on."""
        self.library = library
        self.options = options
        self.faults = FaultLog()
        self.log = logging.getLogger(__name__)
        self.poller = Poller(library)
        self._catalogue = catalogue
        self._connections: set[SrtConnection] = set()
        catalogue.hub.sessions.count_by(lambda: len(self._connections))
        self._handshakes: dict[int, tuple[Caller, float]] = {}  # those granted, in the order they came
        self._listeners: list[int] = []
        self._timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        self._admission = Admission(library, catalogue, options, self._refusal, self._admitted, self._refused)

    @property
    def connections(self) -> tuple[SrtConnection, ...]:
        return tuple(self._connections)

    def listen(self, sockets: Sequence[socket.socket]) -> None:
        """Take callers from bound UDP sockets; the library owns them from now on. Raises SrtError."""
        library = self.library
        for sock in sockets:
            listener = library.check(library.lib.srt_create_socket(), "making a socket")
            for option, value in self._socket_options(sock.family):
                library.set_option(listener, option, value)
            bound = library.lib.srt_bind_acquire(listener, sock.detach())
            library.check(bound, "taking over a UDP socket")
            hook = self._admission.callback
            library.check(library.lib.srt_listen_callback(listener, hook, library.ffi.NULL), "setting the hook")
            library.check(library.lib.srt_listen(listener, LISTEN_BACKLOG), "listening")
            self.poller.add(listener, Events.IN, partial(self._accept, listener))
            self._listeners.append(listener)

    def start(self) -> None:
        """Begin to look after time limits."""
        self._timer = self._loop.call_later(TIMER_INTERVAL_S, self._handle_timer)

    async def close(self, reason: str) -> None:
        if self._timer is not None:
            self._timer.cancel()
        for listener in self._listeners:
            self.poller.remove(listener)
            self.library.lib.srt_close(listener)
        for connection in self.connections:
            connection.close(reason)
        await self.poller.close()
        await asyncio.to_thread(self.library.close)

    def forget(self, connection: SrtConnection) -> None:
        self._connections.discard(connection)

    def bandwidth(self) -> int:
        options = self.options
        if options.max_bandwidth_bps:
            return options.max_bandwidth_bps // 8
        return UNLIMITED if options.overhead_percent is None else FOLLOWS_STREAM

    def _socket_options(self, family: int) -> list[tuple[Option, int]]:
        options = self.options
        settings = [
            (Option.RCVSYN, 0),
            (Option.SNDSYN, 0),
            (Option.RCVLATENCY, options.latency_ms),
            (Option.PEERLATENCY, options.latency_ms),
            (Option.PAYLOADSIZE, MAX_PAYLOAD_BYTES),
            (Option.UDP_SNDBUF, UDP_BUFFER_BYTES),
            (Option.UDP_RCVBUF, UDP_BUFFER_BYTES),
            (Option.PBKEYLEN, options.key_bits // 8),
            (Option.MAXBW, self.bandwidth()),
        ]
        if options.overhead_percent is not None:
            settings.append((Option.OHEADBW, options.overhead_percent))
        if family == socket.AF_INET6:
            settings.append((Option.IPV6ONLY, 1))
        return settings

    # Handshakes

    def _refusal(self, request: StreamId) -> Refused | None:
        """What stands against a caller. Called in libsrt's thread."""
        try:
            self._catalogue.hub.sessions.check_room()
        except TooManySessions as error:
            return Refused(Rejection.OVERLOAD, str(error))
        if len(self._handshakes) >= MAX_HANDSHAKES:
            return Refused(Rejection.OVERLOAD, f"{MAX_HANDSHAKES} handshakes are under way")
        if request.publish:
            path = self._catalogue.path_of(request.name)
            publishers = [connection.caller for connection in self.connections if connection.publication is not None]
            other = next((caller for caller in publishers if caller.path == path), None)
            if other is not None:
                return Refused(Rejection.CONFLICT, f"{path} is taken by SRT publisher {other}")
        return None

    def _admitted(self, sock: int, caller: Caller) -> None:
        """Called in libsrt's thread."""
        self._handshakes[sock] = caller, time.monotonic()

    def _refused(self, peer: tuple[str, int], refused: Refused) -> None:
        log = ConnectionLog(self.log, f"SRT {peer[0]}:{peer[1]}")
        self.faults.note(log, f"refused with {refused.rejection.value}: {refused}")

    def _accept(self, listener: int, _events: int) -> None:
        library = self.library
        address = library.ffi.new("char[]", MAX_ADDRESS_BYTES)
        while True:
            length = library.ffi.new("int*", MAX_ADDRESS_BYTES)
            sock = library.lib.srt_accept(listener, address, length)
            if sock == ERROR:
                return
            caller, _ = self._handshakes.pop(sock, (None, 0.0))
            if caller is None:
                library.lib.srt_close(sock)
                continue
            connection = SrtConnection(self, self._catalogue, sock, caller)
            self._connections.add(connection)
            connection.start()

    def _handle_timer(self) -> None:
        now_s = time.monotonic()
        for connection in self.connections:
            connection.handle_timer(now_s)
        self._forget_failed_handshakes(now_s)
        self.faults.handle_timer(now_s)
        self._timer = self._loop.call_later(TIMER_INTERVAL_S, self._handle_timer)

    def _forget_failed_handshakes(self, now_s: float) -> None:
        """Say why, as far as can be told: libsrt does not say it to the one who listens."""
        for sock, (caller, granted_s) in tuple(self._handshakes.items()):
            if now_s - granted_s < HANDSHAKE_S:
                return
            if self.library.lib.srt_getsockstate(sock) == State.CONNECTED:
                continue  # about to be accepted
            del self._handshakes[sock]
            what = "its passphrase is wrong or missing" if caller.passphrase else "it encrypts, nothing here does"
            log = ConnectionLog(self.log, f"SRT {caller}")
            self.faults.note(log, f"the handshake failed: {what}, or it speaks another kind of SRT")
