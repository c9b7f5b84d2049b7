"""The events of late, for Seek: ONVIF Core, section "Persistent notification storage"."""

from __future__ import annotations

import bisect
from collections.abc import Iterator
from datetime import datetime

from manycast.onvif.events.message import EventDescription, EventMessage

BEGIN = EventDescription(topic="tns1:EventBuffer/Begin")  # where the storage begins; told to who reads past it

MAX_MESSAGES = 500  # of a kilobyte, more or less


class EventStorage:
    """The latest messages, in the order of their times. It forgets the oldest."""

    def __init__(self, limit: int = MAX_MESSAGES) -> None:
        self._limit = limit
        self._messages: list[EventMessage] = []

    def put(self, message: EventMessage) -> None:
        bisect.insort(self._messages, message, key=_time)
        if len(self._messages) > self._limit:
            del self._messages[0]

    def forward(self, since: datetime, now: datetime) -> Iterator[EventMessage]:
        """What happened since then, the oldest first."""
        begin = self._begin(now)
        if since <= begin.utc:
            yield begin
        yield from self._messages[bisect.bisect_left(self._messages, since, key=_time) :]

    def backward(self, until: datetime, now: datetime) -> Iterator[EventMessage]:
        """What happened until then, the newest first, and where it begins."""
        yield from reversed(self._messages[: bisect.bisect_right(self._messages, until, key=_time)])
        yield self._begin(now)

    def latest(self, topic: str) -> EventMessage | None:
        """The last message of a topic."""
        return next((message for message in reversed(self._messages) if message.topic == topic), None)

    def _begin(self, now: datetime) -> EventMessage:
        return EventMessage(topic=BEGIN.topic, utc=self._messages[0].utc if self._messages else now)


def _time(message: EventMessage) -> datetime:
    return message.utc
