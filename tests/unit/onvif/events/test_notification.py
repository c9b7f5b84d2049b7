from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree
from support.onvif_schema import assert_valid

from manycast.onvif.events.message import EventDescription, EventMessage, PropertyOperation
from manycast.onvif.events.metadata_track import metadata_stream
from manycast.onvif.events.notification import notification, notify_message
from manycast.onvif.events.topic_set import topic_set
from manycast.onvif.soap.names import PREFIXES

NAMESPACES = dict(PREFIXES)
NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
SHAPE = etree.fromstring('<s:Polygon xmlns:s="http://example.org/shapes" sides="5"/>')
INSIDE = EventMessage(
    topic="tns1:RuleEngine/FieldDetector/ObjectsInside",
    utc=NOON,
    operation=PropertyOperation.CHANGED,
    source={"Rule": "Fence"},
    key={"ObjectId": "5"},
    data={"IsInside": "true"},
    data_elements={"Shape": SHAPE},
)


def test_a_message_is_written_as_core_has_it() -> None:
    element = notification(INSIDE)
    assert_valid(element)
    topic = element.find("wsnt:Topic", NAMESPACES)
    assert topic is not None
    assert topic.text == INSIDE.topic
    assert topic.nsmap["tns1"] == PREFIXES["tns1"]
    assert topic.get("Dialect") == "http://docs.oasis-open.org/wsn/t-1/TopicExpression/Concrete"
    content = element.find("wsnt:Message/tt:Message", NAMESPACES)
    assert content is not None
    assert (content.get("UtcTime"), content.get("PropertyOperation")) == ("2026-01-02T12:00:00.000Z", "Changed")
    assert [etree.QName(group).localname for group in content] == ["Source", "Key", "Data"]
    items = {item.get("Name"): item.get("Value") for item in content.iterfind("*/tt:SimpleItem", NAMESPACES)}
    assert items == {"Rule": "Fence", "ObjectId": "5", "IsInside": "true"}
    (shape,) = content.iterfind("tt:Data/tt:ElementItem/*", NAMESPACES)
    assert etree.tostring(shape, method="c14n", exclusive=True) == etree.tostring(SHAPE, method="c14n", exclusive=True)


def test_groups_without_items_are_left_out() -> None:
    element = notification(EventMessage(topic="tns1:Device", utc=NOON))
    assert_valid(element)
    content = element.find("wsnt:Message/tt:Message", NAMESPACES)
    assert content is not None
    assert not len(content)
    assert "PropertyOperation" not in content.attrib


TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"), max_size=20)


@given(st.dictionaries(TEXT, TEXT, max_size=4), st.dictionaries(TEXT, TEXT, max_size=4))
def test_any_text_survives(source: dict[str, str], data: dict[str, str]) -> None:
    written = etree.tostring(notification(EventMessage(topic="tns1:A", utc=NOON, source=source, data=data)))
    element = etree.fromstring(written)
    for group, items in (("Source", source), ("Data", data)):
        found = element.iterfind(f".//tt:{group}/tt:SimpleItem", NAMESPACES)
        assert {str(item.get("Name")): str(item.get("Value")) for item in found} == items


def test_a_notify_message_has_what_the_consumer_asked_for() -> None:
    parameter = etree.fromstring('<my:Ticket xmlns:my="http://example.org">17</my:Ticket>')
    notifications = [notification(INSIDE), notification(INSIDE)]
    root = etree.fromstring(notify_message("http://192.0.2.1/take", [parameter], "urn:uuid:1", notifications))
    header = root.find("env:Header", NAMESPACES)
    assert header is not None
    assert header.findtext("wsa:Action", None, NAMESPACES) == (
        "http://docs.oasis-open.org/wsn/bw-2/NotificationConsumer/Notify"
    )
    assert header.findtext("wsa:To", None, NAMESPACES) == "http://192.0.2.1/take"
    assert header.findtext("wsa:MessageID", None, NAMESPACES) == "urn:uuid:1"
    ticket = header.find("{http://example.org}Ticket")
    assert ticket is not None
    assert (ticket.text, ticket.get(f"{{{PREFIXES['wsa']}}}IsReferenceParameter")) == ("17", "true")
    notify = root.find("env:Body/wsnt:Notify", NAMESPACES)
    assert notify is not None
    assert_valid(notify)
    assert len(notify) == 2
    assert not parameter.attrib
    assert len(notifications[0])  # it can be sent to others, too


def test_metadata_has_no_subscription() -> None:
    root = etree.fromstring(metadata_stream([INSIDE]))
    assert root.tag == f"{{{PREFIXES['tt']}}}MetadataStream"
    (element,) = root.iterfind("tt:Event/wsnt:NotificationMessage", NAMESPACES)
    assert_valid(element)
    assert element.find("wsnt:SubscriptionReference", NAMESPACES) is None


def test_topics_stand_in_their_tree_with_their_descriptions() -> None:
    descriptions = [
        EventDescription(
            topic="tns1:RuleEngine/FieldDetector/ObjectsInside",
            is_property=True,
            source={"Rule": "xs:string"},
            key={"ObjectId": "xs:integer"},
            data={"IsInside": "xs:boolean"},
            data_elements={"Shape": "tt:Polygon"},
        ),
        EventDescription(topic="tns1:RuleEngine/LineDetector/Crossed", source={"Door": "pt:ReferenceToken"}),
        EventDescription(topic="tns1:RuleEngine/LineDetector"),
    ]
    root = topic_set(descriptions)
    assert_valid(root)
    (engine,) = root
    assert engine.tag == f"{{{PREFIXES['tns1']}}}RuleEngine"
    assert f"{{{PREFIXES['wstop']}}}topic" not in engine.attrib
    inside = engine.find("FieldDetector/ObjectsInside")
    line = engine.find("LineDetector")
    assert inside is not None
    assert line is not None
    assert [each.get(f"{{{PREFIXES['wstop']}}}topic") for each in (inside, line, *line.iterfind("Crossed"))] == [
        "true"
    ] * 3
    description = inside.find("tt:MessageDescription", NAMESPACES)
    assert description is not None
    assert description.get("IsProperty") == "true"
    described = [
        (etree.QName(group).localname, item.get("Name"), item.get("Type")) for group in description for item in group
    ]
    assert described == [
        ("Source", "Rule", "xs:string"),
        ("Key", "ObjectId", "xs:integer"),
        ("Data", "IsInside", "xs:boolean"),
        ("Data", "Shape", "tt:Polygon"),
    ]
    for each in root.iter():
        item_type = each.get("Type")
        if item_type is not None:
            assert item_type.partition(":")[0] in each.nsmap
        assert None not in each.nsmap  # a default namespace would change what topics are called


@pytest.mark.parametrize("topic", ["tns1:A B", "other:A", ""])
def test_a_topic_that_is_none_is_noticed(topic: str) -> None:
    with pytest.raises(ValueError):
        topic_set([EventDescription(topic=topic)])
