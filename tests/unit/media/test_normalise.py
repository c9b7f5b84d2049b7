from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manycast.media.frame import Frame
from manycast.media.normalise import normalise
from manycast.media.track import (
    AacParameters,
    AudioParameters,
    Codec,
    H264Parameters,
    H265Parameters,
    Track,
)

SPS = bytes.fromhex("6742c01fd9005005bbff0003000410000003001000000303c0f1832480")
OTHER_SPS = bytes.fromhex("67640028acd94078044fdffe0006000820000003002000000643e2c5b2c0")  # also id 0
PPS = bytes.fromhex("68cb83cb20")  # id 0
PPS_1 = bytes.fromhex("685bcb20")  # id 1
SEI, RECOVERY_POINT = b"\x06\x05\x01\x00\x80", bytes.fromhex("0606018480")
IDR, SECOND_IDR = b"\x65\x88\x84\x00", b"\x65\x44\x44"
P, I_SLICE = b"\x41\x9a\x24", b"\x41\x88\x84"
AUD, END_OF_SEQUENCE, END_OF_STREAM, FILLER = b"\x09\xf0", b"\x0a", b"\x0b", b"\x0c\xff\xff\x80"

VPS_265 = bytes.fromhex("40010c01ffff016000000300900000030000030078959809")
SPS_265 = bytes.fromhex("420101016000000300900000030000030078a003c08010e596566924cafff00030004680800001f480003a9804")
PPS_265 = bytes.fromhex("4401c172b46240")
IDR_265, CRA_265, TRAIL_265 = b"\x26\x01\xaf\x00", b"\x2a\x01\xaf", b"\x02\x01\xd0"
AUD_265, EOS_265, EOB_265, FILLER_265 = b"\x46\x01\x50", b"\x48\x01", b"\x4a\x01", b"\x4c\x01\xff\x80"
SEI_265 = b"\x4e\x01\x05\x01\x00\x80"

BARE_264 = Track(codec=Codec.H264, clock_rate_hz=90_000, parameters=H264Parameters())
READY_264 = Track(codec=Codec.H264, clock_rate_hz=90_000, parameters=H264Parameters(sps=(SPS,), pps=(PPS,)))
BARE_265 = Track(codec=Codec.H265, clock_rate_hz=90_000, parameters=H265Parameters())
READY_265 = Track(
    codec=Codec.H265,
    clock_rate_hz=90_000,
    parameters=H265Parameters(vps=(VPS_265,), sps=(SPS_265,), pps=(PPS_265,)),
)


def frame(*units: bytes, keyframe: bool = False) -> Frame:
    return Frame(track_index=0, dts_ticks=0, pts_ticks=0, keyframe=keyframe, units=list(units))


@pytest.mark.parametrize(
    ("track", "units", "expected", "keyframe"),
    [
        (READY_264, [P], [P], False),
        (READY_264, [P, P], [P, P], False),
        (READY_264, [AUD, P, FILLER], [P], False),
        (READY_264, [b"", P, END_OF_SEQUENCE, END_OF_STREAM], [P], False),
        (READY_264, [b"\x00", b"\x18\x00", b"\x1f", P], [P], False),
        (READY_264, [AUD, FILLER], [], False),
        (READY_264, [], [], False),
        (READY_264, [SEI, P], [SEI, P], False),
        (READY_264, [IDR], [SPS, PPS, IDR], True),
        (READY_264, [IDR, SECOND_IDR], [SPS, PPS, IDR, SECOND_IDR], True),
        (READY_264, [AUD, SEI, IDR], [SPS, PPS, SEI, IDR], True),
        (READY_264, [SPS, PPS, SEI, IDR], [SPS, PPS, SEI, IDR], True),
        (READY_264, [PPS, SPS, SEI, SPS, IDR], [SPS, PPS, SEI, IDR], True),
        # As GStreamer aggregates: the sets again before each slice.
        (READY_264, [SPS, PPS, IDR, SPS, PPS, SECOND_IDR], [SPS, PPS, IDR, SECOND_IDR], True),
        (READY_264, [RECOVERY_POINT, I_SLICE], [SPS, PPS, RECOVERY_POINT, I_SLICE], True),
        (READY_264, [I_SLICE], [I_SLICE], False),
        (READY_264, [SECOND_IDR], [SECOND_IDR], False),
        (READY_264, [PPS, P], [PPS, P], False),
        (READY_264, [SPS, PPS], [SPS, PPS], False),
        (BARE_264, [IDR], [IDR], False),
        (BARE_264, [SPS, IDR], [SPS, IDR], False),
        (BARE_264, [AUD, SPS, PPS, IDR], [SPS, PPS, IDR], True),
        (READY_265, [TRAIL_265], [TRAIL_265], False),
        (READY_265, [AUD_265, TRAIL_265, FILLER_265, EOS_265, EOB_265], [TRAIL_265], False),
        (READY_265, [b"", b"\x02", b"\x60\x01", b"\x62\x01\x80", TRAIL_265], [TRAIL_265], False),
        (READY_265, [AUD_265], [], False),
        (READY_265, [SEI_265, IDR_265], [VPS_265, SPS_265, PPS_265, SEI_265, IDR_265], True),
        (READY_265, [CRA_265], [VPS_265, SPS_265, PPS_265, CRA_265], True),
        (BARE_265, [PPS_265, SPS_265, VPS_265, IDR_265], [VPS_265, SPS_265, PPS_265, IDR_265], True),
        (BARE_265, [SPS_265, PPS_265, IDR_265], [SPS_265, PPS_265, IDR_265], False),
    ],
)
def test_frames_take_the_one_form(track: Track, units: list[bytes], expected: list[bytes], keyframe: bool) -> None:
    for claimed in (False, True):
        subject = frame(*units, keyframe=claimed)
        normalise(subject, track)
        assert subject.units == expected
        assert subject.keyframe is keyframe


