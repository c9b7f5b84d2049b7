"""What all parts of the device service have in common."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from manycast.onvif.device.arguments import invalid
from manycast.onvif.machine_network.errors import CannotApply
from manycast.onvif.soap.catalogue import SERVICES
from manycast.onvif.soap.fault import Fault
from manycast.onvif.soap.service import Service
from manycast.onvif.state.device import DeviceState

if TYPE_CHECKING:
    from manycast.onvif.machine_network.machine_network import MachineNetwork
    from manycast.onvif.onvif_device import OnvifDevice


class DevicePart(Service):
    """Operations of one subject of one device."""

    description = SERVICES["tds"]

    def __init__(self, device: OnvifDevice) -> None:
        self.device = device

    @property
    def state(self) -> DeviceState:
        return self.device.store.state

    def save(self) -> None:
        """After every change of the state."""
        self.device.store.save()

    async def apply(self, change: Callable[[MachineNetwork], Awaitable[None]]) -> bool:
        """Change the machine's network, where clients may; return whether they may. Raises Fault."""
        network = self.device.surroundings.network
        if network is None:
            return False
        try:
            await change(network)
        except CannotApply as error:
            if error.subcode is not None:
                raise invalid(error.subcode, str(error)) from error
            raise Fault.receiver("ter:Action", reason=str(error)) from error
        return True
