"""Relay outputs: what there is, and settings."""

from __future__ import annotations

from lxml import etree

from conformance.base.requests import ask, refused, value, xml
from conformance.client import NAMESPACES
from conformance.device import Device
from conformance.device_io.features import RELAY_OPTIONS, RELAYS, SERVICE, SPECIFICATION, capabilities
from conformance.frame import require

RELAY_TOPIC = "tns1:Device/Trigger/Relay"


def relays(device: Device) -> dict[str, etree._Element]:
    # Of this operation, and of SetRelayOutputState, the service shares the messages with the device service.
    found = device.ask(xml("<tds:GetRelayOutputs/>"), to=device.services["tmd"]).all("tds:RelayOutputs")
    tokens = [each.get("token") or "" for each in found]
    require(len(set(tokens)) == len(tokens), f"a token twice: {tokens}")
    return dict(zip(tokens, found, strict=True))


def options(device: Device, token: str) -> etree._Element:
    asked = f"<tmd:RelayOutputToken>{token}</tmd:RelayOutputToken>"
    found = ask(device, f"<tmd:GetRelayOutputOptions>{asked}</tmd:GetRelayOutputOptions>").all("tmd:RelayOutputOptions")
    require(len(found) == 1, f"{len(found)} options for one relay")
    require(found[0].get("token") == token, f"options of {found[0].get('token')}, {token} was asked for")
    return found[0]


def modes(found: etree._Element) -> list[str]:
    return [str(each.text).strip() for each in found.iterfind("tmd:Mode", NAMESPACES)]


def delay_of(found: etree._Element, wished_s: float) -> str:
    """The delay nearest to a wish, as the options allow it: in a list where they are discrete, in a range else."""
    told = value(found, "tmd:DelayTimes")
    if (value(found, "tmd:Discrete") or "") not in ("true", "1") or not told:
        return f"PT{wished_s:g}S"
    nearest = min((float(each) for each in told.split()), key=lambda each: abs(each - wished_s))
    return f"PT{nearest:g}S"


def set_relay(token: str, mode: str, delay: str, idle: str) -> str:
    properties = f"<tt:Mode>{mode}</tt:Mode><tt:DelayTime>{delay}</tt:DelayTime><tt:IdleState>{idle}</tt:IdleState>"
    output = f'<tmd:RelayOutput token="{token}"><tt:Properties>{properties}</tt:Properties></tmd:RelayOutput>'
    return f"<tmd:SetRelayOutputSettings>{output}</tmd:SetRelayOutputSettings>"


def put_back(device: Device, relay: etree._Element) -> None:
    mode, delay, idle = (value(relay, f"tt:Properties/tt:{name}") or "" for name in ("Mode", "DelayTime", "IdleState"))
    ask(device, set_relay(relay.get("token") or "", mode, delay, idle))


@SPECIFICATION.case("DEVICEIO-1-1-1", "IO GETRELAYOUTPUTS", SERVICE, RELAYS)
def get_relays(device: Device) -> None:
    relays(device)


@SPECIFICATION.case("DEVICEIO-1-1-2", "IO GETRELAYOUTPUTS - VERIFY QUANTITY", SERVICE, RELAYS)
def count_relays(device: Device) -> None:
    told, there = int(capabilities(device).get("RelayOutputs") or 0), len(relays(device))
    require(told == there, f"{told} by the capabilities, {there} are there")


@SPECIFICATION.case("DEVICEIO-1-1-3", "IO GETRELAYOUTPUTOPTIONS", SERVICE, RELAYS, RELAY_OPTIONS)
def get_options(device: Device) -> None:
    found = relays(device)
    require(found, "no relay output")
    options(device, next(iter(found)))


@SPECIFICATION.case("DEVICEIO-1-1-4", "IO SETRELAYOUTPUTSETTINGS", SERVICE, RELAYS, RELAY_OPTIONS)
def set_relays(device: Device) -> None:
    old = relays(device)
    require(old, "no relay output")
    for token, relay in old.items():
        found = options(device, token)
        try:
            for mode in modes(found):
                delay = delay_of(found, 5)
                ask(device, set_relay(token, mode, delay, "open"))
                changed = relays(device)[token]
                told = (value(changed, "tt:Properties/tt:Mode"), value(changed, "tt:Properties/tt:IdleState"))
                require(told == (mode, "open"), f"{mode}, open was set, {told} is told")
                same = mode == "Bistable" or value(changed, "tt:Properties/tt:DelayTime") == delay
                require(same, f"{delay} was set, {value(changed, 'tt:Properties/tt:DelayTime')} is told")
        finally:
            put_back(device, relay)


@SPECIFICATION.case("DEVICEIO-1-1-5", "IO SETRELAYOUTPUTSETTINGS - INVALID TOKEN", SERVICE, RELAYS)
def set_no_relay(device: Device) -> None:
    refused(device, set_relay("OnvifTest123", "Bistable", "PT5S", "open"), "InvalidArgVal", "RelayToken")
