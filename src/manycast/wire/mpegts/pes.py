"""Packetised elementary streams (ISO/IEC 13818-1 section 2.4.3.6)."""

from __future__ import annotations

from typing import NamedTuple

from manycast.wire.mpegts.packet import MalformedTs

VIDEO_STREAM_ID = 0xE0
AUDIO_STREAM_ID = 0xC0
PRIVATE_STREAM_1 = 0xBD

# These have no header behind their length (table 2-21).
_BARE = frozenset({0xBC, 0xBE, 0xBF, 0xF0, 0xF1, 0xF2, 0xF8, 0xFF})


class PesPacket(NamedTuple):
    stream_id: int
    pts: int | None  # 33 bits of 90 kHz
    dts: int | None  # where it differs from the pts
    data: bytes


def pes_length(data: bytes) -> int | None:
    """How long a PES packet is, by its own start; None where it does not tell (video), or has not all come."""
    if len(data) < 6:
        return None
    length = int.from_bytes(data[4:6])
    return 6 + length if length else None


def parse_pes(data: bytes) -> PesPacket:
    """Read a whole PES packet. Raises MalformedTs."""
    if len(data) < 9 or data[:3] != b"\0\0\1":
        raise MalformedTs(f"no PES packet: {data[:4].hex()}")
    stream_id = data[3]
    if stream_id in _BARE:
        return PesPacket(stream_id, None, None, data[6:])
    if data[6] & 0xC0 != 0x80:
        raise MalformedTs("PES packet of MPEG-1, or none")
    flags = data[7] >> 6
    start = 9 + data[8]
    if start > len(data) or data[8] < (0, 0, 5, 10)[flags]:
        raise MalformedTs(f"PES header of {data[8]} bytes")
    pts = _parse_time(data[9:14]) if flags & 2 else None
    dts = _parse_time(data[14:19]) if flags == 3 else None
    return PesPacket(stream_id, pts, dts, data[start:])


def serialize_pes(stream_id: int, data: bytes, *, pts: int, dts: int) -> bytes:
    """A PES packet; where it is too long for its length field, as only video may be, the length is 0."""
    pts, dts = pts & 0x1_FFFF_FFFF, dts & 0x1_FFFF_FFFF
    if pts == dts:
        header = b"\x80\x05" + _serialize_time(2, pts)
    else:
        header = b"\xc0\x0a" + _serialize_time(3, pts) + _serialize_time(1, dts)
    size = 1 + len(header) + len(data)
    aligned = 0x84  # data_alignment_indicator: a frame begins here
    length = size if size < 0x10000 else 0
    return b"\0\0\1" + bytes((stream_id,)) + length.to_bytes(2) + bytes((aligned,)) + header + data


def _parse_time(data: bytes) -> int:
    return (data[0] >> 1 & 7) << 30 | (int.from_bytes(data[1:3]) >> 1) << 15 | int.from_bytes(data[3:5]) >> 1


def _serialize_time(prefix: int, time: int) -> bytes:
    return (
        bytes((prefix << 4 | time >> 29 & 0x0E | 1,))
        + (time >> 14 & 0xFFFE | 1).to_bytes(2)
        + (time << 1 & 0xFFFE | 1).to_bytes(2)
    )
