"""RTCP: sender and receiver reports, source description, goodbye (RFC 3550 section 6), requests for a keyframe."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum

from manycast.errors import ProtocolError

MAX_CNAME_BYTES = 255  # the length field of an SDES item has 8 bits
MAX_FULL_INTRA_REQUESTS = 32  # in one packet; a session has a handful of sources

_HEADER = struct.Struct(">BBH")
_SENDER_INFO = struct.Struct(">IQIII")
_REPORT_BLOCK = struct.Struct(">IIIIII")
_SSRC = struct.Struct(">I")
_FEEDBACK = struct.Struct(">II")  # SSRC of the packet's sender, SSRC of the media's
_FULL_INTRA_REQUEST = struct.Struct(">IBxxx")


class MalformedRtcp(ProtocolError):
    """Bytes that are no RTCP compound packet."""


class PacketType(IntEnum):
    SENDER_REPORT = 200
    RECEIVER_REPORT = 201
    SOURCE_DESCRIPTION = 202
    GOODBYE = 203
    PAYLOAD_FEEDBACK = 206


class PayloadFeedback(IntEnum):
    """What a payload-specific feedback message says (RFC 4585 section 6.3, RFC 5104 section 4.3)."""

    PICTURE_LOSS_INDICATION = 1
    FULL_INTRA_REQUEST = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportBlock:
    """What one receiver says of one source (RFC 3550 section 6.4.1)."""

    ssrc: int
    fraction_lost: int  # 0..255: lost since the last report, in 256ths
    cumulative_lost: int  # signed 24 bits: duplicates can make it negative
    highest_sequence: int  # 32 bits: cycles and sequence number
    jitter_ticks: int
    last_sender_report: int  # middle 32 bits of the NTP timestamp of the last SR, 0 when none came
    delay_since_last_sender_report: int  # in 1/65536 s

    def serialize(self) -> bytes:
        lost = max(-0x800000, min(0x7FFFFF, self.cumulative_lost)) & 0xFFFFFF
        return _REPORT_BLOCK.pack(
            self.ssrc,
            self.fraction_lost << 24 | lost,
            self.highest_sequence & 0xFFFFFFFF,
            min(self.jitter_ticks, 0xFFFFFFFF),
            self.last_sender_report,
            self.delay_since_last_sender_report & 0xFFFFFFFF,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SenderReport:
    """RFC 3550 section 6.4.1: where the sender's RTP clock stood at a wall clock time, and what it has sent."""

    ssrc: int
    ntp: int  # 64-bit NTP timestamp
    rtp_timestamp: int  # 32 bits
    packet_count: int
    octet_count: int
    reports: tuple[ReportBlock, ...] = ()

    def serialize(self) -> bytes:
        info = _SENDER_INFO.pack(
            self.ssrc,
            self.ntp,
            self.rtp_timestamp & 0xFFFFFFFF,
            self.packet_count & 0xFFFFFFFF,
            self.octet_count & 0xFFFFFFFF,
        )
        return _packet(PacketType.SENDER_REPORT, len(self.reports), info + _blocks(self.reports))


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiverReport:
    """RFC 3550 section 6.4.2."""

    ssrc: int
    reports: tuple[ReportBlock, ...] = ()

    def serialize(self) -> bytes:
        body = _SSRC.pack(self.ssrc) + _blocks(self.reports)
        return _packet(PacketType.RECEIVER_REPORT, len(self.reports), body)


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceDescription:
    """RFC 3550 section 6.5, with the one item everybody must send."""

    ssrc: int
    cname: str

    def serialize(self) -> bytes:
        name = self.cname.encode()[:MAX_CNAME_BYTES]
        chunk = _SSRC.pack(self.ssrc) + bytes((1, len(name))) + name
        chunk += bytes(4 - len(chunk) % 4)  # one to four zeros end the list of items
        return _packet(PacketType.SOURCE_DESCRIPTION, 1, chunk)


@dataclass(frozen=True, slots=True, kw_only=True)
class Goodbye:
    """RFC 3550 section 6.6: these sources are no longer sent."""

    ssrcs: tuple[int, ...]

    def serialize(self) -> bytes:
        return _packet(PacketType.GOODBYE, len(self.ssrcs), b"".join(map(_SSRC.pack, self.ssrcs)))


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureLossIndication:
    """RFC 4585 section 6.3.1: a decoder lacks something; a keyframe would help it."""

    ssrc: int  # who says it
    media_ssrc: int

    def serialize(self) -> bytes:
        body = _FEEDBACK.pack(self.ssrc, self.media_ssrc)
        return _packet(PacketType.PAYLOAD_FEEDBACK, PayloadFeedback.PICTURE_LOSS_INDICATION, body)


@dataclass(frozen=True, slots=True, kw_only=True)
class FullIntraRequest:
    """RFC 5104 section 4.3.1: a keyframe is needed of each of these sources."""

    ssrc: int  # who asks
    requests: tuple[tuple[int, int], ...]  # SSRC and number of the command, 0..255

    def serialize(self) -> bytes:
        body = _FEEDBACK.pack(self.ssrc, 0) + b"".join(_FULL_INTRA_REQUEST.pack(*request) for request in self.requests)
        return _packet(PacketType.PAYLOAD_FEEDBACK, PayloadFeedback.FULL_INTRA_REQUEST, body)


RtcpPacket = SenderReport | ReceiverReport | SourceDescription | Goodbye | PictureLossIndication | FullIntraRequest


