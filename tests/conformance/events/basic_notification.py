"""The basic notification interface."""

from __future__ import annotations

from datetime import timedelta

from conformance.client import NAMESPACES, SoapFault, make
from conformance.device import Device
from conformance.events import filters
from conformance.events.features import BASIC_NOTIFICATION, CONTENT_FILTER, EVENTS, SPECIFICATION
from conformance.events.subscriptions import (
    Subscription,
    ask,
    check_base_fault,
    initialized,
    notified,
    property_topics,
    pushed,
    read_time,
    repeats,
    synchronize,
    topics,
    unsubscribe,
)
from conformance.frame import Failed, require

NEEDS = (EVENTS, BASIC_NOTIFICATION)
TITLE = "BASIC NOTIFICATION INTERFACE - "


@SPECIFICATION.case("EVENT-2-1-9", TITLE + "SUBSCRIBE", *NEEDS)
def subscribe(device: Device) -> None:
    with pushed(device, lasts_s=10):
        pass


def renew(device: Device, made: Subscription, lasts: str) -> None:
    """Renew, as long as the device says it can if that is refused."""
    try:
        reply = ask(device, make("wsnt:Renew", make("wsnt:TerminationTime", lasts)), to=made.endpoint)
    except SoapFault as fault:
        minimum = next((detail.findtext("wsnt:MinimumTime", "", NAMESPACES) for detail in fault.details), "")
        if not minimum:
            raise
        reply = ask(device, make("wsnt:Renew", make("wsnt:TerminationTime", minimum)), to=made.endpoint)
    made.update(reply)


@SPECIFICATION.case("EVENT-2-1-12", TITLE + "RENEW", *NEEDS)
def renew_subscription(device: Device) -> None:
    with pushed(device, lasts_s=10) as (made, _):
        renew(device, made, "PT10S")
        require(made.termination - made.current >= timedelta(seconds=10), f"{made.current} to {made.termination}")
        asked = (device.now() + timedelta(seconds=10)).strftime("%Y-%m-%dT%H:%M:%SZ")
        renew(device, made, asked)
        require(made.termination >= read_time(asked), f"{made.termination}, {asked} was asked for")
        require(made.current <= made.termination, f"{made.current} to {made.termination}")


@SPECIFICATION.case("EVENT-2-1-17", TITLE + "NOTIFY", *NEEDS)
def notify(device: Device) -> None:
    with pushed(device) as (made, consumer):
        synchronize(device, made)
        require(next(notified(device, consumer), None), "no Notify came")


@SPECIFICATION.case("EVENT-2-1-18", TITLE + "NOTIFY FILTER", *NEEDS)
def notify_filter(device: Device) -> None:
    (topic,) = property_topics(device, 1)
    with pushed(device, topic.text) as (made, consumer):
        synchronize(device, made)
        message = next(notified(device, consumer), None)
        if message is None:
            raise Failed("no Notify came")
        require(message.topic == topic.path, f"a message of {message.topic}, only {topic.text} was asked for")
        require(message.operation, "a message of a property without PropertyOperation")


def refused(device: Device, *, topic: str | None = None, content: str | None = None) -> SoapFault:
    try:
        with pushed(device, topic, content=content):
            raise Failed(f"a subscription to {topic or content!r} was accepted")
    except SoapFault as fault:
        return fault


@SPECIFICATION.case("EVENT-2-1-19", TITLE + "INVALID MESSAGE CONTENT FILTER", *NEEDS)
def invalid_content_filter(device: Device) -> None:
    fault = refused(device, content='boolean (//tt:SimpleItem[@Name="xyz" and @Value="xyz"])')
    check_base_fault(fault, "InvalidFilterFault", "InvalidMessageContentExpressionFault")


@SPECIFICATION.case("EVENT-2-1-21", TITLE + "UNSUBSCRIBE (NEGATIVE TEST)", *NEEDS)
def unsubscribed_cannot_be_renewed(device: Device) -> None:
    with pushed(device, lasts_s=10) as (made, _):
        unsubscribe(device, made)
        try:
            renew(device, made, "PT10S")
        except SoapFault:
            return
        raise Failed("a subscription that was unsubscribed from can be renewed")


@SPECIFICATION.case("EVENT-2-1-22", TITLE + "RESOURCE UNKNOWN", *NEEDS)
def resource_unknown(device: Device) -> None:
    with pushed(device, lasts_s=10) as (made, _):
        unsubscribe(device, made)
        try:
            unsubscribe(device, made)
        except SoapFault:
            return
        raise Failed("a subscription can be unsubscribed from twice")


@SPECIFICATION.case("EVENT-2-1-23", TITLE + "INVALID TOPIC EXPRESSION", *NEEDS)
def invalid_topic_expression(device: Device) -> None:
    fault = refused(device, topic='boolean(//tt:SimpleItem[@Name="xyz" and @Value="xyz"])')
    check_base_fault(fault, "InvalidFilterFault", "TopicNotSupportedFault", "InvalidTopicExpressionFault")


@SPECIFICATION.case("EVENT-2-1-24", TITLE + "SET SYNCHRONIZATION POINT", *NEEDS)
def set_synchronization_point(device: Device) -> None:
    if not any(topic.is_property for topic in topics(device)):
        return
    (topic,) = property_topics(device, 1)
    with pushed(device, topic.text) as (made, consumer):
        first = initialized(device, notified(device, consumer))
        require(first.topic == topic.path, f"a message of {first.topic}, only {topic.text} was asked for")
        synchronize(device, made)
        for message in notified(device, consumer):
            if repeats(message, first):
                return
        raise Failed("the property was not told again")


@SPECIFICATION.case("EVENT-2-1-25", TITLE + "CONJUNCTION IN NOTIFY FILTER (OR OPERATION)", *NEEDS)
def either_topic(device: Device) -> None:
    filters.either_topic(device, filters.notifying)


@SPECIFICATION.case("EVENT-2-1-26", TITLE + "TOPIC SUB-TREE IN PULLMESSAGES FILTER", *NEEDS)
def topic_subtree(device: Device) -> None:
    filters.topic_subtree(device, filters.notifying)


@SPECIFICATION.case("EVENT-2-1-27", TITLE + "CONJUNCTION IN NOTIFY FILTER (TOPIC SUB-TREE AND OR OPERATION)", *NEEDS)
def subtree_or_topic(device: Device) -> None:
    filters.subtree_or_topic(device, filters.notifying)


@SPECIFICATION.case("EVENT-2-1-28", TITLE + "UNSUBSCRIBE", *NEEDS)
def unsubscribe_after_a_second(device: Device) -> None:
    with pushed(device) as (made, _):
        device.pause(1)
        unsubscribe(device, made)


@SPECIFICATION.case("EVENT-2-1-29", TITLE + "MESSAGE CONTENT FILTER", *NEEDS, CONTENT_FILTER)
def content_filter(device: Device) -> None:
    filters.content_filter(device, filters.notifying)
