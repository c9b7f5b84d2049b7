"""Sessions that play."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial

from manycast.hub.pace import NORMAL_PACE
from manycast.servers.rtsp.addresses import name_in
from manycast.servers.rtsp.connection import LINGER_S, RtspConnection
from manycast.servers.rtsp.context import RtspContext
from manycast.servers.rtsp.options import ANNOUNCED_TIMEOUT_S, RECLAIM_TIMEOUT_S
from manycast.servers.rtsp.play_setup import Part, PlaySetup
from manycast.servers.rtsp.reply import Reply
from manycast.servers.rtsp.targets import PlayInfo
from manycast.servers.rtsp.viewer_signs import ViewerSigns
from manycast.wire.rtsp.errors import AggregateOperationNotAllowed, MethodNotValidInThisState
from manycast.wire.rtsp.headers import SessionHeader, parse_range, parse_scale, parse_speed, serialize_factor
from manycast.wire.rtsp.message import Request, Response
from manycast.wire.rtsp.state import SessionState
from manycast.wire.rtsp.url import RtspUrl


class PlaySession:
    """One viewer: tracks set up over one transport, played from one stream or file and what is at its side."""

    def __init__(self, context: RtspContext, connection: RtspConnection, session_id: str, name: str) -> None:
        self.id = session_id
        self.publishing = False
        self.state = SessionState.INIT
        self.signs = ViewerSigns()
        self.name = name
        self._context = context
        self._opened_s = time.monotonic()
        self._connection = connection  # the one it was opened on; interleaved media stays on it
        self._log = connection.log
        self._setup = PlaySetup(context, name, self.signs, self._hold, self._source_ended)
        self._started = False  # PLAY was granted once: what is set up stays as it is
        self._closed = False

    # Requests

    async def setup(self, connection: RtspConnection, request: Request) -> Reply:
        if self._started:  # RFC 2326 appendix A.2 would let a transport change; no client does that
            raise MethodNotValidInThisState("SETUP", "after PLAY", ("PLAY", "PAUSE", "TEARDOWN"))
        if name_in(request.uri) != self.name:
            raise AggregateOperationNotAllowed(f"the session is for {self.name!r}: open another for another stream")
        agreed = await self._setup.agree(connection, request)
        self.state = SessionState.READY
        response = self._response()
        response.headers.set("Transport", agreed.serialize())
        return Reply(response)

    async def play(self, connection: RtspConnection, request: Request) -> Reply:
        parts = self._setup.parts_for(request)
        range_header = request.headers.get("Range")
        wanted = parse_range(range_header) if range_header else None
        scale_header, speed_header = request.headers.get("Scale"), request.headers.get("Speed")
        scale = parse_scale(scale_header) if scale_header else None
        speed = parse_speed(speed_header) if speed_header else None
        self._setup.make_viewers(parts)
        unchanged = wanted is None and scale is None and speed is None
        infos: list[PlayInfo] = []
        if self.state is not SessionState.PLAYING or not (unchanged or _position_s(parts) is None):
            infos = [
                await part.target.prepare(part.viewer, part.layout, wanted, scale=scale, speed=speed) for part in parts
            ]
        response = self._response()
        if infos:
            self._setup.check_keys(parts, infos)
            response.headers.set("Range", infos[0].range)
            response.headers.set("RTP-Info", self._setup.rtp_info(parts, infos))
        self._started = True
        pace = infos[0].pace if infos else NORMAL_PACE  # what plays already and goes on is live
        if scale is not None:
            response.headers.set("Scale", serialize_factor(pace.scale))  # RFC 2326 section 12.34: which it really is
        if speed is not None:
            response.headers.set("Speed", serialize_factor(pace.speed))
        return Reply(response, then=partial(self._begin, parts))

    async def pause(self, connection: RtspConnection, request: Request) -> Reply:
        parts = self._setup.parts_for(request)
        response = self._response()
        range_header = request.headers.get("Range")
        if range_header and parts and self.state is SessionState.PLAYING:
            pause_s = parts[0].target.pause_at(parse_range(range_header))
            if pause_s is not None:
                response.headers.set("Range", f"npt={pause_s:.3f}-")
                return Reply(response)
        self._setup.pause(parts)
        self.state = SessionState.READY
        position_s = _position_s(parts)
        if position_s is not None:
            response.headers.set("Range", f"npt={position_s:.3f}-")
        return Reply(response)

    def parameters(self) -> dict[str, str]:
        parameters = {}
        main = self._setup.main
        if main is not None and (position_s := main.target.position_s()) is not None:
            parameters["position"] = f"npt={position_s:.3f}"
        if main is not None and main.viewer is not None:
            counters = main.viewer.counters
            parameters["frames_sent"] = str(counters.sent_frames)
            parameters["frames_dropped"] = str(counters.dropped_frames)
            parameters["bytes_sent"] = str(counters.sent_bytes)
            parameters["packets_lost"] = str(self.signs.lost_packets)
        return parameters

    def _response(self) -> Response:
        response = Response(status=200)
        response.headers.set("Session", SessionHeader(self.id, ANNOUNCED_TIMEOUT_S).serialize())
        return response

    # Life

    def heard(self, now_s: float) -> None:
        self.signs.heard(now_s)

    def handle_timer(self, now_s: float) -> None:
        self._setup.report_speech(now_s)
        transport = self._setup.transport
        silent_s = now_s - self.signs.last_s
        if self.signs.ports_closed:
            self.close("the client's ports are closed")
        elif transport is not None and not transport.answers and self.state is SessionState.PLAYING:
            return  # what the client reads is the sign of life: the connection ends when nothing moves
        elif self._connection.closed and self.state is not SessionState.PLAYING and silent_s > LINGER_S:
            self.close("its connection is gone and nothing plays")
        elif silent_s > RECLAIM_TIMEOUT_S:
            self.close(f"no sign of life for {RECLAIM_TIMEOUT_S:.0f} s")

    def covers(self, uri: str) -> bool:
        name, path_of = name_in(uri), self._context.catalogue.path_of
        return name in ("", self.name) or path_of(name) == path_of(self.name)

    def tear_down(self, uri: str) -> None:
        _url, control = RtspUrl.parse(uri).split_control()
        if control is None or not self._setup.drop(control, started=self._started):
            self._close("TEARDOWN", linger=False)

    def close(self, reason: str) -> None:
        self._close(reason, linger=not self._connection.closed)

    def _close(self, reason: str, *, linger: bool) -> None:
        if self._closed:
            return
        self._closed = True
        self._setup.close(reason)
        self.state = SessionState.INIT
        self._context.sessions.pop(self.id, None)
        self._connection.release(self, linger=linger)
        main = self._setup.main
        if main is not None and main.viewer is not None:
            played_s = time.monotonic() - self._opened_s
            lost_packets = self.signs.lost_packets
            lost = f", {lost_packets} packets lost on the way" if lost_packets else ""
            self._log.info(
                "viewer of %s closed after %.1f s: %s; %s%s", self.name, played_s, reason, main.viewer.counters, lost
            )

    def _hold(self, connection: RtspConnection, ends_here: bool) -> None:
        connection.hold(self, ends_here=ends_here)
        self._connection = connection

    def _source_ended(self, reason: str) -> None:
        """A live source is gone for good; a file may be played again."""
        main = self._setup.main
        if main is not None and main.target.position_s() is not None:
            self._setup.pause_metadata()
            self.state = SessionState.READY
            self._log.info("viewer of %s: %s", self.name, reason)
        else:
            self._close(reason, linger=True)

    def _begin(self, parts: Sequence[Part]) -> None:
        if self._closed:
            return
        if self.state is not SessionState.PLAYING:
            self._log.info("plays %s over %s", self.name, self._setup.transport)
        self.state = SessionState.PLAYING
        for part in parts:
            part.target.begin()
        if self._setup.speech is not None:
            self._setup.speech.playing = True


def _position_s(parts: Sequence[Part]) -> float | None:
    return parts[0].target.position_s() if parts else None
