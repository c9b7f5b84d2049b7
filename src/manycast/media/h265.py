"""H.265 bitstream facts (ITU-T H.265, ISO/IEC 14496-15): NAL units, parameter sets, keyframes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from fractions import Fraction

from manycast.media.bits import BitReader, MalformedBitstream
from manycast.media.nal import MAX_PARAMETER_SET_BYTES, parameter_sets_of, replace_set, without_emulation_prevention
from manycast.media.track import H265Parameters


class H265NalType(IntEnum):
    """nal_unit_type (table 7-1); bits 1 to 6 of a unit's first byte.

    Below 32 are slices, 16 to 23 of IRAP pictures.
    """

    TRAIL_N = 0
    TRAIL_R = 1
    RASL_N = 8
    RASL_R = 9
    BLA_W_LP = 16
    BLA_W_RADL = 17
    BLA_N_LP = 18
    IDR_W_RADL = 19
    IDR_N_LP = 20
    CRA = 21
    VPS = 32
    SPS = 33
    PPS = 34
    ACCESS_UNIT_DELIMITER = 35
    END_OF_SEQUENCE = 36
    END_OF_BITSTREAM = 37
    FILLER = 38
    PREFIX_SEI = 39
    SUFFIX_SEI = 40


_VPS, _SPS, _PPS = int(H265NalType.VPS), int(H265NalType.SPS), int(H265NalType.PPS)

_EXTENDED_SAR = 255
_MAX_SIZE = 32768  # pixels a side, above any level
_MAX_SHORT_TERM_SETS = 64
_MAX_PICTURES = 16  # in a reference picture set (section 7.4.3.3.3: at most sps_max_dec_pic_buffering)


@dataclass(frozen=True, slots=True, kw_only=True)
class H265Sps:
    """What a sequence parameter set says (section 7.3.2.2)."""

    sps_id: int
    vps_id: int
    max_sub_layers: int
    temporal_id_nesting: bool
    profile_tier_level: bytes  # the general part, 12 bytes: profile space, tier, profile, flags, level
    chroma_format_idc: int
    bit_depth_luma: int
    bit_depth_chroma: int
    width: int  # in pixels, cropped
    height: int
    max_num_reorder_frames: int
    frame_rate: Fraction | None = None  # frames a second; None where the VUI does not tell

    @classmethod
    def parse(cls, unit: bytes) -> H265Sps:
        """Read a NAL unit with its header. Bad bytes raise MalformedBitstream and nothing else.

        What is broken behind the picture's size and order is taken as absent.
        """
        _check_set(unit, _SPS)
        rbsp = without_emulation_prevention(unit)[2:]
        bits = BitReader(rbsp)
        vps_id = bits.u(4)
        max_sub_layers = bits.u(3) + 1
        if max_sub_layers > 7:
            raise MalformedBitstream(f"{max_sub_layers} temporal sub-layers, at most 7 allowed")
        temporal_id_nesting = bits.flag()
        bits.u(96)  # general_profile_space to general_level_idc, byte-aligned at byte 1
        _skip_sub_layers(bits, max_sub_layers)
        sps_id = bits.ue(15)
        chroma_format_idc = bits.ue(3)
        separate_planes = chroma_format_idc == 3 and bits.flag()
        width, height = bits.ue(_MAX_SIZE), bits.ue(_MAX_SIZE)
        if bits.flag():
            chroma_array_type = 0 if separate_planes else chroma_format_idc
            left, right, top, bottom = bits.ue(), bits.ue(), bits.ue(), bits.ue()
            width -= (2 if chroma_array_type in (1, 2) else 1) * (left + right)
            height -= (2 if chroma_array_type == 1 else 1) * (top + bottom)
        if width <= 0 or height <= 0:
            raise MalformedBitstream(f"picture of {width}x{height} pixels after cropping")
        depth_luma, depth_chroma = 8 + bits.ue(8), 8 + bits.ue(8)
        log2_max_poc_lsb = 4 + bits.ue(12)
        reorder = 0
        for _ in range(max_sub_layers if bits.flag() else 1):
            bits.ue()  # sps_max_dec_pic_buffering_minus1
            reorder = bits.ue(_MAX_PICTURES)
            bits.ue()  # sps_max_latency_increase_plus1
        frame_rate = None
        try:
            frame_rate = _parse_frame_rate(bits, chroma_format_idc, log2_max_poc_lsb)
        except MalformedBitstream:
            pass
        return cls(
            sps_id=sps_id,
            vps_id=vps_id,
            max_sub_layers=max_sub_layers,
            temporal_id_nesting=temporal_id_nesting,
            profile_tier_level=rbsp[1:13],
            chroma_format_idc=chroma_format_idc,
            bit_depth_luma=depth_luma,
            bit_depth_chroma=depth_chroma,
            width=width,
            height=height,
            max_num_reorder_frames=reorder,
            frame_rate=frame_rate,
        )


def is_keyframe(units: Sequence[bytes]) -> bool:
    """Whether decoding can start at this access unit, whose units have a header: an IRAP picture.

    Looking at first_slice_segment_in_pic_flag keeps the second half of a picture that a camera sent in two
    access units from passing as a keyframe.
    """
    for unit in units:
        nal_unit_type = unit[0] >> 1 & 0x3F
        if nal_unit_type < 32:
            return 16 <= nal_unit_type <= 23 and len(unit) > 2 and unit[2] >= 0x80
    return False


def with_parameter_set(parameters: H265Parameters, unit: bytes) -> H265Parameters:
    """The parameters with a VPS, SPS or PPS taken in, in the place of the one with the same id.

    Returns the same object when it has that very unit, or the unit is of another type or of a higher layer
    (which has ids of its own). Raises MalformedBitstream.
    """
    if len(unit) < 2 or unit[0] & 1 or unit[1] >> 3:
        return parameters
    nal_unit_type = unit[0] >> 1 & 0x3F
    if nal_unit_type == _VPS:
        if unit in parameters.vps:
            return parameters
        parameter_set_id(unit)
        return replace(parameters, vps=replace_set(parameters.vps, unit, parameter_set_id))
    if nal_unit_type == _SPS:
        if unit in parameters.sps:
            return parameters
        H265Sps.parse(unit)
        return replace(parameters, sps=replace_set(parameters.sps, unit, parameter_set_id))
    if nal_unit_type == _PPS:
        if unit in parameters.pps:
            return parameters
        parameter_set_id(unit)
        return replace(parameters, pps=replace_set(parameters.pps, unit, parameter_set_id))
    return parameters


def parameter_set_id(unit: bytes) -> int:
    """The id of a VPS, SPS or PPS. Raises MalformedBitstream."""
    nal_unit_type = unit[0] >> 1 & 0x3F if unit else 0
    _check_set(unit, nal_unit_type)
    if nal_unit_type == _VPS:
        return BitReader(unit[2:3]).u(4)
    if nal_unit_type == _PPS:
        return BitReader(unit[2:8]).ue(63)
    bits = BitReader(without_emulation_prevention(unit)[2:])
    bits.u(4)
    max_sub_layers = bits.u(3) + 1
    bits.u(97)
    _skip_sub_layers(bits, max_sub_layers)
    return bits.ue(15)


def parse_hvcc(record: bytes) -> tuple[H265Parameters, int]:
    """Read an HEVCDecoderConfigurationRecord (ISO/IEC 14496-15 section 8.3.3.1).

    Returns the parameters and the size of the length before each NAL unit. Raises MalformedBitstream.
    """
    # FFmpeg wrote version 0 before the standard was out; such files are around.
    if len(record) < 23 or record[0] > 1:
        raise MalformedBitstream(f"hvcC of {len(record)} bytes, version {record[0] if record else None}")
    length_size = (record[21] & 3) + 1
    parameters = H265Parameters()
    position = 23
    for _ in range(record[22]):
        count = int.from_bytes(record[position + 1 : position + 3], "big")
        position += 3
        units, position = parameter_sets_of(record, position, count)
        for unit in units:
            parameters = with_parameter_set(parameters, unit)
        if position > len(record):
            raise MalformedBitstream(f"hvcC ends at byte {len(record)}, before its parameter sets do")
    return parameters, length_size


def serialize_hvcc(parameters: H265Parameters) -> bytes:
    """Write an HEVCDecoderConfigurationRecord with lengths of 4 bytes; the parameters must be complete."""
    sps = H265Sps.parse(parameters.sps[0])
    parts = [
        b"\x01",
        sps.profile_tier_level,
        b"\xf0\x00\xfc",  # min_spatial_segmentation_idc 0, parallelismType 0: unknown
        bytes((0xFC | sps.chroma_format_idc, 0xF8 | (sps.bit_depth_luma - 8), 0xF8 | (sps.bit_depth_chroma - 8))),
        b"\x00\x00",  # avgFrameRate: unknown
        bytes((sps.max_sub_layers << 3 | sps.temporal_id_nesting << 2 | 3, 3)),
    ]
    for nal_unit_type, units in ((_VPS, parameters.vps), (_SPS, parameters.sps), (_PPS, parameters.pps)):
        parts.append(bytes((0x80 | nal_unit_type,)) + len(units).to_bytes(2, "big"))
        parts += [len(unit).to_bytes(2, "big") + unit for unit in units]
    return b"".join(parts)


def _check_set(unit: bytes, nal_unit_type: int) -> None:
    if len(unit) < 2 or unit[0] >> 1 & 0x3F != nal_unit_type:
        raise MalformedBitstream(f"NAL unit {unit[:2].hex()}, wanted type {nal_unit_type}")
    if len(unit) > MAX_PARAMETER_SET_BYTES:
        raise MalformedBitstream(f"parameter set of {len(unit)} bytes, at most {MAX_PARAMETER_SET_BYTES} taken")


def _skip_sub_layers(bits: BitReader, max_sub_layers: int) -> None:
    """The sub-layers' part of profile_tier_level (section 7.3.3)."""
    if max_sub_layers == 1:
        return
    flags = bits.u(16)  # two for each of at most eight sub-layers
    for index in range(max_sub_layers - 1):
        if flags >> (15 - 2 * index) & 1:
            bits.u(88)
        if flags >> (14 - 2 * index) & 1:
            bits.u(8)


