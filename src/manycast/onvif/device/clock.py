"""Date and time."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from manycast.onvif.device.part import DevicePart
from manycast.onvif.security.access import Access
from manycast.onvif.soap.service import Caller, Reply, operation


class DateAndTime(DevicePart):
    @operation(Access.PRE_AUTH)
    async def get_system_date_and_time(self, request: Any, caller: Caller) -> Reply:
        clock = self.state.clock
        return {
            "SystemDateAndTime": {
                "DateTimeType": clock.type.value,
                "DaylightSavings": clock.daylight_savings,
                "TimeZone": None,
                "UTCDateTime": _written(self.device.clock.now()),
            }
        }


def _written(moment: datetime) -> Reply:
    """tt:DateTime."""
    return {
        "Time": {"Hour": moment.hour, "Minute": moment.minute, "Second": moment.second},
        "Date": {"Year": moment.year, "Month": moment.month, "Day": moment.day},
    }
