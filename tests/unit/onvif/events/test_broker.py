from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from manycast.onvif.events.broker import EventBroker, EventDescription, EventMessage, PropertyOperation
from manycast.onvif.events.message import as_written

RELAY = EventDescription(
    topic="tns1:Device/Trigger/Relay",
    is_property=True,
    source={"RelayToken": "tt:ReferenceToken"},
    data={"LogicalState": "tt:RelayLogicalState"},
)
LOGIN = EventDescription(topic="tns1:Monitoring/LoginFailure", data={"Count": "xs:int"})
NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


@pytest.fixture
def broker() -> EventBroker:
    broker = EventBroker(clock=lambda: NOON)
    broker.declare(RELAY)
    broker.declare(LOGIN)
    return broker


@pytest.fixture
def heard(broker: EventBroker) -> list[EventMessage]:
    heard: list[EventMessage] = []
    broker.listen(heard.append)
    return heard


def relay(broker: EventBroker, token: str, state: str) -> None:
    broker.publish(RELAY.topic, source={"RelayToken": token}, data={"LogicalState": state})


def test_a_property_is_initialized_then_changed_then_deleted(broker: EventBroker, heard: list[EventMessage]) -> None:
    relay(broker, "1", "active")
    relay(broker, "1", "inactive")
    broker.remove(RELAY.topic, {"RelayToken": "1"})
    assert [(message.operation, message.data["LogicalState"]) for message in heard] == [
        (PropertyOperation.INITIALIZED, "active"),
        (PropertyOperation.CHANGED, "inactive"),
        (PropertyOperation.DELETED, "inactive"),
    ]
    relay(broker, "1", "active")
    assert heard[-1].operation is PropertyOperation.INITIALIZED


def test_each_source_is_a_property_of_its_own(broker: EventBroker, heard: list[EventMessage]) -> None:
    relay(broker, "1", "active")
    relay(broker, "2", "active")
    assert [message.operation for message in heard] == [PropertyOperation.INITIALIZED] * 2


def test_the_same_state_is_no_news(broker: EventBroker, heard: list[EventMessage]) -> None:
    relay(broker, "1", "active")
    relay(broker, "1", "active")
    assert len(heard) == 1


def test_what_is_no_property_is_told_each_time(broker: EventBroker, heard: list[EventMessage]) -> None:
    broker.publish(LOGIN.topic, data={"Count": 3})
    broker.publish(LOGIN.topic, data={"Count": 3}, at=NOON - timedelta(seconds=1))
    assert [message.operation for message in heard] == [None, None]
    assert [message.utc for message in heard] == [NOON, NOON - timedelta(seconds=1)]
    assert not list(broker.properties())


def test_values_are_written_as_xml_schema_does(broker: EventBroker, heard: list[EventMessage]) -> None:
    broker.publish(LOGIN.topic, source={"On": True}, data={"Count": 3, "Ratio": 0.5, "Name": "x"})
    assert heard[0].source == {"On": "true"}
    assert heard[0].data == {"Count": "3", "Ratio": "0.5", "Name": "x"}


@given(st.text())
def test_what_xml_cannot_carry_is_replaced(name: str) -> None:
    written = as_written(name)
    assert len(written) == len(name)
    assert etree.Element("a", b=written).get("b") == written


def test_who_comes_later_is_told_the_present_state(broker: EventBroker) -> None:
    relay(broker, "1", "active")
    relay(broker, "2", "active")
    relay(broker, "1", "inactive")
    broker.remove(RELAY.topic, {"RelayToken": "2"})
    (message,) = broker.properties()
    assert (message.operation, message.data) == (PropertyOperation.INITIALIZED, {"LogicalState": "inactive"})
    assert message.utc == NOON


def test_removing_what_never_was_says_nothing(broker: EventBroker, heard: list[EventMessage]) -> None:
    broker.remove(RELAY.topic, {"RelayToken": "9"})
    broker.remove("tns1:Never/Declared")
    assert not heard


def test_a_topic_must_be_declared(broker: EventBroker) -> None:
    with pytest.raises(KeyError):
        broker.publish("tns1:Nobody/Knows")


def test_a_listener_may_leave_while_it_is_told(broker: EventBroker) -> None:
    heard: list[EventMessage] = []

    def once(message: EventMessage) -> None:
        heard.append(message)
        leave()

    leave = broker.listen(once)
    broker.publish(LOGIN.topic)
    broker.publish(LOGIN.topic)
    assert len(heard) == 1
