"""What comes in by SRTP: the key a client names, and its packets opened with it."""

from __future__ import annotations

from collections.abc import Callable

from manycast.servers.faults import AnyLog
from manycast.servers.rtsp.connection import ChannelSink
from manycast.wire.mikey import MalformedMikey, MikeyMessage, parse_key_mgmt_header
from manycast.wire.rtp.srtp import SrtpError, SrtpKey, SrtpReceiver
from manycast.wire.rtsp.errors import KeyManagementFailure
from manycast.wire.rtsp.message import Request


def key_of(request: Request) -> MikeyMessage | None:
    """The key in a request's `KeyMgmt` header, if there is one. Raises KeyManagementFailure."""
    header = request.headers.get("KeyMgmt")
    if header is None:
        return None
    try:
        return parse_key_mgmt_header(header)
    except MalformedMikey as error:
        raise KeyManagementFailure(f"KeyMgmt: {error}") from error


def receiving_key(message: MikeyMessage) -> SrtpKey:
    """What a client says it protects its packets with. Raises KeyManagementFailure."""
    if any(session.roc for session in message.sessions):
        raise KeyManagementFailure("packets can only be followed from roll-over counter 0 on")
    return SrtpKey.of(message)


OPENER_BYTES = 12  # shorter than any protected packet: clients send such to open a NAT's path


class Keyhole:
    """Opens the packets of one track. Anyone can send to a port, so what does not fit is told once, and counted."""

    def __init__(self, key: SrtpKey, log: AnyLog) -> None:
        self._receiver = SrtpReceiver(key)
        self._log = log

    @property
    def refused(self) -> int:
        return self._receiver.refused

    def opening_rtp(self, sink: ChannelSink) -> ChannelSink:
        """What hands opened packets to `sink`."""

        def received(data: bytes, now_s: float) -> None:
            packet = self._open(data, self._receiver.receive_rtp)
            if packet is not None:
                sink(packet, now_s)

        return received

    def opening_rtcp(self, sink: ChannelSink) -> ChannelSink:
        def received(data: bytes, now_s: float) -> None:
            packet = self.open_rtcp(data)
            if packet is not None:
                sink(packet, now_s)

        return received

    def open_rtcp(self, data: bytes) -> bytes | None:
        """The packet; None when it does not fit."""
        return self._open(data, self._receiver.receive_rtcp)

    def _open(self, data: bytes, receive: Callable[[bytes], bytes]) -> bytes | None:
        if len(data) < OPENER_BYTES:
            return None
        try:
            return receive(data)
        except SrtpError as error:
            if self._receiver.refused == 1:
                self._log.warning("packets that the key agreed on does not fit are thrown away: %s", error)
            return None
