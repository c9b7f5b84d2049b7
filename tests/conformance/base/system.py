"""System: the clock, factory defaults, restarts, logs, backups, firmware."""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime, timedelta

import requests
from lxml import etree

from conformance.base.features import (
    DISCOVERY,
    FIRMWARE_FILE,
    HTTP_BACKUP,
    HTTP_FIRMWARE,
    NETWORK,
    NTP,
    PROFILE,
    SPECIFICATION,
    SYSTEM_URIS,
    capability,
)
from conformance.base.requests import ask, boolean, refused, value, written
from conformance.client import NAMESPACES, SoapFault
from conformance.device import Device
from conformance.frame import Failed, require

TIME_ZONE = "PST8PDT,M3.2.0,M11.1.0"
NO_TIME_ZONE = "INVALIDTIMEZONE"
NTP_SERVER = "192.0.2.123"
CLOCK_TOLERANCE = timedelta(seconds=30)


# The clock


def clock(device: Device) -> etree._Element:
    return ask(device, "<tds:GetSystemDateAndTime/>").all("tds:SystemDateAndTime")[0]


def utc(found: etree._Element, name: str = "UTCDateTime") -> datetime | None:
    """A time that is told; a bad one raises ValueError."""
    element = found.find(f"tt:{name}", NAMESPACES)
    if element is None:
        return None
    parts = ("Date/tt:Year", "Date/tt:Month", "Date/tt:Day", "Time/tt:Hour", "Time/tt:Minute", "Time/tt:Second")
    year, month, day, hour, minute, second = (int(value(element, f"tt:{part}") or "") for part in parts)
    return datetime(year, month, day, hour, minute, second, tzinfo=UTC)


def set_clock(kind: str, *, zone: str | None = None, daylight: bool = False, at: datetime | None = None) -> str:
    content = f"<tds:DateTimeType>{kind}</tds:DateTimeType>"
    content += f"<tds:DaylightSavings>{str(daylight).lower()}</tds:DaylightSavings>"
    if zone is not None:
        content += f"<tds:TimeZone><tt:TZ>{zone}</tt:TZ></tds:TimeZone>"
    if at is not None:
        content += _utc(at.year, at.month, at.day, at.hour, at.minute, at.second)
    return f"<tds:SetSystemDateAndTime>{content}</tds:SetSystemDateAndTime>"


def _utc(year: int, month: int, day: int, hour: int, minute: int, second: int) -> str:
    return (
        f"<tds:UTCDateTime><tt:Time><tt:Hour>{hour}</tt:Hour><tt:Minute>{minute}</tt:Minute>"
        f"<tt:Second>{second}</tt:Second></tt:Time><tt:Date><tt:Year>{year}</tt:Year>"
        f"<tt:Month>{month}</tt:Month><tt:Day>{day}</tt:Day></tt:Date></tds:UTCDateTime>"
    )


def put_back_clock(device: Device, old: etree._Element) -> None:
    """Annex "Restoring System Date and Time"."""
    kind = value(old, "tt:DateTimeType") or "Manual"
    ask(
        device,
        set_clock(
            kind,
            zone=value(old, "tt:TimeZone/tt:TZ"),
            daylight=boolean(value(old, "tt:DaylightSavings")),
            at=datetime.now(UTC) if kind == "Manual" else None,
        ),
    )
    device.client.clock_offset = device.now() - datetime.now(UTC)


def _check_times(found: etree._Element) -> None:
    try:
        require(utc(found) is not None, "no UTCDateTime")
        utc(found, "LocalDateTime")
    except ValueError as error:
        raise Failed(f"a time that there is not: {error}") from error


@SPECIFICATION.case("DEVICE-3-1-1", "SYSTEM COMMAND GETSYSTEMDATEANDTIME")
def get_clock(device: Device) -> None:
    found = clock(device)
    if value(found, "tt:DateTimeType") == "Manual":
        both = [found.find(f"tt:{name}", NAMESPACES) for name in ("UTCDateTime", "LocalDateTime")]
        require(any(each is not None for each in both), "neither UTCDateTime nor LocalDateTime")


def _refuse_clock(device: Device, text: str, code: str) -> None:
    old = clock(device)
    try:
        refused(device, text, "InvalidArgVal", code)
        found = clock(device)
        require(value(found, "tt:TimeZone/tt:TZ") != NO_TIME_ZONE, "the time zone it refused is told")
        _check_times(found)
    finally:
        put_back_clock(device, old)


