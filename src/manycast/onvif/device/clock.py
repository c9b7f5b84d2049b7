"""Date and time, and the servers they come from."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from manycast.onvif.device.arguments import invalid, network_host, written_host
from manycast.onvif.device.part import DevicePart
from manycast.onvif.device.time_zone import machine_zone, read_zone
from manycast.onvif.security.access import Access
from manycast.onvif.soap.fault import Fault
from manycast.onvif.soap.service import NOTHING, Caller, Reply, operation
from manycast.onvif.state.clock import Clock, DateTimeType
from manycast.onvif.state.limits import MAX_NTP_SERVERS
from manycast.onvif.state.network import Ntp

FIRST_YEAR, LAST_YEAR = 1970, 2999  # far from the ends of the calendar, so that times can be reckoned with


class DateAndTime(DevicePart):
    @operation(Access.PRE_AUTH)
    async def get_system_date_and_time(self, request: Any, caller: Caller) -> Reply:
        clock = self.state.clock
        now = self.device.clock.now()
        zone = clock.time_zone or machine_zone()
        local = now.astimezone(read_zone(zone, daylight_savings=clock.daylight_savings))
        return {
            "SystemDateAndTime": {
                "DateTimeType": clock.type.value,
                "DaylightSavings": clock.daylight_savings,
                "TimeZone": {"TZ": zone},
                "UTCDateTime": _written(now),
                "LocalDateTime": _written(local),
            }
        }

    @operation(Access.WRITE_SYSTEM)
    async def set_system_date_and_time(self, request: Any, caller: Caller) -> Reply:
        """By hand the device's offset to the machine's clock is set; by NTP it has none."""
        kind = DateTimeType(request.DateTimeType)
        zone = self.state.clock.time_zone
        if request.TimeZone is not None:
            zone = request.TimeZone.TZ
            try:
                read_zone(zone, daylight_savings=True)
            except ValueError:
                raise invalid("ter:InvalidTimeZone", f"no time zone of POSIX: {zone[:60]!r}") from None
        offset_s = 0.0
        if kind is DateTimeType.MANUAL:
            offset_s = self.state.clock.offset_s
            if request.UTCDateTime is not None:
                offset_s = (_moment(request.UTCDateTime) - datetime.now(UTC)).total_seconds()
        elif not _has_server(self.state.network.ntp):
            raise invalid("ter:NtpServerUndefined", "no server of NTP is set")
        self.state.clock = Clock(type=kind, daylight_savings=request.DaylightSavings, time_zone=zone, offset_s=offset_s)
        self.save()
        self.device.history.clock_was_set()
        return NOTHING

    @operation(Access.READ_SYSTEM)
    async def get_ntp(self, request: Any, caller: Caller) -> Reply:
        """DHCP stands for what the machine itself does about its time, of which nothing is known here."""
        ntp = self.state.network.ntp
        return {
            "NTPInformation": {"FromDHCP": ntp.from_dhcp, "NTPManual": [written_host(each) for each in ntp.servers]}
        }

    @operation(Access.WRITE_SYSTEM)
    async def set_ntp(self, request: Any, caller: Caller) -> Reply:
        if len(request.NTPManual) > MAX_NTP_SERVERS:
            raise Fault.sender("ter:InvalidArgVal", reason=f"at most {MAX_NTP_SERVERS} servers")
        ntp = Ntp(from_dhcp=request.FromDHCP, servers=[network_host(each) for each in request.NTPManual])
        if self.state.clock.type is DateTimeType.NTP and not _has_server(ntp):
            raise invalid("ter:TimeSyncedToNtp", "the time comes by NTP, which needs a server")
        self.state.network.ntp = ntp
        self.save()
        return NOTHING


def _has_server(ntp: Ntp) -> bool:
    return ntp.from_dhcp or bool(ntp.servers)


def _moment(written: Any) -> datetime:
    """Of tt:DateTime, in UTC."""
    date, time = written.Date, written.Time
    if not FIRST_YEAR <= date.Year <= LAST_YEAR:
        raise invalid("ter:InvalidDateTime", f"a year of {FIRST_YEAR} to {LAST_YEAR} is wanted")
    try:
        return datetime(date.Year, date.Month, date.Day, time.Hour, time.Minute, _second(time.Second), tzinfo=UTC)
    except (ValueError, OverflowError):
        raise invalid("ter:InvalidDateTime", "no such date or time") from None


def _second(second: int) -> int:
    """ONVIF knows leap seconds (0 to 61), Python does not."""
    return 59 if second in (60, 61) else second


def _written(moment: datetime) -> Reply:
    """tt:DateTime."""
    return {
        "Time": {"Hour": moment.hour, "Minute": moment.minute, "Second": moment.second},
        "Date": {"Year": moment.year, "Month": moment.month, "Day": moment.day},
    }
