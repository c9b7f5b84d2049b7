from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.bit_writer import BitWriter, with_emulation_prevention

from manycast.media.bits import MalformedBitstream
from manycast.media.h264 import (
    H264Sps,
    has_recovery_point,
    is_keyframe,
    parameter_set_id,
    parse_avcc,
    serialize_avcc,
    with_parameter_set,
)
from manycast.media.nal import MAX_PARAMETER_SET_BYTES
from manycast.media.track import H264Parameters

# x264 with the arguments named: the SPS; width, height, frame rate, reorder depth, chroma format, bit depth.
X264 = {
    "-profile:v baseline -r 30": (
        "6742c01fd9005005bbff0003000410000003001000000303c0f1832480",
        (1280, 720, Fraction(30), 0, 1, 8),
    ),
    "-bf 3 -x264-params b-pyramid=normal -r 60000/1001": (
        "6764002aacd940780227e5ffc000c0010400000fa4000753003c60c658",
        (1920, 1080, Fraction(60000, 1001), 2, 1, 8),
    ),
    "-flags +ilme+ildct": (
        "67640028acd94078044fdffe0006000820000003002000000643e2c5b2c0",
        (1920, 1080, Fraction(25), 2, 1, 8),
    ),
    "-pix_fmt yuv422p10le": (
        "677a001eb6cd940a02ff9fff00b500f01000000300100000030300f162d960",
        (640, 362, Fraction(24), 2, 2, 10),
    ),
    "-pix_fmt yuv444p": (
        "67f40015919b282a33c7c5ffe0068008a2000003000200000300c81e2c5b2c",
        (322, 182, Fraction(50), 2, 3, 8),
    ),
    "-pix_fmt gray": (
        "6764000cf36505067e2fff005b00786c80000003008000000a078a14cb",
        (320, 182, Fraction(10), 2, 0, 8),
    ),
    "-x264-params nal-hrd=cbr:sar=16/11 -colorspace bt709": (
        "6764000dacd942c4ec09a808080a00000300020000030064c04003d08000f427261803c50a6580",
        (176, 144, Fraction(25), 2, 1, 8),
    ),
}
SPS = bytes.fromhex(X264["-profile:v baseline -r 30"][0])
PPS = bytes.fromhex("68cb83cb20")


@pytest.mark.parametrize(("unit", "expected"), X264.values(), ids=X264)
def test_sps_of_x264(unit: str, expected: tuple[Any, ...]) -> None:
    sps = H264Sps.parse(bytes.fromhex(unit))
    assert (
        sps.width,
        sps.height,
        sps.frame_rate,
        sps.max_num_reorder_frames,
        sps.chroma_format_idc,
        sps.bit_depth_luma,
    ) == expected


@st.composite
def generated_sps(draw: st.DrawFn) -> tuple[bytes, dict[str, Any]]:
    """An SPS with every branch of the syntax, and what must be read from it."""
    flag = st.booleans()
    w = BitWriter()
    fact: dict[str, Any] = {"chroma_format_idc": 1, "bit_depth_luma": 8, "bit_depth_chroma": 8}
    fact["profile_idc"] = profile = draw(st.sampled_from([66, 77, 88, 100, 110, 122, 244]))
    fact["constraint_flags"] = draw(st.integers(0, 255))
    fact["level_idc"] = draw(st.integers(9, 62))
    fact["sps_id"] = draw(st.integers(0, 31))
    w.u(8, profile)
    w.u(8, fact["constraint_flags"])
    w.u(8, fact["level_idc"])
    w.ue(fact["sps_id"])
    separate = False
    if profile >= 100:
        fact["chroma_format_idc"] = draw(st.integers(0, 3))
        w.ue(fact["chroma_format_idc"])
        if fact["chroma_format_idc"] == 3:
            separate = draw(flag)
            w.u(1, separate)
        fact["bit_depth_luma"], fact["bit_depth_chroma"] = draw(st.integers(8, 14)), draw(st.integers(8, 14))
        w.ue(fact["bit_depth_luma"] - 8, fact["bit_depth_chroma"] - 8)
        w.u(1, draw(flag))
        matrix = draw(flag)
        w.u(1, matrix)
        for index in range((8 if fact["chroma_format_idc"] != 3 else 12) if matrix else 0):
            present = draw(flag)
            w.u(1, present)
            last = 8
            for _ in range((16 if index < 6 else 64) if present else 0):
                scale = draw(st.integers(max(0, last - 128), min(255, last + 127)))
                w.se(scale - last)
                if scale == 0:
                    break
                last = scale
    w.ue(draw(st.integers(0, 12)))
    poc_type = draw(st.integers(0, 2))
    w.ue(poc_type)
    if poc_type == 0:
        w.ue(draw(st.integers(0, 12)))
    elif poc_type == 1:
        w.u(1, draw(flag))
        w.se(draw(st.integers(-5, 5)))
        w.se(draw(st.integers(-5, 5)))
        offsets = draw(st.lists(st.integers(-9, 9), max_size=4))
        w.ue(len(offsets))
        for offset in offsets:
            w.se(offset)
    w.ue(draw(st.integers(0, 16)))
    w.u(1, draw(flag))
    mbs_x, map_units = draw(st.integers(2, 300)), draw(st.integers(2, 300))
    fact["frame_mbs_only"] = frame_mbs_only = draw(flag)
    w.ue(mbs_x - 1, map_units - 1)
    w.u(1, frame_mbs_only)
    if not frame_mbs_only:
        w.u(1, draw(flag))
    w.u(1, draw(flag))
    crop = draw(st.lists(st.integers(0, 3), min_size=4, max_size=4)) if draw(flag) else None
    fields = 1 if frame_mbs_only else 2
    fact["width"], fact["height"] = 16 * mbs_x, 16 * map_units * fields
    w.u(1, crop is not None)
    if crop:
        w.ue(*crop)
        chroma = 0 if separate else fact["chroma_format_idc"]
        fact["width"] -= {0: 1, 1: 2, 2: 2, 3: 1}[chroma] * (crop[0] + crop[1])
        fact["height"] -= {0: 1, 1: 2, 2: 1, 3: 1}[chroma] * fields * (crop[2] + crop[3])
    fact["frame_rate"] = None
    fact["max_num_reorder_frames"] = 0 if poc_type == 2 or profile == 66 else None
    vui = draw(flag)
    w.u(1, vui)
    if vui:
        write_vui(draw, w, fact)
    w.stop()
    return b"\x67" + with_emulation_prevention(w.done()), fact


