from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.bit_writer import BitWriter, with_emulation_prevention

from manycast.media.bits import MalformedBitstream
from manycast.media.h265 import (
    H265Sps,
    is_keyframe,
    parameter_set_id,
    parse_hvcc,
    serialize_hvcc,
    with_parameter_set,
)
from manycast.media.nal import MAX_PARAMETER_SET_BYTES
from manycast.media.track import H265Parameters

# x265 with the arguments named: the SPS; width, height, frame rate, reorder depth, chroma format, bit depth.
X265 = {
    "-r 30000/1001": (
        "420101016000000300900000030000030078a003c08010e596566924cafff00030004680800001f480003a9804",
        (1920, 1080, Fraction(30000, 1001), 2, 1, 8),
    ),
    "-pix_fmt yuv422p10le": (
        "4201010408000003009d0800000300005ab005120171c93b65959a4932bffc0b500f0da020000003002000000641",
        (642, 362, Fraction(50), 2, 2, 10),
    ),
    "bframes=0:hrd=1": (
        "42010101600000030090000003000003003ca00d080f16592a4932bffc00280035a020000003002000000301ec019289c003d080"
        "00f42440",
        (416, 240, Fraction(15), 0, 1, 8),
    ),
    "scaling-list=default": (
        "42010101600000030090000003000003003ca00d080f165959a49395ffe0014001ad010000030001000003001908",
        (416, 240, Fraction(25), 2, 1, 8),
    ),
    "-pix_fmt gray": (
        "4201010408000003009fc800000300003cc034203c596566924cafff000a000d6c08000003000800000300c840",
        (416, 240, Fraction(25), 2, 0, 8),
    ),
}
SPS = bytes.fromhex(X265["-r 30000/1001"][0])
VPS = bytes.fromhex("40010c01ffff016000000300900000030000030078959809")
PPS = bytes.fromhex("4401c172b46240")


@pytest.mark.parametrize(("unit", "expected"), X265.values(), ids=X265)
def test_sps_of_x265(unit: str, expected: tuple[Any, ...]) -> None:
    sps = H265Sps.parse(bytes.fromhex(unit))
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
    fact: dict[str, Any] = {"vps_id": draw(st.integers(0, 15)), "max_sub_layers": draw(st.integers(1, 7))}
    layers = fact["max_sub_layers"]
    fact["temporal_id_nesting"] = draw(flag)
    w.u(4, fact["vps_id"])
    w.u(3, layers - 1)
    w.u(1, fact["temporal_id_nesting"])
    fact["profile_tier_level"] = draw(st.binary(min_size=12, max_size=12))
    w.u(96, int.from_bytes(fact["profile_tier_level"], "big"))
    presence = [(draw(flag), draw(flag)) for _ in range(layers - 1)]
    for index in range(8 if layers > 1 else 0):
        profile, level = presence[index] if index < len(presence) else (False, False)
        w.u(1, profile)
        w.u(1, level)
    for profile, level in presence:
        w.u(88 if profile else 0, 0)
        w.u(8 if level else 0, 0)
    fact["sps_id"] = draw(st.integers(0, 15))
    fact["chroma_format_idc"] = chroma = draw(st.integers(0, 3))
    w.ue(fact["sps_id"], chroma)
    separate = chroma == 3 and draw(flag)
    if chroma == 3:
        w.u(1, separate)
    fact["width"], fact["height"] = draw(st.integers(32, 8192)), draw(st.integers(32, 8192))
    w.ue(fact["width"], fact["height"])
    crop = draw(st.lists(st.integers(0, 3), min_size=4, max_size=4)) if draw(flag) else None
    w.u(1, crop is not None)
    if crop:
        w.ue(*crop)
        chroma_array_type = 0 if separate else chroma
        fact["width"] -= {0: 1, 1: 2, 2: 2, 3: 1}[chroma_array_type] * (crop[0] + crop[1])
        fact["height"] -= {0: 1, 1: 2, 2: 1, 3: 1}[chroma_array_type] * (crop[2] + crop[3])
    fact["bit_depth_luma"], fact["bit_depth_chroma"] = draw(st.integers(8, 16)), draw(st.integers(8, 16))
    log2_poc = draw(st.integers(4, 16))
    w.ue(fact["bit_depth_luma"] - 8, fact["bit_depth_chroma"] - 8, log2_poc - 4)
    all_layers = draw(flag)
    w.u(1, all_layers)
    for _ in range(layers if all_layers else 1):
        fact["max_num_reorder_frames"] = draw(st.integers(0, 15))
        w.ue(15, fact["max_num_reorder_frames"], 0)
    w.ue(0, 3, 0, 3, 1, 1)
    lists = draw(st.sampled_from([None, "default", "own"]))
    w.u(1, lists is not None)
    if lists:
        w.u(1, lists == "own")
    if lists == "own":
        for size_id in range(4):
            for _ in range(0, 6, 3 if size_id == 3 else 1):
                own = draw(flag)
                w.u(1, own)
                if not own:
                    w.ue(0)
                    continue
                for _ in range(min(64, 1 << (4 + 2 * size_id)) + (size_id > 1)):
                    w.se(0)
    w.u(2, 3)
    pcm = draw(flag)
    w.u(1, pcm)
    if pcm:
        w.u(8, 0x77)
        w.ue(0, 0)
        w.u(1, 0)
    write_reference_sets(draw, w)
    long_term = draw(flag)
    w.u(1, long_term)
    if long_term:
        w.ue(2)
        w.u(log2_poc + 1, 0)
        w.u(log2_poc + 1, 0)
    w.u(2, 0)
    fact["frame_rate"] = None
    vui = draw(flag)
    w.u(1, vui)
    if vui:
        write_vui(draw, w, fact)
        w.u(1, 0)
    w.u(1, 0)
    w.stop()
    return b"\x42\x01" + with_emulation_prevention(w.done()), fact


