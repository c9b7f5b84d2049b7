"""The event service (tev), with what belongs to it of WS-BaseNotification: ONVIF Core, section "Event handling"."""

from __future__ import annotations

import copy
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from lxml import etree

from manycast.onvif.events.broker import EventBroker
from manycast.onvif.events.content_filter import ITEM_FILTER
from manycast.onvif.events.destinations import Destinations, ForbiddenDestination, is_address
from manycast.onvif.events.elements import append, element
from manycast.onvif.events.faults import notification_fault
from manycast.onvif.events.filters import read_filter, read_topic_expression
from manycast.onvif.events.notification import content
from manycast.onvif.events.push import ConsumerReference, Consumers, Pusher
from manycast.onvif.events.subscription import Subscription
from manycast.onvif.events.subscription_manager import SUBSCRIPTION_PATH, SubscriptionManager
from manycast.onvif.events.subscriptions import MAX_PUSHED, Subscriptions, TooManySubscriptions
from manycast.onvif.events.terms import read_initial_termination, read_policy
from manycast.onvif.events.times import write_date_time
from manycast.onvif.events.topic_set import topic_set
from manycast.onvif.events.topics import DIALECTS
from manycast.onvif.security.access import Access
from manycast.onvif.soap.catalogue import SERVICES
from manycast.onvif.soap.fault import Fault
from manycast.onvif.soap.names import expanded
from manycast.onvif.soap.service import Caller, Reply, Service, operation
from manycast.onvif.state.events import Events
from manycast.onvif.state.server import PushTo

TOPIC_NAMESPACE_LOCATION = "http://www.onvif.org/onvif/ver10/topics/topicns.xml"
SCHEMA_LOCATIONS = (
    "http://www.onvif.org/onvif/ver10/schema/onvif.xsd",
    "http://www.onvif.org/onvif/ver10/pacs/types.xsd",
)


