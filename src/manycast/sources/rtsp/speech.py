"""A session with an RTSP server in which we speak: its back channel (ONVIF Streaming Specification)."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Sequence

from manycast.errors import ManycastError
from manycast.hub.source import FrameSink, SourceDenied, SourceError
from manycast.media.frame import Frame
from manycast.sources.dialling import DialOptions, Link
from manycast.sources.path_log import AnyLog
from manycast.sources.rtsp.keys import MediumKeys
from manycast.sources.rtsp.session import TICK_S, USER_AGENT, MovedElsewhere, OtherTransport, open_link
from manycast.sources.rtsp.tunnel import TunnelLink
from manycast.sources.rtsp.udp import MediaSockets
from manycast.wire.address import SourceAddress
from manycast.wire.rtp.sender import MAX_PAYLOAD_BYTES, RtpTrackSender
from manycast.wire.rtsp.client import (
    ClientEvent,
    ClientFailed,
    Described,
    FeatureRefused,
    Playing,
    Redirected,
    RtspClient,
    SourceLoginRefused,
    TransportAgreed,
    TransportRefused,
)
from manycast.wire.rtsp.described import CarriedMedia
from manycast.wire.rtsp.headers import TransportSpec
from manycast.wire.rtsp.source_description import SourceMedia

FEATURE_TAG = "www.onvif.org/ver20/backchannel"
REPORT_INTERVAL_S = 5.0

_random = random.SystemRandom()


class SpeechSession:
    """Sets up the back channel, and nothing else."""

    def __init__(
        self,
        address: SourceAddress,
        *,
        udp: bool,
        options: DialOptions,
        connected: Callable[[tuple[str, int], tuple[str, int]], None],
        log: AnyLog,
    ) -> None:
        """`connected` is told both ends, and may raise SourceError."""
        self._address = address
        self._udp = udp
        self._options = options
        self._connected = connected
        self._log = log
        self._loop = asyncio.get_running_loop()
        self._client = RtspClient(
            address, user_agent=USER_AGENT, cnonce=f"{_random.getrandbits(64):016x}", require=FEATURE_TAG
        )
        self._link: Link | TunnelLink | None = None
        self._ready: asyncio.Future[None] = self._loop.create_future()
        self._ended: asyncio.Future[None] = self._loop.create_future()
        self._medium: SourceMedia | None = None
        self._keys: MediumKeys | None = None
        self._sockets: MediaSockets | None = None
        self._agreed: TransportSpec | None = None
        self._ssrc = _random.getrandbits(32)
        self._tick: asyncio.TimerHandle | None = None

    async def open(self) -> tuple[CarriedMedia, ...]:
        """Connect and begin; returns what may be sent, the server's favourite first.

        Raises SourceError, SourceDenied, MovedElsewhere, OtherTransport.
        """
        self._link = await open_link(self._address, self._options, self._data, self._hung_up)
        self._connected(self._link.local, self._link.peer)
        self._client.start(now_s=time.monotonic())
        self._flush()
        self._tick = self._loop.call_later(TICK_S, self._handle_tick)
        await asyncio.wait([self._ready, self._ended], return_when=asyncio.FIRST_COMPLETED)
        if not self._ready.done():
            self._ended.result()
        assert self._medium is not None
        return self._medium.spoken

    async def ended(self) -> None:
        """Wait until the server ends it. Raises as `open` does."""
        await asyncio.shield(self._ended)

    def sink(self, offer: CarriedMedia) -> FrameSink:
        """What sends frames of one of the offers."""
        return _Voice(self, offer, self._ssrc)

    def send(self, packet: bytes, *, report: bool = False) -> None:
        if self._keys is not None:
            packet = self._keys.protect_report(packet) if report else self._keys.protect(packet)
        if self._sockets is not None:
            (self._sockets.send_report if report else self._sockets.send_packet)(packet)
        elif self._agreed is not None and self._agreed.interleaved is not None:
            self._client.send_interleaved(self._agreed.interleaved[report], packet)
            self._flush()

    def close(self) -> None:
        if self._tick is not None:
            self._tick.cancel()
        if self._link is not None:
            self._client.tear_down()
            self._flush()
            self._link.close()
        if self._sockets is not None:
            self._sockets.close()
        if self._ended.done() and not self._ended.cancelled():
            self._ended.exception()  # whoever waited has it

    def _data(self, data: bytes) -> None:
        now_s = time.monotonic()
        for event in self._client.receive(data, now_s=now_s):
            self._handle(event, now_s)
        self._flush()

    def _handle(self, event: ClientEvent, now_s: float) -> None:
        match event:
            case Described(media):
                self._choose(media, now_s)
            case TransportAgreed(_, spec):
                self._agreed = spec
                if self._sockets is not None and spec.server_port is not None and self._link is not None:
                    self._sockets.open_way(self._link.peer[0], spec.server_port)
            case Playing():
                self._ready.set_result(None)
            case Redirected(address):
                self._end(MovedElsewhere(address))
            case TransportRefused(reason):
                self._end(OtherTransport(reason))
            case ClientFailed(FeatureRefused()):
                self._end(SourceDenied("it has no back channel (551)"))
            case ClientFailed(SourceLoginRefused() as error):
                self._end(SourceDenied(str(error)))
            case ClientFailed(error):
                self._end(SourceError(str(error)))
            case _:
                pass  # its reports

    def _choose(self, described: Sequence[SourceMedia], now_s: float) -> None:
        medium = self._medium = next((item for item in described if item.spoken), None)
        if medium is None:
            self._end(SourceDenied("it has no back channel, or one of codecs that nobody here knows"))
            return
        try:
            spec = self._spec_for(medium)
        except SourceError as error:
            self._end(error)
            return
        keys = {} if self._keys is None else {described.index(medium): self._keys.message()}
        specs = [spec if item is medium else None for item in described]
        for event in self._client.set_up(specs, keys=keys, now_s=now_s):
            self._handle(event, now_s)

    def _spec_for(self, medium: SourceMedia) -> TransportSpec:
        assert self._link is not None
        profile = "RTP/AVP"
        if medium.key is not None:
            self._keys = MediumKeys(medium.key, self._ssrc, self._log)
            profile = "RTP/SAVP"
        if not self._udp:
            return TransportSpec(protocol=f"{profile}/TCP", interleaved=(0, 1))
        self._sockets = MediaSockets.unicast(self._link.local[0], self._link.peer[0])
        return TransportSpec(protocol=profile, client_port=self._sockets.ports)

    def _hung_up(self, reason: str) -> None:
        self._end(SourceError(reason))

    def _end(self, error: ManycastError) -> None:
        if not self._ended.done():
            self._ended.set_exception(error)

    def _handle_tick(self) -> None:
        self._tick = self._loop.call_later(TICK_S, self._handle_tick)
        now_s = time.monotonic()
        deadline_s = self._client.next_deadline_s()
        if deadline_s is not None and now_s >= deadline_s:
            for event in self._client.handle_timer(now_s=now_s):
                self._handle(event, now_s)
        self._flush()

    def _flush(self) -> None:
        if self._link is not None:
            self._link.write(self._client.bytes_to_send())


class _Voice:
    """Frames to packets."""

    def __init__(self, session: SpeechSession, offer: CarriedMedia, ssrc: int) -> None:
        self._session = session
        self._sender = RtpTrackSender(
            offer.payload_format.packetiser(offer.track, MAX_PAYLOAD_BYTES),
            clock_rate_hz=offer.track.clock_rate_hz,
            payload_type=offer.payload_type,
            ssrc=ssrc,
            first_sequence=_random.getrandbits(15),
            timestamp_offset=_random.getrandbits(32),
            cname="manycast",
        )
        self._report_due_s = 0.0

    def push(self, frame: Frame) -> None:
        for packet in self._sender.packets(frame):
            self._session.send(packet)
        now_s = time.monotonic()
        if now_s >= self._report_due_s:
            self._report_due_s = now_s + REPORT_INTERVAL_S
            self._session.send(self._sender.sender_report(unix_s=time.time(), ticks=frame.pts_ticks), report=True)
