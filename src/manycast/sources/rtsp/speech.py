"""A session with an RTSP server in which we speak: its back channel (ONVIF Streaming Specification)."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence

from manycast.hub.source import FrameSink, SourceDenied, SourceError
from manycast.media.frame import Frame
from manycast.sources.dialling import DialOptions
from manycast.sources.path_log import AnyLog
from manycast.sources.rtsp.dialogue import Connected, Dialogue
from manycast.sources.rtsp.medium import Medium
from manycast.wire.address import SourceAddress
from manycast.wire.rtp.sender import MAX_PAYLOAD_BYTES, RtpTrackSender
from manycast.wire.rtsp.client import ClientEvent, ClientFailed, Described, FeatureRefused, Playing, TransportAgreed
from manycast.wire.rtsp.described import CarriedMedia
from manycast.wire.rtsp.source_description import SourceMedia

FEATURE_TAG = "www.onvif.org/ver20/backchannel"
REPORT_INTERVAL_S = 5.0

_random = random.SystemRandom()


class SpeechSession:
    """Sets up the back channel, and nothing else."""

    def __init__(
        self, address: SourceAddress, *, udp: bool, options: DialOptions, connected: Connected, log: AnyLog
    ) -> None:
        self._transfer = "UDP" if udp else "TCP"
        self._connected = connected
        self._log = log
        self._dialogue = Dialogue(address, options, self._handle, require=FEATURE_TAG)
        self._ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._medium: Medium | None = None  # the back channel
        self._ssrc = _random.getrandbits(32)

    async def open(self) -> tuple[CarriedMedia, ...]:
        """Connect and begin; returns what may be sent, the server's favourite first.

        Raises SourceError, SourceDenied, MovedElsewhere, OtherTransport.
        """
        await self._dialogue.open(self._connected)
        await asyncio.wait([self._ready, self._dialogue.ended], return_when=asyncio.FIRST_COMPLETED)
        if not self._ready.done():
            self._dialogue.ended.result()
        assert self._medium is not None
        return self._medium.described.spoken

    async def ended(self) -> None:
        """Wait until the server ends it. Raises as `open` does."""
        await asyncio.shield(self._dialogue.ended)

    def sink(self, offer: CarriedMedia) -> FrameSink:
        """What sends frames of one of the offers."""
        assert self._medium is not None
        return _Voice(self._medium, self._dialogue, offer, self._ssrc)

    def close(self) -> None:
        self._dialogue.close()
        if self._medium is not None:
            self._medium.close()

    def _handle(self, event: ClientEvent, now_s: float) -> None:
        match event:
            case Described(media):
                self._choose(media, now_s)
            case TransportAgreed(_, spec):
                assert self._medium is not None
                self._medium.agree(spec)
            case Playing():
                self._ready.set_result(None)
            case ClientFailed(FeatureRefused()):
                self._dialogue.end(SourceDenied("it has no back channel (551)"))
            case _:
                self._dialogue.end_by(event)

    def _choose(self, described: Sequence[SourceMedia], now_s: float) -> None:
        spoken = next((item for item in described if item.spoken), None)
        if spoken is None:
            self._dialogue.end(SourceDenied("it has no back channel, or one of codecs that nobody here knows"))
            return
        medium = self._medium = Medium(spoken, self._dialogue)
        try:
            spec = medium.ask_for(self._transfer, channel=0, ssrc=self._ssrc, log=self._log)
        except SourceError as error:
            self._dialogue.end(error)
            return
        keys = {} if medium.keys is None else {described.index(spoken): medium.keys.message()}
        specs = [spec if item is spoken else None for item in described]
        self._dialogue.handle(self._dialogue.client.set_up(specs, keys=keys, now_s=now_s), now_s)


class _Voice:
    """Frames to packets."""

    def __init__(self, medium: Medium, dialogue: Dialogue, offer: CarriedMedia, ssrc: int) -> None:
        self._medium = medium
        self._dialogue = dialogue
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
            self._medium.send(packet)
        now_s = time.monotonic()
        if now_s >= self._report_due_s:
            self._report_due_s = now_s + REPORT_INTERVAL_S
            self._medium.send_report(self._sender.sender_report(unix_s=time.time(), ticks=frame.pts_ticks))
        self._dialogue.flush()
