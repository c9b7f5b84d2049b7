"""VP9 in RTP (RFC 9628): the descriptor, and spatial layers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.rtp_vectors import push_all, rtp_packet, video_frame

from manycast.media.frame import Frame
from manycast.media.track import Codec, PlainParameters, Track
from manycast.media.vp9 import is_keyframe, join_superframe
from manycast.wire.rtp.formats import format_for_codec
from manycast.wire.rtp.payload import MalformedPayload

TRACK = Track(codec=Codec.VP9, clock_rate_hz=90_000, parameters=PlainParameters())
FORMAT = format_for_codec(Codec.VP9)
KEY, INTER = b"\x82\x49\x83\x42key", b"\x86\x00\x40inter"

# I, L, F with P, V: what each of them puts behind the first byte.
FULL_STRUCTURE = bytes.fromhex("38 0140 00f0 0280 01e0 02 04 01 00")  # two sizes; G: two pictures, one with a P_DIFF


def test_a_frame_is_cut_behind_a_descriptor_of_one_byte() -> None:
    frame = video_frame([b"0123456789"])
    payloads = FORMAT.packetiser(TRACK, 5).packetise(frame)
    assert [payload.data for payload in payloads] == [b"\x480123", b"\x404567", b"\x4489"]
    key = Frame(track_index=0, dts_ticks=0, pts_ticks=0, keyframe=True, units=[b"01"])
    assert [payload.data for payload in FORMAT.packetiser(TRACK, 5).packetise(key)] == [b"\x0c01"]


@pytest.mark.parametrize(
    "descriptor",
    [
        b"\x0c",
        b"\x8c\x7f",
        b"\x8c\xff\xff",
        b"\x2c\x00\x07",  # layer indices, TL0PICIDX
        b"\x3c\x00",  # in flexible mode without it
        b"\x5c\x02",  # P_DIFF
        b"\x5c\x03\x05\x06",  # three
        b"\x5c\x03\x05\x07",  # which no fourth may follow
        b"\x0e\x00",
        b"\x0e" + FULL_STRUCTURE,
        b"\xae\x81\x02\x00\x07" + FULL_STRUCTURE,
    ],
)
@pytest.mark.parametrize(("frame", "keyframe"), [(KEY, True), (INTER, False)])
def test_every_descriptor_is_passed_over(descriptor: bytes, frame: bytes, keyframe: bool) -> None:
    (found,) = FORMAT.depacketiser(TRACK, 0).push(rtp_packet(descriptor + frame, marker=True))
    assert (found.units, found.keyframe) == ([frame], keyframe)


@pytest.mark.parametrize("descriptor", [b"\xae\x81\x02\x00\x07" + FULL_STRUCTURE, b"\xdc\x01\x03\x05\x06"])
def test_a_descriptor_past_the_end_is_refused(descriptor: bytes) -> None:
    for end in range(len(descriptor)):
        depacketiser = FORMAT.depacketiser(TRACK, 0)
        depacketiser.push(rtp_packet(b"\x0c" + KEY, timestamp=1, marker=True))
        with pytest.raises(MalformedPayload):
            depacketiser.push(rtp_packet(descriptor[:end], timestamp=2, marker=True))


def test_spatial_layers_are_one_frame_with_an_index() -> None:
    packets = [
        rtp_packet(b"\x2c\x00\x01" + KEY),
        rtp_packet(b"\x68\x03\x01upper "),
        rtp_packet(b"\x64\x03\x01layer", marker=True),
    ]
    (frame,) = push_all(FORMAT.depacketiser(TRACK, 0), packets)
    marker = b"\xc1"  # two sizes of one byte
    assert frame.units == [KEY + b"upper layer" + marker + bytes((len(KEY), 11)) + marker]
    assert frame.keyframe


def test_a_picture_whose_lowest_layer_may_be_lost_is_dropped() -> None:
    depacketiser = FORMAT.depacketiser(TRACK, 0)
    depacketiser.push(rtp_packet(b"\x2c\x00\x01" + KEY, timestamp=1, marker=True))
    depacketiser.reset()
    assert depacketiser.push(rtp_packet(b"\x6c\x03\x01upper", timestamp=2, marker=True)) == []
    (frame,) = depacketiser.push(rtp_packet(b"\x6c\x01\x01lower", timestamp=3, marker=True))
    assert frame.units == [b"lower"]


def test_a_continued_frame_needs_its_beginning() -> None:
    depacketiser = FORMAT.depacketiser(TRACK, 0)
    depacketiser.push(rtp_packet(b"\x0c" + KEY, timestamp=1, marker=True))
    with pytest.raises(MalformedPayload, match="beginning"):
        depacketiser.push(rtp_packet(b"\x44rest", timestamp=2, marker=True))


def test_more_layers_than_a_superframe_can_hold_are_refused() -> None:
    depacketiser = FORMAT.depacketiser(TRACK, 0)
    with pytest.raises(MalformedPayload, match="9 frames"):
        push_all(depacketiser, [rtp_packet(b"\x0c" + KEY, marker=index == 8) for index in range(9)])


@given(st.lists(st.integers(1, 70_000), min_size=2, max_size=8))
def test_sizes_of_a_superframe_are_read_back_from_its_end(sizes: list[int]) -> None:
    data = join_superframe([bytes(size) for size in sizes])
    marker = data[-1]
    width, count = (marker >> 3 & 3) + 1, (marker & 7) + 1
    assert marker >> 5 == 6
    index = data[-2 - width * count :]
    assert index[0] == marker
    assert [int.from_bytes(index[1 + width * i : 1 + width * (i + 1)], "little") for i in range(count)] == sizes
    assert len(data) == sum(sizes) + len(index)


@pytest.mark.parametrize(
    ("frame", "keyframe"),
    [
        (b"", False),
        (b"\x82", True),  # profile 0
        (b"\x86", False),
        (b"\x8a", False),  # an existing frame is shown
        (b"\xa2", True),  # profile 1
        (b"\xb1", True),  # profile 3, which has a bit more
        (b"\xb3", False),
        (b"\x42", False),  # no frame marker
    ],
)
def test_keyframes(frame: bytes, keyframe: bool) -> None:
    assert is_keyframe(frame) is keyframe