class EventService(Service):
    """What there is to hear, and how one begins to."""

    description = SERVICES["tev"]

    def __init__(
        self,
        broker: EventBroker,
        settings: Callable[[], Events],
        clock: Callable[[], datetime],
        push_to: Callable[[], PushTo],
        name: str = "onvif",
    ) -> None:
        """`clock` tells the device's time; `push_to` where notifications may go; `name` is its name in the log."""
        self.subscriptions = Subscriptions(broker, lambda: settings().max_pull_points, name)
        self.manager = SubscriptionManager(self.subscriptions, self._longest, clock)
        self._broker = broker
        self._settings = settings
        self._clock = clock
        self._push_to = push_to
        self._consumers = Consumers()

    async def close(self) -> None:
        """End all subscriptions."""
        self.subscriptions.close()
        await self._consumers.close()

    async def capabilities(self, caller: Caller) -> Reply | None:
        return {
            "WSSubscriptionPolicySupport": True,
            "WSPausableSubscriptionManagerInterfaceSupport": False,
            "MaxNotificationProducers": MAX_PUSHED,
            "MaxPullPoints": self._settings().max_pull_points,
            "PersistentNotificationStorage": True,
            "MaxEventBrokers": 0,
            "MetadataOverMQTT": False,
            # Gone from the WSDL, but what GetCapabilities says has to be found here too (case DEVICE-1-1-30).
            "_attr_1": {"WSPullPointSupport": "true"},
        }

    def legacy_capabilities(self, caller: Caller) -> Reply:
        return {
            "XAddr": caller.base_url + self.description.path,
            "WSSubscriptionPolicySupport": True,
            "WSPullPointSupport": True,
            "WSPausableSubscriptionManagerInterfaceSupport": False,
        }

    @operation(Access.PRE_AUTH)
    async def get_service_capabilities(self, request: Any, caller: Caller) -> Reply:
        return {"Capabilities": await self.capabilities(caller)}

    @operation(Access.READ_MEDIA)
    async def get_event_properties(self, request: Any, caller: Caller) -> Reply:
        reply = element("tev:GetEventPropertiesResponse")
        append(reply, "tev:TopicNamespaceLocation", TOPIC_NAMESPACE_LOCATION)
        append(reply, "wsnt:FixedTopicSet", "true")
        reply.append(topic_set(self._broker.descriptions.values()))
        for dialect in DIALECTS:
            append(reply, "wsnt:TopicExpressionDialect", dialect)
        append(reply, "tev:MessageContentFilterDialect", ITEM_FILTER)
        for location in SCHEMA_LOCATIONS:
            append(reply, "tev:MessageContentSchemaLocation", location)
        return reply

    @operation(Access.READ_MEDIA)
    async def create_pull_point_subscription(self, request: Any, caller: Caller) -> Reply:
        body = caller.body
        now = self._clock()
        event_filter = read_filter(body.find(expanded("tev:Filter")), self._broker.descriptions, now)
        changed_only = read_policy(body.find(expanded("tev:SubscriptionPolicy")), now)
        asked = body.findtext(expanded("tev:InitialTerminationTime"))
        lasts = read_initial_termination(asked, self._longest(), now)
        try:
            made = self.subscriptions.open_pull_point(
                event_filter, lasts.total_seconds(), owner=_owner(caller), changed_only=changed_only
            )
        except TooManySubscriptions as error:
            raise _creation_failed(str(error), now) from error
        return _subscribed("tev:CreatePullPointSubscriptionResponse", "tev", made, caller, now, lasts)

    @operation(Access.READ_MEDIA)
    async def subscribe(self, request: Any, caller: Caller) -> Reply:
        body = caller.body
        now = self._clock()
        consumer = _consumer(body, now)
        destinations = Destinations(caller.address, self._push_to)
        host = urlsplit(consumer.address).hostname or ""
        if is_address(host):  # names are looked up, and checked, when something is sent
            try:
                destinations.check(host)
            except ForbiddenDestination as error:
                raise _creation_failed(str(error), now) from error
        event_filter = read_filter(body.find(expanded("wsnt:Filter")), self._broker.descriptions, now)
        changed_only = read_policy(body.find(expanded("wsnt:SubscriptionPolicy")), now)
        asked = body.findtext(expanded("wsnt:InitialTerminationTime"))
        lasts = read_initial_termination(asked, self._longest(), now)
        try:
            made = self.subscriptions.open_pushed(
                event_filter,
                lasts.total_seconds(),
                lambda subscription: Pusher(subscription, consumer, self._consumers, destinations),
                owner=_owner(caller),
                changed_only=changed_only,
            )
        except TooManySubscriptions as error:
            raise _creation_failed(str(error), now) from error
        return _subscribed("wsnt:SubscribeResponse", "wsnt", made, caller, now, lasts)

    @operation(Access.READ_MEDIA)
    async def get_current_message(self, request: Any, caller: Caller) -> Reply:
        now = self._clock()
        topic = caller.body.find(expanded("wsnt:Topic"))
        assert topic is not None  # the schema asks for it
        expression = read_topic_expression(topic, self._broker.descriptions, now)
        chosen = [each for each in self._broker.descriptions if expression.matches(each)]
        if len(chosen) > 1:
            reason = f"{len(chosen)} topics, the message of one can be told"
            raise notification_fault("wsnt:MultipleTopicsSpecifiedFault", reason, now)
        message = self.subscriptions.storage.latest(chosen[0])
        if message is None:
            raise notification_fault("wsnt:NoCurrentMessageOnTopicFault", f"no message on {chosen[0]} of late", now)
        reply = element("wsnt:GetCurrentMessageResponse")
        reply.append(content(message))
        return reply

    def _longest(self) -> timedelta:
        return timedelta(seconds=self._settings().renew_interval_s)


def _owner(caller: Caller) -> str:
    return caller.address if caller.user is None else caller.user


def _consumer(body: etree._Element, now: datetime) -> ConsumerReference:
    reference = body.find(expanded("wsnt:ConsumerReference"))
    assert reference is not None  # the schema asks for it
    parameters = reference.find(expanded("wsa:ReferenceParameters"))
    consumer = ConsumerReference(
        (reference.findtext(expanded("wsa:Address")) or "").strip(),
        () if parameters is None else tuple(map(copy.deepcopy, parameters.iterchildren(tag=etree.Element))),
    )
    try:
        consumer.check()
    except ValueError as error:
        raise _creation_failed(str(error), now) from error
    return consumer


def _creation_failed(reason: str, now: datetime) -> Fault:
    return notification_fault("wsnt:SubscribeCreationFailedFault", reason, now)


def _subscribed(
    name: str, prefix: str, made: Subscription, caller: Caller, now: datetime, lasts: timedelta
) -> etree._Element:
    reply = element(name)
    reference = etree.SubElement(reply, expanded(f"{prefix}:SubscriptionReference"))
    append(reference, "wsa:Address", f"{caller.base_url}{SUBSCRIPTION_PATH}{made.identifier}")
    append(reply, "wsnt:CurrentTime", write_date_time(now))
    append(reply, "wsnt:TerminationTime", write_date_time(now + lasts))
    return reply
