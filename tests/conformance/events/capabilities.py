"""Capabilities of the event service."""

from __future__ import annotations

import re

from conformance.client import NAMESPACES, make, qualified
from conformance.device import Device
from conformance.events.features import EVENTS, SPECIFICATION
from conformance.events.subscriptions import ask
from conformance.frame import require

COMPARED = (
    "WSSubscriptionPolicySupport",
    "WSPullPointSupport",
    "WSPausableSubscriptionManagerInterfaceSupport",
    "MaxNotificationProducers",
    "MaxPullPoints",
    "PersistentNotificationStorage",
    "EventBrokerProtocols",
    "MaxEventBrokers",
)


@SPECIFICATION.case("EVENT-5-1-1", "EVENT SERVICE CAPABILITIES", EVENTS)
def event_service_capabilities(device: Device) -> None:
    (capabilities,) = ask(device, make("tev:GetServiceCapabilities")).all("tev:Capabilities")
    protocols = capabilities.get("EventBrokerProtocols", "").split()
    brokers = int(capabilities.get("MaxEventBrokers", "0"))
    for protocol in protocols:  # RFC 3986 section 3.1
        require(re.fullmatch(r"[A-Za-z][A-Za-z0-9+.\-]*", protocol), f"{protocol!r} is no scheme of an address")
    require(not brokers or protocols, f"{brokers} event brokers by no protocol")
    require(not protocols or brokers, f"no event brokers by {protocols}")


@SPECIFICATION.case("EVENT-5-1-2", "GET SERVICES AND EVENT SERVICE CAPABILITIES CONSISTENCY", EVENTS)
def consistent_capabilities(device: Device) -> None:
    services = device.ask(make("tds:GetServices", make("tds:IncludeCapability", "true")))
    told = [
        service.find("tds:Capabilities/tev:Capabilities", NAMESPACES)
        for service in services.all("tds:Service")
        if service.findtext(qualified("tds:Namespace")) == NAMESPACES["tev"]
    ]
    require(told and told[0] is not None, "GetServices without capabilities of the event service")
    assert told[0] is not None
    (capabilities,) = ask(device, make("tev:GetServiceCapabilities")).all("tev:Capabilities")
    for name in COMPARED:
        one, other = told[0].get(name), capabilities.get(name)
        require(one == other, f"{name} is {one!r} in GetServices, {other!r} in GetServiceCapabilities")
