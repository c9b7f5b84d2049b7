"""MPEG-1/2 video in RTP (RFC 2250): headers, slices, keyframes."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.coded import coded_packets
from support.rtp_vectors import packets_of, push_all, read_packets, rtp_packet, video_frame

from manycast.media.dts import DtsEstimator
from manycast.media.frame import Frame
from manycast.media.mpeg_video import sequence_header, slice_offsets
from manycast.media.track import Codec, PlainParameters, Track
from manycast.wire.rtp.formats import format_for_codec
from manycast.wire.rtp.payload import MalformedPayload

TRACK = Track(codec=Codec.MPEG_VIDEO, clock_rate_hz=90_000, parameters=PlainParameters())
FORMAT = format_for_codec(Codec.MPEG_VIDEO)
SEQUENCE = bytes.fromhex("000001b3 0b0090 13 ffffe018")  # 176x144, 25 a second
GROUP = bytes.fromhex("000001b8 00080000")


def picture(kind: int, reference: int = 0, slices: tuple[int, ...] = (20,)) -> bytes:
    """A picture of slices of these sizes; P and B ones have forward_f_code 2, B ones backward_f_code 3."""
    bits = reference << 22 | kind << 19 | 0xFFFF << 3
    tail = {1: 0, 2: 0b0_010 << 4, 3: 0b0_010_0_011}.get(kind, 0)
    head = b"\0\0\1\0" + (bits << 8 | tail << 3).to_bytes(5)
    return head + b"".join(b"\0\0\1" + bytes((number + 1,)) + b"s" * (size - 4) for number, size in enumerate(slices))


def fields(payload: bytes) -> tuple[int, ...]:
    """temporal reference, S, B, E, type, FBV, BFC, FFV, FFC; the rest must be 0."""
    bits = int.from_bytes(payload[:4])
    assert not bits >> 26
    assert not bits >> 14 & 3
    flags = [bits >> position & 1 for position in (13, 12, 11)]
    return (bits >> 16 & 0x3FF, *flags, bits >> 8 & 7, bits >> 7 & 1, bits >> 4 & 7, bits >> 3 & 1, bits & 7)


def sent(unit: bytes, limit: int = 104) -> list[bytes]:
    payloads = FORMAT.packetiser(TRACK, limit).packetise(video_frame([unit]))
    assert b"".join(payload.data[4:] for payload in payloads) == unit
    return [payload.data for payload in payloads]


def received(*units: bytes) -> list[tuple[bytes, bool]]:
    frames = push_all(FORMAT.depacketiser(TRACK, 0), packets_of(FORMAT.packetiser(TRACK, 104), frames_of(units)))
    return [(frame.units[0], frame.keyframe) for frame in frames]


def frames_of(units: tuple[bytes, ...]) -> list[Frame]:
    return [video_frame([unit], pts_ticks=3600 * index) for index, unit in enumerate(units)]


def test_a_small_picture_goes_in_one_packet() -> None:
    (payload,) = sent(SEQUENCE + GROUP + picture(1, 5))
    assert fields(payload) == (5, 1, 1, 1, 1, 0, 0, 0, 0)


@pytest.mark.parametrize(("kind", "vectors"), [(1, (0, 0, 0, 0)), (2, (0, 0, 0, 2)), (3, (0, 3, 0, 2))])
def test_the_header_repeats_that_of_the_picture(kind: int, vectors: tuple[int, ...]) -> None:
    (payload,) = sent(picture(kind, 1023))
    assert fields(payload) == (1023, 0, 1, 1, kind, *vectors)


def test_packets_hold_whole_slices_where_they_fit() -> None:
    payloads = sent(picture(2, slices=(40, 40, 40, 40, 90)))
    assert [len(payload) - 4 for payload in payloads] == [89, 80, 90]
    assert [fields(payload)[1:4] for payload in payloads] == [(0, 1, 1)] * 3


def test_a_slice_over_the_limit_goes_in_fragments_of_its_own() -> None:
    payloads = sent(SEQUENCE + picture(1, slices=(230, 30, 250)))
    assert [len(payload) - 4 for payload in payloads] == [100, 100, 51, 30, 100, 100, 50]
    assert [fields(payload)[1:4] for payload in payloads] == [
        (1, 1, 0),
        (0, 0, 0),
        (0, 0, 1),
        (0, 1, 1),
        (0, 1, 0),
        (0, 0, 0),
        (0, 0, 1),
    ]


def test_a_picture_without_slices_has_none_to_tell_of() -> None:
    (payload,) = sent(picture(1, slices=()))
    assert fields(payload)[1:4] == (0, 0, 0)


@pytest.mark.parametrize("unit", [b"", b"x" * 300, b"\0\0\1\0", picture(0), picture(7)])
def test_what_is_no_picture_is_not_sent(unit: bytes) -> None:
    assert FORMAT.packetiser(TRACK, 104).packetise(video_frame([unit])) == []


@given(st.lists(st.integers(5, 300), max_size=20), st.booleans(), st.integers(30, 200))
def test_every_slice_begins_a_packet_or_follows_whole_ones(sizes: list[int], first: bool, limit: int) -> None:
    unit = (SEQUENCE + GROUP if first else b"") + picture(1, slices=tuple(sizes))
    payloads = sent(unit, limit)
    starts = set(slice_offsets(unit)[1:])
    position = 0
    for payload in payloads:
        assert 4 < len(payload) <= limit
        end = position + len(payload) - 4
        inside = {start for start in starts if position < start < end}
        if inside:  # then all of them are whole
            assert end in starts or end == len(unit)
            assert position == 0 or position in starts
        position = end


def test_an_i_picture_is_a_keyframe_with_its_sequence_header() -> None:
    bare, inner = picture(1, 3), picture(2, 4)
    assert received(bare, SEQUENCE + bare, inner, bare) == [
        (bare, False),
        (SEQUENCE + bare, True),
        (inner, False),
        (SEQUENCE + bare, True),
    ]


def test_four_more_bytes_are_passed_over_where_they_are_announced() -> None:
    extended = bytes((4, 0, 0, 0)) + b"more" + SEQUENCE + picture(1)
    (frame,) = FORMAT.depacketiser(TRACK, 0).push(rtp_packet(extended, marker=True))
    assert frame.units == [SEQUENCE + picture(1)]


def test_two_fields_of_one_time_stay_together_where_they_share_packets() -> None:
    fields_of_frame = SEQUENCE + picture(1, 0) + picture(2, 0)
    depacketiser = FORMAT.depacketiser(TRACK, 0)
    (frame,) = depacketiser.push(rtp_packet(bytes(4) + fields_of_frame, marker=True))
    assert frame.units == [fields_of_frame]


def test_pictures_that_share_a_packet_get_times_of_their_own() -> None:
    parts = [SEQUENCE + GROUP + picture(2, 3), picture(3, 1), picture(3, 2)]
    frames = FORMAT.depacketiser(TRACK, 0).push(rtp_packet(bytes(4) + b"".join(parts), timestamp=90_000, marker=True))
    assert [(frame.units[0], frame.pts_ticks) for frame in frames] == [
        (parts[0], 90_000),
        (parts[1], 90_000 - 7200),
        (parts[2], 90_000 - 3600),
    ]


@pytest.mark.parametrize("payload", [b"", b"\0\0\0", bytes(4), bytes(4) + SEQUENCE, bytes(4) + picture(1) + picture(6)])
def test_what_is_no_picture_raises_or_is_left_with_the_one_before(payload: bytes) -> None:
    depacketiser = FORMAT.depacketiser(TRACK, 0)
    depacketiser.push(rtp_packet(bytes(4) + picture(1), timestamp=1, marker=True))
    try:
        (frame,) = depacketiser.push(rtp_packet(payload, timestamp=2, marker=True))
    except MalformedPayload:
        return
    assert frame.units == [payload[4:]]


def test_more_pictures_in_a_packet_than_can_be_are_refused() -> None:
    many = bytes(4) + b"".join(picture(2, index % 1024) for index in range(100))
    with pytest.raises(MalformedPayload, match="100 pictures"):
        FORMAT.depacketiser(TRACK, 0).push(rtp_packet(many, marker=True))


@pytest.mark.parametrize("name", ["mpeg2_ffmpeg", "mpeg2_gstreamer"])
def test_b_pictures_get_their_dts(name: str) -> None:
    frames = push_all(FORMAT.depacketiser(TRACK, 0), read_packets(name))
    estimator = DtsEstimator.for_track(TRACK)
    dts = [estimator.push(frame.pts_ticks) for frame in frames]
    assert all(before < after for before, after in pairwise(dts))
    assert all(decoded <= frame.pts_ticks for decoded, frame in zip(dts, frames, strict=True))
    assert dts[1:] == sorted(frame.pts_ticks for frame in frames)[:-1]


def test_the_sequence_header_takes_its_extensions_along() -> None:
    data = coded_packets("mpeg2")[0].data
    header = sequence_header(data)
    assert data.startswith(header)
    assert b"\0\0\1\xb5" in header
    assert data[len(header) :].startswith((b"\0\0\1\xb8", b"\0\0\1\0"))
