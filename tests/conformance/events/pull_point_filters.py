"""The real-time pull point interface: filters."""

from __future__ import annotations

from conformance.device import Device
from conformance.events.features import CONTENT_FILTER, EVENTS, PULL_POINTS, SPECIFICATION
from conformance.events.subscriptions import (
    expect_topics,
    initialized,
    item_filter,
    property_topics,
    pull_point,
    pulled,
    root_of,
    topics,
    unsubscribe,
)
from conformance.frame import Failed, require

NEEDS = (EVENTS, PULL_POINTS)
TITLE = "REALTIME PULLPOINT SUBSCRIPTION - "


@SPECIFICATION.case("EVENT-3-1-33", TITLE + "CONJUNCTION IN PULLMESSAGES FILTER (OR OPERATION)", *NEEDS)
def either_topic(device: Device) -> None:
    if len(topics(device)) < 2:
        return
    first, second = property_topics(device, 2)
    both = {first.path, second.path}
    with pull_point(device, f"{first.text}|{second.text}") as made:
        expect_topics(device, pulled(device, made), both, both)
        unsubscribe(device, made)


@SPECIFICATION.case("EVENT-3-1-34", TITLE + "TOPIC SUB-TREE IN PULLMESSAGES FILTER", *NEEDS)
def topic_subtree(device: Device) -> None:
    (topic,) = property_topics(device, 1)
    with pull_point(device, f"{root_of(topic)}//.") as made:
        expect_topics(device, pulled(device, made), {topic.path}, {topic.path[:1]})
        unsubscribe(device, made)


@SPECIFICATION.case("EVENT-3-1-35", TITLE + "CONJUNCTION IN NOTIFY FILTER (TOPIC SUB-TREE AND OR OPERATION)", *NEEDS)
def subtree_or_topic(device: Device) -> None:
    if len(topics(device)) < 2:
        return
    first, second = property_topics(device, 2)
    with pull_point(device, f"{root_of(first)}//.|{second.text}") as made:
        expect_topics(device, pulled(device, made), {first.path, second.path}, {first.path[:1], second.path})
        unsubscribe(device, made)


@SPECIFICATION.case("EVENT-3-1-38", TITLE + "MESSAGE CONTENT FILTER", *NEEDS, CONTENT_FILTER)
def content_filter(device: Device) -> None:
    if not any(topic.is_property for topic in topics(device)):
        return
    (topic,) = property_topics(device, 1)
    with pull_point(device, topic.text) as made:
        first = initialized(device, pulled(device, made))
        require(first.topic == topic.path, f"a message of {first.topic}, only {topic.text} was asked for")
        unsubscribe(device, made)
    content, item = item_filter(first)
    with pull_point(device, content=content) as made:
        for message in pulled(device, made):
            require(item in message.simple_items, f"a message without {item}, which the filter asks for")
            if message.topic == topic.path and message.operation == "Initialized":
                unsubscribe(device, made)
                return
        raise Failed("no message passes the filter")
