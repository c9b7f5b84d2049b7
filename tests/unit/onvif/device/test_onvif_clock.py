"""Date, time, time zones and their servers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from support.soap import AskedDevice, SoapFault, asked_device

from manycast.onvif.device.history import LAST_CLOCK_SYNCHRONIZATION
from manycast.onvif.device.time_zone import machine_zone, read_zone
from manycast.onvif.events.message import EventMessage
from manycast.onvif.state.clock import Clock

BERLIN = "CET-1CEST,M3.5.0,M10.5.0/3"
SUMMER = datetime(2026, 7, 1, 12, tzinfo=UTC)
WINTER = datetime(2026, 1, 1, 12, tzinfo=UTC)


def written(moment: datetime) -> dict[str, Any]:
    return {
        "Time": {"Hour": moment.hour, "Minute": moment.minute, "Second": moment.second},
        "Date": {"Year": moment.year, "Month": moment.month, "Day": moment.day},
    }


def read(value: Any) -> datetime:
    date, time = value.Date, value.Time
    return datetime(date.Year, date.Month, date.Day, time.Hour, time.Minute, time.Second)


async def told(device: AskedDevice) -> Any:
    return (await device.ask("tds:GetSystemDateAndTime")).SystemDateAndTime


async def test_a_time_set_by_hand_goes_on_from_there_and_the_machines_stays() -> None:
    device = await asked_device()
    heard: list[EventMessage] = []
    device.device.broker.listen(heard.append)
    await device.ask(
        "tds:SetSystemDateAndTime",
        DateTimeType="Manual",
        DaylightSavings=True,
        TimeZone={"TZ": BERLIN},
        UTCDateTime=written(SUMMER),
    )
    now = await told(device)
    assert (now.DateTimeType, now.DaylightSavings, now.TimeZone.TZ) == ("Manual", True, BERLIN)
    assert timedelta() <= read(now.UTCDateTime) - SUMMER.replace(tzinfo=None) < timedelta(minutes=2)
    assert read(now.LocalDateTime) - read(now.UTCDateTime) == timedelta(hours=2)
    assert abs(device.device.clock.now() - SUMMER) < timedelta(minutes=2)
    assert LAST_CLOCK_SYNCHRONIZATION in [message.topic for message in heard]


@pytest.mark.parametrize("offset_s", [float("nan"), float("inf"), 1e300, -1e12])
def test_no_file_sets_a_clock_beyond_the_calendar(offset_s: float) -> None:
    with pytest.raises(ValidationError):
        Clock(offset_s=offset_s)


async def test_without_a_time_only_the_zone_changes() -> None:
    device = await asked_device()
    device.state.clock.offset_s = 3600.0
    zone = {"TZ": BERLIN}
    await device.ask("tds:SetSystemDateAndTime", DateTimeType="Manual", DaylightSavings=False, TimeZone=zone)
    assert device.state.clock.offset_s == 3600.0
    now = await told(device)
    assert read(now.LocalDateTime) - read(now.UTCDateTime) == timedelta(hours=1)


async def test_by_ntp_the_machines_time_is_told() -> None:
    device = await asked_device()
    device.state.clock.offset_s = 3600.0
    await device.ask("tds:SetSystemDateAndTime", DateTimeType="NTP", DaylightSavings=False)
    assert abs(device.device.clock.now() - datetime.now(UTC)) < timedelta(seconds=1)
    assert (await told(device)).DateTimeType == "NTP"


@pytest.mark.parametrize("zone", ["INVALIDTIMEZONE", "", "CET", "CET-1CEST,M3.5.0", "C-1", "CET-1CEST,M13.5.0,M10.5.0"])
async def test_a_zone_that_is_none_is_refused(zone: str) -> None:
    device = await asked_device()
    before = device.state.clock.model_copy()
    with pytest.raises(SoapFault, match="ter:InvalidArgVal/ter:InvalidTimeZone"):
        await device.ask(
            "tds:SetSystemDateAndTime",
            DateTimeType="Manual",
            DaylightSavings=True,
            TimeZone={"TZ": zone},
            UTCDateTime=written(SUMMER),
        )
    assert device.state.clock == before


@pytest.mark.parametrize(
    ("part", "field", "value"),
    [
        ("Time", "Hour", 24),
        ("Time", "Minute", 60),
        ("Time", "Second", 62),
        ("Date", "Month", 13),
        ("Date", "Day", 31),
        ("Date", "Year", 1969),
        ("Date", "Year", 3000),
    ],
)
async def test_a_time_that_is_none_is_refused(part: str, field: str, value: int) -> None:
    device = await asked_device()
    moment = written(datetime(2026, 2, 1))
    moment[part][field] = value
    with pytest.raises(SoapFault, match="ter:InvalidArgVal/ter:InvalidDateTime"):
        await device.ask("tds:SetSystemDateAndTime", DateTimeType="Manual", DaylightSavings=False, UTCDateTime=moment)


async def test_a_leap_second_is_a_time() -> None:
    device = await asked_device()
    moment = written(datetime(2016, 12, 31, 23, 59)) | {"Time": {"Hour": 23, "Minute": 59, "Second": 60}}
    await device.ask("tds:SetSystemDateAndTime", DateTimeType="Manual", DaylightSavings=False, UTCDateTime=moment)
    assert (await told(device)).UTCDateTime.Date.Year in (2016, 2017)


async def test_ntp_needs_a_server_whichever_is_set_first() -> None:
    device = await asked_device()
    with pytest.raises(SoapFault, match="ter:InvalidArgVal/ter:TimeSyncedToNtp"):
        await device.ask("tds:SetNTP", FromDHCP=False)
    await device.ask(
        "tds:SetSystemDateAndTime", DateTimeType="Manual", DaylightSavings=False, UTCDateTime=written(SUMMER)
    )
    await device.ask("tds:SetNTP", FromDHCP=False)
    with pytest.raises(SoapFault, match="ter:InvalidArgVal/ter:NtpServerUndefined"):
        await device.ask("tds:SetSystemDateAndTime", DateTimeType="NTP", DaylightSavings=False)


async def test_time_servers_are_kept() -> None:
    device = await asked_device()
    hosts = [
        {"Type": "IPv4", "IPv4Address": "10.1.1.1"},
        {"Type": "IPv6", "IPv6Address": "2001:1:1:1:1:1:1:1"},
        {"Type": "DNS", "DNSname": "time.example"},
    ]
    await device.ask("tds:SetNTP", FromDHCP=False, NTPManual=hosts)
    kept = (await device.ask("tds:GetNTP")).NTPInformation
    assert kept.FromDHCP is False
    assert [{name: each[name] for name in host} for each, host in zip(kept.NTPManual, hosts, strict=True)] == hosts


@pytest.mark.parametrize(
    ("zone", "winter_h", "summer_h"),
    [
        (BERLIN, 1, 2),
        ("PST8PDT,M3.2.0,M11.1.0", -8, -7),
        ("UTC0", 0, 0),
        ("EST5EDT", -5, -4),
        ("<+0530>-5:30", 5.5, 5.5),
        ("AEST-10AEDT,M10.1.0,M4.1.0/3", 11, 10),
    ],
)
def test_zones_of_posix_are_understood(zone: str, winter_h: float, summer_h: float) -> None:
    read_there = read_zone(zone, daylight_savings=True)
    assert read_there.utcoffset(WINTER.astimezone(read_there)) == timedelta(hours=winter_h)
    assert read_there.utcoffset(SUMMER.astimezone(read_there)) == timedelta(hours=summer_h)


def test_summer_time_can_be_switched_off() -> None:
    zone = read_zone(BERLIN, daylight_savings=False)
    assert SUMMER.astimezone(zone).utcoffset() == timedelta(hours=1)


def test_the_machines_zone_is_one() -> None:
    offset = SUMMER.astimezone(read_zone(machine_zone(), daylight_savings=True)).utcoffset()
    assert offset == SUMMER.astimezone().utcoffset()


@given(st.text(alphabet="CETSPD<>+-:,/.MJ0123456789", max_size=30), st.booleans())
def test_what_is_no_zone_raises_value_error_and_nothing_else(text: str, daylight_savings: bool) -> None:
    try:
        zone = read_zone(text, daylight_savings=daylight_savings)
    except ValueError:
        return
    assert SUMMER.astimezone(zone).tzinfo is zone