@pytest.mark.parametrize(
    ("track", "units"),
    [
        (READY_264, [P]),
        (READY_264, [SPS, PPS, IDR]),
        (READY_264, [IDR]),
        (BARE_264, [IDR]),
        (READY_265, [VPS_265, SPS_265, PPS_265, CRA_265]),
    ],
)
def test_the_track_stays_the_same_object_while_its_sets_do(track: Track, units: list[bytes]) -> None:
    assert normalise(frame(*units), track) is track


def test_sets_in_band_take_the_place_of_those_with_their_id() -> None:
    track = normalise(frame(PPS_1, P), READY_264)
    assert track.parameters == H264Parameters(sps=(SPS,), pps=(PPS, PPS_1))
    assert READY_264.parameters == H264Parameters(sps=(SPS,), pps=(PPS,))
    subject = frame(OTHER_SPS, IDR)
    track = normalise(subject, track)
    assert track.parameters == H264Parameters(sps=(OTHER_SPS,), pps=(PPS, PPS_1))
    assert subject.units == [OTHER_SPS, PPS, PPS_1, IDR]


def test_two_sets_of_one_id_in_a_frame_change_the_track_once() -> None:
    changed = PPS + b"\x80"
    track = normalise(frame(changed, PPS, P), READY_264)
    assert track is READY_264
    track = normalise(frame(PPS, changed, P), READY_264)
    assert track.parameters == H264Parameters(sps=(SPS,), pps=(changed,))
    assert normalise(frame(PPS, changed, P), track) is track


def test_sets_without_a_picture_are_taken() -> None:
    track = normalise(frame(SPS, PPS), BARE_264)
    assert track.parameters == READY_264.parameters
    subject = frame(IDR)
    assert normalise(subject, track) is track
    assert subject.keyframe


def test_broken_sets_are_dropped() -> None:
    subject = frame(b"\x67\x42", SPS, b"\x68", IDR)
    track = normalise(subject, READY_264)
    assert track is READY_264
    assert subject.units == [SPS, PPS, IDR]
    subject = frame(b"\x42\x01\xff", TRAIL_265)
    assert normalise(subject, READY_265) is READY_265
    assert subject.units == [TRAIL_265]


@pytest.mark.parametrize(
    "track",
    [
        Track(
            codec=Codec.AAC,
            clock_rate_hz=48000,
            parameters=AacParameters(config=b"\x11\x90", sample_rate_hz=48000, channels=2),
        ),
        Track(
            codec=Codec.OPUS,
            clock_rate_hz=48000,
            parameters=AudioParameters(sample_rate_hz=48000, channels=2),
        ),
    ],
)
def test_audio_is_left_alone(track: Track) -> None:
    subject = frame(b"\x09\x00", keyframe=True)
    assert normalise(subject, track) is track
    assert subject == frame(b"\x09\x00", keyframe=True)


@given(
    st.sampled_from([BARE_264, READY_264, BARE_265, READY_265]),
    st.lists(st.binary(max_size=12), max_size=8),
)
def test_hostile_units_raise_nothing(track: Track, units: list[bytes]) -> None:
    subject = frame(*units)
    changed = normalise(subject, track)
    assert all(subject.units)
    if subject.keyframe:
        assert changed.parameters.complete
    again = Frame(track_index=0, dts_ticks=0, pts_ticks=0, keyframe=subject.keyframe, units=list(subject.units))
    assert normalise(again, changed) is changed
    assert again == subject  # what is in the one form stays so
