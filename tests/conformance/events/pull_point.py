"""The real-time pull point interface."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import timedelta

from conformance.client import SoapFault, make
from conformance.device import Device
from conformance.events import filters
from conformance.events.basic_notification import renew
from conformance.events.features import (
    CONTENT_FILTER,
    EVENTS,
    MAX_PULL_POINTS,
    PULL_POINTS,
    RENEWING_PROFILE,
    SPECIFICATION,
)
from conformance.events.subscriptions import (
    Message,
    Subscription,
    ask,
    check_base_fault,
    initialized,
    property_topics,
    pull,
    pull_point,
    pulled,
    repeats,
    synchronize,
    topics,
    unsubscribe,
)
from conformance.frame import Failed, require

NEEDS = (EVENTS, PULL_POINTS)
TITLE = "REALTIME PULLPOINT SUBSCRIPTION - "


@SPECIFICATION.case("EVENT-3-1-9", TITLE + "CREATE PULL POINT SUBSCRIPTION", *NEEDS)
def create_pull_point(device: Device) -> None:
    with pull_point(device, lasts_s=10):
        pass


@SPECIFICATION.case("EVENT-3-1-12", TITLE + "RENEW", *NEEDS, RENEWING_PROFILE)
def renew_pull_point(device: Device) -> None:
    with pull_point(device, lasts_s=10) as made:
        renew(device, made, "PT10S")
        require(made.termination - made.current >= timedelta(seconds=10), f"{made.current} to {made.termination}")


@SPECIFICATION.case("EVENT-3-1-15", TITLE + "PULLMESSAGES", *NEEDS)
def pull_messages(device: Device) -> None:
    with pull_point(device, lasts_s=60) as made:
        _pull_a_property(device, made)


@SPECIFICATION.case("EVENT-3-1-16", TITLE + "PULLMESSAGES FILTER", *NEEDS)
def pull_messages_filter(device: Device) -> None:
    (topic,) = property_topics(device, 1)
    with pull_point(device, topic.text, lasts_s=60) as made:
        message = _pull_a_property(device, made)
        require(message.topic == topic.path, f"a message of {message.topic}, only {topic.text} was asked for")


def _pull_a_property(device: Device, made: Subscription) -> Message:
    """Pull messages, two at most, while a synchronization point is asked for, until one tells a property."""
    deadline_s = time.monotonic() + device.timing.operation_delay_s
    with ThreadPoolExecutor(1) as beside:
        waiting = beside.submit(pull, device, made, timeout_s=device.timing.pull_s, limit=2)
        synchronize(device, made)
        messages = waiting.result()
    while True:
        found = next((message for message in messages if message.operation), None)
        if found is not None:
            return found
        require(time.monotonic() < deadline_s, "no property was told")
        messages = pull(device, made, timeout_s=device.timing.pull_s, limit=2)


@SPECIFICATION.case("EVENT-3-1-17", TITLE + "INVALID MESSAGE CONTENT FILTER", *NEEDS)
def invalid_content_filter(device: Device) -> None:
    fault = _refused(device, content='boolean((//tt:SimpleItem[@Name="xyz" and @Value="xyz"])')
    check_base_fault(fault, "InvalidFilterFault", "InvalidMessageContentExpressionFault")


@SPECIFICATION.case("EVENT-3-1-22", TITLE + "INVALID TOPIC EXPRESSION", *NEEDS)
def invalid_topic_expression(device: Device) -> None:
    fault = _refused(device, topic="xyz")
    check_base_fault(fault, "InvalidFilterFault", "TopicNotSupportedFault", "InvalidTopicExpressionFault")


def _refused(device: Device, *, topic: str | None = None, content: str | None = None) -> SoapFault:
    try:
        with pull_point(device, topic, content=content):
            raise Failed(f"a pull point for {topic or content!r} was accepted")
    except SoapFault as fault:
        return fault


@SPECIFICATION.case("EVENT-3-1-19", TITLE + "UNSUBSCRIBE (NEGATIVE TEST)", *NEEDS)
def unsubscribe_twice(device: Device) -> None:
    with pull_point(device, lasts_s=10) as made:
        unsubscribe(device, made)
        try:
            unsubscribe(device, made)
        except SoapFault:
            return
        raise Failed("a pull point can be unsubscribed from twice")


@SPECIFICATION.case("EVENT-3-1-20", TITLE + "TIMEOUT", *NEEDS)
def timeout(device: Device) -> None:
    with pull_point(device, lasts_s=device.timing.subscription_s) as made:
        device.pause(device.timing.subscription_s)
        try:
            unsubscribe(device, made)
        except SoapFault:
            return
        raise Failed("a pull point outlives its termination time")


@SPECIFICATION.case("EVENT-3-1-24", TITLE + "PULLMESSAGES AS KEEP-ALIVE", *NEEDS)
def pull_messages_keeps_alive(device: Device) -> None:
    ask(device, make("tev:GetEventProperties"))
    with pull_point(device) as made:
        ends = made.termination
        device.pause(1)
        pull(device, made, timeout_s=(ends - made.current).total_seconds() + 20)
        require(made.termination > ends, f"PullMessages left the end at {made.termination}, it was at {ends}")


@SPECIFICATION.case("EVENT-3-1-25", TITLE + "SET SYNCHRONIZATION POINT", *NEEDS)
def set_synchronization_point(device: Device) -> None:
    if not any(topic.is_property for topic in topics(device)):
        return
    (topic,) = property_topics(device, 1)
    with pull_point(device, topic.text) as made:
        first = initialized(device, pulled(device, made))
        require(first.topic == topic.path, f"a message of {first.topic}, only {topic.text} was asked for")
        synchronize(device, made)
        if any(repeats(message, first) for message in pulled(device, made)):
            unsubscribe(device, made)
            return
        raise Failed("the property was not told again")


@SPECIFICATION.case("EVENT-3-1-32", TITLE + "PULLMESSAGES TIMEOUT", *NEEDS)
def pull_messages_for_a_minute(device: Device) -> None:
    with pull_point(device) as made:
        body = make("tev:PullMessages", make("tev:Timeout", "PT60S"), make("tev:MessageLimit", "1"))
        made.update(ask(device, body, to=made.endpoint, waits_s=60))
        require(made.termination > made.current, f"it ends at {made.termination}, at {made.current}")
        unsubscribe(device, made)


@SPECIFICATION.case("EVENT-3-1-33", TITLE + "CONJUNCTION IN PULLMESSAGES FILTER (OR OPERATION)", *NEEDS)
def either_topic(device: Device) -> None:
    filters.either_topic(device, filters.pulling)


@SPECIFICATION.case("EVENT-3-1-34", TITLE + "TOPIC SUB-TREE IN PULLMESSAGES FILTER", *NEEDS)
def topic_subtree(device: Device) -> None:
    filters.topic_subtree(device, filters.pulling)


@SPECIFICATION.case("EVENT-3-1-35", TITLE + "CONJUNCTION IN NOTIFY FILTER (TOPIC SUB-TREE AND OR OPERATION)", *NEEDS)
def subtree_or_topic(device: Device) -> None:
    filters.subtree_or_topic(device, filters.pulling)


@SPECIFICATION.case("EVENT-3-1-36", TITLE + "UNSUBSCRIBE", *NEEDS)
def unsubscribe_after_a_second(device: Device) -> None:
    with pull_point(device) as made:
        device.pause(1)
        unsubscribe(device, made)


@SPECIFICATION.case(
    "EVENT-3-1-37", TITLE + "MAXIMUM SUPPORTED NUMBER OF NOTIFICATION PULL POINTS", *NEEDS, MAX_PULL_POINTS
)
def as_many_pull_points_as_announced(device: Device) -> None:
    most = int(device.event_capabilities.get("MaxPullPoints", ""))
    if most < 2:
        return
    addresses: set[tuple[str, ...]] = set()
    with ExitStack() as every:
        made = [every.enter_context(pull_point(device))]
        for number in range(1, most + 1):
            latest = made[-1]
            addresses.add((latest.endpoint.address, *(str(each.text) for each in latest.endpoint.parameters)))
            require(len(addresses) == number, f"pull point {number} has the address of another one")
            require(next(pulled(device, latest), None), f"pull point {number} tells nothing")
            if number < most:
                made.append(every.enter_context(pull_point(device)))
        for each in made:
            unsubscribe(device, each)


@SPECIFICATION.case("EVENT-3-1-38", TITLE + "MESSAGE CONTENT FILTER", *NEEDS, CONTENT_FILTER)
def content_filter(device: Device) -> None:
    filters.content_filter(device, filters.pulling)
