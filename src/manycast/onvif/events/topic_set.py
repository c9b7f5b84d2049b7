"""The topic set of GetEventProperties: ONVIF Core, section "Topic Type Information"."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from lxml import etree

from manycast.onvif.events.message import EventDescription
from manycast.onvif.events.topics import topic_path
from manycast.onvif.soap.names import PREFIXES, expanded

PACS_NAMESPACE = "http://www.onvif.org/ver10/pacs"

# Those of the types that descriptions name. No default one: topics below the first level have no namespace.
_NAMESPACES = {prefix: PREFIXES[prefix] for prefix in ("wstop", "tns1", "tt", "xs", "tdc")} | {"pt": PACS_NAMESPACE}


def topic_set(descriptions: Iterable[EventDescription]) -> etree._Element:
    """The wstop:TopicSet with these topics, described."""
    root = etree.Element(expanded("wstop:TopicSet"), nsmap=_NAMESPACES)
    for description in descriptions:
        topic = _element_of(root, description.topic)
        topic.set(expanded("wstop:topic"), "true")
        topic.insert(0, _described(description))
    return root


def _element_of(root: etree._Element, topic: str) -> etree._Element:
    element = root
    for namespace, local in topic_path(topic):
        name = f"{{{namespace}}}{local}" if namespace else local
        child = element.find(name)
        element = etree.SubElement(element, name) if child is None else child
    return element


def _described(description: EventDescription) -> etree._Element:
    element = etree.Element(expanded("tt:MessageDescription"), nsmap=_NAMESPACES)
    element.set("IsProperty", "true" if description.is_property else "false")
    for name, simple, elements in (
        ("Source", description.source, description.source_elements),
        ("Key", description.key, description.key_elements),
        ("Data", description.data, description.data_elements),
    ):
        if simple or elements:
            group = etree.SubElement(element, expanded(f"tt:{name}"))
            _append_types(group, "tt:SimpleItemDescription", simple)
            _append_types(group, "tt:ElementItemDescription", elements)
    return element


def _append_types(group: etree._Element, kind: str, types: Mapping[str, str]) -> None:
    for name, item_type in types.items():
        etree.SubElement(group, expanded(kind), Name=name, Type=item_type)
