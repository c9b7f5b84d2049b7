"""Calling an SRT server."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

from manycast.hub.source import SourceDenied, SourceError
from manycast.libsrt.library import MAX_PAYLOAD_BYTES, Events, Option, SrtError, SrtLibrary, State, Statistics
from manycast.sources.dialling import CONNECT_TIMEOUT_S, resolve
from manycast.sources.srt.joined import Joined
from manycast.wire.address import SourceAddress
from manycast.wire.srt.call import SrtCall
from manycast.wire.srt.refusal import is_for_the_caller, words_for

LIBRARY_TIMEOUT_MS = int(1000 * (CONNECT_TIMEOUT_S + 1))  # ours is first
HEAD_START_S = 0.25  # of one address of a host before the next (RFC 8305 section 5)
RECEIVE_BUFFER_BYTES = 2 * 1024 * 1024  # of the UDP socket; the kernel gives what it allows


class SrtLink:
    """A call that was answered."""

    def __init__(self, joined: Joined, host: str, port: int) -> None:
        """Not connected yet. Raises SrtError."""
        self.peer = (host, port)
        self.sock = joined.library.check(joined.library.lib.srt_create_socket(), "making a socket")
        self.on_ready: Callable[[], None] = lambda: None  # called when something has come, or the connection is gone
        self.statistics = Statistics()  # as of the latest `sample`
        self._joined = joined
        self._connected: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def library(self) -> SrtLibrary:
        return self._joined.library

    @property
    def local(self) -> str:
        """The address that we have towards the other end: its own, where it is on this machine. Raises SourceError."""
        host, port = self.peer
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as probe:
                probe.connect((host, port))  # sends nothing
                return str(probe.getsockname()[0])
        except OSError as error:
            raise SourceError(f"no way to {host}: {error.strerror}") from error

    async def connect(self, call: SrtCall) -> None:
        """Raises SourceError, SourceDenied, SrtError."""
        library, poller, sock = self.library, self._joined.poller, self.sock
        for option, value in _options(call):
            library.set_option(sock, option, value)
        poller.add(sock, Events.IN | Events.OUT, self._ready)
        library.connect(sock, *self.peer)
        await self._connected
        if library.lib.srt_getsockstate(sock) != State.CONNECTED:
            code = library.lib.srt_getrejectreason(sock)
            words = words_for(code, with_passphrase=call.passphrase is not None)
            raise (SourceDenied if is_for_the_caller(code) else SourceError)(words)

    def sample(self) -> None:
        """Ask for the statistics, which nobody has any more once the connection is broken."""
        self.statistics = self.library.statistics(self.sock) or self.statistics

    def close(self) -> None:
        self._joined.poller.remove(self.sock)
        self.library.lib.srt_close(self.sock)

    def _ready(self, _events: int) -> None:
        if not self._connected.done():
            self._connected.set_result(None)
        self.on_ready()


async def dial(joined: Joined, address: SourceAddress, call: SrtCall) -> SrtLink:
    """Call a host's addresses. Raises SourceError, in time, or SourceDenied."""
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            hosts = await resolve(address.host, address.port)
            return await _first_of(joined, hosts, address.port, call)
    except TimeoutError:
        raise SourceError(f"{address.authority} does not answer within {CONNECT_TIMEOUT_S:.0f} s") from None


async def _first_of(joined: Joined, hosts: list[str], port: int, call: SrtCall) -> SrtLink:
    """Who answers first has answered, even where he refuses. Nobody tells where nothing listens, so the next address
    is not kept waiting for that. Raises SourceError."""
    calls = [
        asyncio.create_task(_call(joined, host, port, call, wait_s=number * HEAD_START_S), name=f"SRT call to {host}")
        for number, host in enumerate(hosts)
    ]
    answered: SrtLink | None = None
    failure = "the host has no address"
    try:
        for finished in asyncio.as_completed(calls):
            try:
                answered = await finished
                return answered
            except SrtError as error:
                failure = str(error)
        raise SourceError(failure)
    finally:
        for task in calls:
            task.cancel()
        for link in await asyncio.gather(*calls, return_exceptions=True):
            if isinstance(link, SrtLink) and link is not answered:
                link.close()


async def _call(joined: Joined, host: str, port: int, call: SrtCall, *, wait_s: float) -> SrtLink:
    """Raises SourceError where the other end refuses, SrtError where there is no way to it."""
    await asyncio.sleep(wait_s)
    link = SrtLink(joined, host, port)
    try:
        await link.connect(call)
    except BaseException:
        link.close()
        raise
    return link


def _options(call: SrtCall) -> list[tuple[Option, int | bytes]]:
    options: list[tuple[Option, int | bytes]] = [
        (Option.RCVSYN, 0),
        (Option.SNDSYN, 0),
        (Option.CONNTIMEO, LIBRARY_TIMEOUT_MS),
        (Option.PAYLOADSIZE, MAX_PAYLOAD_BYTES),
        (Option.UDP_RCVBUF, RECEIVE_BUFFER_BYTES),
    ]
    if call.stream_id:
        options.append((Option.STREAMID, call.stream_id.encode()))
    if call.passphrase is not None:
        options.append((Option.PASSPHRASE, call.passphrase.encode()))
    if call.key_bytes is not None:
        options.append((Option.PBKEYLEN, call.key_bytes))
    if call.latency_ms is not None:
        options.append((Option.RCVLATENCY, call.latency_ms))
    return options
