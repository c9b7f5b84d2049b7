from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manycast.media.frame import Frame
from manycast.media.normalise import normalise
from manycast.media.track import (
    AacParameters,
    AudioParameters,
    Av1Parameters,
    Codec,
    H264Parameters,
    H265Parameters,
    Mpeg4Parameters,
    PlainParameters,
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


CONFIG_MPEG4 = bytes.fromhex("000001b0f1000001b5a913000001000000012008d48d0800cd05841214103f")
OTHER_MPEG4 = CONFIG_MPEG4[:4] + b"\x03" + CONFIG_MPEG4[5:]
I_VOP, P_VOP, B_VOP = (b"\0\0\1\xb6" + bytes((kind << 6 | 0x10,)) + b"vop" for kind in range(3))
GROUP = b"\0\0\1\xb3\x00\x10\x00"
BARE_MPEG4 = Track(codec=Codec.MPEG4, clock_rate_hz=90_000, parameters=Mpeg4Parameters())
READY_MPEG4 = Track(codec=Codec.MPEG4, clock_rate_hz=90_000, parameters=Mpeg4Parameters(config=CONFIG_MPEG4))


@pytest.mark.parametrize(
    ("track", "data", "expected", "keyframe", "config"),
    [
        (BARE_MPEG4, I_VOP, I_VOP, False, b""),
        (BARE_MPEG4, CONFIG_MPEG4 + I_VOP, CONFIG_MPEG4 + I_VOP, True, CONFIG_MPEG4),
        (BARE_MPEG4, CONFIG_MPEG4 + P_VOP, CONFIG_MPEG4 + P_VOP, False, CONFIG_MPEG4),
        (BARE_MPEG4, CONFIG_MPEG4, b"", False, CONFIG_MPEG4),
        (READY_MPEG4, I_VOP, CONFIG_MPEG4 + I_VOP, True, CONFIG_MPEG4),
        (READY_MPEG4, GROUP + I_VOP, CONFIG_MPEG4 + GROUP + I_VOP, True, CONFIG_MPEG4),
        (READY_MPEG4, CONFIG_MPEG4 + GROUP + I_VOP, CONFIG_MPEG4 + GROUP + I_VOP, True, CONFIG_MPEG4),
        (READY_MPEG4, OTHER_MPEG4 + I_VOP, OTHER_MPEG4 + I_VOP, True, OTHER_MPEG4),
        (READY_MPEG4, P_VOP, P_VOP, False, CONFIG_MPEG4),
        (READY_MPEG4, B_VOP, B_VOP, False, CONFIG_MPEG4),
        (READY_MPEG4, GROUP, b"", False, CONFIG_MPEG4),
        (READY_MPEG4, b"", b"", False, CONFIG_MPEG4),
    ],
)
def test_mpeg4_keyframes_start_with_the_configuration(
    track: Track, data: bytes, expected: bytes, keyframe: bool, config: bytes
) -> None:
    received = frame(data, keyframe=True)
    new = normalise(received, track)
    assert new.parameters == Mpeg4Parameters(config=config)
    assert (new is track) == (config == getattr(track.parameters, "config", None))
    assert received.units == ([expected] if expected else [])
    assert received.keyframe is keyframe
    assert normalise(received, new) is new


SEQUENCE_AV1 = bytes.fromhex("0800000003bd7c79b5f20080")
KEY_AV1, INTER_AV1, DELIMITER_AV1, PADDING_AV1 = b"\x30\x10key", b"\x30\x30inter", b"\x10", b"\x78\x80"
BARE_AV1 = Track(codec=Codec.AV1, clock_rate_hz=90_000, parameters=Av1Parameters())
READY_AV1 = Track(codec=Codec.AV1, clock_rate_hz=90_000, parameters=Av1Parameters(sequence_header=SEQUENCE_AV1))


@pytest.mark.parametrize(
    ("track", "units", "expected", "keyframe", "complete"),
    [
        (BARE_AV1, [KEY_AV1], [KEY_AV1], False, False),
        (BARE_AV1, [SEQUENCE_AV1, KEY_AV1], [SEQUENCE_AV1, KEY_AV1], True, True),
        (BARE_AV1, [b"\x08", KEY_AV1], [b"\x08", KEY_AV1], False, False),  # a sequence header that is none
        (READY_AV1, [KEY_AV1], [SEQUENCE_AV1, KEY_AV1], True, True),
        (READY_AV1, [INTER_AV1], [INTER_AV1], False, True),
        (READY_AV1, [DELIMITER_AV1, b"", INTER_AV1, PADDING_AV1], [INTER_AV1], False, True),
        (READY_AV1, [DELIMITER_AV1], [], False, True),
        (READY_AV1, [], [], False, True),
    ],
)
def test_av1_keyframes_start_with_the_sequence_header(
    track: Track, units: list[bytes], expected: list[bytes], keyframe: bool, complete: bool
) -> None:
    received = frame(*units)
    new = normalise(received, track)
    assert new.parameters.complete is complete
    assert (received.units, received.keyframe) == (expected, keyframe)
    assert normalise(received, new) is new


def test_frames_of_codecs_that_tell_all_stay_as_they_are() -> None:
    track = Track(codec=Codec.VP8, clock_rate_hz=90_000, parameters=PlainParameters())
    received = frame(b"frame", keyframe=True)
    assert normalise(received, track) is track
    assert (received.units, received.keyframe) == ([b"frame"], True)
