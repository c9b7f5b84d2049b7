"""One zero for all tracks of a sender."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from manycast.media.clock import ntp_from_unix
from manycast.wire.rtp.timeline import MAX_CORRECTION_S, SenderTimeline

VIDEO, AUDIO = 0, 1
RATES = (90_000, 48_000)
WALL_S = 1_700_000_000.0


def test_before_reports_come_the_time_of_arrival_decides() -> None:
    timeline = SenderTimeline(RATES)
    video = timeline.unwrap(VIDEO, 12_345, now_s=100.0)
    audio = timeline.unwrap(AUDIO, 999, now_s=100.5)
    assert timeline.stream_ticks(VIDEO, video) == 0
    assert timeline.stream_ticks(AUDIO, audio) == 24_000


def test_later_packets_follow_their_timestamps_and_not_their_arrival() -> None:
    timeline = SenderTimeline(RATES)
    timeline.unwrap(VIDEO, 1000, now_s=0.0)
    later = timeline.unwrap(VIDEO, 1000 + 90_000, now_s=7.0)
    assert timeline.stream_ticks(VIDEO, later) == 90_000


def test_timestamps_wrap_without_a_jump() -> None:
    timeline = SenderTimeline(RATES)
    ticks = [
        timeline.stream_ticks(VIDEO, timeline.unwrap(VIDEO, (0xFFFF_FF00 + 100 * step) & 0xFFFFFFFF, now_s=0.0))
        for step in range(10)
    ]
    assert ticks == [100 * step for step in range(10)]


def test_reports_put_tracks_in_step() -> None:
    timeline = SenderTimeline(RATES)
    timeline.unwrap(VIDEO, 0, now_s=0.0)
    timeline.unwrap(AUDIO, 0, now_s=0.3)  # its first packet was 0.3 s on the way
    timeline.sender_report(VIDEO, ntp=ntp_from_unix(WALL_S), rtp_timestamp=0, now_s=0.4)
    timeline.sender_report(AUDIO, ntp=ntp_from_unix(WALL_S), rtp_timestamp=0, now_s=0.4)
    assert timeline.stream_ticks(VIDEO, 0) == 0
    assert abs(timeline.stream_ticks(AUDIO, 0)) <= 1


def test_the_first_track_with_a_report_is_not_shifted() -> None:
    timeline = SenderTimeline(RATES)
    timeline.unwrap(VIDEO, 0, now_s=0.0)
    timeline.unwrap(AUDIO, 0, now_s=0.3)
    timeline.sender_report(AUDIO, ntp=ntp_from_unix(WALL_S), rtp_timestamp=0, now_s=0.4)
    timeline.sender_report(VIDEO, ntp=ntp_from_unix(WALL_S), rtp_timestamp=0, now_s=0.4)
    assert timeline.stream_ticks(AUDIO, 0) == int(0.3 * 48_000)
    assert abs(timeline.stream_ticks(VIDEO, 0) - 27_000) <= 1


def test_what_is_not_heard_is_not_corrected() -> None:
    timeline = SenderTimeline(RATES)
    timeline.unwrap(VIDEO, 0, now_s=0.0)
    timeline.unwrap(AUDIO, 0, now_s=0.010)
    for track in (VIDEO, AUDIO):
        timeline.sender_report(track, ntp=ntp_from_unix(WALL_S), rtp_timestamp=0, now_s=0.4)
    assert timeline.stream_ticks(AUDIO, 0) == 480


def test_a_wall_clock_that_was_set_is_not_followed() -> None:
    timeline = SenderTimeline(RATES)
    timeline.unwrap(VIDEO, 0, now_s=0.0)
    timeline.unwrap(AUDIO, 0, now_s=0.0)
    timeline.sender_report(VIDEO, ntp=ntp_from_unix(WALL_S), rtp_timestamp=0, now_s=0.0)
    timeline.sender_report(AUDIO, ntp=ntp_from_unix(WALL_S + 2 * MAX_CORRECTION_S), rtp_timestamp=0, now_s=0.0)
    assert timeline.stream_ticks(AUDIO, 0) == 0


def test_a_report_without_a_wall_clock_says_nothing() -> None:
    timeline = SenderTimeline(RATES)
    timeline.unwrap(VIDEO, 0, now_s=0.0)
    timeline.unwrap(AUDIO, 0, now_s=0.3)
    for track in (VIDEO, AUDIO):
        timeline.sender_report(track, ntp=0, rtp_timestamp=0, now_s=0.4)
    assert timeline.stream_ticks(AUDIO, 0) == int(0.3 * 48_000)


def test_a_report_before_the_first_packet_places_the_track() -> None:
    timeline = SenderTimeline(RATES)
    timeline.sender_report(VIDEO, ntp=ntp_from_unix(WALL_S), rtp_timestamp=90_000, now_s=5.0)
    assert timeline.stream_ticks(VIDEO, timeline.unwrap(VIDEO, 180_000, now_s=6.0)) == 90_000


def test_frames_that_were_held_back_for_one_packet_are_older() -> None:
    timeline = SenderTimeline(RATES)
    timeline.unwrap(VIDEO, 0, now_s=0.0)
    first = timeline.unwrap(AUDIO, 7000, now_s=0.5)
    timeline.arrived_in_one(AUDIO, first, first + 24_000)
    assert timeline.stream_ticks(AUDIO, first) == 0
    timeline.sender_report(VIDEO, ntp=ntp_from_unix(WALL_S), rtp_timestamp=0, now_s=0.6)
    timeline.sender_report(AUDIO, ntp=ntp_from_unix(WALL_S + 0.1), rtp_timestamp=7000, now_s=0.6)
    assert timeline.stream_ticks(AUDIO, first) == 4800


def test_times_do_not_begin_below_zero() -> None:
    timeline = SenderTimeline(RATES)
    first = timeline.unwrap(AUDIO, 7000, now_s=0.0)
    timeline.arrived_in_one(AUDIO, first, first + 24_000)
    assert timeline.stream_ticks(AUDIO, first) == 0
    assert timeline.stream_ticks(VIDEO, timeline.unwrap(VIDEO, 0, now_s=0.0)) == 45_000


def test_a_new_source_goes_on_where_time_stands() -> None:
    timeline = SenderTimeline(RATES)
    timeline.unwrap(VIDEO, 777, now_s=0.0)
    timeline.restart(VIDEO, 4_000_000_000, now_s=10.0, reached_ticks=800_000)
    again = timeline.unwrap(VIDEO, 4_000_000_000, now_s=10.0)
    assert timeline.stream_ticks(VIDEO, again) == 900_000


def test_a_new_source_goes_on_behind_one_that_was_ahead_of_time() -> None:
    timeline = SenderTimeline(RATES)
    timeline.unwrap(VIDEO, 0, now_s=0.0)
    timeline.unwrap(AUDIO, 0, now_s=0.0)
    timeline.restart(VIDEO, 777, now_s=10.0, reached_ticks=989_999)
    timeline.restart(AUDIO, 888, now_s=10.0, reached_ticks=470_000)
    assert timeline.stream_ticks(VIDEO, timeline.unwrap(VIDEO, 777, now_s=10.0)) == 990_000
    assert timeline.stream_ticks(AUDIO, timeline.unwrap(AUDIO, 888, now_s=10.0)) == 11 * 48_000, "in step with it"


@given(
    st.integers(0, 0xFFFFFFFF),
    st.integers(0, 0xFFFFFFFF),
    st.floats(0.02, 5.0),
    st.floats(0.0, 3.0),
)
def test_with_reports_tracks_are_in_step_whatever_their_clocks_start_with(
    video_start: int, audio_start: int, audio_delay_s: float, report_after_s: float
) -> None:
    """Both tracks start at one moment of the sender's clock; audio takes longer to arrive."""
    timeline = SenderTimeline(RATES)
    timeline.unwrap(VIDEO, video_start, now_s=0.0)
    timeline.unwrap(AUDIO, audio_start, now_s=audio_delay_s)
    for track, start in ((VIDEO, video_start), (AUDIO, audio_start)):
        stamp = (start + round(report_after_s * RATES[track])) & 0xFFFFFFFF
        timeline.sender_report(track, ntp=ntp_from_unix(WALL_S + report_after_s), rtp_timestamp=stamp, now_s=6.0)
    video_s = timeline.stream_ticks(VIDEO, timeline.unwrap(VIDEO, video_start, now_s=9.0)) / RATES[VIDEO]
    audio_s = timeline.stream_ticks(AUDIO, timeline.unwrap(AUDIO, audio_start, now_s=9.0)) / RATES[AUDIO]
    assert abs(video_s - audio_s) < 0.001


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, (1 << 64) - 1), st.integers(0, 0xFFFFFFFF)), max_size=30))
def test_hostile_reports_move_no_track_by_more_than_a_correction_each(reports: list[tuple[int, int, int]]) -> None:
    timeline = SenderTimeline(RATES)
    first = [timeline.unwrap(track, 0, now_s=0.0) for track in (VIDEO, AUDIO)]
    for count, (track, ntp, rtp_timestamp) in enumerate(reports, start=1):
        timeline.sender_report(track, ntp=ntp, rtp_timestamp=rtp_timestamp, now_s=float(count))
        for other in (VIDEO, AUDIO):
            assert abs(timeline.stream_ticks(other, first[other])) <= count * MAX_CORRECTION_S * RATES[other]
