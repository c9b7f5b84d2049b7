"""Network: the host name."""

from __future__ import annotations

from conformance.base.features import NETWORK, SPECIFICATION
from conformance.base.requests import ask, boolean, refused, value
from conformance.device import Device
from conformance.frame import require

HOST_NAME = "Onvif-Test0-oNvif-Onv12"


def _host_name(device: Device) -> tuple[bool, str]:
    reply = ask(device, "<tds:GetHostname/>")
    (found,) = reply.all("tds:HostnameInformation")
    return boolean(value(found, "tt:FromDHCP")), value(found, "tt:Name") or ""


def _set_host_name(name: str) -> str:
    return f"<tds:SetHostname><tds:Name>{name}</tds:Name></tds:SetHostname>"


@SPECIFICATION.case("DEVICE-2-1-1", "NETWORK COMMAND HOSTNAME CONFIGURATION", NETWORK)
def get_host_name(device: Device) -> None:
    _host_name(device)


@SPECIFICATION.case("DEVICE-2-1-3", "NETWORK COMMAND SETHOSTNAME TEST ERROR CASE", NETWORK)
def set_bad_host_name(device: Device) -> None:
    refused(device, _set_host_name("Onvif_test1"), "InvalidArgVal", "InvalidHostname")
    require(_host_name(device)[1] != "Onvif_test1", "the name it refused is its name")


@SPECIFICATION.case("DEVICE-2-1-32", "NETWORK COMMAND SETHOSTNAME TEST", NETWORK)
def set_host_name(device: Device) -> None:
    _, old = _host_name(device)
    try:
        ask(device, _set_host_name(HOST_NAME))
        require(_host_name(device) == (False, HOST_NAME), f"{HOST_NAME} was set, {_host_name(device)} is told")
    finally:
        ask(device, _set_host_name(old))
