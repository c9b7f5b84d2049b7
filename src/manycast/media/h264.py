"""H.264 bitstream facts (ITU-T H.264, ISO/IEC 14496-15): NAL units, parameter sets, keyframes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from fractions import Fraction

from manycast.media.bits import BitReader, MalformedBitstream
from manycast.media.nal import MAX_PARAMETER_SET_BYTES, parameter_sets_of, replace_set, without_emulation_prevention
from manycast.media.track import H264Parameters


class H264NalType(IntEnum):
    """nal_unit_type (table 7-1); the low five bits of a unit's first byte."""

    SLICE = 1
    PARTITION_A = 2
    PARTITION_B = 3
    PARTITION_C = 4
    IDR = 5
    SEI = 6
    SPS = 7
    PPS = 8
    ACCESS_UNIT_DELIMITER = 9
    END_OF_SEQUENCE = 10
    END_OF_STREAM = 11
    FILLER = 12
    SPS_EXTENSION = 13
    PREFIX = 14
    SUBSET_SPS = 15
    AUXILIARY_SLICE = 19
    SLICE_EXTENSION = 20


_SLICE, _PARTITION_A, _IDR = int(H264NalType.SLICE), int(H264NalType.PARTITION_A), int(H264NalType.IDR)
_SEI, _SPS, _PPS = int(H264NalType.SEI), int(H264NalType.SPS), int(H264NalType.PPS)

_PROFILES_WITH_CHROMA = frozenset({100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135})
_EXTENDED_SAR = 255
_RECOVERY_POINT = 6  # SEI payload type (section D.1.8)
_MAX_SIZE_IN_UNITS = 2048  # macroblocks a side: 32768 pixels, above any level


@dataclass(frozen=True, slots=True, kw_only=True)
class H264Sps:
    """What a sequence parameter set says (section 7.3.2.1.1)."""

    sps_id: int
    profile_idc: int
    constraint_flags: int  # the whole byte between profile_idc and level_idc
    level_idc: int
    chroma_format_idc: int
    bit_depth_luma: int
    bit_depth_chroma: int
    width: int  # in pixels, cropped
    height: int
    frame_mbs_only: bool
    frame_rate: Fraction | None = None  # frames a second; None where the VUI does not tell
    max_num_reorder_frames: int | None = None  # None where neither the VUI nor the way of counting pictures tells

    @classmethod
    def parse(cls, unit: bytes) -> H264Sps:
        """Read a NAL unit with its header. Bad bytes raise MalformedBitstream and nothing else.

        A broken VUI is taken as none: it is at the end, and players show such streams.
        """
        _check_set(unit, _SPS)
        bits = BitReader(without_emulation_prevention(unit)[1:])
        profile_idc, constraint_flags, level_idc = bits.u(8), bits.u(8), bits.u(8)
        sps_id = bits.ue(31)
        samples = _parse_samples(bits) if profile_idc in _PROFILES_WITH_CHROMA else _Samples()
        bits.ue(12)  # log2_max_frame_num_minus4
        pic_order_cnt_type = _parse_order_count(bits)
        bits.ue(16)  # max_num_ref_frames
        bits.flag()  # gaps_in_frame_num_value_allowed_flag
        width, height, frame_mbs_only = _parse_size(bits, samples.chroma_array_type)
        frame_rate, reorder = None, None
        try:
            if bits.flag():
                frame_rate, reorder = _parse_vui(bits)
        except MalformedBitstream:
            pass
        if reorder is None and (pic_order_cnt_type == 2 or profile_idc == 66):
            reorder = 0  # output order is decoding order (section 8.2.1.3); Baseline has no B slices
        return cls(
            sps_id=sps_id,
            profile_idc=profile_idc,
            constraint_flags=constraint_flags,
            level_idc=level_idc,
            chroma_format_idc=samples.chroma_format_idc,
            bit_depth_luma=samples.bit_depth_luma,
            bit_depth_chroma=samples.bit_depth_chroma,
            width=width,
            height=height,
            frame_mbs_only=frame_mbs_only,
            frame_rate=frame_rate,
            max_num_reorder_frames=reorder,
        )


def is_keyframe(units: Sequence[bytes]) -> bool:
    """Whether decoding can start at this access unit (its units are not empty).

    That is an IDR picture, or an I picture that is marked as an entry: by a recovery point SEI (open GOP),
    or, as some broadcast encoders do, by nothing but the SPS before it. Looking at the first macroblock
    keeps the second half of a picture that a camera sent in two access units from passing as a keyframe.
    """
    entry = False
    intra = False
    for unit in units:
        nal_unit_type = unit[0] & 0x1F
        if nal_unit_type == _IDR:
            return len(unit) > 1 and unit[1] >= 0x80  # first_mb_in_slice is 0
        if nal_unit_type in (_SLICE, _PARTITION_A):
            if not entry or not _is_intra_slice(unit) or (not intra and unit[1] < 0x80):
                return False
            intra = True
        elif nal_unit_type == _SPS or (nal_unit_type == _SEI and not entry and has_recovery_point(unit)):
            entry = True
    return intra