def _parse_frame_rate(bits: BitReader, chroma_format_idc: int, log2_max_poc_lsb: int) -> Fraction | None:
    """Read on behind sps_max_latency_increase_plus1 as far as the VUI's timing."""
    for _ in range(6):  # sizes of coding and transform blocks
        bits.ue()
    if bits.flag() and bits.flag():
        _skip_scaling_lists(bits, chroma_format_idc)
    bits.u(2)  # amp_enabled_flag, sample_adaptive_offset_enabled_flag
    if bits.flag():  # pcm_enabled_flag
        bits.u(8)
        bits.ue()
        bits.ue()
        bits.flag()
    delta_pocs: list[int] = []
    for index in range(bits.ue(_MAX_SHORT_TERM_SETS)):
        delta_pocs.append(_skip_short_term_set(bits, index, delta_pocs))
    if bits.flag():  # long_term_ref_pics_present_flag
        for _ in range(bits.ue(32)):
            bits.u(log2_max_poc_lsb + 1)
    bits.u(2)  # sps_temporal_mvp_enabled_flag, strong_intra_smoothing_enabled_flag
    if not bits.flag():
        return None
    if bits.flag() and bits.u(8) == _EXTENDED_SAR:
        bits.u(32)
    if bits.flag():
        bits.flag()  # overscan_appropriate_flag
    if bits.flag():
        bits.u(4)  # video_format, video_full_range_flag
        if bits.flag():
            bits.u(24)
    if bits.flag():
        bits.ue(5)
        bits.ue(5)
    bits.u(3)  # neutral_chroma_indication_flag, field_seq_flag, frame_field_info_present_flag
    if bits.flag():
        for _ in range(4):  # default display window
            bits.ue()
    if not bits.flag():
        return None
    num_units_in_tick, time_scale = bits.u(32), bits.u(32)
    return Fraction(time_scale, num_units_in_tick) if num_units_in_tick and time_scale else None


def _skip_scaling_lists(bits: BitReader, chroma_format_idc: int) -> None:
    for size_id in range(4):
        for _ in range(0, 6, 3 if size_id == 3 else 1):
            if not bits.flag():
                bits.ue()  # scaling_list_pred_matrix_id_delta
                continue
            if size_id > 1:
                bits.se()
            for _ in range(min(64, 1 << (4 + 2 * size_id))):
                bits.se()


def _skip_short_term_set(bits: BitReader, index: int, delta_pocs: list[int]) -> int:
    """One st_ref_pic_set (section 7.3.7); returns its NumDeltaPocs."""
    if index and bits.flag():  # predicted from the one before it
        bits.flag()
        bits.ue()
        count = 0
        for _ in range(delta_pocs[index - 1] + 1):
            used = bits.flag()
            if used or bits.flag():
                count += 1
        return count
    negative, positive = bits.ue(_MAX_PICTURES), bits.ue(_MAX_PICTURES)
    for _ in range(negative + positive):
        bits.ue()
        bits.flag()
    return negative + positive
