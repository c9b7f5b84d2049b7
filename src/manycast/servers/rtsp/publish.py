"""Sessions that publish."""

from __future__ import annotations

import asyncio
import random
import socket
import time
from dataclasses import dataclass
from functools import partial

from manycast.hub.hub import PathTaken
from manycast.hub.pipe import told_to_viewers
from manycast.hub.stream import Stream
from manycast.servers.rtsp.announcement import AnnouncedMedia, Announcement
from manycast.servers.rtsp.connection import ChannelSink, RtspConnection
from manycast.servers.rtsp.context import RtspContext
from manycast.servers.rtsp.options import ANNOUNCED_TIMEOUT_S, RECLAIM_TIMEOUT_S
from manycast.servers.rtsp.play_setup import SLOTS
from manycast.servers.rtsp.publisher_keys import PublisherKeys
from manycast.servers.rtsp.reply import Reply
from manycast.servers.rtsp.transports import (
    MAX_DATAGRAM_BYTES,
    MAX_DATAGRAMS_PER_WAKE_UP,
    agreed_transport,
    offered_transports,
)
from manycast.servers.rtsp.udp_ports import NoPortsLeft, SessionPorts
from manycast.wire.masking import masked
from manycast.wire.rtp.receiver import RtpSessionReceiver
from manycast.wire.rtsp.described import CarriedMedia
from manycast.wire.rtsp.errors import (
    BadRequest,
    Forbidden,
    MethodNotValidInThisState,
    NotEnoughBandwidth,
    NotFound,
)
from manycast.wire.rtsp.feedback import KeyframeFeedback
from manycast.wire.rtsp.headers import SessionHeader, TransportSpec
from manycast.wire.rtsp.message import Request, Response
from manycast.wire.rtsp.state import SessionState
from manycast.wire.rtsp.url import RtspUrl, match_control, split_parameters

REPORT_INTERVAL_S = 5.0

_random = random.SystemRandom()


@dataclass(slots=True)
class _MediaTransport:
    """How one announced medium comes in. Without `carried` its data is taken and thrown away."""

    carried: CarriedMedia | None
    channels: tuple[int, int] | None = None
    sockets: tuple[socket.socket, socket.socket] | None = None
    client_rtcp: tuple[str, int] | None = None
    track_index: int | None = None  # in the stream, once it records
    keys: PublisherKeys | None = None  # with SRTP


