"""The specification, and the features its cases need."""

from __future__ import annotations

from lxml import etree

from conformance.base.requests import ask, boolean
from conformance.client import SoapFault
from conformance.device import Device
from conformance.frame import Feature, Specification

SPECIFICATION = Specification("Device IO", "ONVIF Device IO Device Test Specification")


def capabilities(device: Device) -> etree._Element:
    return ask(device, "<tmd:GetServiceCapabilities/>").all("tmd:Capabilities")[0]


def _has(name: str) -> Feature:
    return Feature(name, lambda device: "tmd" in device.services and int(capabilities(device).get(name) or 0) > 0)


def _has_relay_options(device: Device) -> bool:
    try:
        ask(device, "<tmd:GetRelayOutputOptions/>")
    except SoapFault as fault:
        return not fault.says("ActionNotSupported")
    return True


SERVICE = Feature("device IO service", lambda device: "tmd" in device.services)
RELAYS, INPUTS = _has("RelayOutputs"), _has("DigitalInputs")
AUDIO_SOURCES, AUDIO_OUTPUTS = _has("AudioSources"), _has("AudioOutputs")
VIDEO_SOURCES, SERIAL_PORTS = _has("VideoSources"), _has("SerialPorts")
RELAY_OPTIONS = Feature("relay output options", _has_relay_options)
INPUT_OPTIONS = Feature(
    "digital input options", lambda device: boolean(capabilities(device).get("DigitalInputOptions"))
)
PROFILE_T = Feature("Profile T", lambda device: "onvif://www.onvif.org/Profile/T" in device.scopes)