def write_reference_sets(draw: st.DrawFn, w: BitWriter) -> None:
    count = draw(st.integers(0, 4))
    w.ue(count)
    sizes: list[int] = []
    for index in range(count):
        predicted = index > 0 and draw(st.booleans())
        if index:
            w.u(1, predicted)
        if predicted:
            w.u(1, 0)
            w.ue(0)
            kept = 0
            for _ in range(sizes[-1] + 1):
                used, delta = draw(st.booleans()), draw(st.booleans())
                w.u(1, used)
                if not used:
                    w.u(1, delta)
                kept += used or delta
            sizes.append(kept)
        else:
            negative, positive = draw(st.integers(0, 4)), draw(st.integers(0, 4))
            w.ue(negative, positive)
            for _ in range(negative + positive):
                w.ue(0)
                w.u(1, 1)
            sizes.append(negative + positive)


def write_vui(draw: st.DrawFn, w: BitWriter, fact: dict[str, Any]) -> None:
    flag = st.booleans()
    aspect = draw(st.sampled_from([None, 1, 255]))
    w.u(1, aspect is not None)
    if aspect is not None:
        w.u(8, aspect)
    if aspect == 255:
        w.u(32, 0x00100011)
    overscan, signal, location, window, timing = (draw(flag) for _ in range(5))
    w.u(1, overscan)
    if overscan:
        w.u(1, 1)
    w.u(1, signal)
    if signal:
        w.u(4, 5)
        colours = draw(flag)
        w.u(1, colours)
        if colours:
            w.u(24, 0x010101)
    w.u(1, location)
    if location:
        w.ue(0, 5)
    w.u(3, 0)
    w.u(1, window)
    if window:
        w.ue(1, 2, 3, 4)
    w.u(1, timing)
    if timing:
        tick, scale = draw(st.integers(0, 2**32 - 1)), draw(st.integers(0, 2**32 - 1))
        w.u(32, tick)
        w.u(32, scale)
        w.u(1, 0)
        w.u(1, 0)
        fact["frame_rate"] = Fraction(scale, tick) if tick and scale else None
    w.u(1, 0)


