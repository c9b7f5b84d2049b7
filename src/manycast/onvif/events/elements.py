"""Building the elements of replies."""

from __future__ import annotations

from lxml import etree

from manycast.onvif.soap.names import PREFIXES, expanded

_NAMESPACES = {prefix: PREFIXES[prefix] for prefix in ("tev", "wsnt", "wsa", "tns1", "tt")}


def element(name: str) -> etree._Element:
    """By its name with a prefix."""
    return etree.Element(expanded(name), nsmap=_NAMESPACES)


def append(parent: etree._Element, name: str, text: str) -> None:
    etree.SubElement(parent, expanded(name)).text = text
