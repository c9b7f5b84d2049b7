"""Times as XML Schema writes them: xs:dateTime, xs:duration, and wsnt:AbsoluteOrRelativeTimeType, which is either."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

MAX_TEXT = 64  # characters; longer ones carry no more time
MAX_DIGITS = 9  # a field's; a billion years do not fit a date anyway

_N = rf"\d{{1,{MAX_DIGITS}}}"
_DURATION = re.compile(
    rf"(?P<sign>-)?P(?=.)(?:(?P<years>{_N})Y)?(?:(?P<months>{_N})M)?(?:(?P<days>{_N})D)?"
    rf"(?:T(?=.)(?:(?P<hours>{_N})H)?(?:(?P<minutes>{_N})M)?(?:(?P<seconds>{_N}(?:\.\d+)?)S)?)?",
    re.ASCII,
)
_DATE_TIME = re.compile(
    r"(?P<date>\d{4}-\d\d-\d\d)T(?P<time>\d\d:\d\d:\d\d)(?P<fraction>\.\d+)?(?P<zone>Z|[+-]\d\d:\d\d)?", re.ASCII
)
_MILLISECOND = timedelta(milliseconds=1)


def parse_duration(text: str) -> timedelta:
    """Read an xs:duration; a year counts 365 days and a month 30. Raises ValueError."""
    text = text.strip()
    match = _DURATION.fullmatch(text) if len(text) <= MAX_TEXT else None
    if match is None:
        raise ValueError(f"no xs:duration: {text[:MAX_TEXT]!r}")
    part = {name: float(value or 0) for name, value in match.groupdict().items() if name != "sign"}
    try:
        duration = timedelta(
            days=part["years"] * 365 + part["months"] * 30 + part["days"],
            hours=part["hours"],
            minutes=part["minutes"],
            seconds=part["seconds"],
        )
    except OverflowError:
        raise ValueError(f"an xs:duration beyond all time: {text!r}") from None
    return -duration if match["sign"] else duration


def parse_date_time(text: str) -> datetime:
    """Read an xs:dateTime; one without a zone is taken for UTC. Raises ValueError."""
    text = text.strip()
    match = _DATE_TIME.fullmatch(text) if len(text) <= MAX_TEXT else None
    if match is None:
        raise ValueError(f"no xs:dateTime: {text[:MAX_TEXT]!r}")
    fraction = (match["fraction"] or ".0")[:7]
    zone = (match["zone"] or "Z").replace("Z", "+00:00")
    try:
        return datetime.fromisoformat(f"{match['date']}T{match['time']}{fraction:0<7}{zone}").astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(f"no time of any day: {text!r}") from None


def parse_termination(text: str, now: datetime) -> timedelta:
    """How long from now a wsnt:AbsoluteOrRelativeTimeType lasts; negative for the past. Raises ValueError."""
    if text.strip()[:2].startswith(("P", "-P")):
        return parse_duration(text)
    return parse_date_time(text) - now


def write_date_time(value: datetime) -> str:
    """In UTC with the `Z`, to the millisecond."""
    return value.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def write_duration(value: timedelta) -> str:
    """In seconds: `PT90S`."""
    return f"PT{value.total_seconds():.3f}".rstrip("0").rstrip(".") + "S"


def rounded_up(value: timedelta) -> timedelta:
    """To whole milliseconds, so that what is written is not less than what was asked for."""
    return -(-value // _MILLISECOND) * _MILLISECOND
