from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manycast.onvif.events.times import (
    parse_date_time,
    parse_duration,
    parse_termination,
    rounded_up,
    write_date_time,
    write_duration,
)

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("PT10S", 10),
        ("PT1M", 60),
        ("PT1H30M", 5400),
        ("P1D", 86400),
        ("P1DT1S", 86401),
        ("P1Y2M", (365 + 60) * 86400),
        ("PT0.5S", 0.5),
        ("-PT10S", -10),
        ("PT0S", 0),
        (" PT10S\n", 10),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "text",
    ["", "P", "PT", "P1DT", "10", "PT10", "P10S", "PT1S1M", "PT1,5S", "P1W", "PT٣S", "P9999999Y", "P" + "1" * 99],
)
def test_no_durations(text: str) -> None:
    with pytest.raises(ValueError, match="xs:duration"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-01-02T12:00:00Z", NOON),
        ("2026-01-02T12:00:00", NOON),
        ("2026-01-02T14:00:00+02:00", NOON),
        ("2026-01-02T12:00:00.25Z", NOON + timedelta(milliseconds=250)),
        ("2026-01-02T12:00:00.123456789Z", NOON + timedelta(microseconds=123456)),
    ],
)
def test_date_times(text: str, expected: datetime) -> None:
    assert parse_date_time(text) == expected


@pytest.mark.parametrize(
    "text",
    ["", "now", "2026-01-02", "2026-13-02T12:00:00Z", "2026-01-02T25:00:00Z", "0001-01-01T00:00:00+14:00", "2" * 99],
)
def test_no_date_times(text: str) -> None:
    with pytest.raises(ValueError):
        parse_date_time(text)


def test_a_termination_time_is_relative_or_absolute() -> None:
    assert parse_termination("PT1M", NOON) == timedelta(minutes=1)
    assert parse_termination("-PT1M", NOON) == timedelta(minutes=-1)
    assert parse_termination("2026-01-02T12:01:00Z", NOON) == timedelta(minutes=1)
    assert parse_termination("2026-01-02T11:59:00Z", NOON) == timedelta(minutes=-1)


def test_times_are_written_in_utc() -> None:
    local = NOON.astimezone(timezone(timedelta(hours=2))) + timedelta(microseconds=1999)
    assert write_date_time(local) == "2026-01-02T12:00:00.001Z"


def test_durations_are_written_in_seconds() -> None:
    assert [write_duration(timedelta(seconds=seconds)) for seconds in (0, 90, 0.25)] == ["PT0S", "PT90S", "PT0.25S"]


@given(st.timedeltas(timedelta(0), timedelta(days=1000)))
def test_durations_survive_being_written(duration: timedelta) -> None:
    assert abs(parse_duration(write_duration(duration)) - duration) <= timedelta(milliseconds=1)


@given(st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30)))
def test_times_survive_being_written(value: datetime) -> None:
    value = value.replace(tzinfo=UTC)
    assert timedelta(0) <= value - parse_date_time(write_date_time(value)) < timedelta(milliseconds=1)


@given(st.timedeltas(timedelta(0), timedelta(days=1000)))
def test_what_is_rounded_is_not_less(duration: timedelta) -> None:
    assert timedelta(0) <= rounded_up(duration) - duration < timedelta(milliseconds=1)


@given(st.text(max_size=80) | st.from_regex(r"-?P[0-9YMDTHS.]{0,40}"))
def test_any_text_is_a_time_or_refused(text: str) -> None:
    try:
        assert isinstance(parse_termination(text, NOON), timedelta)
    except ValueError:
        pass
