"""Event properties."""

from __future__ import annotations

from conformance.client import make
from conformance.device import Device
from conformance.events.features import EVENTS, SPECIFICATION
from conformance.events.subscriptions import CONCRETE_SET, ITEM_FILTER, ask, topics
from conformance.frame import require

CONCRETE = "http://docs.oasis-open.org/wsn/t-1/TopicExpression/Concrete"


@SPECIFICATION.case("EVENT-1-1-2", "GET EVENT PROPERTIES", EVENTS)
def get_event_properties(device: Device) -> None:
    reply = ask(device, make("tev:GetEventProperties"))
    dialects = [str(each.text).strip() for each in reply.all("wsnt:TopicExpressionDialect")]
    for dialect in (CONCRETE, CONCRETE_SET):
        require(dialect in dialects, f"the topic expression dialect {dialect} is missing")
    filters = [str(each.text).strip() for each in reply.all("tev:MessageContentFilterDialect")]
    require(ITEM_FILTER in filters, f"the content filter dialect {ITEM_FILTER} is missing")
    locations = [str(each.text or "").strip() for each in reply.all("tev:TopicNamespaceLocation")]
    require(locations and all("://" in each for each in locations), f"topic namespaces at {locations}")
    require(topics(device), "a topic set without topics")
