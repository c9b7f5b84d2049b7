"""Relay outputs: settings and states."""

from __future__ import annotations

from lxml import etree

from conformance.base.features import RELAYS, SPECIFICATION
from conformance.base.requests import ask, refused, value
from conformance.client import SoapFault
from conformance.device import Device
from conformance.frame import Failed, require

DELAY_S = 2
SETTINGS = tuple((mode, idle) for mode in ("Bistable", "Monostable") for idle in ("open", "closed"))


def _relays(device: Device) -> dict[str, etree._Element]:
    found = ask(device, "<tds:GetRelayOutputs/>").all("tds:RelayOutputs")
    require(found, "no relay output")
    tokens = [each.get("token") or "" for each in found]
    require(len(set(tokens)) == len(tokens), f"a token twice: {tokens}")
    return dict(zip(tokens, found, strict=True))


def _set(token: str, mode: str, idle: str, delay: str = f"PT{DELAY_S}S") -> str:
    properties = f"<tt:Mode>{mode}</tt:Mode><tt:DelayTime>{delay}</tt:DelayTime><tt:IdleState>{idle}</tt:IdleState>"
    return (
        f"<tds:SetRelayOutputSettings><tds:RelayOutputToken>{token}</tds:RelayOutputToken>"
        f"<tds:Properties>{properties}</tds:Properties></tds:SetRelayOutputSettings>"
    )


def _state(token: str, state: str) -> str:
    return (
        f"<tds:SetRelayOutputState><tds:RelayOutputToken>{token}</tds:RelayOutputToken>"
        f"<tds:LogicalState>{state}</tds:LogicalState></tds:SetRelayOutputState>"
    )


def _accepts(device: Device, token: str, mode: str, idle: str) -> bool:
    """Set a relay; False where the device does not have this way."""
    try:
        ask(device, _set(token, mode, idle))
    except SoapFault:
        return False
    return True


def _properties(relay: etree._Element) -> tuple[str | None, str | None]:
    return value(relay, "tt:Properties/tt:Mode"), value(relay, "tt:Properties/tt:IdleState")


def _put_back(device: Device, relays: dict[str, etree._Element]) -> None:
    for token, relay in relays.items():
        mode, idle = _properties(relay)
        ask(device, _set(token, mode or "", idle or "", value(relay, "tt:Properties/tt:DelayTime") or "PT1S"))


@SPECIFICATION.case("DEVICE-5-1-1", "IO COMMAND GETRELAYOUTPUTS", RELAYS)
def get_relays(device: Device) -> None:
    _relays(device)


@SPECIFICATION.case("DEVICE-5-1-2", "RELAY OUTPUTS COUNT IN GETRELAYOUTPUTS AND GETCAPABILITIES", RELAYS)
def count_relays(device: Device) -> None:
    reply = ask(device, "<tds:GetCapabilities><tds:Category>Device</tds:Category></tds:GetCapabilities>")
    told, there = int(reply.text("tds:Capabilities/tt:Device/tt:IO/tt:RelayOutputs")), len(_relays(device))
    require(told == there, f"{told} by the capabilities, {there} are there")


@SPECIFICATION.case("DEVICE-5-1-3", "IO COMMAND SETRELAYOUTPUTSETTINGS", RELAYS)
def set_relays(device: Device) -> None:
    old = _relays(device)
    try:
        for token in old:
            accepted = 0
            for mode, idle in SETTINGS:
                if not _accepts(device, token, mode, idle):
                    continue
                accepted += 1
                found = _relays(device)[token]
                require(_properties(found) == (mode, idle), f"{mode}, {idle} was set, {_properties(found)} is told")
                delay = value(found, "tt:Properties/tt:DelayTime")
                require(mode == "Bistable" or delay == f"PT{DELAY_S}S", f"PT{DELAY_S}S was set, {delay} is told")
            require(accepted, f"no setting at all is accepted for {token}")
    finally:
        _put_back(device, old)


def _switch(device: Device, mode: str, idle: str, *, early: bool = False) -> None:
    """Switch the first relay on; off again by hand, or when its time is over."""
    old = _relays(device)
    token = next(iter(old))
    try:
        if not _accepts(device, token, mode, idle):
            return
        ask(device, _state(token, "active"))
        if mode == "Bistable" or early:
            ask(device, _state(token, "inactive"))
        if mode == "Monostable":
            device.pause(DELAY_S)
    finally:
        _put_back(device, old)


def _add(identifier: str, title: str, mode: str, idle: str) -> None:
    SPECIFICATION.case(identifier, f"IO COMMAND SETRELAYOUTPUTSTATE - {title}", RELAYS)(
        lambda device: _switch(device, mode, idle)
    )


_add("DEVICE-5-1-5", "BISTABLE MODE (OPENED IDLE STATE)", "Bistable", "open")
_add("DEVICE-5-1-6", "BISTABLE MODE (CLOSED IDLE STATE)", "Bistable", "closed")
_add("DEVICE-5-1-7", "MONOSTABLE MODE (OPENED IDLE STATE)", "Monostable", "open")
_add("DEVICE-5-1-8", "MONOSTABLE MODE (CLOSED IDLE STATE)", "Monostable", "closed")


@SPECIFICATION.case(
    "DEVICE-5-1-9", "IO COMMAND SETRELAYOUTPUTSTATE - MONOSTABLE MODE (INACTIVE BEFORE DELAYTIME EXPIRED)", RELAYS
)
def switch_off_early(device: Device) -> None:
    for idle in ("open", "closed"):
        _switch(device, "Monostable", idle, early=True)


def _no_relay(device: Device, text: str) -> None:
    """Other faults than the one of the document are acceptable, it says."""
    try:
        ask(device, text)
    except SoapFault as fault:
        require(fault.code == "Sender", f"{fault}, which is not the sender's")
    else:
        raise Failed("a relay that is not there is accepted")


@SPECIFICATION.case("DEVICE-5-1-11", "IO COMMAND SETRELAYOUTPUTSETTINGS - INVALID TOKEN", RELAYS)
def set_no_relay(device: Device) -> None:
    _no_relay(device, _set("nowhere", "Bistable", "open"))


@SPECIFICATION.case("DEVICE-5-1-12", "IO COMMAND SETRELAYOUTPUTSTATE - INVALID TOKEN", RELAYS)
def switch_no_relay(device: Device) -> None:
    refused(device, _state("nowhere", "active"), "InvalidArgVal", "RelayToken")
