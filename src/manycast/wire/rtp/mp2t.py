"""MPEG transport streams in RTP (RFC 2250 section 2): whole packets of 188 bytes, seven in a datagram.

A frame is what came in one RTP packet. Its time is the sender's: when its first byte was sent, or should be.
"""

from __future__ import annotations

from manycast.media.frame import Frame
from manycast.media.track import Codec
from manycast.wire.rtp.packet import RtpPacket
from manycast.wire.rtp.payload import MalformedPayload, RtpPayload
from manycast.wire.rtp.plain import plain_format

TS_PACKET_BYTES = 188
MAX_TS_PACKETS = 7  # in an Ethernet frame; what all senders do, and some receivers count on


class Mp2tPacketiser:
    """Cuts between transport stream packets; all datagrams of a frame have its time."""

    __slots__ = ("_step",)

    def __init__(self, limit: int) -> None:
        self._step = min(limit // TS_PACKET_BYTES, MAX_TS_PACKETS) * TS_PACKET_BYTES
        assert self._step > 0

    def packetise(self, frame: Frame) -> list[RtpPayload]:
        step = self._step
        return [
            RtpPayload(unit[position : position + step], 0, False)
            for unit in frame.units
            for position in range(0, len(unit), step)
        ]


class Mp2tDepacketiser:
    """Each packet is a frame. The marker only says that the timestamps jump."""

    __slots__ = ("_track_index",)

    def __init__(self, track_index: int) -> None:
        self._track_index = track_index

    def push(self, packet: RtpPacket) -> list[Frame]:
        data = packet.payload
        if surplus := len(data) % TS_PACKET_BYTES:
            data = data[:-surplus]
        if not data or data[::TS_PACKET_BYTES].strip(b"\x47"):
            raise MalformedPayload(f"{len(packet.payload)} bytes that are no transport stream packets")
        return [
            Frame(
                track_index=self._track_index,
                dts_ticks=packet.timestamp,
                pts_ticks=packet.timestamp,
                keyframe=True,  # what begins where is for the receiver to find out
                units=[data],
            )
        ]

    def reset(self) -> None:
        pass


MP2T = plain_format(Codec.MPEG_TS, "MP2T", packetiser=Mp2tPacketiser, depacketiser=Mp2tDepacketiser)
