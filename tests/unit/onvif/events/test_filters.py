from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from lxml import etree
from support.onvif_schema import assert_valid

from manycast.onvif.events.content_filter import ITEM_FILTER
from manycast.onvif.events.filters import read_filter
from manycast.onvif.events.message import EventDescription, EventMessage
from manycast.onvif.events.terms import read_initial_termination, read_policy, read_termination
from manycast.onvif.events.topics import CONCRETE, CONCRETE_SET
from manycast.onvif.soap.envelope import Addressing, fault_reply
from manycast.onvif.soap.fault import Fault
from manycast.onvif.soap.names import PREFIXES

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
RELAY = EventDescription(topic="tns1:Device/Trigger/Relay", source={"RelayToken": "tt:ReferenceToken"})
MOTION = EventDescription(topic="tns1:VideoSource/MotionAlarm", source={"Source": "tt:ReferenceToken"})
DESCRIPTIONS = {each.topic: each for each in (RELAY, MOTION)}
PREFIXES_DECLARED = " ".join(f'xmlns:{prefix}="{namespace}"' for prefix, namespace in PREFIXES.items())


def topic(text: str, dialect: str = CONCRETE_SET) -> str:
    return f'<wsnt:TopicExpression Dialect="{dialect}">{text}</wsnt:TopicExpression>'


def content(text: str, dialect: str = ITEM_FILTER) -> str:
    return f'<wsnt:MessageContent Dialect="{dialect}">{text}</wsnt:MessageContent>'


def element(name: str, inner: str) -> etree._Element:
    return etree.fromstring(f"<{name} {PREFIXES_DECLARED}>{inner}</{name}>")


def wanted(inner: str) -> list[str]:
    """The sources of messages that pass, out of those of two relays and an alarm."""
    event_filter = read_filter(element("tev:Filter", inner), DESCRIPTIONS, NOON)
    messages = [
        EventMessage(topic=RELAY.topic, utc=NOON, source={"RelayToken": "1"}),
        EventMessage(topic=RELAY.topic, utc=NOON, source={"RelayToken": "2"}),
        EventMessage(topic=MOTION.topic, utc=NOON, source={"Source": "camera"}),
    ]
    return [next(iter(message.source.values())) for message in messages if event_filter.wants(message)]


def refused(inner: str) -> Fault:
    with pytest.raises(Fault) as raised:
        wanted(inner)
    return checked(raised.value)


def checked(fault: Fault) -> Fault:
    """It is as WS-BaseFaults and Core have it."""
    assert fault.code == "Receiver"
    assert fault.status == 500
    assert fault.detail is not None
    assert_valid(fault.detail)
    assert fault.detail.findtext(f"{{{PREFIXES['wsrf-bf']}}}Timestamp") == "2026-01-02T12:00:00.000Z"
    return fault


def name_of(fault: Fault) -> str:
    assert fault.detail is not None
    return etree.QName(fault.detail).localname


ONE = "boolean(//tt:SimpleItem[@Name='RelayToken' and @Value='1'])"


@pytest.mark.parametrize(
    ("inner", "passing"),
    [
        ("", ["1", "2", "camera"]),
        (topic("tns1:Device//."), ["1", "2"]),
        (topic("tns1:VideoSource/MotionAlarm", CONCRETE), ["camera"]),
        (content(ONE), ["1"]),
        (content(f"not({ONE})"), ["2", "camera"]),
        (topic("tns1:Device//.") + content(f"not({ONE})"), ["2"]),
        (topic("tns1:Device//.") + topic("tns1:VideoSource//."), []),
        (topic("tns1:Device//.|tns1:VideoSource//."), ["1", "2", "camera"]),
    ],
)
def test_all_parts_have_to_let_a_message_pass(inner: str, passing: list[str]) -> None:
    assert wanted(inner) == passing


def test_without_a_filter_everything_passes() -> None:
    event_filter = read_filter(None, DESCRIPTIONS, NOON)
    assert event_filter.wants(EventMessage(topic=RELAY.topic, utc=NOON))


