"""RTP packets framed on TCP."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manycast.wire.rtp.framed import ByteOrder, FramedReader, frame
from manycast.wire.rtp.packet import header

packets = st.builds(
    lambda payload, sequence: header(96, sequence, 0, 7, False) + payload,
    st.binary(max_size=700),
    st.integers(0, 65535),
)


def written(packet: bytes, order: str) -> bytes:
    return b"\x24\x00" + len(packet).to_bytes(2, order) + packet  # type: ignore[arg-type]


@given(st.lists(packets, max_size=8), st.lists(st.integers(0, 3000)))
def test_packets_do_not_depend_on_how_the_bytes_are_cut(sent: list[bytes], cuts: list[int]) -> None:
    data = b"".join(map(frame, sent))
    edges = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    reader = FramedReader()
    assert [packet for a, b in pairwise(edges) for packet in reader.receive(data[a:b])] == sent
    assert not reader.skipped_bytes


@pytest.mark.parametrize("order", ["big", "little"])
@pytest.mark.parametrize("piece", [1, 7, 1000, 100_000])
def test_either_byte_order(order: str, piece: int) -> None:
    sent = [header(96, number, 0, 7, False) + bytes(300 + number) for number in range(50)]
    data = b"".join(written(packet, order) for packet in sent)
    reader = FramedReader()
    got = [packet for start in range(0, len(data), piece) for packet in reader.receive(data[start : start + piece])]
    assert got == sent
    assert reader.order is ByteOrder(order)


def test_one_packet_alone_is_not_waited_with() -> None:
    packet = header(96, 0, 0, 7, False) + bytes(1000)
    assert FramedReader().receive(written(packet, "big")) == [packet]
    assert FramedReader().receive(written(packet, "little")) == [packet]


GARBAGE = [bytes(100), b"\x24" * 50, b"GET / HTTP/1.1\r\n\r\n", b"\x24\x00\xff\xff\x00abc"]


@pytest.mark.parametrize("garbage", GARBAGE)
@pytest.mark.parametrize("before", [0, 2])
def test_garbage_is_passed_over(garbage: bytes, before: int) -> None:
    sent = [header(96, number, 0, 7, False) + bytes(100) for number in range(6)]
    frames = [*map(frame, sent)]
    reader = FramedReader()
    assert reader.receive(b"".join([*frames[:before], garbage, *frames[before:]])) == sent
    assert reader.skipped_bytes == len(garbage)


@given(st.lists(st.binary(max_size=200)))
def test_hostile_bytes(pieces: list[bytes]) -> None:
    reader = FramedReader()
    for piece in pieces:
        for packet in reader.receive(piece):
            assert len(packet) >= 12
