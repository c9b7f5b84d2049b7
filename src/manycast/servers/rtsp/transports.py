"""The transports of a playing session: what SETUP agrees on, and the viewer that comes of it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from dataclasses import dataclass, replace

from manycast.hub.fanout import BacklogLimit
from manycast.hub.rtp_packager import InterleavedLayout, UdpLayout
from manycast.hub.tcp_viewer import TcpViewer
from manycast.hub.udp_viewer import RunSender, UdpViewer
from manycast.servers.rtsp.connection import RtspConnection
from manycast.servers.rtsp.udp_ports import SessionPorts
from manycast.wire.rtsp.errors import UnsupportedTransport
from manycast.wire.rtsp.headers import PortPair, TransportSpec, parse_transports
from manycast.wire.rtsp.message import Request

MAX_DATAGRAMS_PER_WAKE_UP = 64  # then the other sockets get their turn
MAX_DATAGRAM_BYTES = 65536

RtcpSink = Callable[[int, bytes], None]  # track index, compound packet


def offered_transports(request: Request) -> list[TransportSpec]:
    """The transports of a SETUP that can be given, in the client's order of preference.

    Raises UnsupportedTransport where there is none, saying what can be given.
    """
    header = request.headers.get("Transport")
    if not header:
        raise UnsupportedTransport("SETUP without a Transport header")
    possible = [
        spec
        for spec in parse_transports(header)
        if not spec.multicast and (spec.protocol == "RTP/AVP/TCP" or (is_udp(spec) and spec.client_port))
    ]
    if not possible:
        raise UnsupportedTransport(f"{header!r}: only RTP/AVP over UDP unicast and TCP interleaved can be given")
    return possible


def is_udp(spec: TransportSpec) -> bool:
    return spec.protocol in ("RTP/AVP", "RTP/AVP/UDP")


def agreed_transport(
    spec: TransportSpec,
    *,
    interleaved: PortPair | None = None,
    server_port: PortPair | None = None,
    ssrc: int | None = None,
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
        ssrc=ssrc,
    )


@dataclass(frozen=True, slots=True)
class UdpPair:
    rtp: socket.socket
    rtcp: socket.socket
    client_ports: tuple[int, int]

    @property
    def server_ports(self) -> tuple[int, int]:
        return self.rtp.getsockname()[1], self.rtcp.getsockname()[1]


class InterleavedTransport:
    """All tracks of a session inside one RTSP connection."""

    def __init__(self, connection: RtspConnection, on_rtcp: RtcpSink) -> None:
        self.connection = connection
        self._on_rtcp = on_rtcp
        self._channels: dict[int, tuple[int, int]] = {}

    def __str__(self) -> str:
        return self.connection.link.name

    def set_up(self, track_index: int, wanted: tuple[int, int] | None) -> tuple[int, int]:
        """The channels of a track, by its wish where they are free."""
        self.drop(track_index)
        channels = self.connection.free_channels(wanted)
        self._channels[track_index] = channels
        self.connection.route(channels[0], _ignore)
        self.connection.route(channels[1], lambda data, _now_s: self._on_rtcp(track_index, data))
        return channels

    def drop(self, track_index: int) -> None:
        for channel in self._channels.pop(track_index, ()):
            self.connection.unroute(channel)

    def viewer(self, tracks: int, limit: BacklogLimit) -> tuple[TcpViewer, InterleavedLayout]:
        channels = tuple(self._channels.get(index) for index in range(tracks))
        layout = InterleavedLayout(channels, self.connection.link.framing)
        return TcpViewer(self.connection.outbox, limit), layout

    def close(self) -> None:
        for track_index in tuple(self._channels):
            self.drop(track_index)


class UdpTransport:
    """Each track of a session through a pair of UDP sockets, connected to the client's ports."""

    def __init__(
        self, ports: SessionPorts, client_address: str, on_rtcp: RtcpSink, on_refused: Callable[[], None]
    ) -> None:
        self._ports = ports
        self._client_address = client_address
        self._on_rtcp = on_rtcp
        self._on_refused = on_refused
        self._pairs: dict[int, UdpPair] = {}
        self._viewer: UdpViewer | None = None
        self._loop = asyncio.get_running_loop()

    def __str__(self) -> str:
        ports = ", ".join(str(pair.client_ports[0]) for pair in self._pairs.values())
        return f"UDP to port {ports}"

    def set_up(self, track_index: int, slot: int, client_ports: tuple[int, int]) -> UdpPair:
        """Raises NoPortsLeft."""
        self._forget(track_index)
        rtp, rtcp = self._ports.open_pair(slot)
        rtp.connect((self._client_address, client_ports[0]))
        rtcp.connect((self._client_address, client_ports[1]))
        pair = self._pairs[track_index] = UdpPair(rtp, rtcp, client_ports)
        self._loop.add_reader(rtcp, self._rtcp_readable, rtcp, track_index)
        return pair

    def viewer(self, tracks: int, limit: BacklogLimit, *, segmentation: bool) -> tuple[UdpViewer, UdpLayout]:
        senders = {}
        for index, pair in self._pairs.items():
            senders[2 * index] = RunSender(pair.rtp, segmentation=segmentation)
            senders[2 * index + 1] = RunSender(pair.rtcp, segmentation=False)
        self._viewer = UdpViewer(senders, limit, self._loop, self._on_refused)
        return self._viewer, UdpLayout(tuple(index in self._pairs for index in range(tracks)))

    def close(self) -> None:
        if self._viewer is not None:
            self._viewer.clear()
        for track_index in tuple(self._pairs):
            self._forget(track_index)
        self._ports.close()

    def _forget(self, track_index: int) -> None:
        pair = self._pairs.pop(track_index, None)
        if pair is not None:
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


def _ignore(_data: bytes, _now_s: float) -> None:
    """Players send empty RTP packets to open a NAT's path; over TCP they mean nothing."""