def has_recovery_point(sei: bytes) -> bool:
    """Whether an SEI NAL unit holds a recovery point message; bad bytes are no recovery point."""
    data = without_emulation_prevention(sei)
    position, end = 1, len(data)
    while position + 2 < end:  # a message's two bytes, and the stop bit's
        payload_type = payload_size = 0
        while position < end and data[position] == 255:
            payload_type += 255
            position += 1
        if position < end:
            payload_type += data[position]
        position += 1
        while position < end and data[position] == 255:
            payload_size += 255
            position += 1
        if position < end:
            payload_size += data[position]
        position += 1 + payload_size
        if payload_type == _RECOVERY_POINT and position <= end:
            return True
    return False


def with_parameter_set(parameters: H264Parameters, unit: bytes) -> H264Parameters:
    """The parameters with an SPS or PPS taken in, in the place of the one with the same id.

    Returns the same object when it has that very unit, or the unit is of another type. Raises
    MalformedBitstream.
    """
    nal_unit_type = unit[0] & 0x1F if unit else 0
    if nal_unit_type == _SPS:
        if unit in parameters.sps:
            return parameters
        H264Sps.parse(unit)
        return replace(parameters, sps=replace_set(parameters.sps, unit, parameter_set_id))
    if nal_unit_type == _PPS:
        if unit in parameters.pps:
            return parameters
        parameter_set_id(unit)
        return replace(parameters, pps=replace_set(parameters.pps, unit, parameter_set_id))
    return parameters


def parameter_set_id(unit: bytes) -> int:
    """The id of an SPS or PPS. Raises MalformedBitstream."""
    nal_unit_type = unit[0] & 0x1F if unit else 0
    _check_set(unit, nal_unit_type)
    # Both ids stand before any place where emulation prevention can strike.
    return BitReader(unit[4:10]).ue(31) if nal_unit_type == _SPS else BitReader(unit[1:7]).ue(255)


def parse_avcc(record: bytes) -> tuple[H264Parameters, int]:
    """Read an AVCDecoderConfigurationRecord (ISO/IEC 14496-15 section 5.3.3.1).

    Returns the parameters and the size of the length before each NAL unit. Raises MalformedBitstream.
    """
    if len(record) < 7 or record[0] != 1:
        raise MalformedBitstream(f"avcC of {len(record)} bytes, version {record[0] if record else None}")
    length_size = (record[4] & 3) + 1
    parameters = H264Parameters()
    position = 5
    for mask in (0x1F, 0xFF):
        if position >= len(record):
            raise MalformedBitstream(f"avcC ends at byte {len(record)}, before its parameter sets do")
        units, position = parameter_sets_of(record, position + 1, record[position] & mask)
        for unit in units:
            parameters = with_parameter_set(parameters, unit)
    return parameters, length_size


def serialize_avcc(parameters: H264Parameters) -> bytes:
    """Write an AVCDecoderConfigurationRecord with lengths of 4 bytes; the parameters must be complete."""
    sps = H264Sps.parse(parameters.sps[0])
    parts = [bytes((1, sps.profile_idc, sps.constraint_flags, sps.level_idc, 0xFF, 0xE0 | len(parameters.sps)))]
    parts += [len(unit).to_bytes(2, "big") + unit for unit in parameters.sps]
    parts.append(bytes((len(parameters.pps),)))
    parts += [len(unit).to_bytes(2, "big") + unit for unit in parameters.pps]
    if sps.profile_idc in (100, 110, 122, 144):
        chroma, luma_depth, chroma_depth = sps.chroma_format_idc, sps.bit_depth_luma, sps.bit_depth_chroma
        parts.append(bytes((0xFC | chroma, 0xF8 | (luma_depth - 8), 0xF8 | (chroma_depth - 8), 0)))
    return b"".join(parts)


def _check_set(unit: bytes, nal_unit_type: int) -> None:
    if not unit or unit[0] & 0x1F != nal_unit_type:
        raise MalformedBitstream(f"NAL unit type {unit[0] & 0x1F if unit else None}, wanted {nal_unit_type}")
    if len(unit) > MAX_PARAMETER_SET_BYTES:
        raise MalformedBitstream(f"parameter set of {len(unit)} bytes, at most {MAX_PARAMETER_SET_BYTES} taken")


def _is_intra_slice(unit: bytes) -> bool:
    try:
        bits = BitReader(unit[1:12])
        bits.ue()  # first_mb_in_slice
        return bits.ue(9) % 5 in (2, 4)  # I, SI (table 7-6)
    except MalformedBitstream:
        return False


