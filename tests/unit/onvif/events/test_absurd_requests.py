"""Requests of the event service, of valid elements with absurd values."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lxml import etree
from support.soap import delivered, envelope

from manycast.onvif.events.content_filter import ITEM_FILTER
from manycast.onvif.events.subscription import MAX_QUEUE
from manycast.onvif.events.topics import CONCRETE, CONCRETE_SET
from manycast.onvif.onvif_device import OnvifDevice
from manycast.onvif.soap.names import PREFIXES, expanded
from manycast.onvif.state.device import DeviceState
from manycast.onvif.state.events import Events
from manycast.onvif.state.server import Server
from manycast.onvif.state.store import StateStore


def element(name: str, *content: etree._Element | str, **attributes: str) -> etree._Element:
    made = etree.Element(expanded(name), attributes, nsmap=dict(PREFIXES))
    for each in content:
        if isinstance(each, str):
            made.text = each
        else:
            made.append(etree.fromstring(etree.tostring(each)))
    return made


TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"), max_size=40)
TIMES = st.sampled_from(
    [
        "PT10S",
        "PT0S",
        "-PT1S",
        "P999999999Y",
        "P99999999999999999D",
        "PT0.0000001S",
        "2026-01-01T00:00:00Z",
        "9999-12-31T23:59:59.999999Z",
        "0001-01-01T00:00:00+14:00",
        "2026-01-01T24:00:00Z",
        "",
        "soon",
    ]
)
NUMBERS = st.sampled_from(["1", "100", "0", "-1", "2147483647", "99999999999999999999", "", "one"])
EXPRESSIONS = TEXT | st.sampled_from(
    ["tns1:Device//.", "tns1:Device/Trigger/Relay", "|", "xyz", 'boolean(//tt:SimpleItem[@Name="RelayToken"])', "not("]
)
DIALECTS = st.sampled_from([CONCRETE, CONCRETE_SET, ITEM_FILTER, "", "urn:x"])
PARTS = st.builds(
    lambda name, text, dialect: element(name, text, Dialect=dialect),
    st.sampled_from(["wsnt:TopicExpression", "wsnt:MessageContent", "wsnt:ProducerProperties", "tt:Anything"]),
    EXPRESSIONS,
    DIALECTS,
)
POLICIES = st.lists(st.sampled_from(["tev:ChangedOnly", "wsnt:UseRaw", "tt:Anything"]).map(element), max_size=2)
ADDRESSES = TEXT | st.sampled_from(["http://127.0.0.1:1/", "http://[", "urn:uuid:1", "https://", "http://h:0/"])


def built(name: str, *parts: st.SearchStrategy[etree._Element]) -> st.SearchStrategy[etree._Element]:
    """An element with some of these."""
    chosen = st.tuples(*(part | st.none() for part in parts))
    return chosen.map(lambda content: element(name, *(each for each in content if each is not None)))


def text(name: str, texts: st.SearchStrategy[str]) -> st.SearchStrategy[etree._Element]:
    return texts.map(lambda each: element(name, each))


def with_parts(name: str, parts: st.SearchStrategy[list[etree._Element]]) -> st.SearchStrategy[etree._Element]:
    return parts.map(lambda each: element(name, *each))


def asked_for(prefix: str) -> tuple[st.SearchStrategy[etree._Element], ...]:
    """What both ways to subscribe have."""
    return (
        with_parts(f"{prefix}:Filter", st.lists(PARTS, max_size=4)),
        text(f"{prefix}:InitialTerminationTime", TIMES),
        with_parts(f"{prefix}:SubscriptionPolicy", POLICIES),
    )


CONSUMERS = ADDRESSES.map(lambda each: element("wsnt:ConsumerReference", element("wsa:Address", each)))
REQUESTS = st.one_of(
    built("tev:CreatePullPointSubscription", *asked_for("tev")),
    built("wsnt:Subscribe", CONSUMERS, *asked_for("wsnt")),
    built(
        "tev:PullMessages",
        text("tev:Timeout", TIMES.filter(lambda each: each != "PT10S")),
        text("tev:MessageLimit", NUMBERS),
    ),
    built("tev:Seek", text("tev:UtcTime", TIMES), text("tev:Reverse", st.sampled_from(["true", "0", "maybe"]))),
    built("wsnt:Renew", text("wsnt:TerminationTime", TIMES)),
    built(
        "wsnt:GetCurrentMessage",
        st.builds(lambda each, dialect: element("wsnt:Topic", each, Dialect=dialect), EXPRESSIONS, DIALECTS),
    ),
    st.sampled_from(["tev:SetSynchronizationPoint", "wsnt:Unsubscribe", "tev:GetEventProperties"]).map(element),
)


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(scope="module")
def device(runner: asyncio.Runner) -> Iterator[OnvifDevice]:
    state = DeviceState(server=Server(need_auth=False), events=Events(renew_interval_s=1, simulate=True))

    async def start() -> OnvifDevice:
        device = OnvifDevice(StateStore(lambda: state))
        await device.load()
        await device.prepare()
        device.start()
        return device

    device = runner.run(start())
    yield device
    runner.run(device.close())


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(requests=st.lists(REQUESTS, min_size=1, max_size=6))
def test_there_is_always_an_answer(device: OnvifDevice, runner: asyncio.Runner, requests: list[etree._Element]) -> None:
    async def ask() -> None:
        for request in requests:
            known = [each.identifier for each in device.events.subscriptions]
            target = f"/onvif/subscription/{known[-1] if known else 'none'}"
            async with asyncio.timeout(20):
                answer = await device.answer(envelope(request), delivered(target=target))
            root = etree.fromstring(answer.body)
            assert answer.status in (200, 400, 500), etree.tostring(root)
            assert root.tag == expanded("env:Envelope")
        for subscription in device.events.subscriptions:
            assert len(subscription) <= MAX_QUEUE

    runner.run(ask())
