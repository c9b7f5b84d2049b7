"""The DeviceIO service, as far as relays and digital inputs go; what it shares with the device service is there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from manycast.onvif.device.arguments import invalid, seconds
from manycast.onvif.device.relays import MAX_DELAY_S, MIN_DELAY_S
from manycast.onvif.security.access import Access
from manycast.onvif.soap.catalogue import SERVICES
from manycast.onvif.soap.service import NOTHING, Caller, Reply, Service, operation
from manycast.onvif.state.device import DeviceState
from manycast.onvif.state.io import DigitalInput, IdleState, RelayMode

if TYPE_CHECKING:
    from manycast.onvif.onvif_device import OnvifDevice


class DeviceIo(Service):
    description = SERVICES["tmd"]

    def __init__(self, device: OnvifDevice) -> None:
        self.device = device

    @property
    def _state(self) -> DeviceState:
        return self.device.store.state

    async def capabilities(self, caller: Caller) -> Reply:
        return {
            "VideoSources": 0,
            "VideoOutputs": 0,
            "AudioSources": 0,
            "AudioOutputs": 0,
            "RelayOutputs": len(self._state.relays),
            "SerialPorts": 0,
            "DigitalInputs": len(self._state.digital_inputs),
            "DigitalInputOptions": True,
        }

    def legacy_capabilities(self, caller: Caller) -> Reply:
        return {
            "XAddr": caller.base_url + self.description.path,
            "VideoSources": 0,
            "VideoOutputs": 0,
            "AudioSources": 0,
            "AudioOutputs": 0,
            "RelayOutputs": len(self._state.relays),
        }

    @operation(Access.PRE_AUTH)
    async def get_service_capabilities(self, request: Any, caller: Caller) -> Reply:
        return {"Capabilities": await self.capabilities(caller)}

    @operation(Access.READ_SYSTEM)
    async def get_relay_output_options(self, request: Any, caller: Caller) -> Reply:
        token = request.RelayOutputToken
        relays = self._state.relays if token is None else [self.device.io.relay(token)]
        return {
            "RelayOutputOptions": [
                {
                    "token": relay.token,
                    "Mode": [mode.value for mode in RelayMode],
                    "DelayTimes": [MIN_DELAY_S, MAX_DELAY_S],
                    "Discrete": False,
                }
                for relay in relays
            ]
        }

    @operation(Access.ACTUATE)
    async def set_relay_output_settings(self, request: Any, caller: Caller) -> Reply:
        wanted = request.RelayOutput
        properties = wanted.Properties
        self.device.io.configure(
            wanted.token, RelayMode(properties.Mode), seconds(properties.DelayTime), IdleState(properties.IdleState)
        )
        return NOTHING

    @operation(Access.READ_SYSTEM)
    async def get_digital_inputs(self, request: Any, caller: Caller) -> Reply:
        return {
            "DigitalInputs": [
                {"token": each.token, "IdleState": each.idle_state.value} for each in self._state.digital_inputs
            ]
        }

    @operation(Access.READ_SYSTEM)
    async def get_digital_input_configuration_options(self, request: Any, caller: Caller) -> Reply:
        if request.Token is not None:
            self._input(request.Token)
        return {"DigitalInputOptions": {"IdleState": [state.value for state in IdleState]}}

    @operation(Access.WRITE_SYSTEM)
    async def set_digital_input_configurations(self, request: Any, caller: Caller) -> Reply:
        """All or none."""
        wanted = [
            (self._input(each.token), each.IdleState and IdleState(each.IdleState)) for each in request.DigitalInputs
        ]
        for digital_input, idle_state in wanted:
            if idle_state:
                digital_input.idle_state = idle_state
        self.device.store.save()
        return NOTHING

    def _input(self, token: str) -> DigitalInput:
        for each in self._state.digital_inputs:
            if each.token == token:
                return each
        raise invalid("ter:InvalidDigitalInputToken", f"no digital input {token[:64]!r}")