def is_rtcp(data: bytes) -> bool:
    """Tell RTCP from RTP where both arrive on one port (RFC 5761 section 4)."""
    return len(data) >= 2 and 192 <= data[1] <= 223


def parse_compound(data: bytes) -> list[RtcpPacket]:
    """Read one datagram; packets of other types are passed over. Bad bytes raise MalformedRtcp and nothing else."""
    packets: list[RtcpPacket] = []
    start, size = 0, len(data)
    if not size:
        raise MalformedRtcp("empty")
    while start < size:
        if start + 4 > size:
            raise MalformedRtcp(f"{size - start} bytes left over, a header needs 4")
        flags, packet_type, words = _HEADER.unpack_from(data, start)
        if flags >> 6 != 2:
            raise MalformedRtcp(f"version {flags >> 6}, wanted 2")
        end = start + 4 + 4 * words
        if end > size:
            raise MalformedRtcp(f"packet of {end - start} bytes, {size - start} are there")
        packet = _parse_body(packet_type, flags & 0x1F, data[start + 4 : end])
        if packet is not None:
            packets.append(packet)
        start = end
    return packets


def _parse_body(packet_type: int, count: int, body: bytes) -> RtcpPacket | None:
    match packet_type:
        case PacketType.SENDER_REPORT:
            if len(body) < _SENDER_INFO.size:
                raise MalformedRtcp(f"sender report of {len(body)} bytes")
            ssrc, ntp, rtp_timestamp, packet_count, octet_count = _SENDER_INFO.unpack_from(body)
            return SenderReport(
                ssrc=ssrc,
                ntp=ntp,
                rtp_timestamp=rtp_timestamp,
                packet_count=packet_count,
                octet_count=octet_count,
                reports=_parse_blocks(body, _SENDER_INFO.size, count),
            )
        case PacketType.RECEIVER_REPORT:
            if len(body) < 4:
                raise MalformedRtcp(f"receiver report of {len(body)} bytes")
            return ReceiverReport(ssrc=_SSRC.unpack_from(body)[0], reports=_parse_blocks(body, 4, count))
        case PacketType.SOURCE_DESCRIPTION:
            return _parse_source_description(body) if count else None
        case PacketType.GOODBYE:
            if len(body) < 4 * count:
                raise MalformedRtcp(f"goodbye of {count} sources in {len(body)} bytes")
            return Goodbye(ssrcs=tuple(_SSRC.unpack_from(body, 4 * i)[0] for i in range(count)))
        case PacketType.PAYLOAD_FEEDBACK:
            return _parse_payload_feedback(count, body)
    return None


def _parse_payload_feedback(message: int, body: bytes) -> PictureLossIndication | FullIntraRequest | None:
    if len(body) < _FEEDBACK.size:
        raise MalformedRtcp(f"feedback of {len(body)} bytes")
    ssrc, media_ssrc = _FEEDBACK.unpack_from(body)
    match message:
        case PayloadFeedback.PICTURE_LOSS_INDICATION:
            return PictureLossIndication(ssrc=ssrc, media_ssrc=media_ssrc)
        case PayloadFeedback.FULL_INTRA_REQUEST:
            count, left_over = divmod(len(body) - _FEEDBACK.size, _FULL_INTRA_REQUEST.size)
            if left_over or not 1 <= count <= MAX_FULL_INTRA_REQUESTS:
                raise MalformedRtcp(f"full intra request of {len(body)} bytes")
            return FullIntraRequest(ssrc=ssrc, requests=tuple(_FULL_INTRA_REQUEST.iter_unpack(body[_FEEDBACK.size :])))
    return None


def _parse_blocks(body: bytes, start: int, count: int) -> tuple[ReportBlock, ...]:
    if len(body) < start + count * _REPORT_BLOCK.size:
        raise MalformedRtcp(f"{count} report blocks in {len(body) - start} bytes")
    return tuple(_parse_block(body, start + i * _REPORT_BLOCK.size) for i in range(count))


def _parse_block(body: bytes, start: int) -> ReportBlock:
    ssrc, loss, highest, jitter, last, delay = _REPORT_BLOCK.unpack_from(body, start)
    lost = loss & 0xFFFFFF
    return ReportBlock(
        ssrc=ssrc,
        fraction_lost=loss >> 24,
        cumulative_lost=lost - 0x1000000 if lost & 0x800000 else lost,
        highest_sequence=highest,
        jitter_ticks=jitter,
        last_sender_report=last,
        delay_since_last_sender_report=delay,
    )


def _parse_source_description(body: bytes) -> SourceDescription | None:
    """The first chunk's CNAME; other items and chunks tell nothing we use."""
    if len(body) < 4:
        raise MalformedRtcp(f"source description of {len(body)} bytes")
    position = 4
    while position < len(body) and body[position]:
        if position + 2 > len(body):
            raise MalformedRtcp("source description item without a length")
        end = position + 2 + body[position + 1]
        if end > len(body):
            raise MalformedRtcp(f"source description item to byte {end} of {len(body)}")
        if body[position] == 1:
            cname = body[position + 2 : end].decode("utf-8", "replace")
            return SourceDescription(ssrc=_SSRC.unpack_from(body)[0], cname=cname)
        position = end
    return None


def _blocks(reports: tuple[ReportBlock, ...]) -> bytes:
    return b"".join(report.serialize() for report in reports)


def _packet(packet_type: PacketType, count: int, body: bytes) -> bytes:
    return _HEADER.pack(0x80 | count, packet_type, len(body) // 4) + body