@dataclass(frozen=True, slots=True)
class _Samples:
    """What a picture's samples are like; as it is here in profiles that do not say."""

    chroma_format_idc: int = 1
    chroma_array_type: int = 1  # the same, but for planes that are coded each by itself
    bit_depth_luma: int = 8
    bit_depth_chroma: int = 8


def _parse_samples(bits: BitReader) -> _Samples:
    chroma_format_idc = bits.ue(3)
    separate_planes = chroma_format_idc == 3 and bits.flag()
    depth_luma, depth_chroma = 8 + bits.ue(6), 8 + bits.ue(6)
    bits.flag()  # qpprime_y_zero_transform_bypass_flag
    if bits.flag():
        for index in range(8 if chroma_format_idc != 3 else 12):
            if bits.flag():
                _skip_scaling_list(bits, 16 if index < 6 else 64)
    return _Samples(chroma_format_idc, 0 if separate_planes else chroma_format_idc, depth_luma, depth_chroma)


def _parse_order_count(bits: BitReader) -> int:
    """How pictures are counted: pic_order_cnt_type, and what belongs to it."""
    pic_order_cnt_type = bits.ue(2)
    if pic_order_cnt_type == 0:
        bits.ue(12)  # log2_max_pic_order_cnt_lsb_minus4
    elif pic_order_cnt_type == 1:
        bits.flag()  # delta_pic_order_always_zero_flag
        bits.se()  # offset_for_non_ref_pic
        bits.se()  # offset_for_top_to_bottom_field
        for _ in range(bits.ue(255)):
            bits.se()
    return pic_order_cnt_type


def _parse_size(bits: BitReader, chroma_array_type: int) -> tuple[int, int, bool]:
    """Width and height in pixels, cropped, and frame_mbs_only_flag."""
    width_in_mbs = bits.ue(_MAX_SIZE_IN_UNITS) + 1
    height_in_map_units = bits.ue(_MAX_SIZE_IN_UNITS) + 1
    frame_mbs_only = bits.flag()
    if not frame_mbs_only:
        bits.flag()  # mb_adaptive_frame_field_flag
    bits.flag()  # direct_8x8_inference_flag
    fields = 1 if frame_mbs_only else 2
    width, height = 16 * width_in_mbs, 16 * height_in_map_units * fields
    if bits.flag():
        unit_x = 2 if chroma_array_type in (1, 2) else 1
        unit_y = (2 if chroma_array_type == 1 else 1) * fields
        left, right, top, bottom = bits.ue(), bits.ue(), bits.ue(), bits.ue()
        width -= unit_x * (left + right)
        height -= unit_y * (top + bottom)
        if width <= 0 or height <= 0:
            raise MalformedBitstream(f"picture of {width}x{height} pixels after cropping")
    return width, height, frame_mbs_only


def _skip_scaling_list(bits: BitReader, size: int) -> None:
    last, following = 8, 8
    for _ in range(size):
        if following:
            following = (last + bits.se()) & 0xFF
        last = following or last


def _parse_vui(bits: BitReader) -> tuple[Fraction | None, int | None]:
    """The frame rate and max_num_reorder_frames of the VUI parameters (section E.1.1)."""
    if bits.flag() and bits.u(8) == _EXTENDED_SAR:
        bits.u(32)
    if bits.flag():
        bits.flag()  # overscan_appropriate_flag
    if bits.flag():
        bits.u(4)  # video_format, video_full_range_flag
        if bits.flag():
            bits.u(24)
    if bits.flag():
        bits.ue(5)  # chroma_sample_loc_type_top_field
        bits.ue(5)  # chroma_sample_loc_type_bottom_field
    frame_rate = None
    if bits.flag():
        num_units_in_tick, time_scale = bits.u(32), bits.u(32)
        bits.flag()  # fixed_frame_rate_flag
        if num_units_in_tick and time_scale:
            frame_rate = Fraction(time_scale, 2 * num_units_in_tick)
    nal_hrd = bits.flag()
    if nal_hrd:
        _skip_hrd(bits)
    vcl_hrd = bits.flag()
    if vcl_hrd:
        _skip_hrd(bits)
    if nal_hrd or vcl_hrd:
        bits.flag()  # low_delay_hrd_flag
    bits.flag()  # pic_struct_present_flag
    if not bits.flag():
        return frame_rate, None
    bits.flag()  # motion_vectors_over_pic_boundaries_flag
    for _ in range(4):  # limits on sizes and motion vectors
        bits.ue()
    return frame_rate, bits.ue(16)


def _skip_hrd(bits: BitReader) -> None:
    count = bits.ue(31) + 1
    bits.u(8)
    for _ in range(count):
        bits.ue()  # bit_rate_value_minus1
        bits.ue()  # cpb_size_value_minus1
        bits.flag()  # cbr_flag
    bits.u(20)
