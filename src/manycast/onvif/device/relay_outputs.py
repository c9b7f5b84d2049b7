"""Relays of the device service. Their states are told by events, and by nothing else, as Core has it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from manycast.onvif.device.arguments import seconds
from manycast.onvif.device.part import DevicePart
from manycast.onvif.security.access import Access
from manycast.onvif.soap.service import NOTHING, Caller, Reply, operation
from manycast.onvif.state.io import IdleState, RelayMode, RelayOutput


class RelayOutputs(DevicePart):
    @operation(Access.READ_SYSTEM)
    async def get_relay_outputs(self, request: Any, caller: Caller) -> Reply:
        return {"RelayOutputs": [written_relay(relay) for relay in self.state.relays]}

    @operation(Access.ACTUATE)
    async def set_relay_output_settings(self, request: Any, caller: Caller) -> Reply:
        wanted = request.Properties
        self.device.io.configure(
            request.RelayOutputToken, RelayMode(wanted.Mode), seconds(wanted.DelayTime), IdleState(wanted.IdleState)
        )
        return NOTHING

    @operation(Access.ACTUATE)
    async def set_relay_output_state(self, request: Any, caller: Caller) -> Reply:
        self.device.io.switch(request.RelayOutputToken, request.LogicalState == "active")
        return NOTHING


def written_relay(relay: RelayOutput) -> Reply:
    """tt:RelayOutput."""
    return {
        "token": relay.token,
        "Properties": {
            "Mode": relay.mode.value,
            "DelayTime": timedelta(seconds=relay.delay_s),
            "IdleState": relay.idle_state.value,
        },
    }