class PublishSession:
    """One publisher: media announced, set up, recorded into a stream."""

    def __init__(
        self, context: RtspContext, connection: RtspConnection, session_id: str, announcement: Announcement
    ) -> None:
        self.id = session_id
        self.publishing = True
        self.state = SessionState.INIT
        self._last_sign_s = time.monotonic()
        self._context = context
        self._connection = connection
        self._log = connection.log
        self._announcement = announcement
        self._media: dict[int, _MediaTransport] = {}
        self._ports: SessionPorts | None = None
        self._receiver: RtpSessionReceiver | None = None
        self._stream: Stream | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._next_report_s = 0.0
        self._ssrc = _random.getrandbits(32)  # of our reports
        self._loop = asyncio.get_running_loop()
        self._closed = False
        connection.hold(self, ends_here=True)

    # Requests

    async def setup(self, connection: RtspConnection, request: Request) -> Reply:
        if self._stream is not None:  # also in a pause: the ways in are those of the first RECORD
            raise MethodNotValidInThisState("SETUP", "after RECORD", ("RECORD", "PAUSE", "TEARDOWN"))
        if connection is not self._connection:
            raise BadRequest("a publisher sets its media up on the connection it announced them on")
        position = self._position_of(request.uri)
        media = self._announcement.media[position]
        agreed = self._agree(connection, request, position, media)
        self.state = SessionState.READY
        response = Response(status=200)
        response.headers.set("Transport", agreed.serialize())
        keys = self._media[position].keys
        if keys is not None and "KeyMgmt" in request.headers:
            response.headers.set("KeyMgmt", keys.header(request.uri, self._ssrc))
        response.headers.set("Session", SessionHeader(self.id, ANNOUNCED_TIMEOUT_S).serialize())
        return Reply(response)

    async def record(self, connection: RtspConnection, request: Request) -> Reply:
        if self._stream is None:
            self._start_stream(connection)
        self.state = SessionState.RECORDING
        self._last_sign_s = time.monotonic()
        response = Response(status=200)
        response.headers.set("Session", SessionHeader(self.id, ANNOUNCED_TIMEOUT_S).serialize())
        return Reply(response)

    async def pause(self, connection: RtspConnection, request: Request) -> Reply:
        """Nothing comes for a while; the stream stays."""
        self.state = SessionState.READY
        response = Response(status=200)
        response.headers.set("Session", SessionHeader(self.id, ANNOUNCED_TIMEOUT_S).serialize())
        return Reply(response)

    def parameters(self) -> dict[str, str]:
        if self._stream is None:
            return {}
        counters = self._stream.counters
        return {
            "frames_received": str(counters.received_frames),
            "bytes_received": str(counters.received_bytes),
            "viewers": str(self._stream.watchers),
        }

    def _start_stream(self, connection: RtspConnection) -> None:
        """Raises MethodNotValidInThisState when nothing was set up, Forbidden when the path is taken."""
        carried = [(media, media.carried) for _, media in sorted(self._media.items()) if media.carried is not None]
        if not carried:
            raise MethodNotValidInThisState("RECORD", "without SETUP of a medium that can be carried", ("SETUP",))
        tracks = [item.track for _, item in carried]
        receiver = RtpSessionReceiver(tracks, ssrc=self._ssrc, cname=f"manycast/{self._announcement.path}")
        for index, (media, item) in enumerate(carried):
            media.track_index = index
            ordered = media.channels is not None
            receiver.add_track(index, item.payload_type, item.payload_format, ordered=ordered)
        try:
            self._stream = self._context.catalogue.hub.publish(
                self._announcement.path, tracks, f"RTSP publisher {connection.peer}"
            )
        except PathTaken as error:
            raise Forbidden(str(error)) from error
        if any(item.feedback for _, item in carried):
            self._stream.keyframes.on_request = self._request_keyframe
        self._receiver = receiver
        self._open_ways_in()

    # Life

    def heard(self, now_s: float) -> None:
        self._last_sign_s = now_s

    def handle_timer(self, now_s: float) -> None:
        silence_s = self._context.options.publisher_silence_s
        if now_s - self._last_sign_s > silence_s and self.state is SessionState.RECORDING:
            self.close(f"no packet for {silence_s:.0f} s")
        elif now_s - self._last_sign_s > RECLAIM_TIMEOUT_S:
            self.close(f"no sign of life for {RECLAIM_TIMEOUT_S:.0f} s")
        elif self._receiver is not None and self._receiver.said_goodbye:
            self.close("the publisher said goodbye")
        elif self._receiver is not None and self._stream is not None:
            if self._receiver.waits_for_keyframe:
                self._stream.keyframes.request()
            if now_s >= self._next_report_s:
                self._next_report_s = now_s + REPORT_INTERVAL_S
                self._send_reports(self._receiver, now_s)

    def covers(self, uri: str) -> bool:
        return self._is_whole(uri) or self._matched(uri) is not None

    def tear_down(self, uri: str) -> None:
        """Who publishes several media may stop one of them; its track stays, and nothing comes in it."""
        position = None if self._is_whole(uri) else self._position_of(uri)
        if position is None or self._media.keys() <= {position}:
            self.close("TEARDOWN")
        elif position in self._media:
            self._forget(position)
        else:
            raise NotFound(f"{masked(uri)} is not set up")

    def close(self, reason: str) -> None:
        if self._closed:
            return
        self._closed = True
        self._close_ways_in()
        if self._stream is not None:
            self._log_losses()
            self._context.catalogue.hub.unpublish(self._stream, told_to_viewers(reason))
        self.state = SessionState.INIT
        self._context.sessions.pop(self.id, None)
        if self._connection.announcement is self._announcement:
            self._connection.announcement = None
        self._connection.release(self, linger=not self._connection.closed)

    # Transports

    def _position_of(self, uri: str) -> int:
        position = self._matched(uri)
        if position is None:
            raise NotFound(f"{masked(uri)} is none of the media announced")
        return position

    def _matched(self, uri: str) -> int | None:
        controls = [media.control for media in self._announcement.media]
        return match_control(uri, self._announcement.base_url, controls)

    def _is_whole(self, uri: str) -> bool:
        """Whether an address is that of all that was announced, or names nothing."""
        name = split_parameters(RtspUrl.parse(uri).path)[0]
        return not name or self._context.catalogue.path_of(name) == self._announcement.path

    def _agree(
        self, connection: RtspConnection, request: Request, position: int, media: AnnouncedMedia
    ) -> TransportSpec:
        secure, options = connection.link.secure, self._context.options
        spec = offered_transports(request, secure=secure, srtp=options.srtp)[0]
        keys = None
        if spec.is_secure:
            keys = PublisherKeys.agree(request, media.key, encrypt=options.srtp_encrypt, log=self._log)
        if not spec.is_tcp:
            return self._agree_udp(connection, spec, position, media, keys)
        self._forget(position)
        channels = connection.free_channels(spec.interleaved)
        self._media[position] = _MediaTransport(media.carried, channels=channels, keys=keys)
        for channel in channels:
            connection.route(channel, self._discard)
        return agreed_transport(spec, interleaved=channels)

    def _agree_udp(
        self,
        connection: RtspConnection,
        spec: TransportSpec,
        position: int,
        media: AnnouncedMedia,
        keys: PublisherKeys | None,
    ) -> TransportSpec:
        assert spec.client_port is not None
        if self._ports is None:
            self._ports = SessionPorts(self._context.udp_ports, connection.local_address)
        self._forget(position)
        slot = SLOTS[media.carried.track.kind] if media.carried else 4
        try:
            sockets = self._ports.open_pair(slot)
        except NoPortsLeft as error:
            raise NotEnoughBandwidth(str(error)) from error
        client_rtcp = (connection.peer_address, spec.client_port[1])
        self._media[position] = _MediaTransport(media.carried, sockets=sockets, client_rtcp=client_rtcp, keys=keys)
        server_ports = (sockets[0].getsockname()[1], sockets[1].getsockname()[1])
        return agreed_transport(spec, server_port=server_ports)

    def _forget(self, position: int) -> None:
        """A medium that is set up anew gives its old transport back."""
        media = self._media.pop(position, None)
        if media is not None:
            self._close_way_in(media)

    # Ways in

    def _open_ways_in(self) -> None:
        for media in self._media.values():
            if media.track_index is None:
                continue
            sinks: list[ChannelSink] = [
                partial(self._rtp_received, media.track_index),
                partial(self._rtcp_received, media.track_index),
            ]
            if media.keys is not None:
                sinks = [media.keys.opening_rtp(sinks[0]), media.keys.opening_rtcp(sinks[1])]
            for channel, sink in zip(media.channels or (), sinks, strict=False):
                self._connection.route(channel, sink)
            for sock, sink in zip(media.sockets or (), sinks, strict=False):
                self._loop.add_reader(sock, self._datagrams_readable, sock, sink)

    def _close_ways_in(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        for media in self._media.values():
            self._close_way_in(media)
        if self._ports is not None:
            self._ports.close()

    def _close_way_in(self, media: _MediaTransport) -> None:
        for channel in media.channels or ():
            self._connection.unroute(channel)
        if media.sockets is not None and self._ports is not None:
            for sock in media.sockets:
                self._loop.remove_reader(sock)
            self._ports.close_pair(media.sockets)
            media.sockets = None

    def _discard(self, _data: bytes, now_s: float) -> None:
        """Data of a medium that is not carried, or that came before RECORD."""
        self._last_sign_s = now_s

    def _rtp_received(self, track_index: int, data: bytes, now_s: float) -> None:
        receiver, stream = self._receiver, self._stream
        if receiver is None or stream is None:
            return
        self._last_sign_s = now_s
        for frame in receiver.receive_rtp(track_index, data, now_s=now_s):
            stream.push(frame)

    def _rtcp_received(self, track_index: int, data: bytes, now_s: float) -> None:
        self._last_sign_s = now_s  # a source may have nothing to send for a while, and says so by its reports
        if self._receiver is not None:
            self._receiver.receive_rtcp(track_index, data, now_s=now_s)

    def _datagrams_readable(self, sock: socket.socket, sink: ChannelSink) -> None:
        now_s = time.monotonic()
        for _ in range(MAX_DATAGRAMS_PER_WAKE_UP):
            try:
                data, sender = sock.recvfrom(MAX_DATAGRAM_BYTES)
            except OSError:
                break
            if sender[0] == self._connection.peer_address:
                sink(data, now_s)
        self._arm_timer()

    def _arm_timer(self) -> None:
        """Wake up when a packet has been waited for long enough."""
        deadline_s = self._receiver.next_deadline_s() if self._receiver is not None else None
        if deadline_s is not None and self._timer is None:
            self._timer = self._loop.call_later(max(0.0, deadline_s - time.monotonic()), self._give_up_holes)

    def _give_up_holes(self) -> None:
        self._timer = None
        if self._receiver is not None and self._stream is not None:
            for frame in self._receiver.handle_timer(now_s=time.monotonic()):
                self._stream.push(frame)
            self._arm_timer()

    # Reports

    def _send_reports(self, receiver: RtpSessionReceiver, now_s: float) -> None:
        for media in self._media.values():
            if media.track_index is None:
                continue
            report = receiver.report(media.track_index, now_s=now_s)
            if report is not None:
                self._send_rtcp(media, report)

    def _request_keyframe(self) -> None:
        now_s = time.monotonic()
        for media in self._media.values():
            feedback = None if media.carried is None else media.carried.feedback
            if self._receiver is None or media.track_index is None or feedback is None:
                continue
            full_intra = feedback is KeyframeFeedback.FULL_INTRA
            request = self._receiver.keyframe_request(media.track_index, full_intra=full_intra, now_s=now_s)
            if request is not None:
                self._send_rtcp(media, request)

    def _send_rtcp(self, media: _MediaTransport, data: bytes) -> None:
        if media.keys is not None:
            data = media.keys.protect(data)
        if media.channels is not None:
            self._connection.write(bytes((0x24, media.channels[1])) + len(data).to_bytes(2) + data)
        elif media.sockets is not None and media.client_rtcp is not None:
            try:
                media.sockets[1].sendto(data, media.client_rtcp)
            except OSError:
                pass  # the publisher does without: reports and requests are advice

    def _log_losses(self) -> None:
        assert self._receiver is not None
        for media in self._media.values():
            if media.keys is not None and media.keys.refused:
                self._log.warning(
                    "track %s of %s: %d packets not protected with the key agreed on",
                    media.track_index,
                    self._announcement.path,
                    media.keys.refused,
                )
        for index, track in self._receiver.tracks.items():
            counters = track.counters
            if counters.holes or counters.last_fault:
                self._log.warning(
                    "track %d of %s: %d holes, %d late, %d malformed, %d of a wrong payload type, "
                    "%d of a wrong source, %d broken payloads; last fault: %s",
                    index,
                    self._announcement.path,
                    counters.holes,
                    track.late_packets,
                    counters.malformed,
                    counters.wrong_payload_type,
                    counters.wrong_source,
                    counters.broken_payloads,
                    counters.last_fault or "lost packets",
                )