@SPECIFICATION.case("DEVICE-3-1-4", "SYSTEM COMMAND SETSYSTEMDATEANDTIME TEST FOR INVALID TIMEZONE", PROFILE)
def set_bad_time_zone(device: Device) -> None:
    text = set_clock("Manual", zone=NO_TIME_ZONE, daylight=True, at=datetime.now(UTC))
    _refuse_clock(device, text, "InvalidTimeZone")


@SPECIFICATION.case("DEVICE-3-1-5", "SYSTEM COMMAND SETSYSTEMDATEANDTIME TEST FOR INVALID DATE", PROFILE)
def set_bad_date(device: Device) -> None:
    text = set_clock("Manual", zone=TIME_ZONE, daylight=True)
    text = text.replace("</tds:SetSystem", f"{_utc(2011, 13, 40, 27, 70, 0)}</tds:SetSystem")
    _refuse_clock(device, text, "InvalidDateTime")


# Restarts. Hello and Bye are looked at by the discovery cases.


def _factory_default(device: Device, kind: str) -> None:
    ask(
        device,
        f"<tds:SetSystemFactoryDefault><tds:FactoryDefault>{kind}</tds:FactoryDefault></tds:SetSystemFactoryDefault>",
    )
    device.wait_until_back()


@SPECIFICATION.case("DEVICE-3-1-6", "SYSTEM COMMAND FACTORY DEFAULT HARD", PROFILE)
def hard_factory_default(device: Device) -> None:
    _factory_default(device, "Hard")


@SPECIFICATION.case("DEVICE-3-1-7", "SYSTEM COMMAND FACTORY DEFAULT SOFT", PROFILE)
def soft_factory_default(device: Device) -> None:
    _factory_default(device, "Soft")


@SPECIFICATION.case("DEVICE-3-1-8", "SYSTEM COMMAND REBOOT")
def reboot(device: Device) -> None:
    device.reboot()


@SPECIFICATION.case("DEVICE-3-1-9", "SYSTEM COMMAND DEVICE INFORMATION")
def get_information(device: Device) -> None:
    reply = ask(device, "<tds:GetDeviceInformation/>")
    for name in ("Manufacturer", "Model", "FirmwareVersion", "SerialNumber", "HardwareId"):
        reply.text(f"tds:{name}")


@SPECIFICATION.case("DEVICE-3-1-10", "SYSTEM COMMAND GETSYSTEMLOG")
def get_log(device: Device) -> None:
    for kind, code in (("System", "SystemlogUnavailable"), ("Access", "AccesslogUnavailable")):
        try:
            ask(device, f"<tds:GetSystemLog><tds:LogType>{kind}</tds:LogType></tds:GetSystemLog>")
        except SoapFault as fault:
            require(fault.subcodes == ["InvalidArgs", code], f"{fault}, not InvalidArgs/{code}")


@SPECIFICATION.case("DEVICE-3-1-11", "SYSTEM COMMAND SETSYSTEMDATEANDTIME", PROFILE)
def set_clock_by_hand(device: Device) -> None:
    old = clock(device)
    wanted = datetime.now(UTC) + timedelta(minutes=2)
    try:
        ask(device, set_clock("Manual", at=wanted))
        device.client.clock_offset = wanted - datetime.now(UTC)
        found = clock(device)
        require(value(found, "tt:DateTimeType") == "Manual", f"{value(found, 'tt:DateTimeType')} was not set")
        _check_times(found)
        told = utc(found)
        assert told is not None
        require(wanted - CLOCK_TOLERANCE <= told <= wanted + CLOCK_TOLERANCE, f"{wanted} was set, {told} is told")
    finally:
        put_back_clock(device, old)


