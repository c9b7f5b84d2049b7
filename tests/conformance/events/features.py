"""The specification, and the features its cases need (Feature Discovery Specification, section Event Service)."""

from __future__ import annotations

from conformance.device import Device
from conformance.frame import Feature, Specification

SPECIFICATION = Specification("Event Handling", "ONVIF Event Handling Device Test Specification")

ITEM_FILTER = "http://www.onvif.org/ver10/tev/messageContentFilter/ItemFilter"
STREAMING = "onvif://www.onvif.org/Profile/Streaming"
PROFILES_WITH_RENEW = ("Streaming", "G", "C", "A")  # S, G, C, A


def _capability(device: Device, name: str) -> str | None:
    return device.event_capabilities.get(name)


def _has_pull_points(device: Device) -> bool:
    most = _capability(device, "MaxPullPoints")
    return STREAMING in device.scopes if most is None else int(most) > 0


def _dialects(device: Device) -> list[str]:
    return [str(each.text or "").strip() for each in device.event_properties.all("tev:MessageContentFilterDialect")]


def _has_broker(protocol: str) -> Feature:
    return Feature(
        f"event brokers by {protocol}",
        lambda device: protocol in (_capability(device, "EventBrokerProtocols") or "").split(),
    )


EVENTS = Feature("event service", lambda device: "tev" in device.services)
PULL_POINTS = Feature("pull points", _has_pull_points)
BASIC_NOTIFICATION = Feature(
    "WS basic notification", lambda device: int(_capability(device, "MaxNotificationProducers") or 1) > 0
)
MAX_PULL_POINTS = Feature("MaxPullPoints", lambda device: _capability(device, "MaxPullPoints") is not None)
STORAGE = Feature(
    "persistent notification storage",
    lambda device: _capability(device, "PersistentNotificationStorage") in ("true", "1"),
)
CONTENT_FILTER = Feature("message content filter", lambda device: any(_dialects(device)))
ONVIF_CONTENT_FILTER = Feature("ONVIF's content filter dialect", lambda device: ITEM_FILTER in _dialects(device))
RENEWING_PROFILE = Feature(
    "Profile A, C, S or G",
    lambda device: any(f"onvif://www.onvif.org/Profile/{each}" in device.scopes for each in PROFILES_WITH_RENEW),
)
BROKERS = Feature("event brokers", lambda device: int(_capability(device, "MaxEventBrokers") or 0) > 0)
MQTT, MQTTS, WS, WSS = map(_has_broker, ("mqtt", "mqtts", "ws", "wss"))
