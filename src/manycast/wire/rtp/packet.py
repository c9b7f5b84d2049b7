"""The RTP packet."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Self

from manycast.errors import ProtocolError

HEADER_BYTES = 12

_HEADER = struct.Struct(">BBHII")
_EXTENSION = struct.Struct(">HH")


class MalformedRtp(ProtocolError):
    """Bytes that are no RTP packet."""


@dataclass(slots=True, kw_only=True)
class RtpPacket:
    """One RTP packet (RFC 3550 section 5.1); padding, CSRCs and header extensions are dropped on parse.

     0                   1                   2                   3
    |V=2|P|X|  CC   |M|     PT      |       sequence number         |
    |                           timestamp                           |
    |           synchronization source (SSRC) identifier            |
    """

    payload_type: int  # 0..127
    sequence: int  # 0..65535, wraps
    timestamp: int  # ticks of the track's clock; 32 bits on the wire, a receiver unwraps it
    ssrc: int
    marker: bool
    payload: bytes

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read one datagram. Bad bytes raise MalformedRtp and nothing else."""
        size = len(data)
        if size < HEADER_BYTES:
            raise MalformedRtp(f"{size} bytes, the fixed header needs {HEADER_BYTES}")
        flags, second, sequence, timestamp, ssrc = _HEADER.unpack_from(data)
        # 0x80: no padding, no extension, no CSRC, as in nearly every packet.
        payload = data[HEADER_BYTES:] if flags == 0x80 else _payload_of(data, flags, size)
        return cls(
            payload_type=second & 0x7F,
            sequence=sequence,
            timestamp=timestamp,
            ssrc=ssrc,
            marker=second >= 0x80,
            payload=payload,
        )

    def serialize(self) -> bytes:
        return header(self.payload_type, self.sequence, self.timestamp, self.ssrc, self.marker) + self.payload


def header(payload_type: int, sequence: int, timestamp: int, ssrc: int, marker: bool) -> bytes:
    """The 12 bytes before a payload. `sequence` and `timestamp` may be unwrapped."""
    return _HEADER.pack(
        0x80,
        payload_type | 0x80 if marker else payload_type,
        sequence & 0xFFFF,
        timestamp & 0xFFFFFFFF,
        ssrc,
    )


def _payload_of(data: bytes, flags: int, size: int) -> bytes:
    if flags >> 6 != 2:
        raise MalformedRtp(f"version {flags >> 6}, wanted 2")
    start = HEADER_BYTES + 4 * (flags & 0x0F)
    if flags & 0x10:
        if start + 4 > size:
            raise MalformedRtp(f"header extension at byte {start} of {size}")
        _profile, words = _EXTENSION.unpack_from(data, start)
        start += 4 + 4 * words
    end = size
    if flags & 0x20 and start < size:
        end -= data[-1]
        if data[-1] == 0:
            raise MalformedRtp("padding of 0 bytes")
    if start > end:
        raise MalformedRtp(f"payload from byte {start} to {end} of {size}")
    return data[start:end]
