"""What the procedures have in common: subscribing, messages, topics."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from lxml import etree

from conformance.client import NAMESPACES, Endpoint, Reply, SoapFault, make, qualified
from conformance.device import Device
from conformance.events.consumer import Consumer
from conformance.frame import Failed, require

CONCRETE_SET = "http://www.onvif.org/ver10/tev/topicExpression/ConcreteSet"
ITEM_FILTER = "http://www.onvif.org/ver10/tev/messageContentFilter/ItemFilter"
FAULT_ACTION = "http://www.w3.org/2005/08/addressing/soap/fault"

_NOTIFICATION = "http://docs.oasis-open.org/wsn/bw-2"
_EVENTS = "http://www.onvif.org/ver10/events/wsdl"
ACTIONS = {  # annex "Action URIs for Event Service Messages": of the replies
    "SubscribeResponse": (f"{_NOTIFICATION}/NotificationProducer/SubscribeResponse",),
    "RenewResponse": (f"{_NOTIFICATION}/SubscriptionManager/RenewResponse",),
    "UnsubscribeResponse": (f"{_NOTIFICATION}/SubscriptionManager/UnsubscribeResponse",),
    "GetEventPropertiesResponse": (f"{_EVENTS}/EventPortType/GetEventPropertiesResponse",),
    "CreatePullPointSubscriptionResponse": (f"{_EVENTS}/EventPortType/CreatePullPointSubscriptionResponse",),
    "PullMessagesResponse": (f"{_EVENTS}/PullPointSubscription/PullMessagesResponse",),
    "SetSynchronizationPointResponse": (f"{_EVENTS}/PullPointSubscription/SetSynchronizationPointResponse",),
    "SeekResponse": (f"{_EVENTS}/PullPointSubscription/SeekResponse",),
    "GetServiceCapabilitiesResponse": (  # the annex has the first, the WSDL the second
        f"{_EVENTS}/EventPortType/GetServiceCapabilities",
        f"{_EVENTS}/EventPortType/GetServiceCapabilitiesResponse",
    ),
}

TopicPath = tuple[str, ...]  # of names as lxml writes them


@dataclass(frozen=True, slots=True)
class Message:
    """One wsnt:NotificationMessage."""

    element: etree._Element

    @property
    def topic(self) -> TopicPath:
        element = self.element.find("wsnt:Topic", NAMESPACES)
        if element is None:
            raise Failed("a notification without a topic")
        return topic_path(str(element.text or "").strip(), element.nsmap)

    @property
    def content(self) -> etree._Element:
        content = self.element.find("wsnt:Message/tt:Message", NAMESPACES)
        if content is None:
            raise Failed("a notification without a tt:Message")
        return content

    @property
    def operation(self) -> str | None:
        return self.content.get("PropertyOperation")

    @property
    def utc(self) -> datetime:
        return read_time(self.content.get("UtcTime", ""))

    def items(self, group: str) -> dict[str, str]:
        """The simple items of `Source`, `Key` or `Data`."""
        found = self.content.findall(f"tt:{group}/tt:SimpleItem", NAMESPACES)
        return {item.get("Name", ""): item.get("Value", "") for item in found}

    @property
    def simple_items(self) -> set[tuple[str, str]]:
        found = self.content.iterfind(".//tt:SimpleItem", NAMESPACES)
        return {(item.get("Name", ""), item.get("Value", "")) for item in found}

    def check(self) -> None:
        """It is well formed: topic, time and content are there. The schema was checked before."""
        require(self.topic, "a notification without a topic")
        require(self.utc, "a notification without its time")


@dataclass(slots=True)
class Subscription:
    endpoint: Endpoint
    current: datetime
    termination: datetime

    def update(self, reply: Reply) -> None:
        self.current, self.termination = times(reply)


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic of the topic set: as it is written with the prefixes of NAMESPACES, and what it is."""

    text: str
    path: TopicPath
    is_property: bool
    element: etree._Element


def ask(device: Device, body: etree._Element, *, to: Endpoint | None = None, waits_s: float = 0.0) -> Reply:
    """Ask, and require the action of the annex in the reply, or in the fault."""
    try:
        reply = device.ask(body, to=to, waits_s=waits_s)
    except SoapFault as fault:
        require(fault.action == FAULT_ACTION, f"{fault.action!r} as the action of a fault, expected {FAULT_ACTION}")
        raise
    expected = ACTIONS.get(etree.QName(reply.body).localname, ())
    require(reply.action in expected, f"{reply.action!r} as the action of {reply.body.tag}, expected {expected[:1]}")
    return reply


@contextmanager
def pull_point(
    device: Device,
    topic: str | None = None,
    *,
    content: str | None = None,
    lasts_s: int | None = None,
) -> Iterator[Subscription]:
    """A pull point, unsubscribed from at the end."""
    filters = _filters(topic, content)
    with _ending(device, _subscribe(device, "tev:CreatePullPointSubscription", "tev", [], filters, lasts_s)) as made:
        yield made


