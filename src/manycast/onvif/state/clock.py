"""The device's clock: an offset to the machine's, which is never touched."""

from __future__ import annotations

from enum import StrEnum

from manycast.onvif.state.base import Part


class DateTimeType(StrEnum):
    """tt:SetDateTimeType."""

    MANUAL = "Manual"
    NTP = "NTP"


class Clock(Part):
    type: DateTimeType = DateTimeType.NTP
    daylight_savings: bool = False
    time_zone: str | None = None  # as POSIX writes it: CET-1CEST,M3.5.0,M10.5.0/3; None: the machine's
    offset_s: float = 0.0  # the device's time less the machine's
