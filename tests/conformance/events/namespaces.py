"""Namespaces: the same request with its prefixes declared in other ways."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import count

from lxml import etree

from conformance.client import Endpoint, Reply, SoapFault, make, qualified
from conformance.device import Device
from conformance.events.consumer import Consumer
from conformance.events.features import BASIC_NOTIFICATION, EVENTS, SPECIFICATION
from conformance.events.subscriptions import ACTIONS, times
from conformance.frame import require

NEEDS = (EVENTS, BASIC_NOTIFICATION)
SUBSCRIBE_ACTION = "http://docs.oasis-open.org/wsn/bw-2/NotificationProducer/SubscribeRequest"

Style = Callable[["_Writer", etree._Element], str]


@dataclass(slots=True)
class _Writer:
    """Writes a document out anew; lxml would choose the prefixes itself."""

    style: Style
    numbers: count[int] = field(default_factory=count)

    def write(self, element: etree._Element) -> str:
        return self.style(self, element)

    def content(self, element: etree._Element) -> str:
        text = str(element.text or "").replace("&", "&amp;").replace("<", "&lt;")
        return text + "".join(map(self.write, element))


def _attributes(element: etree._Element) -> str:
    return "".join(f' {name}="{value}"' for name, value in _texts(element.items()))


def _texts(items: Iterable[tuple[object, object]]) -> list[tuple[str, str]]:
    """lxml's types allow for bytes, which never come."""
    return [(str(name), str(value)) for name, value in items]


def _default_in_each(writer: _Writer, element: etree._Element) -> str:
    name = etree.QName(element)
    content = writer.content(element)
    return f'<{name.localname} xmlns="{name.namespace}"{_attributes(element)}>{content}</{name.localname}>'


def _default_in_parents(writer: _Writer, element: etree._Element) -> str:
    name = etree.QName(element)
    parent = element.getparent()
    same = parent is not None and etree.QName(parent).namespace == name.namespace
    declared = "" if same else f' xmlns="{name.namespace}"'
    return f"<{name.localname}{declared}{_attributes(element)}>{writer.content(element)}</{name.localname}>"


def _odd_prefixes(writer: _Writer, element: etree._Element) -> str:
    """All declared at the root, by names that nobody uses."""
    root = element.getroottree().getroot()
    namespaces = sorted({str(etree.QName(each).namespace) for each in root.iter()})
    name = etree.QName(element)
    tag = f"prefix{namespaces.index(str(name.namespace))}:{name.localname}"
    declared = "".join(f' xmlns:prefix{number}="{each}"' for number, each in enumerate(namespaces))
    return f"<{tag}{declared if element is root else ''}{_attributes(element)}>{writer.content(element)}</{tag}>"


def _other_prefix_each_time(writer: _Writer, element: etree._Element) -> str:
    name = etree.QName(element)
    prefix = f"e{next(writer.numbers)}"
    content = writer.content(element)
    tag = f"{prefix}:{name.localname}"
    return f'<{tag} xmlns:{prefix}="{name.namespace}"{_attributes(element)}>{content}</{tag}>'


def _same_prefix_for_all(writer: _Writer, element: etree._Element) -> str:
    name = etree.QName(element)
    tag = f"p1:{name.localname}"
    return f'<{tag} xmlns:p1="{name.namespace}"{_attributes(element)}>{writer.content(element)}</{tag}>'


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
            data = _Writer(style).write(etree.fromstring(data)).encode()
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
        require(False, f"another way to declare the same namespaces is refused: {fault}")


def _add(identifier: str, title: str, style: Style) -> None:
    SPECIFICATION.case(identifier, f"EVENT - NAMESPACES ({title})", *NEEDS)(lambda device: _compare(device, style))


_add("EVENT-4-1-6", "DEFAULT NAMESPACES FOR EACH TAG", _default_in_each)
_add("EVENT-4-1-7", "DEFAULT NAMESPACES FOR PARENT TAG", _default_in_parents)
_add("EVENT-4-1-8", "NOT STANDARD PREFIXES", _odd_prefixes)
_add("EVENT-4-1-9", "DIFFERENT PREFIXES FOR THE SAME NAMESPACE", _other_prefix_each_time)
_add("EVENT-4-1-10", "THE SAME PREFIX FOR DIFFERENT NAMESPACES", _same_prefix_for_all)