@given(generated_sps())
def test_every_branch_of_the_sps_syntax_is_read(generated: tuple[bytes, dict[str, Any]]) -> None:
    unit, expected = generated
    assert {name: getattr(H265Sps.parse(unit), name) for name in expected} == expected
    assert parameter_set_id(unit) == expected["sps_id"]


def test_every_prefix_of_an_sps_is_refused_or_lacks_only_its_end() -> None:
    for text, _expected in X265.values():
        unit = bytes.fromhex(text)
        whole = H265Sps.parse(unit)
        for end in range(len(unit)):
            try:
                part = H265Sps.parse(unit[:end])
            except MalformedBitstream:
                continue
            assert (part.width, part.height) == (whole.width, whole.height)


@given(st.binary(max_size=80))
def test_hostile_bytes_raise_the_one_error_only(data: bytes) -> None:
    for parse in (
        lambda: H265Sps.parse(data),
        lambda: H265Sps.parse(b"\x42\x01" + data),
        lambda: parameter_set_id(data),
        lambda: parse_hvcc(data),
        lambda: parse_hvcc(b"\x01" + bytes(21) + data),
        lambda: with_parameter_set(H265Parameters(), data),
        lambda: with_parameter_set(H265Parameters(), b"\x42\x01" + data),
        lambda: with_parameter_set(H265Parameters(), b"\x44\x01" + data),
    ):
        try:
            parse()
        except MalformedBitstream:
            pass
    is_keyframe([b"\x26\x01" + data])


def test_a_huge_parameter_set_is_refused() -> None:
    with pytest.raises(MalformedBitstream, match="at most"):
        H265Sps.parse(SPS + b"\x80" * MAX_PARAMETER_SET_BYTES)


def test_hvcc_round_trip() -> None:
    parameters = H265Parameters(vps=(VPS,), sps=(SPS,), pps=(PPS,))
    record = serialize_hvcc(parameters)
    assert record[:13] == b"\x01" + H265Sps.parse(SPS).profile_tier_level
    assert parse_hvcc(record) == (parameters, 4)
    for end in range(len(record)):
        with pytest.raises(MalformedBitstream):
            parse_hvcc(record[:end])


def test_parameter_sets_are_kept_by_id() -> None:
    other_pps = bytes.fromhex("4401612d18")  # id 1: 010 ...
    parameters = H265Parameters()
    for unit in (VPS, SPS, PPS, other_pps):
        parameters = with_parameter_set(parameters, unit)
    assert parameters == H265Parameters(vps=(VPS,), sps=(SPS,), pps=(PPS, other_pps))
    assert with_parameter_set(parameters, SPS) is parameters
    changed = PPS + b"\x80"
    assert with_parameter_set(parameters, changed).pps == (changed, other_pps)


def test_parameter_sets_of_higher_layers_are_not_taken() -> None:
    upper = bytes((SPS[0], SPS[1] | 1 << 3)) + SPS[2:]
    parameters = H265Parameters(sps=(SPS,))
    assert with_parameter_set(parameters, upper) is parameters


@pytest.mark.parametrize(
    ("units", "keyframe"),
    [
        ([b"\x26\x01\xaf"], True),  # IDR_W_RADL
        ([b"\x28\x01\xaf"], True),  # IDR_N_LP
        ([b"\x2a\x01\xaf"], True),  # CRA
        ([b"\x20\x01\xaf"], True),  # BLA_W_LP
        ([VPS, SPS, PPS, b"\x4e\x01\x05\x00\x80", b"\x26\x01\xaf", b"\x26\x01\x40"], True),
        ([b"\x26\x01\x40"], False),  # the second half of a picture
        ([b"\x26\x01"], False),
        ([b"\x02\x01\xd0"], False),  # TRAIL_R
        ([b"\x12\x01\xd0"], False),  # RASL_R
        ([VPS, SPS, PPS], False),
        ([], False),
    ],
)
def test_keyframes_are_found(units: list[bytes], keyframe: bool) -> None:
    assert is_keyframe(units) is keyframe
