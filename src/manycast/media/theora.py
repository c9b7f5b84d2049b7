"""Theora (Theora specification): keyframes, the size of pictures and how many there are in a second."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Self

from manycast.media.bits import BitReader, MalformedBitstream

IDENTIFICATION_BYTES = 42


@dataclass(frozen=True, slots=True, kw_only=True)
class TheoraHeader:
    """What the identification header says (section 6.2)."""

    width: int  # of what is to be shown
    height: int
    frame_rate: Fraction | None
    sampling: str  # as SDP has it

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Raises MalformedBitstream."""
        if len(data) < IDENTIFICATION_BYTES or data[:7] != b"\x80theora":
            raise MalformedBitstream(f"a Theora identification header that begins with {data[:7]!r}")
        reader = BitReader(data[14:IDENTIFICATION_BYTES])
        width, height = reader.u(24), reader.u(24)
        reader.u(16)  # where the picture stands in its frame
        numerator, denominator = reader.u(32), reader.u(32)
        reader.u(24 + 24 + 8 + 24 + 6 + 5)  # aspect ratio, colour space, bit rate, quality, granule shift
        sampling = ("YCbCr-4:2:0", "", "YCbCr-4:2:2", "YCbCr-4:4:4")[reader.u(2)]
        if not sampling:
            raise MalformedBitstream("Theora of the reserved pixel format 1")
        rate = Fraction(numerator, denominator) if numerator and denominator else None
        return cls(width=width, height=height, frame_rate=rate, sampling=sampling)


def is_keyframe(packet: bytes) -> bool:
    """Whether a packet, which is no header, is an intra frame (section 7.1)."""
    return bool(packet) and packet[0] & 0xC0 == 0
