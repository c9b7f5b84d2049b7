"""One subscription: which messages it wants, and those on their way to its client."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from typing import Protocol

from manycast.onvif.events.filters import EventFilter
from manycast.onvif.events.message import EventMessage, PropertyOperation

MAX_QUEUE = 1000  # messages; who fetches none for so long has to look at the state of properties anew

_LIFECYCLE = (PropertyOperation.INITIALIZED, PropertyOperation.DELETED)


class UnableToGetMessages(Exception):
    """There are messages, but not for who asks."""


class SubscriptionEnded(Exception):
    """The subscription has ended while somebody waited for its messages."""


class Outlet(Protocol):
    """How messages leave a subscription."""

    def wake(self) -> None:
        """There are messages."""

    def close(self) -> None:
        """There will be none any more."""


class Subscription:
    """A filter and a queue. When the queue is full the oldest messages are dropped, and counted."""

    def __init__(
        self,
        identifier: str,
        event_filter: EventFilter,
        *,
        owner: str = "",
        changed_only: bool = False,
        limit: int = MAX_QUEUE,
    ) -> None:
        """`changed_only`: neither Initialized nor Deleted is told (tev:ChangedOnly)."""
        self.identifier = identifier
        self.owner = owner  # the user who made it, or the address of somebody without a login
        self.dropped = 0
        self.backwards = False  # after a Seek in reverse nothing new is told
        self.lasts_s = 0.0  # for which it was granted, the last time
        self.ends_s = 0.0  # by the loop's clock
        self.outlet: Outlet
        self._filter = event_filter
        self._changed_only = changed_only
        self._queue: deque[EventMessage] = deque()
        self._limit = limit

    def __len__(self) -> int:
        return len(self._queue)

    def offer(self, message: EventMessage) -> None:
        """Take a message, if it is wanted."""
        if not self.backwards and self._wants(message):
            self._put(message)
            self.outlet.wake()

    def replay(self, messages: Iterable[EventMessage], *, backwards: bool) -> None:
        """Put these in the place of what waits. States of properties are told as they were (Core, "Seek")."""
        self._queue.clear()
        self.backwards = backwards
        for message in messages:
            if self._filter.wants(message):
                self._put(message)
        if self._queue:
            self.outlet.wake()

    def take(self, limit: int) -> list[EventMessage]:
        """The messages that are due, the oldest first, at most so many."""
        return [self._queue.popleft() for _ in range(min(limit, len(self._queue)))]

    def _wants(self, message: EventMessage) -> bool:
        return not (self._changed_only and message.operation in _LIFECYCLE) and self._filter.wants(message)

    def _put(self, message: EventMessage) -> None:
        if len(self._queue) >= self._limit:
            self._queue.popleft()
            self.dropped += 1
        self._queue.append(message)


class PullPoint:
    """The outlet of a subscription whose client fetches the messages."""

    def __init__(self, subscription: Subscription) -> None:
        self._subscription = subscription
        self._waiting: asyncio.Future[None] | None = None
        self._closed = False

    @property
    def busy(self) -> bool:
        """Somebody waits for messages."""
        return self._waiting is not None

    def wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    def close(self) -> None:
        self._closed = True
        self.wake()

    async def pull(self, limit: int, timeout_s: float) -> list[EventMessage]:
        """Messages as soon as there are some; none if none come in time.

        Raises UnableToGetMessages while somebody else waits, SubscriptionEnded.
        """
        if self._waiting is not None:
            raise UnableToGetMessages("somebody else is waiting for messages of this pull point")
        if not self._subscription:
            self._waiting = asyncio.get_running_loop().create_future()
            try:
                async with asyncio.timeout(timeout_s):
                    await self._waiting
            except TimeoutError:
                pass
            finally:
                self._waiting = None
        if self._closed:
            raise SubscriptionEnded
        return self._subscription.take(limit)
