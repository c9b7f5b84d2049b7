"""What filters let through, by either interface."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from conformance.device import Device
from conformance.events.subscriptions import (
    Message,
    Subscription,
    expect_topics,
    initialized,
    item_filter,
    notified,
    property_topics,
    pull_point,
    pulled,
    pushed,
    root_of,
    topics,
    unsubscribe,
)
from conformance.frame import Failed, require


class Interface(Protocol):
    """Subscribes; what comes then is iterated over until the operation delay is over."""

    def __call__(
        self, device: Device, topic: str | None = None, *, content: str | None = None
    ) -> AbstractContextManager[tuple[Subscription, Iterator[Message]]]: ...


@contextmanager
def pulling(
    device: Device, topic: str | None = None, *, content: str | None = None
) -> Iterator[tuple[Subscription, Iterator[Message]]]:
    with pull_point(device, topic, content=content) as made:
        yield made, pulled(device, made)


@contextmanager
def notifying(
    device: Device, topic: str | None = None, *, content: str | None = None
) -> Iterator[tuple[Subscription, Iterator[Message]]]:
    with pushed(device, topic, content=content) as (made, consumer):
        yield made, notified(device, consumer)


def either_topic(device: Device, interface: Interface) -> None:
    if len(topics(device)) < 2:
        return
    first, second = property_topics(device, 2)
    both = {first.path, second.path}
    with interface(device, f"{first.text}|{second.text}") as (made, messages):
        expect_topics(device, messages, both, both)
        unsubscribe(device, made)


def topic_subtree(device: Device, interface: Interface) -> None:
    (topic,) = property_topics(device, 1)
    with interface(device, f"{root_of(topic)}//.") as (made, messages):
        expect_topics(device, messages, {topic.path}, {topic.path[:1]})
        unsubscribe(device, made)


def subtree_or_topic(device: Device, interface: Interface) -> None:
    if len(topics(device)) < 2:
        return
    first, second = property_topics(device, 2)
    with interface(device, f"{root_of(first)}//.|{second.text}") as (made, messages):
        expect_topics(device, messages, {first.path, second.path}, {first.path[:1], second.path})
        unsubscribe(device, made)


def content_filter(device: Device, interface: Interface) -> None:
    if not any(topic.is_property for topic in topics(device)):
        return
    (topic,) = property_topics(device, 1)
    with interface(device, topic.text) as (made, messages):
        first = initialized(device, messages)
        require(first.topic == topic.path, f"a message of {first.topic}, only {topic.text} was asked for")
        unsubscribe(device, made)
    content, item = item_filter(first)
    with interface(device, content=content) as (made, messages):
        for message in messages:
            require(item in message.simple_items, f"a message without {item}, which the filter asks for")
            if message.topic == topic.path and message.operation == "Initialized":
                unsubscribe(device, made)
                return
        raise Failed("no message passes the filter")
