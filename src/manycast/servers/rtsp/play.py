"""Sessions that play."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from manycast.errors import ProtocolError
from manycast.hub.catalogue import Catalogue
from manycast.hub.pace import NORMAL_PACE
from manycast.hub.stream import Stream, StreamEnded
from manycast.media.track import MediaKind
from manycast.servers.rtsp.addresses import name_in
from manycast.servers.rtsp.backchannel import SLOT as SPEECH_SLOT
from manycast.servers.rtsp.backchannel import SpeechPart, speakable
from manycast.servers.rtsp.connection import LINGER_S, RtspConnection
from manycast.servers.rtsp.context import RtspContext
from manycast.servers.rtsp.file_target import FileTarget
from manycast.servers.rtsp.multicast import MulticastTransport
from manycast.servers.rtsp.options import ANNOUNCED_TIMEOUT_S, RECLAIM_TIMEOUT_S
from manycast.servers.rtsp.reply import Reply
from manycast.servers.rtsp.srtp_transport import SrtpTransport
from manycast.servers.rtsp.targets import LiveTarget, PlayInfo, Target
from manycast.servers.rtsp.transports import (
    InterleavedTransport,
    PlayTransport,
    RtcpSink,
    UdpTransport,
    offered_transports,
)
from manycast.servers.rtsp.udp_ports import SessionPorts
from manycast.wire.rtp.rtcp import ReceiverReport, ReportBlock, SenderReport, parse_compound
from manycast.wire.rtsp.errors import (
    AggregateOperationNotAllowed,
    KeyManagementFailure,
    MethodNotValidInThisState,
    NotFound,
    OnlyAggregateOperationAllowed,
    RtspError,
    UnsupportedTransport,
)
from manycast.wire.rtsp.headers import (
    RtpInfo,
    SessionHeader,
    TransportSpec,
    parse_range,
    parse_scale,
    parse_speed,
    serialize_factor,
    serialize_rtp_info,
)
from manycast.wire.rtsp.message import Request, Response
from manycast.wire.rtsp.state import SessionState
from manycast.wire.rtsp.url import Control, RtspUrl, Side

REFUSED_S = 2.0  # a client's host that refuses packets for so long: the player is gone
SLOTS = {MediaKind.VIDEO: 0, MediaKind.AUDIO: 2, MediaKind.APPLICATION: 4}  # in a session's eight ports


async def open_target(
    catalogue: Catalogue, name: str, loops: int, on_end: Callable[[str], None]
) -> LiveTarget | FileTarget:
    """What a name stands for, ready to be set up. Raises NotFound, SourceError."""
    found = await catalogue.find(name)
    if found is None:
        raise NotFound(f"nothing is called {name!r}")
    if not isinstance(found, Stream):
        return FileTarget(catalogue.title(found), loops, on_end)
    try:
        return LiveTarget(found, on_end)
    except StreamEnded as error:
        raise NotFound(f"{name} has just ended: {error}") from error


@dataclass(slots=True)
class _Part:
    """What plays in a session by a clock of its own: the stream or file itself, the metadata at its side."""

    target: Target
    first_track: int  # the session numbers the tracks of all its parts in one row
    viewer: Any = None
    layout: Any = None

    @property
    def tracks(self) -> range:
        return range(self.first_track, self.first_track + len(self.target.tracks))


class PlaySession:
    """One viewer: tracks set up over one transport, played from one stream or file and what is at its side."""

    def __init__(self, context: RtspContext, connection: RtspConnection, session_id: str, name: str) -> None:
        self.id = session_id
        self.publishing = False
        self.state = SessionState.INIT
        self.last_sign_s = time.monotonic()
        self.name = name
        self._context = context
        self._opened_s = self.last_sign_s
        self._connection = connection  # the one it was opened on; interleaved media stays on it
        self._log = connection.log
        self._main: _Part | None = None
        self._metadata: _Part | None = None
        self._speech: SpeechPart | None = None  # what the client says
        self._transport: PlayTransport | None = None
        self._track_urls: dict[int, str] = {}
        self._started = False  # PLAY came once: the viewers are made
        self._refused_s: tuple[float, float] | None = None  # first and latest refusal of a row
        self._reports: dict[int, ReportBlock] = {}
        self._closed = False

    # Requests

    async def setup(self, connection: RtspConnection, request: Request) -> Reply:
        if self._started:  # RFC 2326 appendix A.2 would let a transport change; no client does that
            raise MethodNotValidInThisState("SETUP", "after PLAY", ("PLAY", "PAUSE", "TEARDOWN"))
        if name_in(request.uri) != self.name:
            raise AggregateOperationNotAllowed(f"the session is for {self.name!r}: open another for another stream")
        if self._main is None:
            self._main = _Part(await self._open_main(connection, request), 0)
        _url, control = RtspUrl.parse(request.uri).split_control()
        if control is Side.BACKCHANNEL:
            agreed = self._agree_speech(connection, request)
        else:
            track_index = self._track_of(self._main, control)
            agreed = self._agree(connection, request, track_index)
            self._track_urls[track_index] = request.uri
        self.state = SessionState.READY
        response = Response(status=200)
        response.headers.set("Transport", agreed.serialize())
        response.headers.set("Session", SessionHeader(self.id, ANNOUNCED_TIMEOUT_S).serialize())
        return Reply(response)

    async def play(self, connection: RtspConnection, request: Request) -> Reply:
        parts = self._parts_set_up(request)
        range_header = request.headers.get("Range")
        wanted = parse_range(range_header) if range_header else None
        scale_header, speed_header = request.headers.get("Scale"), request.headers.get("Speed")
        scale = parse_scale(scale_header) if scale_header else None
        speed = parse_speed(speed_header) if speed_header else None
        self._make_viewers(parts)
        unchanged = wanted is None and scale is None and speed is None
        infos: list[PlayInfo] = []
        if self.state is not SessionState.PLAYING or not (unchanged or self._position_s(parts) is None):
            infos = [
                await part.target.prepare(part.viewer, part.layout, wanted, scale=scale, speed=speed) for part in parts
            ]
        if infos and isinstance(self._transport, SrtpTransport):
            self._check_keys(self._transport, parts, infos)
        response = Response(status=200)
        response.headers.set("Session", SessionHeader(self.id, ANNOUNCED_TIMEOUT_S).serialize())
        if infos:
            response.headers.set("Range", infos[0].range)
            response.headers.set("RTP-Info", self._rtp_info(parts, infos))
        pace = infos[0].pace if infos else NORMAL_PACE  # what plays already and goes on is live
        if scale is not None:
            response.headers.set("Scale", serialize_factor(pace.scale))  # RFC 2326 section 12.34: which it really is
        if speed is not None:
            response.headers.set("Speed", serialize_factor(pace.speed))
        return Reply(response, then=partial(self._begin, parts))

    async def pause(self, connection: RtspConnection, request: Request) -> Reply:
        parts = self._parts_set_up(request)
        response = Response(status=200)
        response.headers.set("Session", SessionHeader(self.id, ANNOUNCED_TIMEOUT_S).serialize())
        range_header = request.headers.get("Range")
        if range_header and parts and self.state is SessionState.PLAYING:
            pause_s = parts[0].target.pause_at(parse_range(range_header))
            if pause_s is not None:
                response.headers.set("Range", f"npt={pause_s:.3f}-")
                return Reply(response)
        for part in parts:
            part.target.pause()
            if isinstance(self._transport, SrtpTransport):
                self._transport.paused(part.first_track, [sender.ssrc for sender in part.target.senders])
        if self._speech is not None:
            self._speech.playing = False
        self.state = SessionState.READY
        position_s = self._position_s(parts)
        if position_s is not None:
            response.headers.set("Range", f"npt={position_s:.3f}-")
        return Reply(response)

    def parameters(self) -> dict[str, str]:
        parameters = {}
        main = self._main
        if main is not None and (position_s := main.target.position_s()) is not None:
            parameters["position"] = f"npt={position_s:.3f}"
        if main is not None and main.viewer is not None:
            counters = main.viewer.counters
            parameters["frames_sent"] = str(counters.sent_frames)
            parameters["frames_dropped"] = str(counters.dropped_frames)
            parameters["bytes_sent"] = str(counters.sent_bytes)
            parameters["packets_lost"] = str(self._lost_packets)
        return parameters

    def _position_s(self, parts: Sequence[_Part]) -> float | None:
        return parts[0].target.position_s() if parts else None

    # Life

    def handle_timer(self, now_s: float) -> None:
        if self._speech is not None and self._transport is not None:
            report = self._speech.take_report(now_s)
            if report is not None:
                self._transport.send_rtcp(self._speech_track, report)
        if self._refused_s is not None and self._refused_s[1] - self._refused_s[0] > REFUSED_S:
            self.close("the client's ports are closed")
        elif self._transport is not None and not self._transport.answers and self.state is SessionState.PLAYING:
            return  # what the client reads is the sign of life: the connection ends when nothing moves
        elif self._connection.closed and self.state is not SessionState.PLAYING and now_s - self.last_sign_s > LINGER_S:
            self.close("its connection is gone and nothing plays")
        elif now_s - self.last_sign_s > RECLAIM_TIMEOUT_S:
            self.close(f"no sign of life for {RECLAIM_TIMEOUT_S:.0f} s")

    def torn_down(self) -> None:
        self._close("TEARDOWN", linger=False)

    def close(self, reason: str) -> None:
        self._close(reason, linger=not self._connection.closed)

    def _close(self, reason: str, *, linger: bool) -> None:
        if self._closed:
            return
        self._closed = True
        for part in self._parts:
            part.target.close(say_goodbye=True)
        if self._speech is not None:
            self._speech.close(reason)
        if self._transport is not None:
            self._transport.close()
        self.state = SessionState.INIT
        self._context.sessions.pop(self.id, None)
        self._connection.release(self, linger=linger)
        if self._main is not None and self._main.viewer is not None:
            played_s = time.monotonic() - self._opened_s
            lost = f", {self._lost_packets} packets lost on the way" if self._lost_packets else ""
            counters = self._main.viewer.counters
            self._log.info("viewer of %s closed after %.1f s: %s; %s%s", self.name, played_s, reason, counters, lost)

    def _source_ended(self, reason: str) -> None:
        """A live source is gone for good; a file may be played again."""
        if self._main is not None and self._main.target.position_s() is not None:
            if self._metadata is not None:
                # Players wait for the goodbye of every track they have set up.
                if isinstance(self._metadata.target, LiveTarget):
                    self._metadata.target.say_goodbye()
                self._metadata.target.pause()
            self.state = SessionState.READY
            self._log.info("viewer of %s: %s", self.name, reason)
        else:
            self._close(reason, linger=True)

    def _begin(self, parts: Sequence[_Part]) -> None:
        if self._closed:
            return
        if self.state is not SessionState.PLAYING:
            self._log.info("plays %s over %s", self.name, self._transport)
        self.state = SessionState.PLAYING
        for part in parts:
            part.target.begin()
        if self._speech is not None:
            self._speech.playing = True

    # Tracks and their transport

    @property
    def _parts(self) -> list[_Part]:
        return [part for part in (self._main, self._metadata) if part is not None]

    def _track_of(self, main: _Part, control: Control | None) -> int:
        """Which track of the session a SETUP is for; what is at the stream's side is opened for it."""
        count = len(main.target.tracks)
        if control is None:
            if count > 1:
                raise AggregateOperationNotAllowed(f"{self.name} has {count} tracks: SETUP one of them")
            return 0
        if control is Side.METADATA and self._context.options.metadata:
            if self._metadata is None:
                self._metadata = _Part(self._open_metadata(), count)
            return self._metadata.first_track
        if not isinstance(control, int) or control >= count:
            name = f"track {control}" if isinstance(control, int) else control.name.lower()
            raise NotFound(f"{self.name} has no {name}")
        return control

    async def _open_main(self, connection: RtspConnection, request: Request) -> Target:
        """What is played: the session's own, or that of its multicast group."""
        context = self._context
        open_own = partial(open_target, context.catalogue, self.name, context.options.loops)
        if not self._wish(connection, request).multicast:
            return await open_own(self._source_ended)
        path = context.catalogue.path_of(self.name)
        group = await context.multicast.find(path, connection.local_address, open_own)
        self._transport = MulticastTransport(group, connection, self._rtcp_received)
        self._hold(connection, ends_here=False)
        return group.main.member(self._source_ended)

    def _open_metadata(self) -> Target:
        feed = self._context.catalogue.metadata(self.name)
        if isinstance(self._transport, MulticastTransport):
            return self._transport.side(partial(LiveTarget, feed)).member(self._metadata_ended)
        return LiveTarget(feed, self._metadata_ended)

    def _metadata_ended(self, _reason: str) -> None:
        """What it is about goes on."""

    @property
    def _speech_track(self) -> int:
        """The number of what the client says: behind the tracks of all parts."""
        assert self._main is not None
        return len(self._main.target.tracks) + 1

    def _agree_speech(self, connection: RtspConnection, request: Request) -> TransportSpec:
        catalogue = self._context.catalogue
        path = catalogue.path_of(self.name)
        backchannels = speakable(catalogue.backchannels, path)
        if backchannels is None:
            raise NotFound(f"{self.name} has no back channel")
        spec, transport = self._transport_for(connection, request)
        if spec.multicast:
            raise UnsupportedTransport("what a client says cannot come by multicast")
        speech = self._speech or SpeechPart(backchannels, path, f"RTSP client {connection.peer}", self._log)
        try:
            if isinstance(transport, SrtpTransport):
                transport.take_key(request, self._speech_track)
            agreed = transport.set_up(spec, self._speech_track, SPEECH_SLOT, self._speech_received)
        except RtspError:
            if self._speech is None:
                speech.close("refused")  # the floor is for others
            raise
        speech.set_up(ordered=spec.is_tcp)
        self._speech = speech
        return agreed

    def _speech_received(self, data: bytes, now_s: float) -> None:
        self.last_sign_s = now_s
        if self._speech is not None:
            self._speech.rtp_received(data, now_s)

    def _agree(self, connection: RtspConnection, request: Request, track_index: int) -> TransportSpec:
        spec, transport = self._transport_for(connection, request)
        part = next(part for part in self._parts if track_index in part.tracks)
        number = track_index - part.first_track
        if isinstance(transport, SrtpTransport):
            transport.take_key(request, track_index)
        agreed = transport.set_up(spec, track_index, SLOTS[part.target.tracks[number].kind])
        if isinstance(transport, SrtpTransport):
            return agreed  # GStreamer that is told the SSRC here does not look up its roll-over counter
        return replace(agreed, ssrc=part.target.senders[number].ssrc)

    def _wish(self, connection: RtspConnection, request: Request) -> TransportSpec:
        """The first transport of the client's list that can be given (RFC 2326 section 12.39)."""
        options = self._context.options
        offered = offered_transports(
            request, secure=connection.link.secure, srtp=options.srtp, multicast=options.multicast
        )
        if offered[0].is_record:
            raise UnsupportedTransport("mode=record without ANNOUNCE")
        return offered[0]

    def _transport_for(self, connection: RtspConnection, request: Request) -> tuple[TransportSpec, PlayTransport]:
        spec = self._wish(connection, request)
        if self._transport is None:
            self._transport = self._open_transport(connection, spec)
        if not self._transport.fits(connection, spec):
            raise UnsupportedTransport(f"one session has one transport: this one has {self._transport}")
        return spec, self._transport

    def _open_transport(self, connection: RtspConnection, spec: TransportSpec) -> PlayTransport:
        make_transport = partial(self._make_transport, connection, spec)
        transport: PlayTransport
        if spec.is_secure:
            keys = connection.told_keys.get(self.name)
            if keys is None:
                raise KeyManagementFailure("no keys were told on this connection: DESCRIBE first")
            transport = SrtpTransport(make_transport, keys, self._rtcp_received, self._log)
        else:
            transport = make_transport(self._rtcp_received)
        self._hold(connection, ends_here=spec.is_tcp)
        return transport

    def _hold(self, connection: RtspConnection, *, ends_here: bool) -> None:
        connection.hold(self, ends_here=ends_here)
        self._connection = connection

    def _make_transport(self, connection: RtspConnection, spec: TransportSpec, on_rtcp: RtcpSink) -> PlayTransport:
        if spec.is_tcp:
            return InterleavedTransport(connection, on_rtcp)
        return UdpTransport(
            SessionPorts(self._context.udp_ports, connection.local_address),
            connection.peer_address,
            on_rtcp,
            self._refused,
            segmentation=self._context.options.segmentation,
        )

    def _parts_set_up(self, request: Request) -> list[_Part]:
        """What PLAY and PAUSE are for: all tracks at once (RFC 2326 section 10.5)."""
        media = len(self._track_urls) + (self._speech is not None)
        if self._transport is None or not media:
            raise MethodNotValidInThisState(request.method, "without SETUP of a track", ("SETUP",))
        _url, control = RtspUrl.parse(request.uri).split_control()
        if control is not None and media > 1:
            raise OnlyAggregateOperationAllowed("ask for the whole address, not for one track")
        return [part for part in self._parts if not self._track_urls.keys().isdisjoint(part.tracks)]

    def _make_viewers(self, parts: Sequence[_Part]) -> None:
        assert self._transport is not None
        self._started = True
        for part in parts:
            if part.viewer is None:
                part.viewer, part.layout = self._transport.viewer(part.tracks, part.target.limit)

    def _check_keys(self, transport: SrtpTransport, parts: Sequence[_Part], infos: Sequence[PlayInfo]) -> None:
        for part, info in zip(parts, infos, strict=True):
            for track_index, sender, start in zip(part.tracks, part.target.senders, info.starts, strict=True):
                if track_index in self._track_urls:
                    transport.check(track_index, sender.ssrc, start)

    def _rtp_info(self, parts: Sequence[_Part], infos: Sequence[PlayInfo]) -> str:
        starts = {
            part.first_track + number: start
            for part, info in zip(parts, infos, strict=True)
            for number, start in enumerate(info.starts)
        }
        return serialize_rtp_info(
            [
                RtpInfo(url=url, seq=starts[index].sequence, rtptime=starts[index].rtp_timestamp)
                for index, url in sorted(self._track_urls.items())
            ]
        )

    # Signs of life

    @property
    def _lost_packets(self) -> int:
        """What the viewer's latest receiver reports say (duplicates make it negative)."""
        return max(0, sum(report.cumulative_lost for report in self._reports.values()))

    def _rtcp_received(self, track_index: int, data: bytes) -> None:
        self.last_sign_s = time.monotonic()
        self._refused_s = None
        if self._speech is not None and track_index == self._speech_track:
            self._speech.rtcp_received(data, self.last_sign_s)
            return
        try:
            packets = parse_compound(data)
        except ProtocolError:
            return  # a sign of life all the same: some players send a dummy to open a NAT's path
        for packet in packets:
            if isinstance(packet, ReceiverReport | SenderReport) and packet.reports:
                self._reports[track_index] = packet.reports[0]

    def _refused(self) -> None:
        now_s = time.monotonic()
        if self._refused_s is None or now_s - self._refused_s[1] > REFUSED_S:
            self._refused_s = (now_s, now_s)
        else:
            self._refused_s = (self._refused_s[0], now_s)
