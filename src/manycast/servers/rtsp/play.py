"""Sessions that play."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from manycast.errors import ProtocolError
from manycast.hub.catalogue import Catalogue
from manycast.hub.stream import Stream, StreamEnded
from manycast.media.track import MediaKind
from manycast.servers.rtsp.addresses import name_in
from manycast.servers.rtsp.connection import LINGER_S, RtspConnection
from manycast.servers.rtsp.context import RtspContext
from manycast.servers.rtsp.file_target import FileTarget
from manycast.servers.rtsp.options import ANNOUNCED_TIMEOUT_S, RECLAIM_TIMEOUT_S
from manycast.servers.rtsp.reply import Reply
from manycast.servers.rtsp.targets import LiveTarget, PlayInfo, Target
from manycast.servers.rtsp.transports import (
    InterleavedTransport,
    UdpTransport,
    agreed_transport,
    offered_transports,
)
from manycast.servers.rtsp.udp_ports import NoPortsLeft, SessionPorts
from manycast.wire.rtp.rtcp import ReceiverReport, ReportBlock, SenderReport, parse_compound
from manycast.wire.rtsp.errors import (
    AggregateOperationNotAllowed,
    MethodNotValidInThisState,
    NotEnoughBandwidth,
    NotFound,
    OnlyAggregateOperationAllowed,
    UnsupportedTransport,
)
from manycast.wire.rtsp.headers import (
    RtpInfo,
    SessionHeader,
    TransportSpec,
    parse_range,
    serialize_factor,
    serialize_rtp_info,
)
from manycast.wire.rtsp.message import Request, Response
from manycast.wire.rtsp.state import SessionState
from manycast.wire.rtsp.url import RtspUrl

REFUSED_S = 2.0  # a client's host that refuses packets for so long: the player is gone
SLOTS = {MediaKind.VIDEO: 0, MediaKind.AUDIO: 2}  # in a session's eight ports


async def open_target(catalogue: Catalogue, name: str, loops: int, on_end: Callable[[str], None]) -> Target:
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


class PlaySession:
    """One viewer: tracks set up over one transport, played from one target."""

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
        self._target: Target | None = None
        self._transport: InterleavedTransport | UdpTransport | None = None
        self._track_urls: dict[int, str] = {}
        self._viewer: Any = None
        self._layout: Any = None
        self._refused_s: tuple[float, float] | None = None  # first and latest refusal of a row
        self._reports: dict[int, ReportBlock] = {}
        self._closed = False

    # Requests

    async def setup(self, connection: RtspConnection, request: Request) -> Reply:
        if self._viewer is not None:  # RFC 2326 appendix A.2 would let a transport change; no client does that
            raise MethodNotValidInThisState("SETUP", "after PLAY", ("PLAY", "PAUSE", "TEARDOWN"))
        if name_in(request.uri) != self.name:
            raise AggregateOperationNotAllowed(f"the session is for {self.name!r}: open another for another stream")
        _url, track_index = RtspUrl.parse(request.uri).split_control()
        if self._target is None:
            self._target = await open_target(
                self._context.catalogue, self.name, self._context.options.loops, self._source_ended
            )
        tracks = self._target.tracks
        if track_index is None:
            if len(tracks) > 1:
                raise AggregateOperationNotAllowed(f"{self.name} has {len(tracks)} tracks: SETUP one of them")
            track_index = 0
        if track_index >= len(tracks):
            raise NotFound(f"{self.name} has no track {track_index}")
        agreed = self._agree(connection, request, track_index)
        self._track_urls[track_index] = request.uri
        self.state = SessionState.READY
        response = Response(status=200)
        response.headers.set("Transport", agreed.serialize())
        response.headers.set("Session", SessionHeader(self.id, ANNOUNCED_TIMEOUT_S).serialize())
        return Reply(response)

    async def play(self, connection: RtspConnection, request: Request) -> Reply:
        self._check_aggregate(request)
        target, transport = self._target, self._transport
        assert target is not None
        assert transport is not None
        range_header = request.headers.get("Range")
        wanted = parse_range(range_header) if range_header else None
        if self._viewer is None:
            self._viewer, self._layout = self._make_viewer(target, transport)
        if self.state is SessionState.PLAYING and (wanted is None or target.position_s() is None):
            target_info: PlayInfo | None = None  # it plays already, and goes on
        else:
            target_info = await target.prepare(self._viewer, self._layout, wanted)
        response = Response(status=200)
        response.headers.set("Session", SessionHeader(self.id, ANNOUNCED_TIMEOUT_S).serialize())
        if target_info is not None:
            response.headers.set("Range", target_info.range)
            response.headers.set("RTP-Info", self._rtp_info(target_info))
        if "Scale" in request.headers:
            response.headers.set("Scale", serialize_factor(1.0))  # RFC 2326 section 12.34: which speed it really is
        return Reply(response, then=self._begin)

    async def pause(self, connection: RtspConnection, request: Request) -> Reply:
        self._check_aggregate(request)
        assert self._target is not None
        self._target.pause()
        self.state = SessionState.READY
        response = Response(status=200)
        response.headers.set("Session", SessionHeader(self.id, ANNOUNCED_TIMEOUT_S).serialize())
        position_s = self._target.position_s()
        if position_s is not None:
            response.headers.set("Range", f"npt={position_s:.3f}-")
        return Reply(response)

    def parameters(self) -> dict[str, str]:
        parameters = {}
        if self._target is not None and (position_s := self._target.position_s()) is not None:
            parameters["position"] = f"npt={position_s:.3f}"
        if self._viewer is not None:
            counters = self._viewer.counters
            parameters["frames_sent"] = str(counters.sent_frames)
            parameters["frames_dropped"] = str(counters.dropped_frames)
            parameters["bytes_sent"] = str(counters.sent_bytes)
            parameters["packets_lost"] = str(self._lost_packets)
        return parameters

    # Life

    def handle_timer(self, now_s: float) -> None:
        if self._refused_s is not None and self._refused_s[1] - self._refused_s[0] > REFUSED_S:
            self.close("the client's ports are closed")
        elif isinstance(self._transport, InterleavedTransport) and self.state is SessionState.PLAYING:
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
        if self._target is not None:
            self._target.close(say_goodbye=True)
        if self._transport is not None:
            self._transport.close()
        self.state = SessionState.INIT
        self._context.sessions.pop(self.id, None)
        self._connection.release(self, linger=linger)
        if self._viewer is not None:
            played_s = time.monotonic() - self._opened_s
            lost = f", {self._lost_packets} packets lost on the way" if self._lost_packets else ""
            self._log.info(
                "viewer of %s closed after %.1f s: %s; %s%s", self.name, played_s, reason, self._viewer.counters, lost
            )

    def _source_ended(self, reason: str) -> None:
        """A live source is gone for good; a file may be played again."""
        if isinstance(self._target, FileTarget):
            self.state = SessionState.READY
            self._log.info("viewer of %s: %s", self.name, reason)
        else:
            self._close(reason, linger=True)

    def _begin(self) -> None:
        if self._closed or self._target is None:
            return
        if self.state is not SessionState.PLAYING:
            self._log.info("plays %s over %s", self.name, self._transport)
        self.state = SessionState.PLAYING
        self._target.begin()

    # Transports

    def _agree(self, connection: RtspConnection, request: Request, track_index: int) -> TransportSpec:
        """Take the first transport of the client's list that can be given (RFC 2326 section 12.39)."""
        spec = offered_transports(request)[0]
        if spec.is_record:
            raise UnsupportedTransport("mode=record without ANNOUNCE")
        if spec.is_tcp:
            return self._agree_interleaved(connection, spec, track_index)
        return self._agree_udp(connection, spec, track_index)

    def _agree_interleaved(self, connection: RtspConnection, spec: TransportSpec, track_index: int) -> TransportSpec:
        if self._transport is None:
            self._transport = InterleavedTransport(connection, self._rtcp_received)
            connection.hold(self, ends_here=True)
            self._connection = connection
        if not isinstance(self._transport, InterleavedTransport):
            raise UnsupportedTransport("one session has one transport: this one uses UDP")
        if self._transport.connection is not connection:
            raise UnsupportedTransport("the session's media is interleaved in another connection")
        channels = self._transport.set_up(track_index, spec.interleaved)
        return agreed_transport(spec, interleaved=channels, ssrc=self._ssrc(track_index))

    def _agree_udp(self, connection: RtspConnection, spec: TransportSpec, track_index: int) -> TransportSpec:
        if self._transport is None:
            connection.hold(self, ends_here=False)
            ports = SessionPorts(self._context.udp_ports, connection.local_address)
            self._transport = UdpTransport(ports, connection.peer_address, self._rtcp_received, self._refused)
        if not isinstance(self._transport, UdpTransport):
            raise UnsupportedTransport("one session has one transport: this one uses TCP")
        assert self._target is not None
        assert spec.client_port is not None
        slot = SLOTS[self._target.tracks[track_index].kind]
        try:
            pair = self._transport.set_up(track_index, slot, spec.client_port)
        except NoPortsLeft as error:
            raise NotEnoughBandwidth(str(error)) from error
        return agreed_transport(spec, server_port=pair.server_ports, ssrc=self._ssrc(track_index))

    def _make_viewer(self, target: Target, transport: InterleavedTransport | UdpTransport) -> tuple[Any, Any]:
        count = len(target.tracks)
        if isinstance(transport, InterleavedTransport):
            return transport.viewer(count, target.limit)
        return transport.viewer(count, target.limit, segmentation=self._context.options.segmentation)

    def _ssrc(self, track_index: int) -> int:
        assert self._target is not None
        return self._target.senders[track_index].ssrc

    def _check_aggregate(self, request: Request) -> None:
        """PLAY and PAUSE are for all tracks at once (RFC 2326 section 10.5)."""
        if self._target is None or not self._track_urls:
            raise MethodNotValidInThisState(request.method, "without SETUP of a track", ("SETUP",))
        _url, track_index = RtspUrl.parse(request.uri).split_control()
        if track_index is not None and len(self._track_urls) > 1:
            raise OnlyAggregateOperationAllowed("ask for the whole address, not for one track")

    def _rtp_info(self, info: PlayInfo) -> str:
        return serialize_rtp_info(
            [
                RtpInfo(url=url, seq=info.starts[index].sequence, rtptime=info.starts[index].rtp_timestamp)
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
