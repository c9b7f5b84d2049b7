"""What the device is."""

from __future__ import annotations

from typing import Any

from manycast.onvif.device.part import DevicePart
from manycast.onvif.security.access import Access
from manycast.onvif.soap.service import Caller, Reply, operation


class Information(DevicePart):
    @operation(Access.READ_SYSTEM)
    async def get_device_information(self, request: Any, caller: Caller) -> Reply:
        information = self.state.information
        return {
            "Manufacturer": information.manufacturer,
            "Model": information.model,
            "FirmwareVersion": information.firmware_version,
            "SerialNumber": information.serial_number,
            "HardwareId": information.hardware_id,
        }

    @operation(Access.PRE_AUTH)
    async def get_endpoint_reference(self, request: Any, caller: Caller) -> Reply:
        return {"GUID": f"urn:uuid:{self.state.discovery.endpoint}"}

    @operation(Access.PRE_AUTH)
    async def get_wsdl_url(self, request: Any, caller: Caller) -> Reply:
        return {"WsdlUrl": "https://www.onvif.org/profiles/specifications/"}