def write_vui(draw: st.DrawFn, w: BitWriter, fact: dict[str, Any]) -> None:
    flag = st.booleans()
    aspect = draw(st.sampled_from([None, 1, 255]))
    w.u(1, aspect is not None)
    if aspect is not None:
        w.u(8, aspect)
    if aspect == 255:
        w.u(32, draw(st.integers(0, 2**32 - 1)))
    for count in (1, None):
        present = draw(flag)
        w.u(1, present)
        if present and count:
            w.u(count, draw(st.integers(0, 1)))
        elif present:
            w.u(4, draw(st.integers(0, 15)))
            colours = draw(flag)
            w.u(1, colours)
            if colours:
                w.u(24, 0x010203)
    chroma_location = draw(flag)
    w.u(1, chroma_location)
    if chroma_location:
        w.ue(draw(st.integers(0, 5)), draw(st.integers(0, 5)))
    timing = draw(flag)
    w.u(1, timing)
    if timing:
        tick, scale = draw(st.integers(0, 2**32 - 1)), draw(st.integers(0, 2**32 - 1))
        w.u(32, tick)
        w.u(32, scale)
        w.u(1, 1)
        fact["frame_rate"] = Fraction(scale, 2 * tick) if tick and scale else None
    hrds = draw(flag), draw(flag)
    for hrd in hrds:
        w.u(1, hrd)
        if hrd:
            count = draw(st.integers(1, 4))
            w.ue(count - 1)
            w.u(8, 0x12)
            for _ in range(count):
                w.ue(draw(st.integers(0, 2**20)), draw(st.integers(0, 2**20)))
                w.u(1, 0)
            w.u(20, 0xABCDE)
    if any(hrds):
        w.u(1, 0)
    w.u(1, draw(flag))
    restriction = draw(flag)
    w.u(1, restriction)
    if restriction:
        w.u(1, 1)
        w.ue(2, 1, 10, 11)
        fact["max_num_reorder_frames"] = draw(st.integers(0, 16))
        w.ue(fact["max_num_reorder_frames"], 16)


@given(generated_sps())
def test_every_branch_of_the_sps_syntax_is_read(generated: tuple[bytes, dict[str, Any]]) -> None:
    unit, expected = generated
    assert {name: getattr(H264Sps.parse(unit), name) for name in expected} == expected
    assert parameter_set_id(unit) == expected["sps_id"]


def test_all_twelve_scaling_lists_of_4_4_4_are_read() -> None:
    w = BitWriter()
    w.u(24, 0xF4001E)
    w.ue(0, 3)
    w.u(1, 0)
    w.ue(0, 0)
    w.u(2, 0b01)  # no transform bypass, scaling matrix
    for index in range(12):
        w.u(1, 1)
        w.se(1)
        for _ in range((16 if index < 6 else 64) - 2):
            w.se(0)
        w.se(-1)
    w.ue(0, 2, 1)
    w.u(1, 0)
    w.ue(9, 8)
    w.u(4, 0b1100)
    w.stop()
    sps = H264Sps.parse(b"\x67" + with_emulation_prevention(w.done()))
    assert (sps.width, sps.height, sps.max_num_reorder_frames) == (160, 144, 0)


def test_every_prefix_of_an_sps_is_refused_or_lacks_only_its_vui() -> None:
    for text, _expected in X264.values():
        unit = bytes.fromhex(text)
        whole = H264Sps.parse(unit)
        for end in range(len(unit)):
            try:
                part = H264Sps.parse(unit[:end])
            except MalformedBitstream:
                continue
            assert (part.width, part.height) == (whole.width, whole.height)


