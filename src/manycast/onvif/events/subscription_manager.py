"""What is asked of a subscription at its own address: ONVIF Core, sections "Pull messages" to "Seek"."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, TypeVar
from urllib.parse import urlsplit

from lxml import etree

from manycast.onvif.events.elements import append, element
from manycast.onvif.events.faults import notification_fault
from manycast.onvif.events.notification import notification
from manycast.onvif.events.subscription import PullPoint, Subscription, SubscriptionEnded, UnableToGetMessages
from manycast.onvif.events.subscriptions import Subscriptions
from manycast.onvif.events.terms import read_termination
from manycast.onvif.events.times import parse_date_time, parse_duration, write_date_time, write_duration
from manycast.onvif.security.access import Access
from manycast.onvif.soap.catalogue import SERVICES
from manycast.onvif.soap.fault import Fault
from manycast.onvif.soap.names import expanded
from manycast.onvif.soap.service import Caller, Reply, Service, operation

SUBSCRIPTION_PATH = "/onvif/subscription/"
MAX_PULL_TIMEOUT = timedelta(minutes=5)  # a minute at least, says Core
MAX_PULLED = 100  # messages in one reply
MAX_URL = 2048  # characters

T = TypeVar("T")


class SubscriptionManager(Service):
    """Subscriptions that are there already."""

    description = SERVICES["tev"]

    def __init__(
        self, subscriptions: Subscriptions, longest: Callable[[], timedelta], clock: Callable[[], datetime]
    ) -> None:
        """`longest` is how long one may live without being renewed; `clock` tells the device's time."""
        self._subscriptions = subscriptions
        self._longest = longest
        self._clock = clock

    @operation(Access.READ_MEDIA)
    async def pull_messages(self, request: Any, caller: Caller) -> Reply:
        subscription = self._find(caller)
        timeout, limit = _pull_limits(caller.body)
        messages = await self._pull(subscription, timeout, limit)
        self._subscriptions.keep_alive(subscription, timeout.total_seconds())
        now = self._clock()
        reply = element("tev:PullMessagesResponse")
        append(reply, "tev:CurrentTime", write_date_time(now))
        append(reply, "tev:TerminationTime", write_date_time(now + self._subscriptions.left(subscription)))
        reply.extend(map(notification, messages))
        return reply

    @operation(Access.READ_MEDIA)
    async def set_synchronization_point(self, request: Any, caller: Caller) -> Reply:
        self._subscriptions.synchronize(self._find(caller))
        return element("tev:SetSynchronizationPointResponse")

    @operation(Access.READ_MEDIA)
    async def seek(self, request: Any, caller: Caller) -> Reply:
        subscription = self._find(caller)
        if not isinstance(subscription.outlet, PullPoint):
            raise Fault.receiver("ter:ActionNotSupported", reason="only pull points can be repositioned")
        when = _read(parse_date_time, caller.body, "tev:UtcTime")
        backwards = (caller.body.findtext(expanded("tev:Reverse")) or "").strip() in ("true", "1")
        self._subscriptions.seek(subscription, when, self._clock(), backwards=backwards)
        return element("tev:SeekResponse")

    @operation(Access.READ_MEDIA)
    async def renew(self, request: Any, caller: Caller) -> Reply:
        subscription = self._find(caller)
        now = self._clock()
        lasts = read_termination(caller.body.findtext(expanded("wsnt:TerminationTime")), self._longest(), now)
        self._subscriptions.renew(subscription, lasts.total_seconds())
        reply = element("wsnt:RenewResponse")
        append(reply, "wsnt:TerminationTime", write_date_time(now + lasts))
        append(reply, "wsnt:CurrentTime", write_date_time(now))
        return reply

    @operation(Access.READ_MEDIA)
    async def unsubscribe(self, request: Any, caller: Caller) -> Reply:
        self._subscriptions.end(self._find(caller), "unsubscribed from")
        return element("wsnt:UnsubscribeResponse")

    async def _pull(self, subscription: Subscription, wait: timedelta, limit: int) -> list[Any]:
        """Raises Fault."""
        outlet = subscription.outlet
        try:
            if not isinstance(outlet, PullPoint):
                raise UnableToGetMessages("its messages are pushed")
            return await outlet.pull(limit, wait.total_seconds())
        except UnableToGetMessages as error:
            raise notification_fault("wsnt:UnableToGetMessagesFault", str(error), self._clock()) from error
        except SubscriptionEnded as error:
            raise self._unknown() from error

    def _find(self, caller: Caller) -> Subscription:
        """The subscription whose address was asked, or is named in wsa:To. Raises Fault."""
        named = (header.text or "" for header in caller.headers if header.tag == expanded("wsa:To"))
        for address in (caller.path, *named):
            path = _path_of(address)
            if path.startswith(SUBSCRIPTION_PATH):
                found = self._subscriptions.get(path.removeprefix(SUBSCRIPTION_PATH))
                if found is not None:
                    return found
        raise self._unknown()

    def _unknown(self) -> Fault:
        return notification_fault("wsrf-r:ResourceUnknownFault", "no such subscription, or no longer", self._clock())


def _pull_limits(body: etree._Element) -> tuple[timedelta, int]:
    """How long to wait, and for how many messages. Raises Fault."""
    timeout = _read(parse_duration, body, "tev:Timeout")
    limit = _read(int, body, "tev:MessageLimit")
    if timeout < timedelta(0) or limit < 1:
        raise Fault.sender("ter:InvalidArgVal", reason="neither a time below zero nor fewer messages than one")
    if timeout > MAX_PULL_TIMEOUT:
        detail = element("tev:PullMessagesFaultResponse")
        append(detail, "tev:MaxTimeout", write_duration(MAX_PULL_TIMEOUT))
        append(detail, "tev:MaxMessageLimit", str(MAX_PULLED))
        reason = f"a pull waits for at most {write_duration(MAX_PULL_TIMEOUT)}"
        raise Fault("Receiver", "ter:Action", reason=reason, detail=detail)
    return timeout, min(limit, MAX_PULLED)


def _read(parse: Callable[[str], T], body: etree._Element, name: str) -> T:
    try:
        return parse((body.findtext(expanded(name)) or "").strip())
    except ValueError as error:
        raise Fault.sender("ter:InvalidArgVal", reason=str(error)) from error


def _path_of(address: str) -> str:
    try:
        return urlsplit(address.strip()).path if len(address) <= MAX_URL else ""
    except ValueError:
        return ""