@pytest.mark.parametrize(
    ("inner", "fault"),
    [
        (topic("xyz"), "TopicNotSupportedFault"),
        (topic("tns1:RuleEngine//."), "TopicNotSupportedFault"),
        (topic("tns1:Device/*"), "InvalidTopicExpressionFault"),
        (topic("nobody:Device"), "InvalidTopicExpressionFault"),
        (topic("tns1:Device//.", "http://example.org"), "TopicExpressionDialectUnknownFault"),
        (content("boolean("), "InvalidMessageContentExpressionFault"),
        (content(ONE, "http://www.w3.org/TR/1999/REC-xpath-19991116"), "InvalidMessageContentExpressionFault"),
        (content("boolean(//tt:SimpleItem[@Name='xyz'])"), "InvalidMessageContentExpressionFault"),
        (
            "<wsnt:ProducerProperties Dialect='x'>1</wsnt:ProducerProperties>",
            "InvalidProducerPropertiesExpressionFault",
        ),
        ("<tt:Anything/>", "InvalidFilterFault"),
        ("<Anything/>", "InvalidFilterFault"),
        (topic("tns1:Device//.") * 9, "InvalidFilterFault"),
    ],
)
def test_what_cannot_be_filtered_by_gets_its_own_fault(inner: str, fault: str) -> None:
    assert name_of(refused(inner)) == fault


@pytest.mark.parametrize(
    ("inner", "namespace"),
    [("<tt:Anything/>", PREFIXES["tt"]), ("<my:Anything xmlns:my='http://example.org'/>", "http://example.org")],
)
def test_an_unknown_filter_is_named(inner: str, namespace: str) -> None:
    envelope = etree.fromstring(fault_reply(refused(inner), Addressing()))
    (unknown,) = envelope.iterfind(f".//{{{PREFIXES['wsnt']}}}UnknownFilter")
    prefix, _, local = str(unknown.text).partition(":")
    assert (unknown.nsmap[prefix], local) == (namespace, "Anything")


@pytest.mark.parametrize(
    ("text", "granted"),
    [
        (None, MINUTE),
        ("", MINUTE),
        ("PT10S", timedelta(seconds=10)),
        ("PT1H", MINUTE),
        ("2026-01-02T12:00:10Z", timedelta(seconds=10)),
        ("2026-01-02T12:00:10.0001Z", timedelta(milliseconds=10_001)),
        ("2027-01-02T12:00:10Z", MINUTE),
    ],
)
def test_a_subscription_lives_as_long_as_asked_but_not_longer_than_allowed(
    text: str | None, granted: timedelta
) -> None:
    assert read_initial_termination(text, MINUTE, NOON) == granted
    assert read_termination(text, MINUTE, NOON) == granted


@pytest.mark.parametrize("text", ["PT0S", "-PT1S", "2026-01-02T12:00:00Z", "2020-01-01T00:00:00Z", "soon"])
def test_what_is_over_already_is_not_accepted(text: str) -> None:
    for read, name in (
        (read_initial_termination, "UnacceptableInitialTerminationTimeFault"),
        (read_termination, "UnacceptableTerminationTimeFault"),
    ):
        with pytest.raises(Fault) as raised:
            read(text, MINUTE, NOON)
        fault = checked(raised.value)
        assert name_of(fault) == name
        assert fault.detail is not None
        assert fault.detail.findtext(f"{{{PREFIXES['wsnt']}}}MinimumTime") == "2026-01-02T12:00:01.000Z"
        assert fault.detail.findtext(f"{{{PREFIXES['wsnt']}}}MaximumTime") == "2026-01-02T12:01:00.000Z"


@pytest.mark.parametrize(("inner", "changed_only"), [("", False), ("<tev:ChangedOnly/>", True)])
def test_the_policy_of_onvif_is_understood(inner: str, changed_only: bool) -> None:
    assert read_policy(element("tev:SubscriptionPolicy", inner), NOON) is changed_only
    assert read_policy(None, NOON) is False


@pytest.mark.parametrize(
    ("inner", "fault"),
    [
        ("<wsnt:UseRaw/>", "UnsupportedPolicyRequestFault"),
        ("<tt:Anything/>", "UnrecognizedPolicyRequestFault"),
        ("<tev:ChangedOnly/><Anything/>", "UnrecognizedPolicyRequestFault"),
    ],
)
def test_other_policies_are_refused(inner: str, fault: str) -> None:
    with pytest.raises(Fault) as raised:
        read_policy(element("tev:SubscriptionPolicy", inner), NOON)
    assert name_of(checked(raised.value)) == fault
