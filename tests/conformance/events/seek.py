"""Seek: events out of the persistent notification storage."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import datetime, timedelta

from conformance.client import make
from conformance.device import Device
from conformance.events.features import EVENTS, PULL_POINTS, SPECIFICATION, STORAGE
from conformance.events.subscriptions import Message, Subscription, ask, pull, pull_point, topic_path, topics
from conformance.frame import require

NEEDS = (EVENTS, PULL_POINTS, STORAGE)
BEGIN = "tns1:EventBuffer/Begin"
BEGIN_PATH = topic_path(BEGIN, {"tns1": "http://www.onvif.org/ver10/topics"})
MISPLACED = timedelta(seconds=5)  # how far from its place a message may come


def seek(device: Device, made: Subscription, when: datetime, *, reverse: bool = False) -> None:
    body = make("tev:Seek", make("tev:UtcTime", when.strftime("%Y-%m-%dT%H:%M:%S.%fZ")))
    if reverse:
        body.append(make("tev:Reverse", "true"))
    ask(device, body, to=made.endpoint)


def begin_of_buffer(device: Device) -> datetime:
    """Annex "Find begin of buffer time"."""
    with pull_point(device, BEGIN) as made:
        seek(device, made, _now(device), reverse=True)
        return _begin(pull(device, made, timeout_s=device.timing.pull_s)).utc


def _now(device: Device) -> datetime:
    """The device's time, which it tells without fractions of its second."""
    return device.now() + timedelta(seconds=1)


def _begin(messages: list[Message]) -> Message:
    require(len(messages) == 1, f"{len(messages)} messages, the begin of the buffer was expected")
    require(messages[0].topic == BEGIN_PATH, f"a message of {messages[0].topic}, expected {BEGIN}")
    return messages[0]


@SPECIFICATION.case("EVENT-6-1-3", "SEEK EVENTS - BEGIN OF BUFFER", *NEEDS)
def seek_begin_of_buffer(device: Device) -> None:
    found = [topic for topic in topics(device) if topic.path == BEGIN_PATH]
    require(found, f"no {BEGIN} in the topic set")
    require(not found[0].is_property, f"{BEGIN} is a property")
    with pull_point(device, BEGIN) as made:
        seek(device, made, _now(device), reverse=True)
        begin = _begin(pull(device, made, timeout_s=device.timing.pull_s))
        require(not pull(device, made, timeout_s=device.timing.pull_s), "a message behind the begin of the buffer")
        seek(device, made, begin.utc)
        _begin(pull(device, made, timeout_s=device.timing.pull_s))
        require(
            not pull(device, made, timeout_s=device.timing.pull_s), "a second message of the same begin of the buffer"
        )


@SPECIFICATION.case("EVENT-6-1-4", "SEEK EVENTS", *NEEDS)
def seek_events(device: Device) -> None:
    begin = begin_of_buffer(device)
    with pull_point(device) as made:
        created = made.current
        seek(device, made, begin - timedelta(seconds=1))
        found = []
        for message in _stored(device, made):
            found.append(message)
            if message.utc >= created:
                break
    _check(found, begin)
    require(found[0].topic == BEGIN_PATH, f"the first message is of {found[0].topic}, expected {BEGIN}")
    for earlier, later in itertools.pairwise(found):
        require(later.utc >= earlier.utc - MISPLACED, f"a message of {later.utc} behind one of {earlier.utc}")


@SPECIFICATION.case("EVENT-6-1-5", "SEEK EVENTS - REVERSE", *NEEDS)
def seek_events_in_reverse(device: Device) -> None:
    begin = begin_of_buffer(device)
    with pull_point(device) as made:
        seek(device, made, _now(device), reverse=True)
        found = []
        for message in _stored(device, made):
            found.append(message)
            if message.topic == BEGIN_PATH:
                break
    _check(found, begin)
    require(found[-1].topic == BEGIN_PATH, f"the last message is of {found[-1].topic}, expected {BEGIN}")
    for later, earlier in itertools.pairwise(found):
        require(earlier.utc <= later.utc + MISPLACED, f"a message of {earlier.utc} behind one of {later.utc}")


def _stored(device: Device, made: Subscription) -> Iterator[Message]:
    """Message by message, until a reply has none."""
    while messages := pull(device, made, timeout_s=device.timing.pull_s):
        yield from messages


def _check(found: list[Message], begin: datetime) -> None:
    require(any(message.topic != BEGIN_PATH for message in found), "no message out of the storage")
    for message in found:
        require(message.utc >= begin, f"a message of {message.utc}, the buffer begins at {begin}")
