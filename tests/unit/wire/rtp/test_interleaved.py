"""Packets in a row, and the same with other numbers."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from manycast.wire.rtp.interleaved import PREFIX_BYTES, find_places, interleaved_parts, renumbered
from manycast.wire.rtp.packet import RtpPacket
from manycast.wire.rtp.payload import RtpPayload

# A number of ticks after the first packet's, which has none.
later_payloads = st.lists(st.builds(RtpPayload, st.binary(max_size=40), st.integers(0, 2**20), st.booleans()))
payloads = st.lists(later_payloads, max_size=4).map(
    lambda frames: [[payload._replace(timestamp_offset_ticks=0), *rest] for payload, *rest in filter(None, frames)]
)
numbers = st.tuples(st.integers(0, 2**20), st.integers(-(2**34), 2**34))


def row(frames: list[list[RtpPayload]], of_each: list[tuple[int, int]]) -> bytes:
    return b"".join(
        part
        for frame, (sequence, timestamp) in zip(frames, of_each, strict=True)
        for part in interleaved_parts(
            frame, channel=4, payload_type=97, ssrc=0xABCD, sequence=sequence, timestamp=timestamp
        )
    )


@given(payloads, numbers)
def test_a_row_holds_the_packets(frames: list[list[RtpPayload]], first: tuple[int, int]) -> None:
    data = row(frames, [first] * len(frames))
    for frame in frames:
        for number, payload in enumerate(frame, first[0]):
            size = int.from_bytes(data[2:4])
            assert data[:2] == b"$\x04"
            assert RtpPacket.parse(data[PREFIX_BYTES : PREFIX_BYTES + size]) == RtpPacket(
                payload_type=97,
                sequence=number & 0xFFFF,
                timestamp=(first[1] + payload.timestamp_offset_ticks) & 0xFFFFFFFF,
                ssrc=0xABCD,
                marker=payload.marker,
                payload=payload.data,
            )
            data = data[PREFIX_BYTES + size :]
    assert not data


@given(payloads, st.data())
def test_other_numbers_can_be_put_in(frames: list[list[RtpPayload]], draw: st.DataObject) -> None:
    of_each, others = (draw.draw(st.lists(numbers, min_size=len(frames), max_size=len(frames))) for _ in range(2))
    made = row(frames, of_each)
    places = find_places(made, [len(frame) for frame in frames])
    assert renumbered(made, places, others) == row(frames, others)
    assert made == row(frames, of_each), "a copy is changed"
