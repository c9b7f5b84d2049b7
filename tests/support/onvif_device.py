"""An ONVIF device inside the test's process."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from manycast.onvif.events.broker import EventBroker, EventDescription
from manycast.onvif.events.event_service import EventService
from manycast.onvif.onvif_device import OnvifDevice
from manycast.onvif.server import OnvifServer
from manycast.onvif.state.device import DeviceState
from manycast.onvif.state.store import StateStore

RELAY = EventDescription(
    topic="tns1:Device/Trigger/Relay",
    is_property=True,
    source={"RelayToken": "tt:ReferenceToken"},
    data={"LogicalState": "tt:RelayLogicalState"},
)
MOTION = EventDescription(
    topic="tns1:VideoSource/MotionAlarm",
    is_property=True,
    source={"Source": "tt:ReferenceToken"},
    data={"State": "xs:boolean"},
)
LOGIN_FAILED = EventDescription(
    topic="tns1:Device/SecurityPolicy/AuthFailed",
    source={"NetworkInterface": "tt:ReferenceToken"},
    data={"SourceIPv4": "tt:IPv4Address"},
)


@dataclass
class RunningDevice:
    device: OnvifDevice
    events: EventService
    url: str  # of the device service

    @property
    def broker(self) -> EventBroker:
        return self.device.broker

    def set_relay(self, token: str, state: str) -> None:
        self.broker.publish(RELAY.topic, {"RelayToken": token}, {"LogicalState": state})

    def fail_login(self, address: str) -> None:
        self.broker.publish(LOGIN_FAILED.topic, {"NetworkInterface": "eth0"}, {"SourceIPv4": address})


@asynccontextmanager
async def running_device(state: DeviceState | None = None, host: str = "127.0.0.1") -> AsyncIterator[RunningDevice]:
    """A device with two relays, a motion alarm and logins that fail."""
    device = OnvifDevice(StateStore(lambda: state or DeviceState()))
    events = EventService(device.broker, lambda: device.store.state.events, device.clock.now)
    device.add(events)
    device.add(events.manager)
    await device.load()
    for description in (RELAY, MOTION, LOGIN_FAILED):
        device.broker.declare(description)
    sock = socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    port = sock.getsockname()[1]
    server = OnvifServer(device)
    await server.listen([sock])
    url = f"http://{f'[{host}]' if ':' in host else host}:{port}/onvif/device_service"
    running = RunningDevice(device, events, url)
    running.set_relay("Relay1", "inactive")
    running.set_relay("Relay2", "inactive")
    device.broker.publish(MOTION.topic, {"Source": "VideoSource1"}, {"State": False})
    try:
        yield running
    finally:
        await events.close()
        await server.close()
