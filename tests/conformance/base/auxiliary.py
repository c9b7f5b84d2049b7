"""Auxiliary commands."""

from __future__ import annotations

from conformance.base.features import GET_SERVICES, SPECIFICATION, capability
from conformance.base.requests import ask
from conformance.device import Device

KNOWN = {
    f"tt:{name}|{state}"
    for name, states in {
        "Wiper": ("On", "Off"),
        "Washer": ("On", "Off"),
        "WashingProcedure": ("On", "Off"),
        "IRLamp": ("On", "Off", "Auto"),
    }.items()
    for state in states
}


@SPECIFICATION.case("DEVICE-8-1-1", "AUXILIARY COMMANDS", GET_SERVICES)
def auxiliary_commands(device: Device) -> None:
    for command in (capability(device, "Misc", "AuxiliaryCommands") or "").split():
        if command in KNOWN:
            asked = f"<tds:AuxiliaryCommand>{command}</tds:AuxiliaryCommand>"
            ask(device, f"<tds:SendAuxiliaryCommand>{asked}</tds:SendAuxiliaryCommand>")
