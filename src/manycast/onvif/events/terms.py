"""What a subscription is granted: how long it lives, and by which policy."""

from __future__ import annotations

from datetime import datetime, timedelta

from lxml import etree

from manycast.onvif.events.faults import notification_fault, part
from manycast.onvif.events.times import parse_termination, rounded_up, write_date_time
from manycast.onvif.soap.names import PREFIXES, expanded

SHORTEST = timedelta(seconds=1)  # told to who asks for what is over already


def read_initial_termination(text: str | None, longest: timedelta, now: datetime) -> timedelta:
    """How long a new subscription lives: as asked for, at most `longest`. Raises Fault."""
    return _granted(text, longest, now, "wsnt:UnacceptableInitialTerminationTimeFault")


def read_termination(text: str | None, longest: timedelta, now: datetime) -> timedelta:
    """The same for one that is renewed."""
    return _granted(text, longest, now, "wsnt:UnacceptableTerminationTimeFault")


def _granted(text: str | None, longest: timedelta, now: datetime, fault: str) -> timedelta:
    if text is None or not text.strip():
        return longest
    try:
        asked = parse_termination(text, now)
        if asked <= timedelta(0):
            raise ValueError(f"{text.strip()} is over already")
    except ValueError as error:
        minimum = part("wsnt:MinimumTime", write_date_time(now + SHORTEST))
        maximum = part("wsnt:MaximumTime", write_date_time(now + longest))
        raise notification_fault(fault, str(error), now, minimum, maximum) from error
    return rounded_up(min(asked, longest))


def read_policy(policy: etree._Element | None, now: datetime) -> bool:
    """Read a SubscriptionPolicy: whether only changes are told (tev:ChangedOnly). Raises Fault for any other."""
    asked = [] if policy is None else list(policy.iterchildren(tag=etree.Element))
    for each in asked:
        if each.tag == expanded("wsnt:UseRaw"):
            unsupported = part("wsnt:UnsupportedPolicy", "wsnt:UseRaw")
            reason = "messages are always wrapped in Notify"
            raise notification_fault("wsnt:UnsupportedPolicyRequestFault", reason, now, unsupported)
        if each.tag != expanded("tev:ChangedOnly"):
            reason = f"unknown policy {etree.QName(each).localname}"
            unknown = name_part("wsnt:UnrecognizedPolicy", each)
            raise notification_fault("wsnt:UnrecognizedPolicyRequestFault", reason, now, unknown)
    return bool(asked)


def name_part(name: str, named: etree._Element) -> etree._Element:
    """An element that holds the name of another one, as xs:QName."""
    qname = etree.QName(named)
    if qname.namespace is None:
        return part(name, qname.localname)
    # With the prefix that the envelope gives to the namespace: lxml lets go of a second one.
    prefix = next((known for known, namespace in PREFIXES.items() if namespace == qname.namespace), "other")
    return part(name, f"{prefix}:{qname.localname}", {prefix: qname.namespace})
