"""Metadata in RTP (ONVIF Streaming Specification section 5.2.1): an XML document cut over packets, the marker at its
end."""

from __future__ import annotations

from manycast.media.frame import Frame
from manycast.media.track import Codec, PlainParameters, Track
from manycast.wire.rtp.packet import RtpPacket
from manycast.wire.rtp.payload import (
    Depacketiser,
    MalformedPayload,
    Packetiser,
    PayloadFormat,
    RtpMap,
    RtpPayload,
    UnsupportedFormat,
)

CLOCK_RATE_HZ = 90_000
MAX_DOCUMENT_BYTES = 1024 * 1024  # scenes of hundreds of objects have some hundred kB
MAX_PACKETS = 4096  # of one document: packets of a few bytes would cost fifty times their size

_PROLOG = b"<?xml"  # nothing but a document begins so


class MetadataPacketiser:
    """Cuts documents at the limit; all packets have the document's time."""

    __slots__ = ("_limit",)

    def __init__(self, limit: int) -> None:
        self._limit = limit

    def packetise(self, frame: Frame) -> list[RtpPayload]:
        limit = self._limit
        return [
            RtpPayload(unit[position : position + limit], 0, position + limit >= len(unit))
            for unit in frame.units
            for position in range(0, len(unit), limit)
        ]


class MetadataDepacketiser:
    """A document may stay open for a while: its time is that of its first packet, and only the marker ends it."""

    __slots__ = ("_discarding", "_parts", "_size", "_timestamp", "_track_index")

    def __init__(self, track_index: int) -> None:
        self._track_index = track_index
        self._parts: list[bytes] = []
        self._size = 0
        self._timestamp = 0
        self._discarding = False  # up to the end of a document whose beginning is missing

    def push(self, packet: RtpPacket) -> list[Frame]:
        if self._discarding and not packet.payload.startswith(_PROLOG):
            self._discarding = not packet.marker
            return []
        self._discarding = False
        if packet.payload:
            if not self._parts:
                self._timestamp = packet.timestamp
            self._parts.append(packet.payload)
            self._size += len(packet.payload)
            if self._size > MAX_DOCUMENT_BYTES or len(self._parts) > MAX_PACKETS:
                size, count = self._size, len(self._parts)
                self._drop(packet.marker)
                raise MalformedPayload(f"metadata document of over {size} bytes in {count} packets")
        if not packet.marker or not self._parts:
            return []
        document, time = b"".join(self._parts), self._timestamp
        self._drop(ended=True)
        return [Frame(track_index=self._track_index, dts_ticks=time, pts_ticks=time, keyframe=True, units=[document])]

    def reset(self) -> None:
        self._drop(ended=False)

    def _drop(self, ended: bool) -> None:
        self._parts = []
        self._size = 0
        self._discarding = not ended


def describe(_track: Track, payload_type: int) -> RtpMap:
    return RtpMap(payload_type=payload_type, encoding_name="vnd.onvif.metadata", clock_rate_hz=CLOCK_RATE_HZ)


def track(rtpmap: RtpMap) -> Track:
    if rtpmap.clock_rate_hz != CLOCK_RATE_HZ:
        raise UnsupportedFormat(f"vnd.onvif.metadata with a clock of {rtpmap.clock_rate_hz} Hz, wanted {CLOCK_RATE_HZ}")
    return Track(codec=Codec.METADATA, clock_rate_hz=CLOCK_RATE_HZ, parameters=PlainParameters())


def _packetiser(_track: Track, limit: int) -> Packetiser:
    return MetadataPacketiser(limit)


def _depacketiser(_track: Track, track_index: int) -> Depacketiser:
    return MetadataDepacketiser(track_index)


ONVIF_METADATA = PayloadFormat(
    codec=Codec.METADATA,
    encoding_names=("vnd.onvif.metadata",),
    describe=describe,
    track=track,
    packetiser=_packetiser,
    depacketiser=_depacketiser,
)
