"""What a subscription wants to hear: wsnt:Filter, read into something that is asked of every message."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from lxml import etree

from manycast.onvif.events.content_filter import ITEM_FILTER, ContentFilter, InvalidContentFilter, parse_content_filter
from manycast.onvif.events.faults import notification_fault
from manycast.onvif.events.message import EventDescription, EventMessage
from manycast.onvif.events.terms import name_part
from manycast.onvif.events.topics import (
    InvalidTopicExpression,
    TopicExpression,
    UnknownDialect,
    parse_topic_expression,
)
from manycast.onvif.soap.names import expanded

MAX_PARTS = 8  # of a filter; each is asked of every message


@dataclass(frozen=True, slots=True)
class EventFilter:
    """All of its parts have to let a message pass (WS-BaseNotification section 4.2)."""

    topics: tuple[TopicExpression, ...] = ()
    contents: tuple[ContentFilter, ...] = ()

    def wants(self, message: EventMessage) -> bool:
        return all(topic.matches(message.topic) for topic in self.topics) and all(
            content.matches(message) for content in self.contents
        )


EVERYTHING = EventFilter()


def read_filter(
    element: etree._Element | None, descriptions: Mapping[str, EventDescription], now: datetime
) -> EventFilter:
    """Read a Filter element; None lets everything pass. Raises Fault, as WS-BaseNotification says."""
    if element is None:
        return EVERYTHING
    parts = list(element.iterchildren(tag=etree.Element))
    if len(parts) > MAX_PARTS:
        raise _unknown_filter(parts[MAX_PARTS], f"more than {MAX_PARTS} parts", now)
    topics: list[TopicExpression] = []
    contents: list[ContentFilter] = []
    for each in parts:
        if each.tag == expanded("wsnt:TopicExpression"):
            topics.append(read_topic_expression(each, descriptions, now))
        elif each.tag == expanded("wsnt:MessageContent"):
            contents.append(_read_content_filter(each, descriptions, now))
        elif each.tag == expanded("wsnt:ProducerProperties"):
            reason = "filters on the properties of producers are not supported"
            raise notification_fault("wsnt:InvalidProducerPropertiesExpressionFault", reason, now)
        else:
            raise _unknown_filter(each, "unknown filter", now)
    return EventFilter(tuple(topics), tuple(contents))


def read_topic_expression(
    element: etree._Element, descriptions: Mapping[str, EventDescription], now: datetime
) -> TopicExpression:
    """Read a wsnt:TopicExpression, or the wsnt:Topic of GetCurrentMessage. Raises Fault."""
    dialect = element.get("Dialect", "").strip()
    try:
        expression = parse_topic_expression(_text(element), dialect, element.nsmap)
    except UnknownDialect as error:
        raise notification_fault("wsnt:TopicExpressionDialectUnknownFault", str(error), now) from error
    except InvalidTopicExpression as error:
        raise notification_fault("wsnt:InvalidTopicExpressionFault", str(error), now) from error
    if not expression.matches_any(descriptions):
        reason = f"none of the topics of this device is in {_text(element)[:200]!r}"
        raise notification_fault("wsnt:TopicNotSupportedFault", reason, now)
    return expression


def _read_content_filter(
    element: etree._Element, descriptions: Mapping[str, EventDescription], now: datetime
) -> ContentFilter:
    dialect = element.get("Dialect", "").strip()
    try:
        if dialect != ITEM_FILTER:
            raise InvalidContentFilter(f"unknown content filter dialect {dialect[:200]!r}; known is {ITEM_FILTER}")
        content_filter = parse_content_filter(_text(element), element.nsmap)
        if not content_filter.can_match(_item_names(descriptions)):
            raise InvalidContentFilter("no message of this device has the items that this filter asks for")
    except InvalidContentFilter as error:
        raise notification_fault("wsnt:InvalidMessageContentExpressionFault", str(error), now) from error
    return content_filter


def _item_names(descriptions: Mapping[str, EventDescription]) -> set[str]:
    return {
        name
        for each in descriptions.values()
        for items in (each.source, each.key, each.data, each.source_elements, each.key_elements, each.data_elements)
        for name in items
    }


def _unknown_filter(element: etree._Element, reason: str, now: datetime) -> Exception:
    reason = f"{reason}: {etree.QName(element).localname}"
    return notification_fault("wsnt:InvalidFilterFault", reason, now, name_part("wsnt:UnknownFilter", element))


def _text(element: etree._Element) -> str:
    return "".join(map(str, element.itertext()))
