"""Lamps, wipers and washers, which only exist in the state: what is switched on is told by the reply."""

from __future__ import annotations

from typing import Any

from manycast.onvif.device.arguments import invalid
from manycast.onvif.device.part import DevicePart
from manycast.onvif.security.access import Access
from manycast.onvif.soap.service import Caller, Reply, operation
from manycast.onvif.state.io import Switched

_FIELDS = {"Wiper": "wiper", "Washer": "washer", "WashingProcedure": "washing_procedure", "IRLamp": "ir_lamp"}

COMMANDS = (*(f"tt:{name}|{what}" for name in _FIELDS for what in ("On", "Off")), "tt:IRLamp|Auto")


class AuxiliaryCommands(DevicePart):
    @operation(Access.ACTUATE)
    async def send_auxiliary_command(self, request: Any, caller: Caller) -> Reply:
        command = request.AuxiliaryCommand
        if command not in COMMANDS:
            raise invalid("ter:AuxiliaryDataNotSupported", f"no command {command[:60]!r}")
        name, _, what = command.removeprefix("tt:").partition("|")
        setattr(self.state.auxiliaries, _FIELDS[name], Switched(what))
        self.save()
        return {"AuxiliaryCommandResponse": command}
