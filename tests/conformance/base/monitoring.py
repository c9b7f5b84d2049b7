"""Monitoring events: what the topic set says of them, and what a new subscriber is told."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from conformance.base.features import DISCOVERY, NTP, SPECIFICATION, has_topic
from conformance.base.requests import ask
from conformance.base.system import clock, put_back_clock, set_clock, utc
from conformance.client import NAMESPACES
from conformance.device import Device
from conformance.events.subscriptions import Message, initialized, pull_point, pulled, read_time, topics
from conformance.frame import Failed, Feature, require

Check = Callable[[str], object]  # of a value; it raises ValueError or Failed for what is none

NTP_SERVER = Feature("an NTP server in the test network, from an operator", lambda device: False)


def _boolean(text: str) -> None:
    require(text in ("true", "false", "0", "1"), f"{text!r} is no xs:boolean")


def _utc_time(text: str) -> datetime:
    require(text.endswith("Z"), f"{text!r} is not in UTC")
    return read_time(text)


CHECKS: dict[str, Check] = {
    "xs:float": float,
    "xs:dateTime": read_time,
    "xs:boolean": _boolean,
    "tt:ReferenceToken": lambda text: require(0 < len(text) <= 64, f"{text!r} is no token"),
}


def described(device: Device, name: str, source: dict[str, str], data: dict[str, str]) -> None:
    """The topic is a property, with these items of these types."""
    found = [topic for topic in topics(device) if topic.text == name]
    require(found, f"no {name} in the topic set")
    require(found[0].is_property, f"{name} is no property")
    for group, items in (("Source", source), ("Data", data)):
        told = {
            item.get("Name"): item.get("Type")
            for item in found[0].element.iterfind(
                f"tt:MessageDescription/tt:{group}/tt:SimpleItemDescription", NAMESPACES
            )
        }
        for item, kind in items.items():
            require(told.get(item) == kind, f"{group} {item} of {name} is {told.get(item)}, not {kind}")


def _check_message(message: Message, source: dict[str, str], data: dict[str, str]) -> None:
    for group, items in (("Source", source), ("Data", data)):
        there = message.items(group)
        for item, kind in items.items():
            require(item in there, f"a message without {group} {item}")
            try:
                CHECKS[kind](there[item])
            except ValueError as error:
                raise Failed(f"{item} {there[item]!r} is no {kind}") from error


def told(device: Device, name: str, source: dict[str, str], data: dict[str, str]) -> Message:
    """The property as a new subscriber is told it."""
    with pull_point(device, name) as made:
        message = initialized(device, pulled(device, made))
        _check_message(message, source, data)
        return message


def _property(device: Device, name: str, source: dict[str, str], data: dict[str, str]) -> None:
    described(device, name, source, data)
    told(device, name, source, data)


def _add(identifier: str, title: str, name: str, data: dict[str, str], source: dict[str, str] | None = None) -> None:
    SPECIFICATION.case(identifier, title, has_topic(name))(lambda device: _property(device, name, source or {}, data))


TOKEN = {"Token": "tt:ReferenceToken"}
STATUS = {"Status": "xs:dateTime"}
FAILED = {"Failed": "xs:boolean"}
LAST_REBOOT = "tns1:Monitoring/OperatingTime/LastReboot"
LAST_CLOCK = "tns1:Monitoring/OperatingTime/LastClockSynchronization"

_add("DEVICE-9-1-1", "PROCESSOR USAGE EVENT", "tns1:Monitoring/ProcessorUsage", {"Value": "xs:float"}, TOKEN)
_add("DEVICE-9-1-2", "LAST RESET EVENT", "tns1:Monitoring/OperatingTime/LastReset", STATUS)
_add("DEVICE-9-1-3", "LAST REBOOT EVENT", LAST_REBOOT, STATUS)


def _time(device: Device, name: str) -> datetime:
    return read_time(told(device, name, {}, STATUS).items("Data")["Status"])


@SPECIFICATION.case("DEVICE-9-1-4", "LAST REBOOT EVENT (STATUS CHANGE)", has_topic(LAST_REBOOT), DISCOVERY)
def reboot_is_told(device: Device) -> None:
    before = _time(device, LAST_REBOOT)
    device.reboot()
    after = _time(device, LAST_REBOOT)
    require(after > before, f"the last reboot was {before}, and is {after} after another one")


@SPECIFICATION.case("DEVICE-9-1-5", "LAST CLOCK SYNCHRONIZATION EVENT", has_topic(LAST_CLOCK))
def clock_synchronization(device: Device) -> None:
    described(device, LAST_CLOCK, {}, STATUS)
    _utc_time(told(device, LAST_CLOCK, {}, STATUS).items("Data")["Status"])


@SPECIFICATION.case(
    "DEVICE-9-1-6", "LAST CLOCK SYNCHRONIZATION CHANGE EVENT (SETSYSTEMDATEANDTIME)", has_topic(LAST_CLOCK)
)
def setting_the_clock_is_told(device: Device) -> None:
    with pull_point(device, LAST_CLOCK) as made:
        old = clock(device)
        messages = pulled(device, made)
        first = read_time(initialized(device, messages).items("Data")["Status"])
        device.pause(1)
        try:
            ask(device, set_clock("Manual", at=utc(old) or datetime.now(UTC)))
            for message in messages:
                if message.operation == "Changed":
                    _check_message(message, {}, STATUS)
                    later = read_time(message.items("Data")["Status"])
                    require(later > first, f"{later} is told, {first} was before")
                    return
            raise Failed("the change was not told")
        finally:
            put_back_clock(device, old)


SPECIFICATION.unwritten(
    "DEVICE-9-1-7",
    "LAST CLOCK SYNCHRONIZATION CHANGE EVENT (NTP MESSAGE)",
    has_topic(LAST_CLOCK),
    NTP,
    NTP_SERVER,
)
_add("DEVICE-9-1-8", "LAST BACKUP EVENT", "tns1:Monitoring/Backup/Last", STATUS)
for _number, _what in enumerate(("Fan", "PowerSupply", "Storage"), start=9):
    _add(
        f"DEVICE-9-1-{_number}",
        f"{_what.upper()} FAILURE EVENT",
        f"tns1:Device/HardwareFailure/{_what}Failure",
        FAILED,
        TOKEN,
    )
_add(
    "DEVICE-9-1-12",
    "CRITICAL TEMPERATURE EVENT",
    "tns1:Device/HardwareFailure/TemperatureCritical",
    {"Critical": "xs:boolean"},
)
