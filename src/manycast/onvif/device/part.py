"""What all parts of the device service have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING

from manycast.onvif.soap.catalogue import SERVICES
from manycast.onvif.soap.service import Service
from manycast.onvif.state.device import DeviceState

if TYPE_CHECKING:
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
