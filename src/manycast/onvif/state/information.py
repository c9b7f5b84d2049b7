"""What the device says it is."""

from __future__ import annotations

from manycast.onvif.state.base import Part


class Information(Part):
    """As GetDeviceInformation gives it (ONVIF Core, section GetDeviceInformation)."""

    manufacturer: str = "Manycast"
    model: str = "Virtual camera"
    firmware_version: str = "1.0"
    serial_number: str = "1"
    hardware_id: str = "1.0"