@given(st.binary(max_size=80))
def test_hostile_bytes_raise_the_one_error_only(data: bytes) -> None:
    for parse in (
        lambda: H264Sps.parse(data),
        lambda: H264Sps.parse(b"\x67" + data),
        lambda: parameter_set_id(data),
        lambda: parse_avcc(data),
        lambda: parse_avcc(b"\x01\x42\x00\x1e\xff" + data),
        lambda: with_parameter_set(H264Parameters(), data),
    ):
        try:
            parse()
        except MalformedBitstream:
            pass
    has_recovery_point(b"\x06" + data)
    is_keyframe([b"\x67", b"\x06" + data, b"\x41" + data])


def test_a_huge_parameter_set_is_refused() -> None:
    with pytest.raises(MalformedBitstream, match="at most"):
        H264Sps.parse(SPS + b"\x80" * MAX_PARAMETER_SET_BYTES)


def test_a_cropping_that_leaves_nothing_is_refused() -> None:
    w = BitWriter()
    w.u(24, 0x42001E)
    w.ue(0, 0, 2, 1)
    w.u(1, 0)
    w.ue(0, 0)  # one macroblock
    w.u(4, 0b1_1_1_0 | 0)  # frame_mbs_only, direct_8x8, cropping
    w.bits = w.bits[:-1]
    w.ue(4, 4, 0, 0)
    w.u(1, 0)
    w.stop()
    with pytest.raises(MalformedBitstream, match="0x16 pixels"):
        H264Sps.parse(b"\x67" + w.done())


def test_avcc_round_trip() -> None:
    parameters = H264Parameters(sps=(SPS,), pps=(PPS, bytes.fromhex("685bcb20")))
    record = serialize_avcc(parameters)
    assert parse_avcc(record) == (parameters, 4)
    for end in range(len(record)):
        with pytest.raises(MalformedBitstream):
            parse_avcc(record[:end])
    high = bytes.fromhex(X264["-pix_fmt yuv422p10le"][0])
    assert serialize_avcc(H264Parameters(sps=(high,), pps=(PPS,)))[-4:] == b"\xfe\xfa\xfa\x00"


def test_parameter_sets_are_kept_by_id() -> None:
    other_pps = bytes.fromhex("685bcb20")  # id 1
    parameters = H264Parameters()
    for unit in (SPS, PPS, other_pps):
        parameters = with_parameter_set(parameters, unit)
    assert parameters == H264Parameters(sps=(SPS,), pps=(PPS, other_pps))
    assert with_parameter_set(parameters, PPS) is parameters
    assert with_parameter_set(parameters, b"\x41\x9a") is parameters
    assert with_parameter_set(parameters, b"") is parameters
    changed = PPS + b"\x80"
    assert with_parameter_set(parameters, changed).pps == (changed, other_pps)


RECOVERY_POINT = bytes.fromhex("0606018480")
USER_DATA = bytes.fromhex("0605ff04") + bytes(255 + 4) + b"\x80"
I_SLICE, P_SLICE = b"\x41\x88\x84", b"\x41\x9a\x00"  # first_mb_in_slice 0, slice_type 7 and 5
SECOND_I_SLICE = b"\x41\x42\x3f"  # first_mb_in_slice 1
IDR, SECOND_IDR = b"\x65\x88\x84", b"\x65\x44\x44"


@pytest.mark.parametrize(
    ("units", "keyframe"),
    [
        ([IDR], True),
        ([USER_DATA, SPS, PPS, IDR, SECOND_IDR], True),
        ([P_SLICE], False),
        ([I_SLICE], False),
        ([RECOVERY_POINT, I_SLICE], True),
        ([USER_DATA, RECOVERY_POINT, I_SLICE, SECOND_I_SLICE], True),
        ([RECOVERY_POINT, I_SLICE, P_SLICE], False),
        ([RECOVERY_POINT, P_SLICE], False),
        ([USER_DATA, I_SLICE], False),
        ([SPS, PPS, I_SLICE], True),
        ([SPS, PPS, P_SLICE], False),
        ([SPS, PPS], False),
        ([SECOND_IDR], False),  # the second half of a picture
        ([RECOVERY_POINT, SECOND_I_SLICE], False),
        ([b"\x65"], False),
        ([], False),
    ],
)
def test_keyframes_are_found(units: list[bytes], keyframe: bool) -> None:
    assert is_keyframe(units) is keyframe


def test_a_recovery_point_is_found_among_other_messages() -> None:
    assert has_recovery_point(bytes.fromhex("06 01 02 0000 06 01 84 80"))
    assert has_recovery_point(bytes.fromhex("06 ff01 02 0000 06 01 84 80"))
    assert not has_recovery_point(bytes.fromhex("06 01 04 0606 0184 80"))
    assert not has_recovery_point(bytes.fromhex("06 06 09 84 80"))  # past the end
    assert not has_recovery_point(b"\x06")
