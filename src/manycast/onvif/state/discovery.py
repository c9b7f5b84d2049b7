"""Whether and as what the device is found."""

from __future__ import annotations

from enum import StrEnum
from uuid import UUID, uuid5

from pydantic import Field

from manycast.onvif.state.base import Part
from manycast.onvif.state.limits import MAX_PROXIES
from manycast.onvif.state.network import NetworkHost

_NAMESPACE = UUID("4f0e2c0a-6e0d-5c55-9a43-3e4b6c1f7d21")  # of endpoints


class DiscoveryMode(StrEnum):
    """tt:DiscoveryMode."""

    DISCOVERABLE = "Discoverable"
    NON_DISCOVERABLE = "NonDiscoverable"


class Discovery(Part):
    mode: DiscoveryMode = DiscoveryMode.DISCOVERABLE
    remote_mode: DiscoveryMode = DiscoveryMode.NON_DISCOVERABLE
    # The addresses of GetDPAddresses.
    proxies: list[NetworkHost] = Field(default_factory=list, max_length=MAX_PROXIES)
    endpoint: UUID  # the device's address in discovery, urn:uuid:...; the same for ever
    metadata_version: int = Field(1, ge=1)  # grows with each change of scopes and addresses


def endpoint_of(serial_number: str, mac: str, port: int) -> UUID:
    """The same for the same device, on every start; another for each that one machine may run."""
    return uuid5(_NAMESPACE, f"{serial_number}\n{mac.lower()}\n{port}")
