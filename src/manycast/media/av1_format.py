"""What the sequence header of AV1 says of its pictures (AV1 Bitstream & Decoding Process Specification, 5.5)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from manycast.media.av1 import MAX_SEQUENCE_HEADER_BYTES
from manycast.media.bits import BitReader, MalformedBitstream

_BT_709, _SRGB, _IDENTITY = 1, 13, 0  # colour primaries, transfer characteristics, matrix coefficients
_UNSPECIFIED = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Av1Format:
    """Profile, level and picture format, as av1C and codec strings have them."""

    profile: int
    level_idx: int  # of the first operating point
    tier: int
    width: int  # the largest there may be, in pixels
    height: int
    bit_depth: int
    monochrome: bool
    subsampling_x: int
    subsampling_y: int
    chroma_sample_position: int

    @classmethod
    def parse(cls, obu: bytes) -> Self:
        """Read a sequence header OBU without size field. Raises MalformedBitstream."""
        if not obu:
            raise MalformedBitstream("sequence header of 0 bytes")
        reader = BitReader(obu[2 if obu[0] & 4 else 1 : MAX_SEQUENCE_HEADER_BYTES])
        profile = reader.u(3)
        reader.u(1)  # still_picture
        reduced = reader.flag()  # reduced_still_picture_header
        level_idx, tier = (reader.u(5), 0) if reduced else _read_operating_points(reader)
        width_bits, height_bits = reader.u(4) + 1, reader.u(4) + 1
        width, height = reader.u(width_bits) + 1, reader.u(height_bits) + 1
        if not reduced and reader.flag():  # frame_id_numbers_present_flag
            reader.u(4 + 3)
        reader.u(3)  # use_128x128_superblock, enable_filter_intra, enable_intra_edge_filter
        if not reduced:
            _skip_tools(reader)
        reader.u(3)  # enable_superres, enable_cdef, enable_restoration
        bit_depth, monochrome, subsampling_x, subsampling_y, position = _read_colours(reader, profile)
        return cls(
            profile=profile,
            level_idx=level_idx,
            tier=tier,
            width=width,
            height=height,
            bit_depth=bit_depth,
            monochrome=monochrome,
            subsampling_x=subsampling_x,
            subsampling_y=subsampling_y,
            chroma_sample_position=position,
        )


def _read_operating_points(reader: BitReader) -> tuple[int, int]:
    """All up to the picture's size; level and tier of the first operating point."""
    delay_bits = 0
    if reader.flag():  # timing_info_present_flag
        reader.u(32 + 32)
        if reader.flag():  # equal_picture_interval
            reader.ue()  # num_ticks_per_picture_minus_1, written as Exp-Golomb codes are
        if reader.flag():  # decoder_model_info_present_flag
            delay_bits = reader.u(5) + 1
            reader.u(32 + 5 + 5)
    display_delays = reader.flag()
    level_idx = tier = 0
    for index in range(reader.u(5) + 1):
        reader.u(12)  # operating_point_idc
        level = reader.u(5)
        high = reader.u(1) if level > 7 else 0
        if not index:
            level_idx, tier = level, high
        if delay_bits and reader.flag():
            reader.u(2 * delay_bits + 1)
        if display_delays and reader.flag():
            reader.u(4)
    return level_idx, tier


def _skip_tools(reader: BitReader) -> None:
    """From enable_interintra_compound to order_hint_bits_minus_1."""
    reader.u(4)
    order_hint = reader.flag()
    if order_hint:
        reader.u(2)
    screen_content = True if reader.flag() else reader.flag()
    if screen_content and not reader.flag():
        reader.u(1)  # seq_force_integer_mv
    if order_hint:
        reader.u(3)


def _read_colours(reader: BitReader, profile: int) -> tuple[int, bool, int, int, int]:
    """color_config (5.5.2): bit depth, whether there is no colour, subsampling in x and y, chroma_sample_position."""
    bit_depth = 10 if reader.flag() else 8
    if profile == 2 and bit_depth == 10 and reader.flag():
        bit_depth = 12
    monochrome = profile != 1 and reader.flag()
    described = (reader.u(8), reader.u(8), reader.u(8)) if reader.flag() else (_UNSPECIFIED,) * 3
    if monochrome:
        return bit_depth, True, 1, 1, 0
    if described == (_BT_709, _SRGB, _IDENTITY):
        return bit_depth, False, 0, 0, 0
    reader.u(1)  # color_range
    x, y = (1, 1) if profile == 0 else (0, 0) if profile == 1 else (1, 0)
    if profile == 2 and bit_depth == 12:
        x = reader.u(1)
        y = reader.u(1) if x else 0
    return bit_depth, False, x, y, reader.u(2) if x and y else 0