@contextmanager
def pushed(
    device: Device,
    topic: str | None = None,
    *,
    content: str | None = None,
    lasts_s: int | None = 60,
) -> Iterator[tuple[Subscription, Consumer]]:
    """A subscription by WS-BaseNotification, and the consumer that it notifies."""
    with Consumer(device.endpoint.address) as consumer:
        reference = make("wsnt:ConsumerReference", make("wsa:Address", consumer.url))
        made = _subscribe(device, "wsnt:Subscribe", "wsnt", [reference], _filters(topic, content), lasts_s)
        with _ending(device, made):
            yield made, consumer


def _subscribe(
    device: Device,
    name: str,
    prefix: str,
    first: list[etree._Element],
    filters: list[etree._Element],
    lasts_s: int | None,
) -> Subscription:
    def request(lasts: str | None) -> etree._Element:
        body = make(name, *first)
        if filters:
            body.append(make(f"{prefix}:Filter", *filters))
        if lasts is not None:
            body.append(make(f"{prefix}:InitialTerminationTime", lasts))
        return body

    try:
        reply = ask(device, request(None if lasts_s is None else f"PT{lasts_s}S"))
    except SoapFault as fault:
        minimum = next(
            (
                detail.findtext("wsnt:MinimumTime", "", NAMESPACES)
                for detail in fault.details
                if etree.QName(detail).localname == "UnacceptableInitialTerminationTimeFault"
            ),
            "",
        )
        if not minimum:
            raise
        reply = ask(device, request(minimum))
        lasts_s = None
    reference = (reply.all("tev:SubscriptionReference") + reply.all("wsnt:SubscriptionReference"))[0]
    made = Subscription(Endpoint.parse(reference), *times(reply))
    require(made.endpoint.address.startswith(("http://", "https://")), "a subscription without an address")
    require(
        made.termination - made.current >= timedelta(seconds=lasts_s or 0),
        f"a subscription from {made.current} to {made.termination}, {lasts_s} s were asked for",
    )
    return made


@contextmanager
def _ending(device: Device, made: Subscription) -> Iterator[Subscription]:
    try:
        yield made
    finally:
        try:
            device.ask(make("wsnt:Unsubscribe"), to=made.endpoint)
        except SoapFault:
            pass  # it ended before


def unsubscribe(device: Device, made: Subscription) -> None:
    ask(device, make("wsnt:Unsubscribe"), to=made.endpoint)


def synchronize(device: Device, made: Subscription) -> None:
    ask(device, make("tev:SetSynchronizationPoint"), to=made.endpoint)


def pull(device: Device, made: Subscription, *, timeout_s: float = 60, limit: int = 1) -> list[Message]:
    """Pull messages once; with what the device says it can do, if it cannot do that."""
    timeout = f"PT{timeout_s:g}S"

    def once(timeout: str, limit: int) -> Reply:
        body = make("tev:PullMessages", make("tev:Timeout", timeout), make("tev:MessageLimit", str(limit)))
        return ask(device, body, to=made.endpoint, waits_s=timeout_s)

    try:
        reply = once(timeout, limit)
    except SoapFault as fault:
        limits = [each for each in fault.details if each.tag == qualified("tev:PullMessagesFaultResponse")]
        if not limits:
            raise
        longest = limits[0].findtext("tev:MaxTimeout", timeout, NAMESPACES)
        most = limits[0].findtext("tev:MaxMessageLimit", str(limit), NAMESPACES)
        reply = once(longest, min(limit, int(most)))
    made.update(reply)
    require(made.termination > made.current, f"a pull point that ended at {made.termination}, at {made.current}")
    messages = [Message(element) for element in reply.all("wsnt:NotificationMessage")]
    require(len(messages) <= limit, f"{len(messages)} messages, at most {limit} were asked for")
    for message in messages:
        message.check()
    return messages


def pulled(device: Device, made: Subscription) -> Iterator[Message]:
    """One message after the other, with the pauses of the procedures, until the operation delay is over."""
    deadline_s = time.monotonic() + device.timing.operation_delay_s
    while (left_s := deadline_s - time.monotonic()) > 0:
        half_s = (made.termination - made.current).total_seconds() / 2
        device.pause(min(half_s, device.timing.time_between_requests_s))
        yield from pull(device, made, timeout_s=max(1, min(60, int(left_s))))


def notified(device: Device, consumer: Consumer) -> Iterator[Message]:
    """One message after the other as the consumer gets them, until the operation delay is over."""
    deadline_s = time.monotonic() + device.timing.operation_delay_s
    while (left_s := deadline_s - time.monotonic()) > 0:
        for element in consumer.take(left_s):
            message = Message(element)
            message.check()
            yield message


def initialized(device: Device, messages: Iterator[Message]) -> Message:
    """The first message that tells a property for the first time."""
    for message in messages:
        if message.operation == "Initialized":
            return message
    raise Failed(f"no property was told within {device.timing.operation_delay_s:g} s")


