"""Events as XML: wsnt:NotificationMessage with tt:Message in it, and the Notify message that carries them."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping

from lxml import etree

from manycast.onvif.events.message import EventMessage
from manycast.onvif.events.times import write_date_time
from manycast.onvif.events.topics import CONCRETE
from manycast.onvif.soap.names import PREFIXES, expanded

NOTIFY_ACTION = "http://docs.oasis-open.org/wsn/bw-2/NotificationConsumer/Notify"

_NAMESPACES = {prefix: PREFIXES[prefix] for prefix in ("wsnt", "tns1", "tt")}  # tns1: topics are written with it
_ENVELOPE_NAMESPACES = _NAMESPACES | {prefix: PREFIXES[prefix] for prefix in ("env", "wsa")}


def notification(message: EventMessage) -> etree._Element:
    """The wsnt:NotificationMessage of a message."""
    element = etree.Element(expanded("wsnt:NotificationMessage"), nsmap=_NAMESPACES)
    etree.SubElement(element, expanded("wsnt:Topic"), Dialect=CONCRETE).text = message.topic
    etree.SubElement(element, expanded("wsnt:Message")).append(content(message))
    return element


def content(message: EventMessage) -> etree._Element:
    """The tt:Message of a message."""
    element = etree.Element(expanded("tt:Message"), UtcTime=write_date_time(message.utc), nsmap=_NAMESPACES)
    if message.operation is not None:
        element.set("PropertyOperation", message.operation.value)
    for name, items in (("Source", message.source), ("Key", message.key), ("Data", message.data)):
        elements = message.data_elements if name == "Data" else {}
        if items or elements:
            _append_items(etree.SubElement(element, expanded(f"tt:{name}")), items, elements)
    return element


def _append_items(group: etree._Element, items: Mapping[str, str], elements: Mapping[str, etree._Element]) -> None:
    for name, value in items.items():
        etree.SubElement(group, expanded("tt:SimpleItem"), Name=name, Value=value)
    for name, element in elements.items():
        etree.SubElement(group, expanded("tt:ElementItem"), Name=name).append(copy.deepcopy(element))


def notify_message(
    to: str, reference_parameters: Iterable[etree._Element], identifier: str, notifications: Iterable[etree._Element]
) -> bytes:
    """The SOAP message that tells a consumer; `identifier` is its WS-Addressing message id."""
    envelope = etree.Element(expanded("env:Envelope"), nsmap=_ENVELOPE_NAMESPACES)
    header = etree.SubElement(envelope, expanded("env:Header"))
    etree.SubElement(header, expanded("wsa:Action")).text = NOTIFY_ACTION
    etree.SubElement(header, expanded("wsa:MessageID")).text = identifier
    etree.SubElement(header, expanded("wsa:To")).text = to
    for parameter in reference_parameters:  # WS-Addressing 1.0 SOAP Binding, section 3.4
        parameter = copy.deepcopy(parameter)
        parameter.set(expanded("wsa:IsReferenceParameter"), "true")
        header.append(parameter)
    body = etree.SubElement(envelope, expanded("env:Body"))
    notify = etree.SubElement(body, expanded("wsnt:Notify"))
    notify.extend(copy.deepcopy(each) for each in notifications)
    return etree.tostring(envelope, encoding="UTF-8", xml_declaration=True)