@SPECIFICATION.case("DEVICE-3-1-12", "SYSTEM COMMAND SETSYSTEMDATEANDTIME USING NTP", PROFILE, NTP, NETWORK)
def set_clock_by_ntp(device: Device) -> None:
    """Whether the time comes from the server shows only where the test network has one."""
    servers = ask(device, "<tds:GetNTP/>").all("tds:NTPInformation")[0]
    old = clock(device)
    manual = f"<tds:NTPManual><tt:Type>IPv4</tt:Type><tt:IPv4Address>{NTP_SERVER}</tt:IPv4Address></tds:NTPManual>"
    try:
        ask(device, f"<tds:SetNTP><tds:FromDHCP>false</tds:FromDHCP>{manual}</tds:SetNTP>")
        ask(device, set_clock("NTP", zone=TIME_ZONE))
        found = clock(device)
        require(value(found, "tt:DateTimeType") == "NTP", f"{value(found, 'tt:DateTimeType')}, NTP was set")
        require(value(found, "tt:TimeZone/tt:TZ") == TIME_ZONE, f"{TIME_ZONE} was set and is not told")
        _check_times(found)
    finally:
        put_back_clock(device, old)
        before = "".join(written(each, "tds:NTPManual") for each in servers.iterfind("tt:NTPManual", NAMESPACES))
        from_dhcp = value(servers, "tt:FromDHCP")
        ask(device, f"<tds:SetNTP><tds:FromDHCP>{from_dhcp}</tds:FromDHCP>{before}</tds:SetNTP>")


# What is fetched and brought by HTTP


def _fetch(device: Device, address: str, what: str) -> bytes:
    require(address, f"no address of the {what}")
    response = requests.get(address, auth=device.http_login, timeout=30, verify=False)
    require(response.status_code == 200, f"HTTP {response.status_code} for the {what}")
    require(response.content, f"an empty {what}")
    return response.content


def _bring(device: Device, address: str, content: bytes) -> int:
    headers = {"Content-Type": "application/octet-stream"}
    return requests.post(
        address, content, headers=headers, auth=device.http_login, timeout=60, verify=False
    ).status_code


def _seconds(duration: str) -> float:
    found = re.fullmatch(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:([\d.]+)S)?)?", duration)
    require(found, f"{duration!r} is no duration that is known here")
    assert found is not None
    days, hours, minutes, seconds = (float(each or 0) for each in found.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds


@SPECIFICATION.case("DEVICE-3-1-13", "GET SYSTEM URIS", SYSTEM_URIS)
def get_system_uris(device: Device) -> None:
    reply = ask(device, "<tds:GetSystemUris/>")
    if boolean(capability(device, "System", "HttpSystemLogging")):
        logs = reply.all("tds:SystemLogUris/tt:SystemLog")
        require(logs, "no address of a log")
        for log in logs:
            _fetch(device, value(log, "tt:Uri") or "", "log")
    if boolean(capability(device, "System", "HttpSupportInformation")):
        _fetch(device, value(reply.body, "tds:SupportInfoUri") or "", "support information")
    if boolean(capability(device, "System", "HttpSystemBackup")):
        _fetch(device, value(reply.body, "tds:SystemBackupUri") or "", "backup")


@SPECIFICATION.case("DEVICE-3-1-14", "START SYSTEM RESTORE", HTTP_BACKUP, DISCOVERY)
def restore(device: Device) -> None:
    reply = ask(device, "<tds:GetSystemUris/>")
    backup = _fetch(device, value(reply.body, "tds:SystemBackupUri") or "", "backup")
    started = ask(device, "<tds:StartSystemRestore/>")
    status = _bring(device, started.text("tds:UploadUri"), backup)
    require(status == 200, f"HTTP {status} for its own backup")
    device.wait_until_back(_seconds(started.text("tds:ExpectedDownTime")))


@SPECIFICATION.case("DEVICE-3-1-15", "START SYSTEM RESTORE - INVALID BACKUP FILE", HTTP_BACKUP, DISCOVERY)
def restore_rubbish(device: Device) -> None:
    started = ask(device, "<tds:StartSystemRestore/>")
    status = _bring(device, started.text("tds:UploadUri"), os.urandom(1000))
    require(status == 415, f"HTTP {status} for a backup that is none, not 415")
    device.wait_until_back()


SPECIFICATION.unwritten("DEVICE-3-1-16", "FIRMWARE UPLOAD", HTTP_FIRMWARE, FIRMWARE_FILE)


@SPECIFICATION.case("DEVICE-3-1-17", "INVALID FIRMWARE UPLOAD", HTTP_FIRMWARE, DISCOVERY)
def upload_rubbish(device: Device) -> None:
    started = ask(device, "<tds:StartFirmwareUpgrade/>")
    device.pause(_seconds(started.text("tds:UploadDelay")))
    status = _bring(device, started.text("tds:UploadUri"), os.urandom(1000))
    require(status == 415, f"HTTP {status} for firmware that is none, not 415")
    device.wait_until_back()
