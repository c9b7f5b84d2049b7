"""Time that goes on when a transport stream's clock is set."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from manycast.wire.mpegts.jumps import USUAL_STEP_TICKS, JumpMender

HOUR = 3600 * 90_000


def test_steady_time_is_left_alone() -> None:
    mender = JumpMender()
    assert {mender.shift(0, number * 3600, 90_000) for number in range(100)} == {0}
    assert mender.jumps == 0


def test_gaps_of_seconds_and_small_steps_back_are_no_jumps() -> None:
    mender = JumpMender()
    assert [mender.shift(0, ticks, 90_000) for ticks in (0, 8 * 90_000, 8 * 90_000 - 3600)] == [0, 0, 0]


def test_tracks_follow_a_jump_by_the_same_amount() -> None:
    mender = JumpMender()
    mender.shift(0, HOUR, 90_000)
    mender.shift(1, 48_000 * 3600, 48_000)
    shift = mender.shift(0, 0, 90_000)
    assert shift == HOUR + USUAL_STEP_TICKS
    assert mender.shift(1, 960, 48_000) == shift * 48_000 // 90_000
    assert mender.shift(0, 3600, 90_000) == shift
    assert mender.jumps == 1


def test_what_is_still_of_the_old_clock_stays_there() -> None:
    mender = JumpMender()
    mender.shift(0, 0, 90_000)
    mender.shift(1, 0, 90_000)
    mender.shift(0, HOUR, 90_000)
    assert mender.shift(1, 3600, 90_000) == 0
    assert mender.shift(1, HOUR + 7200, 90_000) == mender.shift(0, HOUR + 3600, 90_000)


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(-(2**40), 2**40)), max_size=60))
def test_no_track_ever_jumps(times: list[tuple[int, int]]) -> None:
    mender = JumpMender()
    latest: dict[int, int] = {}
    for track, ticks in times:
        time = ticks + mender.shift(track, ticks, 90_000)
        if track in latest:
            assert -90_000 <= time - latest[track] <= 900_000
        latest[track] = time
