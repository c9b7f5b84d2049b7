"""What a receiver reports of its source."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from manycast.media.clock import ntp_from_unix
from manycast.wire.rtp.statistics import ReceptionStatistics


def received(*sequences: int) -> ReceptionStatistics:
    statistics = ReceptionStatistics(7, 90_000)
    for sequence in sequences:
        statistics.received(sequence & 0xFFFF)
    return statistics


def test_before_the_first_packet_there_is_nothing_to_report() -> None:
    block = received().take_report(now_s=0.0)
    assert (block.fraction_lost, block.cumulative_lost, block.highest_sequence) == (0, 0, 0)


def test_without_loss_nothing_is_lost() -> None:
    statistics = received(*range(100))
    block = statistics.take_report(now_s=0.0)
    assert (block.ssrc, block.fraction_lost, block.cumulative_lost, block.highest_sequence) == (7, 0, 0, 99)
    assert statistics.lost_packets == 0


def test_a_quarter_that_is_lost_is_64_of_256() -> None:
    statistics = received(*(sequence for sequence in range(101) if sequence % 4 != 1))
    block = statistics.take_report(now_s=0.0)
    assert (block.fraction_lost, block.cumulative_lost) == (25 * 256 // 101, 25)


def test_the_fraction_is_of_the_time_since_the_last_report() -> None:
    statistics = received(0, 2, 4, 6, 8, 10)
    assert statistics.take_report(now_s=0.0).fraction_lost > 0
    for sequence in range(11, 20):
        statistics.received(sequence)
    block = statistics.take_report(now_s=1.0)
    assert block.fraction_lost == 0
    assert block.cumulative_lost == 5


def test_cycles_are_counted_above_the_sequence_number() -> None:
    block = received(0xFFFE, 0xFFFF, 0, 1).take_report(now_s=0.0)
    assert block.highest_sequence == 0x1_0001
    assert block.cumulative_lost == 0


def test_doubled_packets_make_the_loss_negative() -> None:
    block = received(1, 2, 2, 2, 3).take_report(now_s=0.0)
    assert block.cumulative_lost == -2
    assert block.fraction_lost == 0


def test_packets_out_of_order_are_not_lost() -> None:
    assert received(1, 3, 2, 5, 4).take_report(now_s=0.0).cumulative_lost == 0


def test_an_even_stream_has_no_jitter() -> None:
    statistics = received()
    for number in range(50):
        statistics.arrived(number * 3600, now_s=number * 0.04)
    assert statistics.jitter_ticks < 0.01


def test_jitter_follows_the_formula_of_the_rfc() -> None:
    """RFC 3550 section 6.4.1: J += (|D| - J) / 16."""
    statistics = received()
    statistics.arrived(0, now_s=0.0)
    statistics.arrived(3600, now_s=0.05)  # 10 ms late: 900 ticks
    assert abs(statistics.jitter_ticks - 900 / 16) < 0.01
    statistics.arrived(7200, now_s=0.09)  # as late as the one before
    assert abs(statistics.jitter_ticks - 900 / 16 * 15 / 16) < 0.01


def test_the_report_tells_of_the_last_sender_report() -> None:
    statistics = received(1)
    ntp = ntp_from_unix(1_700_000_000.25)
    statistics.sender_reported(ntp, now_s=10.0)
    block = statistics.take_report(now_s=11.5)
    assert block.last_sender_report == ntp >> 16 & 0xFFFFFFFF
    assert block.delay_since_last_sender_report == 3 * 65536 // 2


@given(st.lists(st.integers(0, 0xFFFF), max_size=200), st.lists(st.integers(0, 200), max_size=5))
def test_hostile_sequences_give_reports_that_can_be_sent(sequences: list[int], reports_at: list[int]) -> None:
    statistics = ReceptionStatistics(1, 90_000)
    for position, sequence in enumerate(sequences):
        statistics.received(sequence)
        if position in reports_at:
            statistics.take_report(now_s=float(position)).serialize()
    block = statistics.take_report(now_s=1e6)
    assert 0 <= block.fraction_lost <= 255
    block.serialize()
