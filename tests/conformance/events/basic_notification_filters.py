"""The basic notification interface: filters, and leaving."""

from __future__ import annotations

from conformance.device import Device
from conformance.events.features import BASIC_NOTIFICATION, CONTENT_FILTER, EVENTS, SPECIFICATION
from conformance.events.subscriptions import (
    expect_topics,
    initialized,
    item_filter,
    notified,
    property_topics,
    pushed,
    root_of,
    topics,
    unsubscribe,
)
from conformance.frame import Failed, require

NEEDS = (EVENTS, BASIC_NOTIFICATION)
TITLE = "BASIC NOTIFICATION INTERFACE - "


@SPECIFICATION.case("EVENT-2-1-25", TITLE + "CONJUNCTION IN NOTIFY FILTER (OR OPERATION)", *NEEDS)
def either_topic(device: Device) -> None:
    if len(topics(device)) < 2:
        return
    first, second = property_topics(device, 2)
    both = {first.path, second.path}
    with pushed(device, f"{first.text}|{second.text}") as (made, consumer):
        expect_topics(device, notified(device, consumer), both, both)
        unsubscribe(device, made)


@SPECIFICATION.case("EVENT-2-1-26", TITLE + "TOPIC SUB-TREE IN PULLMESSAGES FILTER", *NEEDS)
def topic_subtree(device: Device) -> None:
    (topic,) = property_topics(device, 1)
    with pushed(device, f"{root_of(topic)}//.") as (made, consumer):
        expect_topics(device, notified(device, consumer), {topic.path}, {topic.path[:1]})
        unsubscribe(device, made)


@SPECIFICATION.case("EVENT-2-1-27", TITLE + "CONJUNCTION IN NOTIFY FILTER (TOPIC SUB-TREE AND OR OPERATION)", *NEEDS)
def subtree_or_topic(device: Device) -> None:
    if len(topics(device)) < 2:
        return
    first, second = property_topics(device, 2)
    with pushed(device, f"{root_of(first)}//.|{second.text}") as (made, consumer):
        expect_topics(device, notified(device, consumer), {first.path, second.path}, {first.path[:1], second.path})
        unsubscribe(device, made)


@SPECIFICATION.case("EVENT-2-1-28", TITLE + "UNSUBSCRIBE", *NEEDS)
def unsubscribe_after_a_second(device: Device) -> None:
    with pushed(device) as (made, _):
        device.pause(1)
        unsubscribe(device, made)


@SPECIFICATION.case("EVENT-2-1-29", TITLE + "MESSAGE CONTENT FILTER", *NEEDS, CONTENT_FILTER)
def content_filter(device: Device) -> None:
    if not any(topic.is_property for topic in topics(device)):
        return
    (topic,) = property_topics(device, 1)
    with pushed(device, topic.text) as (made, consumer):
        first = initialized(device, notified(device, consumer))
        require(first.topic == topic.path, f"a message of {first.topic}, only {topic.text} was asked for")
        unsubscribe(device, made)
    content, item = item_filter(first)
    with pushed(device, content=content) as (made, consumer):
        for message in notified(device, consumer):
            require(item in message.simple_items, f"a message without {item}, which the filter asks for")
            if message.topic == topic.path and message.operation == "Initialized":
                unsubscribe(device, made)
                return
        raise Failed("no message passes the filter")
