"""AV1 in RTP (RTP Payload Format For AV1): elements, whole and in parts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.bit_writer import BitWriter
from support.coded import coded_packets
from support.rtp_vectors import bodies, packets_of, push_all, read_packets, rtp_packet, video_frame

from manycast.media import av1
from manycast.media.av1 import Av1SequenceHeader, leb128, read_leb128, split_obus
from manycast.media.bits import MalformedBitstream
from manycast.media.track import Av1Parameters, Codec, Track
from manycast.wire.rtp.formats import format_for_codec, track_from_rtpmap
from manycast.wire.rtp.payload import MalformedPayload

FORMAT = format_for_codec(Codec.AV1)
SEQUENCE = bytes.fromhex("0800000003bd7c79b5f20080")  # of the recorded stream
TRACK = Track(codec=Codec.AV1, clock_rate_hz=90_000, parameters=Av1Parameters(sequence_header=SEQUENCE))
KEY, INTER = b"\x30\x10key frame", b"\x30\x30inter"  # frame OBUs: shown, of type 0 and 1


def received(*payloads: bytes) -> list[list[bytes]]:
    depacketiser = FORMAT.depacketiser(TRACK, 0)
    depacketiser.push(rtp_packet(b"\x18" + SEQUENCE, timestamp=-1, marker=True))
    last = len(payloads) - 1
    packets = [rtp_packet(payload, marker=index == last) for index, payload in enumerate(payloads)]
    return [frame.units for frame in push_all(depacketiser, packets)]


def sized(*elements: bytes) -> bytes:
    return b"".join(leb128(len(element)) + element for element in elements)


@pytest.mark.parametrize(
    "payload",
    [
        b"\x18" + KEY,
        b"\x08" + sized(KEY),
        b"\x28" + sized(SEQUENCE) + KEY,
        b"\x38" + sized(b"\x10", SEQUENCE) + KEY,  # a temporal delimiter in front
        b"\x08" + sized(b"\x12\x00", SEQUENCE, KEY, b"\x78padding"),
        b"\x18" + b"\x32" + leb128(len(KEY) - 1) + KEY[1:],  # with a size field of its own
        b"\x18" + b"\x36\x48" + leb128(len(KEY) - 1) + KEY[1:],  # and an extension
    ],
)
def test_all_ways_to_put_elements_in_a_packet_are_read(payload: bytes) -> None:
    (units,) = received(payload)
    assert SEQUENCE not in units[1:]
    assert units[-1] in (KEY, b"\x34\x48" + KEY[1:])


def test_an_obu_may_go_over_packets() -> None:
    assert received(b"\x68" + sized(SEQUENCE) + KEY[:3], b"\xd0" + KEY[3:5], b"\xa0" + sized(KEY[5:]) + INTER) == [
        [SEQUENCE, KEY, INTER]
    ]


@pytest.mark.parametrize(
    "payloads",
    [
        [b""],
        [b"\x10"],  # no element
        [b"\x20" + sized(KEY)],  # one, two announced
        [b"\x00\x20" + KEY],  # past the end
        [b"\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff"],  # a size without an end
        [b"\x90" + KEY],  # goes on with nothing
        [b"\x50" + KEY[:3], b"\x10" + KEY],  # does not go on
        [b"\x50" + KEY[:3]],  # ends within
        [b"\x10\xb0" + KEY[1:]],  # the forbidden bit
        [b"\x10\x32\x40" + KEY[1:]],  # a size field past the end
    ],
)
def test_broken_packets_raise(payloads: list[bytes]) -> None:
    with pytest.raises(MalformedPayload):
        received(*payloads)


def test_after_a_gap_only_a_sequence_or_the_frame_after_next_is_sure() -> None:
    depacketiser = FORMAT.depacketiser(TRACK, 0)
    unit = b"\x10" + INTER
    assert depacketiser.push(rtp_packet(unit, timestamp=1, marker=True)) == []  # we may have come late
    assert depacketiser.push(rtp_packet(unit, timestamp=2, marker=True))
    depacketiser.reset()
    assert depacketiser.push(rtp_packet(unit, timestamp=3, marker=True)) == []
    assert depacketiser.push(rtp_packet(unit, timestamp=4, marker=True))
    depacketiser.reset()
    assert depacketiser.push(rtp_packet(b"\x20" + sized(SEQUENCE) + KEY, timestamp=5, marker=True))[0].keyframe


def test_packets_are_filled_with_up_to_three_elements() -> None:
    units = [SEQUENCE, b"\x28meta", KEY, INTER]
    payloads = [payload.data for payload in FORMAT.packetiser(TRACK, 24).packetise(video_frame(units))]
    assert payloads[0] == bytes((0b0111_1000,)) + sized(*units[:2]) + KEY[:4]  # Y, three elements, N
    assert payloads[1] == bytes((0b1010_0000,)) + sized(KEY[4:]) + INTER  # Z, two
    assert received(*payloads) == [units]


@given(st.lists(bodies(400, shortest=1), min_size=1, max_size=12), st.integers(3, 300))
def test_obus_come_back(parts: list[bytes], limit: int) -> None:
    units = [b"\x30" + part for part in parts]
    packets = packets_of(FORMAT.packetiser(TRACK, limit), [video_frame([SEQUENCE, *units])])
    assert all(len(packet.payload) <= limit for packet in packets)
    assert all(len(packet.payload) == limit for packet in packets if packet.payload[0] & 0x40)  # goes on
    (frame,) = push_all(FORMAT.depacketiser(TRACK, 0), packets)
    assert frame.units == [SEQUENCE, *units]


def test_the_description_says_what_the_sequence_header_does() -> None:
    assert FORMAT.describe(TRACK, 96).fmtp == {"profile": "0", "level-idx": "0", "tier": "0"}
    empty = Track(codec=Codec.AV1, clock_rate_hz=90_000, parameters=Av1Parameters())
    assert FORMAT.describe(empty, 96).fmtp == {}
    assert track_from_rtpmap(FORMAT.describe(TRACK, 96))[0] == empty  # learned from the frames


def sequence_header(level: int, tier: int, *, timing: bool, profile: int = 2) -> bytes:
    writer = BitWriter()
    writer.u(3, profile)
    writer.u(2, 0)
    writer.u(1, timing)
    if timing:
        writer.u(32, 1)
        writer.u(32, 25)
        writer.u(1, 1)
        writer.ue(1)
        writer.u(1, 1)  # a decoder model
        writer.u(5 + 32 + 5 + 5, 0)
    writer.u(1 + 5, 0)
    writer.u(12, 0)
    writer.u(5, level)
    if level > 7:
        writer.u(1, tier)
    return b"\x08" + writer.done() + b"\x80"


@pytest.mark.parametrize("timing", [False, True])
@pytest.mark.parametrize(("level", "tier"), [(5, 0), (8, 1), (13, 0), (31, 1)])
def test_sequence_headers_are_read(level: int, tier: int, timing: bool) -> None:
    header = Av1SequenceHeader.parse(sequence_header(level, tier, timing=timing))
    assert header == Av1SequenceHeader(profile=2, level_idx=level, tier=tier, reduced_still_picture=False)


def test_a_still_picture_is_a_keyframe() -> None:
    still = b"\x08" + bytes((0b000_1_1_010, 0b10_000000))
    assert Av1SequenceHeader.parse(still) == Av1SequenceHeader(
        profile=0, level_idx=10, tier=0, reduced_still_picture=True
    )
    assert av1.is_keyframe([still, INTER], still)


@pytest.mark.parametrize(
    ("obus", "keyframe"),
    [
        ([SEQUENCE, KEY], True),
        ([KEY], True),
        ([SEQUENCE, INTER], False),
        ([b"\x30\x00not shown"], False),
        ([b"\x30\x80shown again"], False),
        ([b"\x34\x48\x10layer"], True),
        ([b"\x18\x10frame header", b"\x20tiles"], True),
        ([SEQUENCE], False),
        ([b"\x30"], False),
        ([], False),
    ],
)
def test_keyframes(obus: list[bytes], keyframe: bool) -> None:
    assert av1.is_keyframe(obus, SEQUENCE) is keyframe


def test_temporal_units_of_containers_are_taken_apart() -> None:
    obus = split_obus(coded_packets("av1")[0].data)
    assert [av1.obu_type(obu) for obu in obus] == [1, 6]
    assert not any(obu[0] & 2 for obu in obus)
    assert split_obus(b"\x12\x00\x0a\x02ab\x30rest") == [b"\x08ab", b"\x30rest"]
    recorded = read_packets("av1_pyav")[0].payload
    assert obus[0] in recorded


@given(st.integers(0, 2**56 - 1), st.binary(max_size=3))
def test_leb128_comes_back(value: int, rest: bytes) -> None:
    assert read_leb128(leb128(value) + rest, 0) == (value, len(leb128(value)))


@given(st.binary(max_size=60))
def test_hostile_temporal_units_raise_the_one_error_only(data: bytes) -> None:
    try:
        obus = split_obus(data)
        assert sum(map(len, obus)) <= len(data)
        av1.is_keyframe(obus, av1.sequence_header_of(obus))
    except MalformedBitstream:
        pass
