"""The transports of a playing session: what SETUP agrees on, and the viewer that comes of it."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol

from manycast.hub.fanout import BacklogLimit
from manycast.hub.rtp_packager import InterleavedLayout, UdpLayout
from manycast.hub.tcp_viewer import TcpViewer
from manycast.hub.udp_viewer import SEGMENT_BYTES, RunSender, Sender, UdpViewer
from manycast.servers.rtsp.connection import RtspConnection
from manycast.servers.rtsp.udp_ports import NoPortsLeft, SessionPorts
from manycast.wire.rtsp.errors import NotEnoughBandwidth, UnsupportedTransport
from manycast.wire.rtsp.headers import PortPair, TransportSpec, parse_transports
from manycast.wire.rtsp.message import Request

MAX_DATAGRAMS_PER_WAKE_UP = 64  # then the other sockets get their turn
MAX_DATAGRAM_BYTES = 65536

RtcpSink = Callable[[int, bytes], None]  # track index, compound packet
RtpSink = Callable[[bytes, float], None]  # packet, now_s


def offered_transports(request: Request, *, secure: bool, srtp: bool, multicast: bool = False) -> list[TransportSpec]:
    """The transports of a SETUP that can be given, in the client's order of preference.

    `secure` says that the request came by TLS, `srtp` that SRTP is given there. Raises UnsupportedTransport where
    there is none, saying why not.
    """
    header = request.headers.get("Transport")
    if not header:
        raise UnsupportedTransport("SETUP without a Transport header")
    specs = parse_transports(header)
    refusals = [_refusal(spec, secure=secure, srtp=srtp, multicast=multicast) for spec in specs]
    if all(refusals):
        raise UnsupportedTransport(f"{header!r}: {refusals[0]}")
    return [spec for spec, refusal in zip(specs, refusals, strict=True) if not refusal]


def _refusal(spec: TransportSpec, *, secure: bool, srtp: bool, multicast: bool) -> str:
    """Why a transport cannot be given, or nothing."""
    plain = in_clear(spec)
    if spec.multicast and is_udp(plain) and not multicast:
        return "multicast is off here"
    if spec.multicast and is_udp(plain) and spec.is_secure:
        return "there is no SRTP by multicast"
    interleaved = is_interleaved(plain) and not spec.multicast
    if not interleaved and not (is_udp(plain) and (spec.multicast or spec.client_port)):
        return "only RTP/AVP over UDP unicast and TCP interleaved can be given"
    if spec.is_secure and not secure:
        return "SRTP without TLS: anybody could read its keys"
    if spec.is_secure and not srtp:
        return "SRTP is switched off"
    if is_udp(plain) and not spec.is_secure and secure and srtp:
        return "what is asked for by TLS does not go out in the clear: RTP/SAVP and TCP interleaved can be given"
    return ""


def in_clear(spec: TransportSpec) -> TransportSpec:
    """The same transport without SRTP."""
    if not spec.is_secure:
        return spec
    profile, _, lower = spec.protocol.removeprefix("RTP/S").partition("/")
    return replace(spec, protocol=f"RTP/{profile}/{lower}" if lower else f"RTP/{profile}")


def is_udp(spec: TransportSpec) -> bool:
    """In the clear. With AVPF (RFC 4585) clients may say at once that they lack a picture, as they may without."""
    return spec.protocol in ("RTP/AVP", "RTP/AVP/UDP", "RTP/AVPF", "RTP/AVPF/UDP")


def is_interleaved(spec: TransportSpec) -> bool:
    """In the clear, too."""
    return spec.protocol in ("RTP/AVP/TCP", "RTP/AVPF/TCP")


def agreed_transport(
    spec: TransportSpec,
    *,
    interleaved: PortPair | None = None,
    server_port: PortPair | None = None,
) -> TransportSpec:
    """What the reply to SETUP says: the client's wish with our part filled in.

    Media goes to the address the request came from, so a `destination` is not repeated.
    """
    return replace(
        spec,
        destination=None,
        source=None,
        append=False,
        others=(),
        interleaved=interleaved,
        server_port=server_port,
        ssrc=None,
    )


@dataclass(frozen=True, slots=True)
class UdpPair:
    rtp: socket.socket
    rtcp: socket.socket
    client_ports: tuple[int, int]

    @property
    def server_ports(self) -> tuple[int, int]:
        return self.rtp.getsockname()[1], self.rtcp.getsockname()[1]


class PlayTransport(Protocol):
    """How all tracks of one playing session go out."""

    answers: bool  # whether a sign of life can be expected of the client apart from what it reads
    drops_started: bool  # whether a track can be dropped when its viewer has begun to play, and others go on

    def fits(self, connection: RtspConnection, spec: TransportSpec) -> bool:
        """Whether another track can be set up as `spec` says: one session has one transport."""

    def set_up(self, spec: TransportSpec, track_index: int, slot: int, on_rtp: RtpSink | None = None) -> TransportSpec:
        """Agree on a track's part; `slot` is its place in the session's ports. With `on_rtp` its packets come in.

        Raises RtspError.
        """

    def send_rtcp(self, track_index: int, data: bytes) -> None:
        """Send a compound packet beside a track."""

    def drop(self, track_index: int) -> None:
        """Free what a track was given."""

    def viewer(self, tracks: range, limit: BacklogLimit, *, overhead_bytes: int = 0) -> tuple[Any, Any]:
        """A viewer for some of the session's tracks, and its layout, in which they are numbered from 0.

        `overhead_bytes` are added to each packet on its way there.
        """

    def close(self) -> None: ...


class InterleavedTransport:
    """All tracks of a session inside one RTSP connection."""

    answers = False
    drops_started = False  # viewers with the same channels share their bytes

    def __init__(self, connection: RtspConnection, on_rtcp: RtcpSink) -> None:
        self.connection = connection
        self._on_rtcp = on_rtcp
        self._channels: dict[int, tuple[int, int]] = {}

    def __str__(self) -> str:
        return self.connection.link.name

    def fits(self, connection: RtspConnection, spec: TransportSpec) -> bool:
        return is_interleaved(spec) and connection is self.connection

    def set_up(self, spec: TransportSpec, track_index: int, slot: int, on_rtp: RtpSink | None = None) -> TransportSpec:
        """The channels a track has asked for, where they are free."""
        self.drop(track_index)
        channels = self.connection.free_channels(spec.interleaved)
        self._channels[track_index] = channels
        self.connection.route(channels[0], on_rtp or _ignore)
        self.connection.route(channels[1], lambda data, _now_s: self._on_rtcp(track_index, data))
        return agreed_transport(spec, interleaved=channels)

    def send_rtcp(self, track_index: int, data: bytes) -> None:
        self.connection.write(bytes((0x24, self._channels[track_index][1])) + len(data).to_bytes(2) + data)

    def drop(self, track_index: int) -> None:
        for channel in self._channels.pop(track_index, ()):
            self.connection.unroute(channel)

    def viewer(
        self, tracks: range, limit: BacklogLimit, *, overhead_bytes: int = 0
    ) -> tuple[TcpViewer, InterleavedLayout]:
        channels = tuple(self._channels.get(index) for index in tracks)
        layout = InterleavedLayout(channels, self.connection.link.framing)
        return TcpViewer(self.connection.outbox, limit), layout

    def close(self) -> None:
        for track_index in tuple(self._channels):
            self.drop(track_index)


class UdpTransport:
    """Each track of a session through a pair of UDP sockets, connected to the client's ports."""

    answers = True
    drops_started = True

    def __init__(
        self,
        ports: SessionPorts,
        client_address: str,
        on_rtcp: RtcpSink,
        on_refused: Callable[[], None],
        *,
        segmentation: bool,
    ) -> None:
        self._ports = ports
        self._segmentation = segmentation
        self._client_address = client_address
        self._on_rtcp = on_rtcp
        self._on_refused = on_refused
        self._pairs: dict[int, UdpPair] = {}
        self._viewers: list[UdpViewer] = []
        self._senders: list[tuple[range, dict[int, Sender]]] = []  # of each viewer, by its slots
        self._loop = asyncio.get_running_loop()

    def __str__(self) -> str:
        ports = ", ".join(str(pair.client_ports[0]) for pair in self._pairs.values())
        return f"UDP to port {ports}"

    def fits(self, connection: RtspConnection, spec: TransportSpec) -> bool:
        return is_udp(spec) and not spec.multicast

    def set_up(self, spec: TransportSpec, track_index: int, slot: int, on_rtp: RtpSink | None = None) -> TransportSpec:
        """Raises NotEnoughBandwidth when there are no ports left."""
        client_ports = spec.client_port
        assert client_ports is not None
        self._viewers.clear()  # nobody plays yet: they are of a PLAY that was refused
        self._senders.clear()
        self.drop(track_index)
        try:
            rtp, rtcp = self._ports.open_pair(slot)
        except NoPortsLeft as error:
            raise NotEnoughBandwidth(str(error)) from error
        if on_rtp is None:
            rtp.connect((self._client_address, client_ports[0]))
        else:  # not every client sends from the port it receives at
            self._loop.add_reader(rtp, self._rtp_readable, rtp, on_rtp)
        rtcp.connect((self._client_address, client_ports[1]))
        pair = self._pairs[track_index] = UdpPair(rtp, rtcp, client_ports)
        self._loop.add_reader(rtcp, self._rtcp_readable, rtcp, track_index)
        return agreed_transport(spec, server_port=pair.server_ports)

    def send_rtcp(self, track_index: int, data: bytes) -> None:
        try:
            self._pairs[track_index].rtcp.send(data)
        except OSError:
            pass  # the client does without: reports are advice

    def viewer(self, tracks: range, limit: BacklogLimit, *, overhead_bytes: int = 0) -> tuple[UdpViewer, UdpLayout]:
        senders: dict[int, Sender] = {}
        segment_bytes = SEGMENT_BYTES + overhead_bytes
        for number, index in enumerate(tracks):
            pair = self._pairs.get(index)
            if pair is not None:
                senders[2 * number] = RunSender(pair.rtp, segmentation=self._segmentation, segment_bytes=segment_bytes)
                senders[2 * number + 1] = RunSender(pair.rtcp, segmentation=False)
        viewer = UdpViewer(senders, limit, self._loop, self._on_refused)
        self._viewers.append(viewer)
        self._senders.append((tracks, senders))
        return viewer, UdpLayout(tuple(index in self._pairs for index in tracks))

    def close(self) -> None:
        for viewer in self._viewers:
            viewer.clear()
        for track_index in tuple(self._pairs):
            self.drop(track_index)
        self._ports.close()

    def drop(self, track_index: int) -> None:
        for tracks, senders in self._senders:
            if track_index in tracks:
                slot = 2 * tracks.index(track_index)
                senders.pop(slot, None)
                senders.pop(slot + 1, None)
        pair = self._pairs.pop(track_index, None)
        if pair is not None:
            self._loop.remove_reader(pair.rtp)
            self._loop.remove_reader(pair.rtcp)
            self._ports.close_pair((pair.rtp, pair.rtcp))

    def _rtcp_readable(self, sock: socket.socket, track_index: int) -> None:
        for _ in range(MAX_DATAGRAMS_PER_WAKE_UP):
            try:
                data = sock.recv(MAX_DATAGRAM_BYTES)
            except ConnectionRefusedError:
                continue
            except OSError:
                return
            self._on_rtcp(track_index, data)

    def _rtp_readable(self, sock: socket.socket, on_rtp: RtpSink) -> None:
        now_s = time.monotonic()
        for _ in range(MAX_DATAGRAMS_PER_WAKE_UP):
            try:
                data, sender = sock.recvfrom(MAX_DATAGRAM_BYTES)
            except OSError:
                return
            if sender[0] == self._client_address:
                on_rtp(data, now_s)


def _ignore(_data: bytes, _now_s: float) -> None:
    """Players send empty RTP packets to open a NAT's path; over TCP they mean nothing."""
