"""One session with an RTSP server."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from functools import partial

import manycast
from manycast.errors import ManycastError
from manycast.hub.source import FrameSink, SourceDenied, SourceError
from manycast.media.frame import Frame
from manycast.media.track import Track
from manycast.sources.dialling import DialOptions, Link, dial
from manycast.sources.path_log import AnyLog
from manycast.sources.rtsp.keys import MediumKeys
from manycast.sources.rtsp.tunnel import TunnelLink
from manycast.sources.rtsp.udp import MediaSockets, Sink
from manycast.wire.address import SourceAddress
from manycast.wire.rtp.receiver import RtpSessionReceiver
from manycast.wire.rtsp.client import (
    ClientEvent,
    ClientFailed,
    Described,
    LoopRefused,
    Playing,
    Redirected,
    RtspClient,
    SourceLoginRefused,
    TransportAgreed,
    TransportRefused,
)
from manycast.wire.rtsp.headers import TransportSpec
from manycast.wire.rtsp.receiver import InterleavedReceived
from manycast.wire.rtsp.source_description import SourceMedia

TICK_S = 0.5
UDP_SILENCE_S = 3.0  # then something on the way keeps datagrams back, and TCP is tried
SILENCE_S = 10.0  # without a packet, the source is gone
REPORT_INTERVAL_S = 5.0
MAX_EARLY_PACKETS = 2000  # that come before the answer to PLAY

USER_AGENT = f"Manycast/{manycast.__version__}"

_random = random.SystemRandom()


class MovedElsewhere(ManycastError):
    """The server sends its clients to another address."""

    def __init__(self, address: SourceAddress) -> None:
        super().__init__(f"redirected to {address}")
        self.address = address


class OtherTransport(ManycastError):
    """Media do not come this way."""


async def open_link(
    address: SourceAddress, options: DialOptions, on_data: Callable[[bytes], None], on_end: Callable[[str], None]
) -> Link | TunnelLink:
    """A connection to an RTSP server. Raises SourceError."""
    if "+" in address.scheme:
        return await TunnelLink.open(address, options, USER_AGENT, on_data, on_end)
    return await dial(address, lambda: Link(on_data, on_end), options)


class _Medium:
    """One medium of the session, from its description to its packets."""

    def __init__(self, described: SourceMedia) -> None:
        self.described = described
        self.sockets: MediaSockets | None = None
        self.keys: MediumKeys | None = None  # with SRTP
        self.agreed: TransportSpec | None = None
        self.track_index: int | None = None  # once it plays


class ClientSession:
    """Connects, plays, and pushes what comes until the end."""

    def __init__(
        self,
        address: SourceAddress,
        transfer: str,
        publish: Callable[[Sequence[Track]], FrameSink],
        connected: Callable[[tuple[str, int], tuple[str, int]], None],
        options: DialOptions,
        log: AnyLog,
        via: Sequence[bytes] = (),
    ) -> None:
        """`transfer` is TCP, UDP or MULTICAST. `connected` is told both ends, and may raise SourceError. `via` are the
        marks of all who get the stream through us.
        """
        self.received = False  # whether any packet has come
        self._address = address
        self._transfer = transfer
        self._publish = publish
        self._connected = connected
        self._options = options
        self._log = log
        self._loop = asyncio.get_running_loop()
        cnonce = f"{_random.getrandbits(64):016x}"
        self._client = RtspClient(address, user_agent=USER_AGENT, cnonce=cnonce, via=via)
        self._link: Link | TunnelLink | None = None
        self._ended: asyncio.Future[None] = self._loop.create_future()
        self._media: list[_Medium] = []
        self._channels: dict[int, Sink] = {}
        self._early: list[InterleavedReceived] = []
        self._tracks: list[Track] = []  # of those that play
        self._receiver: RtpSessionReceiver | None = None
        self._sink: FrameSink | None = None
        self._ssrc = _random.getrandbits(32)
        self._last_packet_s = 0.0
        self._playing_s = 0.0
        self._next_report_s = 0.0
        self._tick: asyncio.TimerHandle | None = None
        self._holes: asyncio.TimerHandle | None = None

    async def run(self) -> None:
        """Ends by an error, always. Raises SourceError, MovedElsewhere, OtherTransport."""
        try:
            self._link = await open_link(self._address, self._options, self._data, self._hung_up)
            self._connected(self._link.local, self._link.peer)
            self._client.start(now_s=time.monotonic())
            self._flush()
            self._tick = self._loop.call_later(TICK_S, self._handle_tick)
            await self._ended
        finally:
            self._close()

    def _close(self) -> None:
        for timer in (self._tick, self._holes):
            if timer is not None:
                timer.cancel()
        for medium in self._media:
            if medium.sockets is not None:
                medium.sockets.close()
        if self._link is not None:
            self._client.tear_down()
            self._flush()
            self._link.close()
        if self._receiver is not None:
            self._log_losses(self._receiver)
        if self._ended.done() and not self._ended.cancelled():
            self._ended.exception()  # whoever ran it has it, or was cancelled

    # What comes in

    def _data(self, data: bytes) -> None:
        now_s = time.monotonic()
        channels = self._channels
        for event in self._client.receive(data, now_s=now_s):
            if type(event) is InterleavedReceived and self._receiver is not None:
                sink = channels.get(event.channel)
                if sink is not None:
                    sink(event.payload, now_s)
            else:
                self._handle(event, now_s)
        self._flush()

    def _handle(self, event: ClientEvent, now_s: float) -> None:
        match event:
            case InterleavedReceived():
                if len(self._early) < MAX_EARLY_PACKETS:
                    self._early.append(event)
            case Described(media):
                self._choose(media, now_s)
            case TransportAgreed(index, spec):
                self._agree(self._media[index], spec)
            case Playing():
                self._start_receiving(now_s)
            case Redirected(address):
                self._end(MovedElsewhere(address))
            case TransportRefused(reason):
                self._end(OtherTransport(reason))
            case ClientFailed(SourceLoginRefused() | LoopRefused() as error):
                self._end(SourceDenied(str(error)))
            case ClientFailed(error):
                self._end(SourceError(str(error)))

    def _hung_up(self, reason: str) -> None:
        self._end(SourceError(reason))

    def _end(self, error: ManycastError) -> None:
        if not self._ended.done():
            self._ended.set_exception(error)

    # Setting up

    def _choose(self, described: Sequence[SourceMedia], now_s: float) -> None:
        self._media = [_Medium(item) for item in described]
        for item in described:
            if item.refusal:
                fate = "left out" if item.carried is None else "passed on as it is"
                self._log.info("%s: %s", fate, item.refusal)
        if not any(item.carried for item in described):
            self._end(SourceError("nothing in it can be carried: " + "; ".join(item.refusal for item in described)))
            return
        try:
            specs = [self._spec_for(position, medium) for position, medium in enumerate(self._media)]
        except SourceError as error:
            self._end(error)
            return
        keys = {index: medium.keys.message() for index, medium in enumerate(self._media) if medium.keys is not None}
        for event in self._client.set_up(specs, keys=keys, now_s=now_s):
            self._handle(event, now_s)

    def _spec_for(self, position: int, medium: _Medium) -> TransportSpec | None:
        if medium.described.carried is None:
            return None
        assert self._link is not None
        profile = "RTP/AVP"
        if medium.described.key is not None:
            medium.keys = MediumKeys(medium.described.key, self._ssrc, self._log)
            profile = "RTP/SAVP"
        if self._transfer == "MULTICAST":
            return TransportSpec(protocol=profile, multicast=True)
        if self._transfer == "UDP":
            medium.sockets = MediaSockets.unicast(self._link.local[0], self._link.peer[0])
            return TransportSpec(protocol=profile, client_port=medium.sockets.ports)
        return TransportSpec(protocol=f"{profile}/TCP", interleaved=(2 * position & 0xFE, (2 * position & 0xFE) + 1))

    def _agree(self, medium: _Medium, spec: TransportSpec) -> None:
        assert self._link is not None
        medium.agreed = spec
        if spec.multicast and medium.sockets is None:
            group = spec.destination or medium.described.group
            ports = spec.port or (medium.described.group_port, medium.described.group_port + 1)
            if group is None or not ports[0]:
                self._end(OtherTransport("the server names no multicast group"))
                return
            try:
                source = spec.source or self._link.peer[0]
                medium.sockets = MediaSockets.multicast(group, ports, source, self._link.local[0])
            except (SourceError, ValueError) as error:
                self._end(OtherTransport(str(error)))
        elif medium.sockets is not None and spec.server_port is not None:
            medium.sockets.open_way(self._link.peer[0], spec.server_port)

    def _start_receiving(self, now_s: float) -> None:
        agreed = [medium for medium in self._media if medium.agreed is not None]
        self._tracks = [medium.described.carried.track for medium in agreed if medium.described.carried is not None]
        self._receiver = RtpSessionReceiver(self._tracks, ssrc=self._ssrc, cname="manycast")
        self._last_packet_s = self._playing_s = now_s
        self._next_report_s = now_s + REPORT_INTERVAL_S
        for index, medium in enumerate(agreed):
            carried, spec = medium.described.carried, medium.agreed
            assert carried is not None
            assert spec is not None
            medium.track_index = index
            ordered = spec.is_tcp
            self._receiver.add_track(index, carried.payload_type, carried.payload_format, ordered=ordered)
            rtp: Sink = partial(self._rtp, index)
            rtcp: Sink = partial(self._rtcp, index)
            if medium.keys is not None:
                rtp, rtcp = medium.keys.opening_rtp(rtp), medium.keys.opening_rtcp(rtcp)
            if medium.sockets is not None:
                medium.sockets.start(rtp, rtcp)
            elif spec.interleaved is not None:
                self._channels[spec.interleaved[0]] = rtp
                self._channels[spec.interleaved[1]] = rtcp
        early, self._early = self._early, []
        for packet in early:
            if packet.channel in self._channels:
                self._channels[packet.channel](packet.payload, now_s)

    # Media

    def _rtp(self, track_index: int, data: bytes, now_s: float) -> None:
        assert self._receiver is not None
        self._last_packet_s = now_s
        self.received = True
        frames = self._receiver.receive_rtp(track_index, data, now_s=now_s)
        if frames:
            self._push(frames)
        if self._holes is None and self._transfer != "TCP":
            self._arm_holes()

    def _rtcp(self, track_index: int, data: bytes, now_s: float) -> None:
        assert self._receiver is not None
        self._last_packet_s = now_s  # a source may have nothing to send for a while, and says so by its reports
        self._receiver.receive_rtcp(track_index, data, now_s=now_s)

    def _push(self, frames: Sequence[Frame]) -> None:
        if self._ended.done():
            return
        try:
            sink = self._sink
            if sink is None:
                sink = self._sink = self._publish(self._tracks)
            for frame in frames:
                sink.push(frame)
        except ManycastError as error:
            self._end(error)

    def _arm_holes(self) -> None:
        """Wake up when a packet has been waited for long enough."""
        assert self._receiver is not None
        deadline_s = self._receiver.next_deadline_s()
        if deadline_s is not None:
            self._holes = self._loop.call_later(max(0.0, deadline_s - time.monotonic()), self._give_up_holes)

    def _give_up_holes(self) -> None:
        assert self._receiver is not None
        self._holes = None
        self._push(self._receiver.handle_timer(now_s=time.monotonic()))
        self._arm_holes()

    # Time

    def _handle_tick(self) -> None:
        self._tick = self._loop.call_later(TICK_S, self._handle_tick)
        now_s = time.monotonic()
        deadline_s = self._client.next_deadline_s()
        if deadline_s is not None and now_s >= deadline_s:
            for event in self._client.handle_timer(now_s=now_s):
                self._handle(event, now_s)
        if self._receiver is not None:
            self._watch(self._receiver, now_s)
        self._flush()

    def _watch(self, receiver: RtpSessionReceiver, now_s: float) -> None:
        silence_s = now_s - self._last_packet_s
        if receiver.said_goodbye:
            self._end(SourceError("the server said goodbye"))
        elif not self.received and self._transfer != "TCP" and silence_s > UDP_SILENCE_S:
            self._end(OtherTransport(f"nothing arrives by {self._transfer}"))
        elif silence_s > SILENCE_S:
            self._end(SourceError(f"no packet for {SILENCE_S:.0f} s"))
        elif self._sink is None and now_s - self._playing_s > SILENCE_S:
            self._end(SourceError(f"packets come, but they make no frames: {_last_fault(receiver)}"))
        elif now_s >= self._next_report_s:
            self._next_report_s = now_s + REPORT_INTERVAL_S
            self._report(receiver, now_s)

    def _report(self, receiver: RtpSessionReceiver, now_s: float) -> None:
        for medium in self._media:
            if medium.track_index is None or medium.agreed is None:
                continue
            report = receiver.report(medium.track_index, now_s=now_s)
            if report is None:
                continue
            if medium.keys is not None:
                report = medium.keys.protect_report(report)
            if medium.sockets is not None:
                medium.sockets.send_report(report)
            elif medium.agreed.interleaved is not None:
                self._client.send_interleaved(medium.agreed.interleaved[1], report)

    def _flush(self) -> None:
        if self._link is not None:
            self._link.write(self._client.bytes_to_send())

    def _log_losses(self, receiver: RtpSessionReceiver) -> None:
        for index, track in receiver.tracks.items():
            counters = track.counters
            if counters.holes or counters.last_fault:
                self._log.warning(
                    "track %d: %d holes, %d late, %d malformed, %d of a wrong payload type, %d of a wrong source, "
                    "%d broken payloads; last fault: %s",
                    index,
                    counters.holes,
                    track.late_packets,
                    counters.malformed,
                    counters.wrong_payload_type,
                    counters.wrong_source,
                    counters.broken_payloads,
                    counters.last_fault or "lost packets",
                )


def _last_fault(receiver: RtpSessionReceiver) -> str:
    faults = (track.counters.last_fault for track in receiver.tracks.values())
    return next((fault for fault in faults if fault), "nothing is ever complete")
