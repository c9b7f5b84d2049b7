"""A dialogue with an RTSP server, whatever it is about."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Sequence

import manycast
from manycast.errors import ManycastError
from manycast.hub.source import SourceDenied, SourceError
from manycast.sources.dialling import DialOptions, Link, dial
from manycast.sources.rtsp.tunnel import TunnelLink
from manycast.wire.address import SourceAddress
from manycast.wire.rtsp.client import (
    ClientEvent,
    ClientFailed,
    FeatureRefused,
    LoopRefused,
    Redirected,
    RtspClient,
    SourceLoginRefused,
    TransportRefused,
)

TICK_S = 0.5

USER_AGENT = f"Manycast/{manycast.__version__}"

Connected = Callable[[tuple[str, int], tuple[str, int]], None]  # told both ends, ours first; may raise SourceError

_random = random.SystemRandom()


class MovedElsewhere(ManycastError):
    """The server sends its clients to another address."""

    def __init__(self, address: SourceAddress) -> None:
        super().__init__(f"redirected to {address}")
        self.address = address


class OtherTransport(ManycastError):
    """Media do not come this way."""


class Dialogue:
    """A connection, the client that speaks on it, and the time it keeps. What is said is the session's."""

    def __init__(
        self,
        address: SourceAddress,
        options: DialOptions,
        handle: Callable[[ClientEvent, float], None],
        *,
        require: str | None = None,
        via: Sequence[bytes] = (),
    ) -> None:
        """`handle` takes the client's events, and the time in seconds. `require`, `via`: as `RtspClient` says."""
        cnonce = f"{_random.getrandbits(64):016x}"
        self.client = RtspClient(address, user_agent=USER_AGENT, cnonce=cnonce, require=require, via=via)
        self._address = address
        self._options = options
        self._handle = handle
        self._loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[None] = self._loop.create_future()  # by an error, always
        self._link: Link | TunnelLink | None = None
        self._on_tick: Callable[[float], None] | None = None
        self._tick: asyncio.TimerHandle | None = None

    async def open(
        self,
        connected: Connected,
        *,
        on_data: Callable[[bytes], None] | None = None,
        on_tick: Callable[[float], None] | None = None,
    ) -> None:
        """Connect, and ask for the description. Raises SourceError.

        `on_data` has what comes instead of `receive`. `on_tick` is called each TICK_S with the time in seconds.
        """
        link = self._link = await self._connect(on_data or self.receive)
        connected(link.local, link.peer)
        self.client.start(now_s=time.monotonic())
        self.flush()
        self._on_tick = on_tick
        self._tick = self._loop.call_later(TICK_S, self._handle_tick)

    @property
    def local_address(self) -> str:
        """The numeric address of our end, once it is open. Raises SourceError when there is no connection anymore."""
        assert self._link is not None
        return self._link.local[0]

    @property
    def server_address(self) -> str:
        """As `local_address`, of the other end."""
        assert self._link is not None
        return self._link.peer[0]

    def receive(self, data: bytes) -> None:
        now_s = time.monotonic()
        self.handle(self.client.receive(data, now_s=now_s), now_s)
        self.flush()

    def handle(self, events: Sequence[ClientEvent], now_s: float) -> None:
        for event in events:
            self._handle(event, now_s)

    def flush(self) -> None:
        """Send what the client has to say."""
        if self._link is not None:
            self._link.write(self.client.bytes_to_send())

    def end_by(self, event: ClientEvent) -> None:
        """End it if that is what the event says."""
        match event:
            case Redirected(address):
                self.end(MovedElsewhere(address))
            case TransportRefused(reason):
                self.end(OtherTransport(reason))
            case ClientFailed(SourceLoginRefused() | LoopRefused() | FeatureRefused() as error):
                self.end(SourceDenied(str(error)))
            case ClientFailed(error):
                self.end(SourceError(str(error)))
            case _:
                pass

    def end(self, error: ManycastError) -> None:
        if not self.ended.done():
            self.ended.set_exception(error)

    def close(self) -> None:
        if self._tick is not None:
            self._tick.cancel()
        if self._link is not None:
            self.client.tear_down()
            self.flush()
            self._link.close()
        if self.ended.done() and not self.ended.cancelled():
            self.ended.exception()  # whoever waited has it, or was cancelled

    async def _connect(self, on_data: Callable[[bytes], None]) -> Link | TunnelLink:
        if "+" in self._address.scheme:
            return await TunnelLink.open(self._address, self._options, USER_AGENT, on_data, self._hung_up)
        return await dial(self._address, lambda: Link(on_data, self._hung_up), self._options)

    def _hung_up(self, reason: str) -> None:
        self.end(SourceError(reason))

    def _handle_tick(self) -> None:
        self._tick = self._loop.call_later(TICK_S, self._handle_tick)
        now_s = time.monotonic()
        deadline_s = self.client.next_deadline_s()
        if deadline_s is not None and now_s >= deadline_s:
            self.handle(self.client.handle_timer(now_s=now_s), now_s)
        if self._on_tick is not None:
            self._on_tick(now_s)
        self.flush()
