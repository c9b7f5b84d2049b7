"""SRTP for playing sessions: any transport, with protected packets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from manycast.hub.fanout import BacklogLimit
from manycast.hub.rtp_packager import TrackStart
from manycast.hub.srtp import KeyUsedUp, SrtpLayout
from manycast.servers.faults import AnyLog
from manycast.servers.rtsp.connection import RtspConnection
from manycast.servers.rtsp.keyhole import Keyhole, key_of, receiving_key
from manycast.servers.rtsp.told_keys import ToldKeys
from manycast.servers.rtsp.transports import PlayTransport, RtcpSink, RtpSink, in_clear
from manycast.wire.rtsp.errors import KeyManagementFailure
from manycast.wire.rtsp.headers import TransportSpec
from manycast.wire.rtsp.message import Request


class SrtpTransport:
    """Another transport, with protected packets both ways."""

    def __init__(
        self,
        make_transport: Callable[[RtcpSink], PlayTransport],
        keys: ToldKeys,
        on_rtcp: RtcpSink,
        log: AnyLog,
    ) -> None:
        self._inner = make_transport(self._rtcp_received)
        self.answers = self._inner.answers
        self.drops_started = self._inner.drops_started
        self._keys = keys
        self._on_rtcp = on_rtcp
        self._log = log
        self._keyholes: dict[int, Keyhole] = {}  # by track
        self._says_key = False  # whether the client wants an MKI in packets

    def __str__(self) -> str:
        return f"SRTP, {self._inner}"

    def fits(self, connection: RtspConnection, spec: TransportSpec) -> bool:
        return spec.is_secure and self._inner.fits(connection, in_clear(spec))

    def take_key(self, request: Request, track_index: int) -> None:
        """Agree on what the client protects a track's packets with. Raises KeyManagementFailure."""
        message = key_of(request)
        ours = self._keys.of(track_index)[0].context.key
        if message is None or message.key == ours.master:  # LIVE555 gives the message back that it has chosen
            self._says_key = message is not None and message.mki == ours.mki
            key = replace(ours, mki=ours.mki if self._says_key else b"")
        else:
            key = receiving_key(message)
        self._keyholes[track_index] = Keyhole(key, self._log)

    def set_up(self, spec: TransportSpec, track_index: int, slot: int, on_rtp: RtpSink | None = None) -> TransportSpec:
        protected = None if on_rtp is None else self._keyholes[track_index].opening_rtp(on_rtp)
        agreed = self._inner.set_up(in_clear(spec), track_index, slot, protected)
        return replace(agreed, protocol=spec.protocol)

    def send_rtcp(self, track_index: int, data: bytes) -> None:
        context = self._keys.of(track_index)[0].context
        self._inner.send_rtcp(track_index, context.report(data, says_key=self._says_key))

    def viewer(self, tracks: range, limit: BacklogLimit, *, overhead_bytes: int = 0) -> tuple[Any, Any]:
        context = self._keys.of(tracks.start)[0].context
        overhead_bytes += context.overhead_bytes(says_key=self._says_key)
        viewer, layout = self._inner.viewer(tracks, limit, overhead_bytes=overhead_bytes)
        return viewer, SrtpLayout(layout, context, self._says_key)

    def check(self, track_index: int, ssrc: int, start: TrackStart) -> None:
        """Whether the client can make anything of a track from there on. Raises KeyManagementFailure."""
        offer, number = self._keys.of(track_index)
        try:
            offer.check(number, ssrc, start)
        except KeyUsedUp as error:
            raise KeyManagementFailure(str(error)) from error

    def paused(self, track_index: int, ssrcs: Sequence[int]) -> None:
        self._keys.of(track_index)[0].pause(ssrcs)

    def drop(self, track_index: int) -> None:
        self._inner.drop(track_index)

    def close(self) -> None:
        self._inner.close()

    def _rtcp_received(self, track_index: int, data: bytes) -> None:
        packet = self._keyholes[track_index].open_rtcp(data)
        if packet is not None:
            self._on_rtcp(track_index, packet)
