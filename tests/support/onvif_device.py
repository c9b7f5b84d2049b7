"""An ONVIF device inside the test's process."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from manycast.onvif.events.broker import EventBroker
from manycast.onvif.onvif_device import OnvifDevice
from manycast.onvif.server import OnvifServer
from manycast.onvif.state.device import DeviceState
from manycast.onvif.state.store import StateStore
from manycast.onvif.surroundings import Surroundings


@dataclass
class ServedDevice:
    device: OnvifDevice
    address: str  # http://HOST:PORT

    @property
    def url(self) -> str:
        """Of the device service."""
        return f"{self.address}/onvif/device_service"

    @property
    def broker(self) -> EventBroker:
        return self.device.broker


@asynccontextmanager
async def served_device(
    state: DeviceState | None = None, surroundings: Surroundings | None = None, host: str = "127.0.0.1"
) -> AsyncIterator[ServedDevice]:
    """A device that listens by HTTP: without a state, that of a device nobody has configured."""
    default = state or DeviceState()
    device = OnvifDevice(StateStore(lambda: default), surroundings)
    await device.load()
    device.start()
    sock = socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    port = sock.getsockname()[1]
    server = OnvifServer(device)
    await server.listen(port, [sock])
    try:
        yield ServedDevice(device, f"http://{f'[{host}]' if ':' in host else host}:{port}")
    finally:
        await server.close()
        await device.close()
