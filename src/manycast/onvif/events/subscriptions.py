"""All subscriptions of one device: their number, their time to live, and the messages for them."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta

from manycast.onvif.events.broker import EventBroker
from manycast.onvif.events.filters import EventFilter
from manycast.onvif.events.message import EventMessage
from manycast.onvif.events.storage import BEGIN, EventStorage
from manycast.onvif.events.subscription import Outlet, PullPoint, Subscription
from manycast.onvif.events.times import rounded_up

MAX_PUSHED = 32  # subscriptions that push; each may hold a connection to a consumer

BUSY_S = 1.0  # until one that somebody pulls from is looked at again

MakeOutlet = Callable[[Subscription], Outlet]

log = logging.getLogger(__name__)


class TooManySubscriptions(Exception):
    """As many are open as there can be."""


class Subscriptions:
    """Open subscriptions, by their identifiers. All methods are for the event loop's thread."""

    def __init__(self, broker: EventBroker, max_pull_points: Callable[[], int], name: str = "onvif") -> None:
        """`name` is what the device is called in the log."""
        self.storage = EventStorage()
        self._broker = broker
        self._max_pull_points = max_pull_points
        self._name = name
        self._open: dict[str, Subscription] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}
        broker.declare(BEGIN)
        broker.listen(self._on_message)

    def __len__(self) -> int:
        return len(self._open)

    def __iter__(self) -> Iterator[Subscription]:
        return iter(tuple(self._open.values()))

    def get(self, identifier: str) -> Subscription | None:
        """The subscription, unless its time is over."""
        found = self._open.get(identifier)
        if found is not None and self._is_over(found):
            self.end(found, "not renewed in time")
            return None
        return found

    def open_pull_point(
        self, event_filter: EventFilter, lasts_s: float, *, owner: str = "", changed_only: bool
    ) -> Subscription:
        """When all are taken, the oldest of another owner who has many more ends. Raises TooManySubscriptions."""
        return self._add(event_filter, lasts_s, PullPoint, owner, changed_only, self._max_pull_points())

    def open_pushed(
        self, event_filter: EventFilter, lasts_s: float, make_outlet: MakeOutlet, *, owner: str = "", changed_only: bool
    ) -> Subscription:
        """As `open_pull_point`. Raises TooManySubscriptions."""
        return self._add(event_filter, lasts_s, make_outlet, owner, changed_only, MAX_PUSHED)

    def renew(self, subscription: Subscription, lasts_s: float) -> None:
        """Let it live so long from now."""
        subscription.lasts_s = lasts_s
        self._end_at(subscription, asyncio.get_running_loop().time() + lasts_s)

    def keep_alive(self, subscription: Subscription, least_s: float) -> None:
        """Somebody pulled: it lives as long as it was granted, and at least so long, from now."""
        ends_s = asyncio.get_running_loop().time() + max(subscription.lasts_s, least_s)
        self._end_at(subscription, max(subscription.ends_s, ends_s))

    def left(self, subscription: Subscription) -> timedelta:
        """How long it lives if nobody does anything, in whole milliseconds."""
        left_s = max(0.0, subscription.ends_s - asyncio.get_running_loop().time())
        return rounded_up(timedelta(seconds=left_s))

    def synchronize(self, subscription: Subscription) -> None:
        """Tell it the state of every property anew."""
        for message in self._broker.properties():
            subscription.offer(message)

    def seek(self, subscription: Subscription, when: datetime, now: datetime, *, backwards: bool) -> None:
        """Go on with what happened since then, or with what happened before and back in time."""
        found = self.storage.backward(when, now) if backwards else self.storage.forward(when, now)
        subscription.replay(found, backwards=backwards)

    def end(self, subscription: Subscription, why: str) -> None:
        if self._open.pop(subscription.identifier, None) is not None:
            self._timers.pop(subscription.identifier).cancel()
            subscription.outlet.close()
            log.info(
                "%s: subscription %s ended: %s; %d events dropped",
                self._name,
                subscription.identifier,
                why,
                subscription.dropped,
            )

    def close(self) -> None:
        """End all of them; new ones may follow, when the device has restarted."""
        for subscription in self:
            self.end(subscription, "the device stops")

    def _add(
        self,
        event_filter: EventFilter,
        lasts_s: float,
        make_outlet: MakeOutlet,
        owner: str,
        changed_only: bool,
        most: int,
    ) -> Subscription:
        pulled = make_outlet is PullPoint
        alike = [each for each in self._open.values() if isinstance(each.outlet, PullPoint) == pulled]
        if len(alike) >= most:
            leaving = _dispensable(alike, owner)
            if leaving is None:
                raise TooManySubscriptions(f"{most} of these subscriptions are open already, which is the most")
            self.end(leaving, f"{owner} has fewer than {leaving.owner}, and wants one")
        # Who knows the address may read the events: it cannot be guessed.
        subscription = Subscription(secrets.token_hex(12), event_filter, owner=owner, changed_only=changed_only)
        subscription.outlet = make_outlet(subscription)
        self._open[subscription.identifier] = subscription
        self.renew(subscription, lasts_s)
        self.synchronize(subscription)
        log.info("%s: subscription %s for %.0f s", self._name, subscription.identifier, lasts_s)
        return subscription

    def _end_at(self, subscription: Subscription, ends_s: float) -> None:
        subscription.ends_s = ends_s
        timer = self._timers.get(subscription.identifier)
        if timer is None or timer.when() > ends_s:  # a timer that comes too early looks again, which costs less
            if timer is not None:
                timer.cancel()
            self._set_timer(subscription, ends_s)

    def _set_timer(self, subscription: Subscription, when_s: float) -> None:
        loop = asyncio.get_running_loop()
        self._timers[subscription.identifier] = loop.call_at(when_s, self._on_timer, subscription)

    def _on_timer(self, subscription: Subscription) -> None:
        now_s = asyncio.get_running_loop().time()
        if self._is_over(subscription):
            self.end(subscription, "not renewed in time")
        elif now_s < subscription.ends_s:  # it was renewed
            self._set_timer(subscription, subscription.ends_s)
        else:  # somebody pulls, and it does not end meanwhile
            self._set_timer(subscription, now_s + BUSY_S)

    def _is_over(self, subscription: Subscription) -> bool:
        outlet = subscription.outlet
        if isinstance(outlet, PullPoint) and outlet.busy:
            return False
        return asyncio.get_running_loop().time() >= subscription.ends_s

    def _on_message(self, message: EventMessage) -> None:
        self.storage.put(message)
        for subscription in self:
            dropped = subscription.dropped
            subscription.offer(message)
            if subscription.dropped and not dropped:
                log.warning(
                    "%s: subscription %s is not fetched: its oldest events are dropped",
                    self._name,
                    subscription.identifier,
                )


def _dispensable(subscriptions: Sequence[Subscription], owner: str) -> Subscription | None:
    """The oldest of who has the most, unless the owner would then have more than they; the oldest come first."""
    counts = Counter(each.owner for each in subscriptions)
    found = max(subscriptions, key=lambda each: counts[each.owner], default=None)
    return found if found is not None and counts[found.owner] > counts[owner] + 1 else None
