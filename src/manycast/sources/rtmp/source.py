"""An RTMP server as a source."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Sequence
from urllib.parse import quote

from manycast.errors import ManycastError, ProtocolError
from manycast.hub.source import FrameSink, SourceDenied, SourceError
from manycast.media.track import Track
from manycast.sources.dialling import DialOptions, Link, dial
from manycast.sources.flv_messages import FlvIntake
from manycast.sources.loops import LoopGuard
from manycast.wire.address import SourceAddress
from manycast.wire.flv.message import FlvMessage, MessageType
from manycast.wire.rtmp.adobe_auth import login_query
from manycast.wire.rtmp.aggregate import split_aggregate
from manycast.wire.rtmp.chunk import RtmpMessage, RtmpType
from manycast.wire.rtmp.client import RtmpClient, RtmpEvent, RtmpRefused
from manycast.wire.rtmp.handshake import NOISE_BYTES
from manycast.wire.via import serialize_via

SILENCE_S = 10.0  # without a byte, from the beginning on
TICK_S = 1.0
MAX_LOGINS = 3  # connections: without a login, and two that a challenge takes


class Refused(ManycastError):
    """The server's word, which may ask for a login."""

    def __init__(self, refusal: RtmpRefused) -> None:
        super().__init__(str(refusal))
        self.description = refusal.description
        self.of_client = refusal.of_client


class RtmpSource:
    """Plays a stream of another server."""

    def __init__(self, address: SourceAddress, *, options: DialOptions, guard: LoopGuard, agent: str) -> None:
        self._address = address
        self._options = options
        self._guard = guard
        self._agent = agent

    async def run(self, publish: Callable[[Sequence[Track]], FrameSink]) -> None:
        """As `hub.source.Source` says."""
        query, address = "", self._address
        for _ in range(MAX_LOGINS):
            try:
                await _Session(address, query, self._options, self._guard, self._agent, publish).run()
                return
            except Refused as refused:
                following = self._login_after(query, refused.description)
                if following is None:
                    raise (SourceDenied if refused.of_client else SourceError)(str(refused)) from None
                query = following
        raise SourceDenied("the server refuses user and pass")

    def _login_after(self, query: str, description: str) -> str | None:
        """The next try's login: as the server asks for it, else in the query, as most servers have it."""
        user, password = self._address.user, self._address.password or ""
        if user is None:
            return None
        asked = login_query(description, user, password, challenge=secrets.token_hex(4))
        if asked is not None:
            return asked
        return None if query else f"user={quote(user, safe='')}&pass={quote(password, safe='')}"


class _Session:
    def __init__(
        self,
        address: SourceAddress,
        query: str,
        options: DialOptions,
        guard: LoopGuard,
        agent: str,
        publish: Callable[[Sequence[Track]], FrameSink],
    ) -> None:
        self._address = address
        self._options = options
        self._guard = guard
        via = serialize_via("RTMP", guard.marks())
        noise = secrets.token_bytes(NOISE_BYTES)
        self._client = RtmpClient(address, login_query=query, noise=noise, agent=agent, via=via)
        self._intake = FlvIntake(publish)
        self._link: Link | None = None
        self._ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._latest_s = time.monotonic()

    async def run(self) -> None:
        """Returns at the end of the stream. Raises SourceError, Refused."""
        self._link = await dial(self._address, lambda: Link(self._data, self._hung_up), self._options)
        began_s = time.monotonic()
        try:
            self._guard.check(self._address, self._link.local, self._link.peer)
            self._link.write(self._client.bytes_to_send())
            while not self._ended.done():
                await asyncio.wait([self._ended], timeout=TICK_S)
                self._watch(began_s, time.monotonic())
            self._ended.result()
        finally:
            self._link.close()
            if self._ended.done() and not self._ended.cancelled():
                self._ended.exception()

    def _watch(self, began_s: float, now_s: float) -> None:
        if now_s - self._latest_s > SILENCE_S:
            raise SourceError(f"nothing has come for {SILENCE_S:.0f} s")
        if not self._intake.published and now_s - began_s > SILENCE_S:
            fault = self._intake.last_fault
            raise SourceError(fault or f"neither pictures nor sound have come for {SILENCE_S:.0f} s")

    def _data(self, data: bytes) -> None:
        self._latest_s = time.monotonic()
        try:
            for event in self._client.receive(data):
                self._handle(event)
        except ProtocolError as error:
            self._end(SourceError(f"what answers there does not speak RTMP as it should: {error}"))
        except ManycastError as error:
            self._end(error)
        if self._link is not None:
            self._link.write(self._client.bytes_to_send())

    def _handle(self, event: RtmpEvent) -> None:
        if isinstance(event, RtmpRefused):
            self._end(Refused(event))
        elif not isinstance(event, RtmpMessage):
            self._end(None)
        elif event.kind == RtmpType.AGGREGATE:
            for part in split_aggregate(event):
                self._intake.push(part, now_s=self._latest_s)
        else:
            message = FlvMessage(MessageType(event.kind), event.timestamp_ms, event.body)
            self._intake.push(message, now_s=self._latest_s)

    def _hung_up(self, reason: str) -> None:
        self._end(SourceError(reason))

    def _end(self, error: ManycastError | None) -> None:
        if self._ended.done():
            return
        if error is None:
            self._ended.set_result(None)
        else:
            self._ended.set_exception(error)
