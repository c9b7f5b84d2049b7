"""Configuration records of AV1 and VP9, as MP4 and FLV have them; those of H.264 and H.265 are with their codecs."""

from __future__ import annotations

from manycast.media.av1 import sequence_header_of, split_obus, with_size_fields
from manycast.media.av1_format import Av1Format
from manycast.media.bits import MalformedBitstream
from manycast.media.codec_string import vp9_level
from manycast.media.track import Av1Parameters
from manycast.media.vp9 import Vp9Format

_AV1C_BYTES = 4  # before the OBUs
_VP9_COLOURS = {1: b"\x06\x06\x06", 2: b"\x01\x01\x01", 5: b"\x09\x0e\x09", 7: b"\x01\x0d\x00"}  # by color_space
_UNSPECIFIED_COLOURS = b"\x02\x02\x02"


def serialize_av1c(sequence_header: bytes) -> bytes:
    """Write an AV1CodecConfigurationRecord (AV1 Codec ISO Media File Format Binding section 2.3).

    Raises MalformedBitstream.
    """
    form = Av1Format.parse(sequence_header)
    depth = (form.bit_depth > 8) << 6 | (form.bit_depth == 12) << 5
    sampling = form.monochrome << 4 | form.subsampling_x << 3 | form.subsampling_y << 2 | form.chroma_sample_position
    head = bytes((0x81, form.profile << 5 | form.level_idx, form.tier << 7 | depth | sampling, 0))
    return head + with_size_fields([sequence_header])


def parse_av1c(record: bytes) -> Av1Parameters:
    """Read such a record; its sequence header may be missing. Raises MalformedBitstream."""
    if len(record) < _AV1C_BYTES or record[0] != 0x81:
        raise MalformedBitstream(f"av1C of {len(record)} bytes, beginning {record[:1].hex()}")
    return Av1Parameters(sequence_header=sequence_header_of(split_obus(record[_AV1C_BYTES:])))


def serialize_vpcc(form: Vp9Format) -> bytes:
    """Write a VPCodecConfigurationRecord (VP Codec ISO Media File Format Binding)."""
    sampling = 3 if not form.subsampling_x else 1 if form.subsampling_y else 2  # 4:4:4, 4:2:0, 4:2:2
    depths = form.bit_depth << 4 | sampling << 1 | form.full_range
    colours = _VP9_COLOURS.get(form.color_space, _UNSPECIFIED_COLOURS)
    return bytes((form.profile, vp9_level(form), depths)) + colours + bytes(2)
