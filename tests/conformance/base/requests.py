"""Requests written as XML, and what procedures expect of the replies."""

from __future__ import annotations

from lxml import etree

from conformance.client import NAMESPACES, Reply, SoapFault
from conformance.device import Device
from conformance.frame import Failed, require

_DECLARED = " ".join(f'xmlns:{prefix}="{namespace}"' for prefix, namespace in NAMESPACES.items())


def xml(text: str) -> etree._Element:
    """An element, written with the prefixes of NAMESPACES."""
    return etree.fromstring(f"<all {_DECLARED}>{text}</all>")[0]


def ask(device: Device, text: str) -> Reply:
    """Send a request that is written as XML. Raises SoapFault, BadReply, OSError."""
    return device.ask(xml(text))


def refused(device: Device, text: str, *codes: str) -> None:
    """Require a fault with these subcodes, such as `InvalidArgVal`, `NoEntity`; with none, any fault does."""
    try:
        ask(device, text)
    except SoapFault as fault:
        found = fault.subcodes[: len(codes)]
        require(found == list(codes), f"a fault of {'/'.join((fault.code, *fault.subcodes))}, not {'/'.join(codes)}")
    else:
        raise Failed(f"{xml(text).tag} was accepted, a fault of {'/'.join(codes) or 'any kind'} was to come")


def boolean(text: str | None) -> bool:
    return (text or "").strip() in ("true", "1")


def value(element: etree._Element, path: str) -> str | None:
    found = element.findtext(path, None, NAMESPACES)
    return None if found is None else found.strip()


def written(element: etree._Element, name: str) -> str:
    """An element's content again, under another name, for putting back what was there."""
    copy = etree.Element(
        etree.QName(NAMESPACES[name.partition(":")[0]], name.partition(":")[2]), nsmap=dict(NAMESPACES)
    )
    copy.attrib.update(dict(element.attrib))
    copy.text = element.text
    copy.extend(etree.fromstring(etree.tostring(each)) for each in element)
    return etree.tostring(copy, encoding="unicode", with_tail=False)
