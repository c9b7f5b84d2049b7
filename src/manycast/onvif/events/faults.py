"""Faults of WS-BaseNotification: each has its own element in the detail (WS-BaseFaults 1.2)."""

from __future__ import annotations

from datetime import datetime

from lxml import etree

from manycast.onvif.events.times import write_date_time
from manycast.onvif.soap.fault import Fault
from manycast.onvif.soap.names import PREFIXES, expanded

_NAMESPACES = {prefix: PREFIXES[prefix] for prefix in ("wsnt", "wsrf-bf", "wsrf-r")}


def notification_fault(name: str, reason: str, now: datetime, *more: etree._Element) -> Fault:
    """A fault by its element's name, such as `wsnt:InvalidFilterFault`; `more` is what this one has besides.

    ONVIF Core, section "SOAP Fault Messages": they are faults of the receiver.
    """
    detail = etree.Element(expanded(name), nsmap=_NAMESPACES)
    etree.SubElement(detail, expanded("wsrf-bf:Timestamp")).text = write_date_time(now)
    etree.SubElement(detail, expanded("wsrf-bf:Description")).text = "".join(filter(str.isprintable, reason))
    detail.extend(more)
    return Fault("Receiver", name, reason=reason, detail=detail)


def part(name: str, text: str, namespaces: dict[str, str] | None = None) -> etree._Element:
    """An element with text; `namespaces` are prefixes that the text uses."""
    element = etree.Element(expanded(name), nsmap=_NAMESPACES | (namespaces or {}))
    element.text = text
    return element
