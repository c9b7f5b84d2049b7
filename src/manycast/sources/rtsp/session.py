"""One session with an RTSP server."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from functools import partial

from manycast.errors import ManycastError
from manycast.hub.source import FrameSink, SourceError
from manycast.media.frame import Frame
from manycast.media.track import MediaKind, Track
from manycast.sources.dialling import DialOptions
from manycast.sources.path_log import AnyLog
from manycast.sources.rtsp.dialogue import Connected, Dialogue, OtherTransport
from manycast.sources.rtsp.medium import Medium
from manycast.sources.rtsp.udp import Sink
from manycast.wire.address import SourceAddress
from manycast.wire.rtp.receiver import RtpSessionReceiver
from manycast.wire.rtsp.client import ClientEvent, Described, Playing, TransportAgreed
from manycast.wire.rtsp.feedback import KeyframeFeedback
from manycast.wire.rtsp.headers import TransportSpec
from manycast.wire.rtsp.receiver import InterleavedReceived
from manycast.wire.rtsp.source_description import SourceMedia

UDP_SILENCE_S = 3.0  # then something on the way keeps datagrams back, and TCP is tried
SILENCE_S = 10.0  # without a packet, the source is gone
MEDIA_SILENCE_S = 30.0  # without pictures or sound, whatever else comes: reports go on where an encoder hangs
END_SILENCE_S = 3.0  # without pictures or sound, behind the end that the server named
REPORT_INTERVAL_S = 5.0
MAX_EARLY_PACKETS = 2000  # that come before the answer to PLAY

_random = random.SystemRandom()


class ClientSession:
    """Connects, plays, and pushes what comes until the end."""

    def __init__(
        self,
        address: SourceAddress,
        transfer: str,
        publish: Callable[[Sequence[Track]], FrameSink],
        connected: Connected,
        options: DialOptions,
        log: AnyLog,
        via: Sequence[bytes] = (),
    ) -> None:
        """`transfer` is TCP, UDP or MULTICAST. `via` are the marks of all who get the stream through us."""
        self.received = False  # whether any packet has come
        self._transfer = transfer
        self._publish = publish
        self._connected = connected
        self._log = log
        self._loop = asyncio.get_running_loop()
        self._dialogue = Dialogue(address, options, self._handle, via=via)
        self._media: list[Medium] = []  # all that are described
        self._playing: list[Medium] = []  # those that play, in the order of their tracks
        self._channels: dict[int, Sink] = {}
        self._early: list[InterleavedReceived] = []
        self._tracks: list[Track] = []
        self._steady = False  # something is among them that does not come now and then only
        self._receiver: RtpSessionReceiver | None = None
        self._sink: FrameSink | None = None
        self._ssrc = _random.getrandbits(32)
        self._last_packet_s = 0.0
        self._last_media_s = 0.0
        self._end_s: float | None = None  # when all that the server has will have been sent
        self._begun_s = 0.0
        self._next_report_s = 0.0
        self._holes: asyncio.TimerHandle | None = None

    async def run(self) -> None:
        """Ends by an error, always. Raises SourceError, MovedElsewhere, OtherTransport."""
        try:
            await self._dialogue.open(self._connected, on_data=self._data, on_tick=self._handle_tick)
            await self._dialogue.ended
        finally:
            self._close()

    def _close(self) -> None:
        if self._holes is not None:
            self._holes.cancel()
        for medium in self._media:
            medium.close()
        self._dialogue.close()
        if self._receiver is not None:
            self._log_losses(self._receiver)

    # What comes in

    def _data(self, data: bytes) -> None:
        now_s = time.monotonic()
        channels = self._channels
        for event in self._dialogue.client.receive(data, now_s=now_s):
            if type(event) is InterleavedReceived and self._receiver is not None:
                sink = channels.get(event.channel)
                if sink is not None:
                    sink(event.payload, now_s)
            else:
                self._handle(event, now_s)
        self._dialogue.flush()

    def _handle(self, event: ClientEvent, now_s: float) -> None:
        match event:
            case InterleavedReceived():
                if len(self._early) < MAX_EARLY_PACKETS:
                    self._early.append(event)
            case Described(media):
                self._choose(media, now_s)
            case TransportAgreed(index, spec):
                self._media[index].agree(spec)
            case Playing(duration_s):
                self._start_receiving(now_s)
                self._end_s = now_s + duration_s if duration_s is not None else None
            case _:
                self._dialogue.end_by(event)

    # Setting up

    def _choose(self, described: Sequence[SourceMedia], now_s: float) -> None:
        self._media = [Medium(item, self._dialogue) for item in described]
        for item in described:
            if item.refusal:
                fate = "left out" if item.carried is None else "passed on as it is"
                self._log.info("%s: %s", fate, item.refusal)
        if not any(item.carried for item in described):
            refusals = "; ".join(item.refusal for item in described)
            self._dialogue.end(SourceError(f"nothing in it can be carried: {refusals}"))
            return
        try:
            specs = [self._spec_for(position, medium) for position, medium in enumerate(self._media)]
        except SourceError as error:
            self._dialogue.end(error)
            return
        keys = {index: medium.keys.message() for index, medium in enumerate(self._media) if medium.keys is not None}
        self._dialogue.handle(self._dialogue.client.set_up(specs, keys=keys, now_s=now_s), now_s)

    def _spec_for(self, position: int, medium: Medium) -> TransportSpec | None:
        if medium.described.carried is None:
            return None
        return medium.ask_for(self._transfer, channel=2 * position & 0xFE, ssrc=self._ssrc, log=self._log)

    def _start_receiving(self, now_s: float) -> None:
        self._playing = [medium for medium in self._media if medium.agreed is not None]
        carried_media = (medium.described.carried for medium in self._playing)
        self._tracks = [carried.track for carried in carried_media if carried is not None]
        self._receiver = RtpSessionReceiver(self._tracks, ssrc=self._ssrc, cname="manycast")
        self._last_packet_s = self._last_media_s = self._begun_s = now_s
        self._steady = any(track.kind is not MediaKind.APPLICATION for track in self._tracks)
        self._next_report_s = now_s + REPORT_INTERVAL_S
        for index, medium in enumerate(self._playing):
            carried, spec = medium.described.carried, medium.agreed
            assert carried is not None
            assert spec is not None
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
        if self._tracks[track_index].kind is not MediaKind.APPLICATION:
            self._last_media_s = now_s
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
        if self._dialogue.ended.done():
            return
        try:
            sink = self._sink
            if sink is None:
                sink = self._sink = self._publish(self._tracks)
            for frame in frames:
                sink.push(frame)
        except ManycastError as error:
            self._dialogue.end(error)

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

    def _handle_tick(self, now_s: float) -> None:
        if self._receiver is not None:
            self._watch(self._receiver, now_s)
            if self._receiver.waits_for_keyframe:
                self.request_keyframe()

    def _watch(self, receiver: RtpSessionReceiver, now_s: float) -> None:
        silence_s = now_s - self._last_packet_s
        if receiver.said_goodbye:
            self._dialogue.end(SourceError("the server said goodbye"))
        elif not self.received and self._transfer != "TCP" and silence_s > UDP_SILENCE_S:
            self._dialogue.end(OtherTransport(f"nothing arrives by {self._transfer}"))
        elif silence_s > SILENCE_S:
            self._dialogue.end(SourceError(f"no packet for {SILENCE_S:.0f} s"))
        elif self._steady and now_s - self._last_media_s > MEDIA_SILENCE_S:
            self._dialogue.end(SourceError(f"no pictures or sound for {MEDIA_SILENCE_S:.0f} s"))
        elif self._steady and self._end_s is not None and now_s - max(self._end_s, self._last_media_s) > END_SILENCE_S:
            self._dialogue.end(SourceError("the server has sent all that it has"))
        elif self._sink is None and now_s - self._begun_s > SILENCE_S:
            self._dialogue.end(SourceError(f"packets come, but they make no frames: {_last_fault(receiver)}"))
        elif now_s >= self._next_report_s:
            self._next_report_s = now_s + REPORT_INTERVAL_S
            self._report(receiver, now_s)

    def _report(self, receiver: RtpSessionReceiver, now_s: float) -> None:
        for index, medium in enumerate(self._playing):
            report = receiver.report(index, now_s=now_s)
            if report is not None:
                medium.send_report(report)

    # Keyframes

    @property
    def makes_keyframes(self) -> bool:
        """The server has said that it listens to requests."""
        return any(_feedback_of(medium) for medium in self._playing)

    def request_keyframe(self) -> None:
        if self._receiver is None or self._dialogue.ended.done():
            return
        for index, medium in enumerate(self._playing):
            feedback = _feedback_of(medium)
            if feedback is None:
                continue
            full_intra = feedback is KeyframeFeedback.FULL_INTRA
            request = self._receiver.keyframe_request(index, full_intra=full_intra, now_s=time.monotonic())
            if request is not None:
                medium.send_report(request)
        self._dialogue.flush()

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


def _feedback_of(medium: Medium) -> KeyframeFeedback | None:
    carried = medium.described.carried
    return None if carried is None else carried.feedback


def _last_fault(receiver: RtpSessionReceiver) -> str:
    faults = (track.counters.last_fault for track in receiver.tracks.values())
    return next((fault for fault in faults if fault), "nothing is ever complete")