def repeats(message: Message, first: Message) -> bool:
    """Whether a message tells the property of another one anew."""
    same = all(message.items(group) == first.items(group) for group in ("Source", "Key"))
    return message.operation == "Initialized" and message.topic == first.topic and same


def expect_topics(device: Device, messages: Iterator[Message], wanted: set[TopicPath], allowed: set[TopicPath]) -> None:
    """Messages of all wanted topics come, and none of topics that begin with none of the allowed ones."""
    missing = set(wanted)
    for message in messages:
        path = message.topic
        require(any(path[: len(each)] == each for each in allowed), f"a message of {path}, which was not asked for")
        missing.discard(path)
        if not missing:
            return
    raise Failed(f"no message of {missing} within {device.timing.operation_delay_s:g} s")


def topics(device: Device) -> list[Topic]:
    """The topics of the topic set."""
    (topic_set,) = device.event_properties.all("wstop:TopicSet")
    prefixes = {namespace: prefix for prefix, namespace in NAMESPACES.items()}
    found: list[Topic] = []

    def walk(element: etree._Element, above: TopicPath, written: str) -> None:
        name = etree.QName(element)
        prefix = prefixes.get(name.namespace or "", element.prefix or "")
        text = f"{written}/" * bool(written) + (f"{prefix}:" if name.namespace else "") + name.localname
        path = (*above, str(element.tag))
        if element.get(qualified("wstop:topic")) in ("true", "1"):
            description = element.find("tt:MessageDescription", NAMESPACES)
            is_property = description is not None and description.get("IsProperty") in ("true", "1")
            found.append(Topic(text, path, is_property, element))
        for child in element.iterchildren(tag=etree.Element):
            if etree.QName(child).namespace != NAMESPACES["tt"]:
                walk(child, path, text)

    for root in topic_set.iterchildren(tag=etree.Element):
        walk(root, (), "")
    return found


def property_topics(device: Device, count: int) -> list[Topic]:
    """What an operator would choose: properties with a source that the device tells a new subscriber at once."""
    known = {topic.path: topic for topic in topics(device) if topic.is_property}
    chosen: dict[TopicPath, Topic] = {}
    deadline_s = time.monotonic() + device.timing.operation_delay_s
    with pull_point(device) as made:
        while time.monotonic() < deadline_s:
            for message in pull(device, made, timeout_s=1, limit=100):
                if message.operation == "Initialized" and message.topic in known and message.items("Source"):
                    chosen[message.topic] = known[message.topic]
            if len(chosen) >= count:
                return list(chosen.values())[:count]
    raise Failed(f"{len(chosen)} properties told within {device.timing.operation_delay_s:g} s, {count} are needed")


def root_of(topic: Topic) -> str:
    return topic.text.partition("/")[0]


def item_filter(message: Message) -> tuple[str, tuple[str, str]]:
    """HelperGenerateMessageContentFilter: a filter on the first source item of a message, and that item."""
    items = list(message.items("Source").items())
    require(items, "a notification without a source item")
    name, value = items[0]
    return f'boolean(//tt:SimpleItem[@Name="{name}" and @Value="{value}"])', (name, value)


def times(reply: Reply) -> tuple[datetime, datetime]:
    """Current time and termination time, which have to be in UTC, with the `Z`."""
    found = []
    for name in ("CurrentTime", "TerminationTime"):
        elements = reply.all(f"wsnt:{name}") + reply.all(f"tev:{name}")
        require(len(elements) == 1, f"no {name} in {reply.body.tag}")
        text = str(elements[0].text or "").strip()
        require(text.endswith("Z"), f"{name} {text!r} is not in UTC")
        found.append(read_time(text))
    return found[0], found[1]


def read_time(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text.strip()).astimezone(UTC)
    except ValueError:
        raise Failed(f"{text!r} is no time") from None


def topic_path(text: str, namespaces: dict[str | None, str]) -> TopicPath:
    path = []
    for step in text.split("/"):
        prefix, _, local = step.rpartition(":")
        if prefix and prefix not in namespaces:
            raise Failed(f"the prefix {prefix!r} in the topic {text!r} stands for nothing")
        path.append(f"{{{namespaces[prefix]}}}{local}" if prefix else local)
    return tuple(path)


def check_base_fault(fault: SoapFault, *names: str) -> None:
    """A fault of WS-BaseFaults: one of these names, with its time and a description."""
    wanted = [detail for detail in fault.details if etree.QName(detail).localname in names]
    require(wanted, f"{fault}, expected one of {', '.join(names)}")
    stamp = wanted[0].findtext("wsrf-bf:Timestamp", "", NAMESPACES)
    require(stamp, "a fault without a time stamp")
    read_time(stamp)
    require(fault.reason or wanted[0].findtext("wsrf-bf:Description", "", NAMESPACES), "a fault without a description")


def _filters(topic: str | None, content: str | None) -> list[etree._Element]:
    found = []
    if topic is not None:
        found.append(make("wsnt:TopicExpression", topic, Dialect=CONCRETE_SET))
    if content is not None:
        found.append(make("wsnt:MessageContent", content, Dialect=ITEM_FILTER))
    return found
