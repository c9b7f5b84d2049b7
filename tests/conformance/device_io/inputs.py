"""Digital inputs, and the events of both inputs and relays."""

from __future__ import annotations

from lxml import etree

from conformance.base.monitoring import described, told
from conformance.base.requests import ask, written
from conformance.client import NAMESPACES
from conformance.device import Device
from conformance.device_io.features import (
    INPUT_OPTIONS,
    INPUTS,
    PROFILE_T,
    RELAYS,
    SERVICE,
    SPECIFICATION,
    capabilities,
)
from conformance.device_io.relay_outputs import RELAY_TOPIC
from conformance.events.features import EVENTS, PULL_POINTS
from conformance.frame import require

INPUT_TOPIC = "tns1:Device/Trigger/DigitalInput"


def _inputs(device: Device) -> dict[str, etree._Element]:
    found = ask(device, "<tmd:GetDigitalInputs/>").all("tmd:DigitalInputs")
    require(found, "no digital input")
    return {each.get("token") or "": each for each in found}


def _idle_states(device: Device, token: str | None) -> list[str]:
    asked = "" if token is None else f"<tmd:Token>{token}</tmd:Token>"
    reply = ask(device, f"<tmd:GetDigitalInputConfigurationOptions>{asked}</tmd:GetDigitalInputConfigurationOptions>")
    found = [str(each.text).strip() for each in reply.body.iterfind(".//tmd:IdleState", NAMESPACES)]
    require(found, "options without an idle state")
    return found


@SPECIFICATION.case(
    "DEVICEIO-2-1-1", "REALTIME PULLPOINT SUBSCRIPTION - DIGITAL INPUT EVENT", INPUTS, EVENTS, PULL_POINTS
)
def input_event(device: Device) -> None:
    source, data = {"InputToken": "tt:ReferenceToken"}, {"LogicalState": "xs:boolean"}
    described(device, INPUT_TOPIC, source, data)
    told(device, INPUT_TOPIC, source, data)


@SPECIFICATION.case("DEVICEIO-2-1-2", "DEVICE IO TRIGGER EVENT", SERVICE, EVENTS, RELAYS, PROFILE_T)
def relay_event(device: Device) -> None:
    described(device, RELAY_TOPIC, {"RelayToken": "tt:ReferenceToken"}, {"LogicalState": "tt:RelayLogicalState"})


@SPECIFICATION.case("DEVICEIO-3-1-1", "IO GETDIGITALINPUTS", SERVICE, INPUTS)
def get_inputs(device: Device) -> None:
    _inputs(device)


@SPECIFICATION.case("DEVICEIO-3-1-2", "IO GETDIGITALINPUTS - VERIFY QUANTITY", SERVICE, INPUTS)
def count_inputs(device: Device) -> None:
    promised, there = int(capabilities(device).get("DigitalInputs") or 0), len(_inputs(device))
    require(promised == there, f"{promised} by the capabilities, {there} are there")


@SPECIFICATION.case("DEVICEIO-3-1-3", "IO GET DIGITAL INPUT CONFIGURATION OPTIONS", SERVICE, INPUTS, INPUT_OPTIONS)
def get_input_options(device: Device) -> None:
    for token in (None, *_inputs(device)):
        _idle_states(device, token)


@SPECIFICATION.case("DEVICEIO-3-1-4", "IO DIGITAL INPUT CONFIGURATION", SERVICE, INPUTS, INPUT_OPTIONS)
def set_inputs(device: Device) -> None:
    for token, old in _inputs(device).items():
        try:
            for idle in _idle_states(device, token):
                changed = written(old, "tmd:DigitalInputs").replace(
                    f'IdleState="{old.get("IdleState")}"', f'IdleState="{idle}"'
                )
                ask(device, f"<tmd:SetDigitalInputConfigurations>{changed}</tmd:SetDigitalInputConfigurations>")
                found = _inputs(device)[token].get("IdleState")
                require(found == idle, f"{idle} was set, {found} is told")
        finally:
            before = written(old, "tmd:DigitalInputs")
            ask(device, f"<tmd:SetDigitalInputConfigurations>{before}</tmd:SetDigitalInputConfigurations>")
