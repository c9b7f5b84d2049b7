"""Namespaces: the same request with its prefixes declared in other ways."""

from __future__ import annotations

from conformance.client import Endpoint, Reply, SoapFault, make, qualified
from conformance.device import Device
from conformance.events.consumer import Consumer
from conformance.events.features import BASIC_NOTIFICATION, EVENTS, SPECIFICATION
from conformance.events.subscriptions import ACTIONS, times
from conformance.frame import Failed, require
from conformance.namespaces import STYLES, Style, rewritten

NEEDS = (EVENTS, BASIC_NOTIFICATION)
SUBSCRIBE_ACTION = "http://docs.oasis-open.org/wsn/bw-2/NotificationProducer/SubscribeRequest"


def _subscribe(device: Device, style: Style | None) -> None:
    """Subscribe, with the request written in a style, and require what EVENT-2-1-9 does; then unsubscribe."""
    to = device.services["tev"]
    with Consumer(device.endpoint.address) as consumer:
        body = make(
            "wsnt:Subscribe",
            make("wsnt:ConsumerReference", make("wsa:Address", consumer.url)),
            make("wsnt:InitialTerminationTime", "PT10S"),
        )
        data = device.client.message(to, body, SUBSCRIBE_ACTION)
        if style is not None:
            data = rewritten(data, style)
        _check(device, device.client.send(to.address, data, SUBSCRIBE_ACTION))


def _check(device: Device, reply: Reply) -> None:
    require(reply.action in ACTIONS["SubscribeResponse"], f"{reply.action!r} as the action of SubscribeResponse")
    current, termination = times(reply)
    require((termination - current).total_seconds() >= 10, f"{current} to {termination}, PT10S was asked for")
    (reference,) = reply.all("wsnt:SubscriptionReference")
    endpoint = Endpoint.parse(reference)
    require(endpoint.address, f"no address in {qualified('wsnt:SubscriptionReference')}")
    device.ask(make("wsnt:Unsubscribe"), to=endpoint)


def _compare(device: Device, style: Style) -> None:
    """The device accepts both the usual way of writing and the other one."""
    _subscribe(device, None)
    try:
        _subscribe(device, style)
    except SoapFault as fault:
        raise Failed(f"another way to declare the same namespaces is refused: {fault}") from fault


def _add(identifier: str, title: str, style: Style) -> None:
    SPECIFICATION.case(identifier, f"EVENT - NAMESPACES ({title})", *NEEDS)(lambda device: _compare(device, style))


for _number, (_title, _style) in enumerate(STYLES.items(), start=6):
    _add(f"EVENT-4-1-{_number}", _title, _style)
