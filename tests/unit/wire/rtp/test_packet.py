"""RTP packets: examples, round trip, every prefix, hostile bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manycast.wire.rtp.packet import HEADER_BYTES, MalformedRtp, RtpPacket, header

PLAIN = bytes.fromhex("80e0 1234 00000064 deadbeef") + b"payload"

packets = st.builds(
    RtpPacket,
    payload_type=st.integers(0, 127),
    sequence=st.integers(0, 0xFFFF),
    timestamp=st.integers(0, 0xFFFFFFFF),
    ssrc=st.integers(0, 0xFFFFFFFF),
    marker=st.booleans(),
    payload=st.binary(max_size=100),
)


def test_a_packet_as_drawn_in_the_rfc_is_read() -> None:
    packet = RtpPacket.parse(PLAIN)
    expected = RtpPacket(
        payload_type=96, sequence=0x1234, timestamp=100, ssrc=0xDEADBEEF, marker=True, payload=b"payload"
    )
    assert packet == expected
    assert packet.serialize() == PLAIN


@pytest.mark.parametrize(
    ("data", "payload"),
    [
        ("8060 0001 00000000 00000001", b""),
        ("8260 0001 00000000 00000001 00000002 00000003 6162", b"ab"),  # two CSRCs
        ("9060 0001 00000000 00000001 bede0001 11223344 6162", b"ab"),  # header extension of one word
        ("9060 0001 00000000 00000001 bede0000 6162", b"ab"),  # empty header extension
        ("a060 0001 00000000 00000001 6162 0002", b"ab"),  # padding of two bytes
        ("a060 0001 00000000 00000001 00000004", b""),  # nothing but padding
        ("b160 0001 00000000 00000001 00000009 bede0001 11223344 6162 000003", b"ab"),  # everything at once
        ("a060 0001 00000000 00000001", b""),  # the flag without anything to pad
    ],
)
def test_what_is_not_payload_is_dropped(data: str, payload: bytes) -> None:
    assert RtpPacket.parse(bytes.fromhex(data)).payload == payload


@pytest.mark.parametrize(
    "data",
    [
        "",
        "80",
        "8060 0001 00000000 000000",  # one byte short
        "0060 0001 00000000 00000001",  # version 0
        "4060 0001 00000000 00000001",
        "c060 0001 00000000 00000001",
        "8f60 0001 00000000 00000001",  # 15 CSRCs that are not there
        "9060 0001 00000000 00000001",  # an extension that is not there
        "9060 0001 00000000 00000001 bedeffff 6162",  # one that is longer than the packet
        "a060 0001 00000000 00000001 6100",  # padding of 0 bytes
        "a060 0001 00000000 00000001 61ff",  # padding of more than there is
    ],
)
def test_what_is_malformed_is_refused(data: str) -> None:
    with pytest.raises(MalformedRtp):
        RtpPacket.parse(bytes.fromhex(data))


@given(packets)
def test_what_is_written_is_read_again(packet: RtpPacket) -> None:
    assert RtpPacket.parse(packet.serialize()) == packet


@given(packets)
def test_every_prefix_is_a_packet_or_refused(packet: RtpPacket) -> None:
    data = packet.serialize()
    for size in range(len(data)):
        if size < HEADER_BYTES:
            with pytest.raises(MalformedRtp):
                RtpPacket.parse(data[:size])
        else:
            assert RtpPacket.parse(data[:size]).payload == packet.payload[: size - HEADER_BYTES]


@given(st.binary(max_size=200))
def test_hostile_bytes_raise_nothing_else(data: bytes) -> None:
    try:
        packet = RtpPacket.parse(data)
    except MalformedRtp:
        return
    assert len(packet.payload) <= len(data) - HEADER_BYTES
    assert packet.payload in data


@given(st.integers(0, 127), st.integers(0, 1 << 40), st.integers(0, 1 << 60), st.integers(0, 0xFFFFFFFF), st.booleans())
def test_unwrapped_numbers_are_wrapped_on_the_wire(
    payload_type: int, sequence: int, timestamp: int, ssrc: int, marker: bool
) -> None:
    packet = RtpPacket.parse(header(payload_type, sequence, timestamp, ssrc, marker))
    assert (packet.sequence, packet.timestamp) == (sequence % (1 << 16), timestamp % (1 << 32))
    assert (packet.payload_type, packet.ssrc, packet.marker) == (payload_type, ssrc, marker)
