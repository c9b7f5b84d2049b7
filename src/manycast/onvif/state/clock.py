"""The device's clock: an offset to the machine's, which is never touched."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from manycast.onvif.state.base import Part

MAX_OFFSET_S = 1100 * 366 * 86400.0


class DateTimeType(StrEnum):
    """tt:SetDateTimeType."""

    MANUAL = "Manual"
    NTP = "NTP"


class Clock(Part):
    type: DateTimeType = DateTimeType.NTP
    daylight_savings: bool = False
    time_zone: str | None = None  # as POSIX writes it: CET-1CEST,M3.5.0,M10.5.0/3; None: the machine's
    # The device's time less the machine's: some centuries at most, so that it stays in the calendar.
    offset_s: float = Field(0.0, ge=-MAX_OFFSET_S, le=MAX_OFFSET_S, allow_inf_nan=False)
