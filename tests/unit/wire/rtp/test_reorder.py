"""The reorder buffer: what comes out is in order, whatever goes in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manycast.wire.rtp.packet import RtpPacket
from manycast.wire.rtp.reorder import MAX_WAIT_S, MAX_WAITING_PACKETS, RESTART_DISTANCE, ReorderBuffer


def packet(sequence: int) -> RtpPacket:
    return RtpPacket(
        payload_type=96, sequence=sequence & 0xFFFF, timestamp=0, ssrc=1, marker=False, payload=b"%d" % sequence
    )


def push(buffer: ReorderBuffer, *sequences: int, now_s: float = 0.0) -> list[int]:
    return [out.sequence for sequence in sequences for out in buffer.push(packet(sequence), now_s=now_s)]


def test_packets_in_order_pass_at_once() -> None:
    buffer = ReorderBuffer()
    for sequence in range(100):
        assert push(buffer, sequence) == [sequence]
        assert buffer.next_deadline_s() is None


def test_a_late_packet_is_put_in_its_place() -> None:
    assert push(ReorderBuffer(), 1, 3, 4, 2, 5) == [1, 2, 3, 4, 5]


def test_sequence_numbers_wrap() -> None:
    assert push(ReorderBuffer(), 0xFFFE, 0, 0xFFFF, 2, 1) == [0xFFFE, 0xFFFF, 0, 1, 2]


def test_doubled_packets_come_out_once_and_are_counted() -> None:
    buffer = ReorderBuffer()
    assert push(buffer, 1, 1, 2, 4, 4, 3, 4) == [1, 2, 3, 4]
    assert buffer.late_packets == 3


def test_a_hole_is_given_up_after_a_while() -> None:
    buffer = ReorderBuffer()
    assert push(buffer, 1, 3, 4) == [1]
    assert buffer.next_deadline_s() == MAX_WAIT_S
    assert buffer.handle_timer(now_s=MAX_WAIT_S / 2) == []
    assert [out.sequence for out in buffer.handle_timer(now_s=MAX_WAIT_S)] == [3, 4]
    assert buffer.next_deadline_s() is None
    assert push(buffer, 2, 5) == [5], "what comes after its hole was given up is late"
    assert buffer.late_packets == 1


def test_each_hole_is_waited_for_anew() -> None:
    buffer = ReorderBuffer()
    assert push(buffer, 1, 3, 5) == [1]
    assert [out.sequence for out in buffer.handle_timer(now_s=MAX_WAIT_S)] == [3]
    assert buffer.next_deadline_s() == 2 * MAX_WAIT_S
    assert [out.sequence for out in buffer.handle_timer(now_s=2 * MAX_WAIT_S)] == [5]


def test_a_packet_that_comes_late_enough_also_ends_the_wait() -> None:
    buffer = ReorderBuffer()
    assert push(buffer, 1, 3) == [1]
    assert push(buffer, 4, now_s=MAX_WAIT_S) == [3, 4]


def test_no_more_than_so_many_wait() -> None:
    buffer = ReorderBuffer()
    out = push(buffer, 0, *range(2, MAX_WAITING_PACKETS + 2))
    assert out == [0, *range(2, MAX_WAITING_PACKETS + 2)]


def test_a_sender_that_starts_anew_is_followed_at_once() -> None:
    buffer = ReorderBuffer()
    assert push(buffer, 10, 12) == [10]
    assert push(buffer, 30_000, 30_001) == [12, 30_000, 30_001]


@pytest.mark.parametrize("distance", [1, 2, 100, RESTART_DISTANCE - 1])
def test_a_packet_from_behind_is_late(distance: int) -> None:
    buffer = ReorderBuffer()
    push(buffer, 20_000)
    assert push(buffer, 20_000 - distance) == []
    assert buffer.late_packets == 1


@given(st.integers(0, 0xFFFF), st.permutations(range(40)))
def test_nothing_is_lost_that_came_in_time(first: int, order: list[int]) -> None:
    """However packets are shuffled behind the first one, all come out, once, in order."""
    buffer = ReorderBuffer()
    out = push(buffer, first, *(first + 1 + offset for offset in order))
    assert out == [(first + offset) & 0xFFFF for offset in range(41)]


@given(
    st.integers(0, 0xFFFF),
    st.lists(st.tuples(st.integers(0, 60), st.floats(0, 0.1)), max_size=200),
)
def test_what_comes_out_is_in_order_and_came_in(first: int, arrivals: list[tuple[int, float]]) -> None:
    buffer = ReorderBuffer(max_packets=8)
    now_s = 0.0
    out = push(buffer, first)
    for offset, pause_s in arrivals:
        now_s += pause_s
        deadline_s = buffer.next_deadline_s()
        if deadline_s is not None and deadline_s <= now_s:
            out += [released.sequence for released in buffer.handle_timer(now_s=now_s)]
        out += push(buffer, first + offset, now_s=now_s)
    while (deadline_s := buffer.next_deadline_s()) is not None:
        released = buffer.handle_timer(now_s=deadline_s)
        assert released
        out += [late.sequence for late in released]
    offsets = [(sequence - first) & 0xFFFF for sequence in out]
    assert offsets == sorted(set(offsets))
    assert set(offsets) <= {0, *(offset for offset, _ in arrivals)}
    assert len(offsets) + buffer.late_packets == len(arrivals) + 1


@given(st.lists(st.integers(0, 0xFFFF), max_size=300))
def test_hostile_sequence_numbers_are_bounded_in_what_they_hold(sequences: list[int]) -> None:
    buffer = ReorderBuffer(max_packets=16)
    count = 0
    for sequence in sequences:
        count += len(buffer.push(packet(sequence), now_s=0.0))
    assert len(sequences) - count - buffer.late_packets <= 16


@given(st.floats(0, 1e6))
def test_at_its_deadline_the_timer_does_its_work(now_s: float) -> None:
    buffer = ReorderBuffer()
    push(buffer, 1, 3, now_s=now_s)
    deadline_s = buffer.next_deadline_s()
    assert deadline_s is not None
    assert buffer.handle_timer(now_s=deadline_s)
    assert buffer.next_deadline_s() is None
