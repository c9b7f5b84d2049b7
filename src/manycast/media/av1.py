"""AV1 (AV1 Bitstream & Decoding Process Specification): OBUs, what a sequence header says, keyframes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import Self

from manycast.media.bits import BitReader, MalformedBitstream

MAX_OBUS = 4096  # of one temporal unit
MAX_SEQUENCE_HEADER_BYTES = 1024  # real ones have 10 to 20 bytes

_HAS_SIZE, _HAS_EXTENSION, _FORBIDDEN = 0x02, 0x04, 0x80  # bits of an OBU's header (section 5.3.2)
_KEY_FRAME = 0  # frame_type (section 6.8.2)


class ObuType(IntEnum):
    """obu_type (section 6.2.2)."""

    SEQUENCE_HEADER = 1
    TEMPORAL_DELIMITER = 2
    FRAME_HEADER = 3
    TILE_GROUP = 4
    METADATA = 5
    FRAME = 6
    REDUNDANT_FRAME_HEADER = 7
    TILE_LIST = 8
    PADDING = 15


DROPPED = frozenset({ObuType.TEMPORAL_DELIMITER, ObuType.TILE_LIST, ObuType.PADDING})


@dataclass(frozen=True, slots=True, kw_only=True)
class Av1SequenceHeader:
    """The start of a sequence header OBU (section 5.5.1)."""

    profile: int
    level_idx: int
    tier: int
    reduced_still_picture: bool

    @classmethod
    def parse(cls, obu: bytes) -> Self:
        """Read an OBU without size field. Raises MalformedBitstream."""
        reader = BitReader(obu[_header_bytes(obu) :][:64])
        profile = reader.u(3)
        reader.u(1)  # still_picture
        if reader.flag():  # reduced_still_picture_header
            return cls(profile=profile, level_idx=reader.u(5), tier=0, reduced_still_picture=True)
        if reader.flag():  # timing_info_present_flag
            reader.u(32 + 32)
            if reader.flag():  # equal_picture_interval
                reader.ue()  # num_ticks_per_picture_minus_1, written as Exp-Golomb codes are
            if reader.flag():  # decoder_model_info_present_flag
                reader.u(5 + 32 + 5 + 5)
        reader.u(1 + 5 + 12)  # initial_display_delay_present_flag, number of operating points, idc of the first
        level_idx = reader.u(5)
        tier = reader.u(1) if level_idx > 7 else 0
        return cls(profile=profile, level_idx=level_idx, tier=tier, reduced_still_picture=False)


def obu_type(obu: bytes) -> int:
    return obu[0] >> 3 & 15


def split_obus(data: bytes) -> list[bytes]:
    """The OBUs of a temporal unit as containers store it (section 5.2), without size fields and those that carry
    nothing. Raises MalformedBitstream."""
    obus = []
    position = 0
    while position < len(data):
        start = position + _header_bytes(data[position : position + 2])
        end = len(data)
        if data[position] & _HAS_SIZE:
            size, start = read_leb128(data, start)
            end = start + size
        if end > len(data) or start > len(data):
            raise MalformedBitstream(f"OBU from byte {position} to {end} of {len(data)}")
        obus.append(data[position:end])
        if len(obus) > MAX_OBUS:
            raise MalformedBitstream(f"more than {MAX_OBUS} OBUs in one temporal unit")
        position = end
    return without_size_fields(obus)


def without_size_fields(obus: Iterable[bytes]) -> list[bytes]:
    """The same OBUs, but for those that carry nothing. Raises MalformedBitstream."""
    kept = []
    for obu in obus:
        if not obu or obu_type(obu) in DROPPED:
            continue
        header_bytes = _header_bytes(obu)
        if obu[0] & _HAS_SIZE:
            size, start = read_leb128(obu, header_bytes)
            if start + size > len(obu):
                raise MalformedBitstream(f"OBU of {size} bytes, {len(obu) - start} left")
            obu = bytes((obu[0] & ~_HAS_SIZE,)) + obu[1:header_bytes] + obu[start : start + size]
        kept.append(obu)
    return kept


def with_size_fields(obus: Iterable[bytes]) -> bytes:
    """A temporal unit as containers store it (section 5.2), of OBUs without size fields."""
    parts = []
    for obu in obus:
        header_bytes = min(2 if obu[0] & _HAS_EXTENSION else 1, len(obu))
        parts += [
            bytes((obu[0] | _HAS_SIZE,)),
            obu[1:header_bytes],
            leb128(len(obu) - header_bytes),
            obu[header_bytes:],
        ]
    return b"".join(parts)


def sequence_header_of(obus: Iterable[bytes]) -> bytes:
    """The sequence header among OBUs; empty where there is none, or one that cannot be read."""
    for obu in obus:
        if obu_type(obu) == ObuType.SEQUENCE_HEADER and len(obu) <= MAX_SEQUENCE_HEADER_BYTES:
            try:
                Av1SequenceHeader.parse(obu)
            except MalformedBitstream:
                continue
            return obu
    return b""


def is_keyframe(obus: Iterable[bytes], sequence_header: bytes) -> bool:
    """Whether the first frame of a temporal unit is a key frame that is shown (section 5.9.2)."""
    for obu in obus:
        if obu_type(obu) in (ObuType.FRAME, ObuType.FRAME_HEADER):
            try:
                if Av1SequenceHeader.parse(sequence_header).reduced_still_picture:
                    return True
                first = obu[_header_bytes(obu)]
            except (MalformedBitstream, IndexError):
                return False
            show_existing_frame, frame_type, show_frame = first >> 7, first >> 5 & 3, first >> 4 & 1
            return not show_existing_frame and frame_type == _KEY_FRAME and bool(show_frame)
    return False


def read_leb128(data: bytes, position: int) -> tuple[int, int]:
    """A number of up to 8 bytes (section 4.10.5), and where it ends. Raises MalformedBitstream."""
    value = 0
    for index, byte in enumerate(data[position : position + 8]):
        value |= (byte & 0x7F) << 7 * index
        if byte < 0x80:
            return value, position + index + 1
    raise MalformedBitstream("leb128 number without an end")


def leb128(value: int) -> bytes:
    groups = bytearray()
    while value > 0x7F:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    groups.append(value)
    return bytes(groups)


def _header_bytes(obu: bytes) -> int:
    if not obu:
        raise MalformedBitstream("OBU of 0 bytes")
    if obu[0] & _FORBIDDEN:
        raise MalformedBitstream("OBU with the forbidden bit set")
    return 2 if obu[0] & _HAS_EXTENSION else 1
