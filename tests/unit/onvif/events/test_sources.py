from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import pairwise

import pytest
from lxml import etree
from support.onvif_schema import assert_valid

from manycast.hub.fanout import BacklogLimit
from manycast.hub.hub import Hub
from manycast.hub.metadata import METADATA_TRACK
from manycast.media.frame import Frame
from manycast.media.track import Track
from manycast.onvif.events.broker import EventBroker, EventDescription, EventMessage, PropertyOperation
from manycast.onvif.events.catalogue import PROCESSOR_USAGE, SIGNAL_LOSS
from manycast.onvif.events.metadata_track import MetadataTrack
from manycast.onvif.events.processor import ProcessorUsage, processor_seconds
from manycast.onvif.events.simulation import Simulation
from manycast.onvif.events.sources import EventSources
from manycast.onvif.events.streams import StreamEvents
from manycast.onvif.events.topic_set import topic_set
from manycast.onvif.soap.catalogue import SERVICES, wsdl_folder
from manycast.onvif.soap.names import PREFIXES
from manycast.onvif.state.events import Events

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
LOGIN = EventDescription(topic="tns1:Device/SecurityPolicy/AuthFailed")
TT = "{http://www.onvif.org/ver10/schema}"
WSNT = "{http://docs.oasis-open.org/wsn/b-2}"


@pytest.fixture
def broker() -> EventBroker:
    return EventBroker(lambda: NOON)


@pytest.fixture
def heard(broker: EventBroker) -> list[EventMessage]:
    heard: list[EventMessage] = []
    broker.listen(heard.append)
    return heard


def test_the_simulation_tells_all_topics_in_turn(broker: EventBroker, heard: list[EventMessage]) -> None:
    simulation = Simulation(broker, lambda: NOON)
    properties = {topic for topic, each in broker.descriptions.items() if each.is_property}
    assert {message.topic for message in heard} == properties  # each begins with a state
    heard.clear()
    count = len(broker.descriptions)
    for _ in range(count):
        simulation.tell_next()
    assert [message.topic for message in heard] == list(dict.fromkeys(message.topic for message in heard))
    assert {message.topic for message in heard} == broker.descriptions.keys()
    operations = {message.operation for message in heard if message.topic in properties}
    assert operations == {PropertyOperation.CHANGED}


def test_what_is_simulated_is_what_was_declared(broker: EventBroker, heard: list[EventMessage]) -> None:
    simulation = Simulation(broker, lambda: NOON)
    for _ in range(4 * len(broker.descriptions)):
        simulation.tell_next()
    for message in heard:
        description = broker.descriptions[message.topic]
        assert message.source.keys() == description.source.keys()
        assert message.data.keys() <= description.data.keys()
    assert_valid(topic_set(broker.descriptions.values()))


def test_simulated_doors_have_states_that_doors_have(broker: EventBroker, heard: list[EventMessage]) -> None:
    wsdl = etree.parse(wsdl_folder() / SERVICES["tdc"].wsdl)
    simulation = Simulation(broker, lambda: NOON)
    for _ in range(10 * len(broker.descriptions)):
        simulation.tell_next()
    checked = set()
    for message in heard:
        kind = broker.descriptions[message.topic].data.get("State", "")
        if kind.startswith("tdc:"):
            name = kind.removeprefix("tdc:")
            path = f".//xs:simpleType[@name='{name}']//xs:enumeration"
            known = {each.get("value") for each in wsdl.iterfind(path, dict(PREFIXES))}
            assert message.data["State"] in known
            checked.add(name)
    assert len(checked) == 6


def test_what_is_elsewhere_has_its_turn_in_the_simulation(broker: EventBroker) -> None:
    calls: list[int] = []
    simulation = Simulation(broker, lambda: NOON, more=[lambda: calls.append(1)])
    for _ in range(2 * (len(broker.descriptions) + 1)):
        simulation.tell_next()
    assert len(calls) == 2


class Clock:
    """Processors of which half are busy, unless told otherwise."""

    def __init__(self) -> None:
        self.worked = self.passed = 0.0

    def pass_time(self, busy: float) -> None:
        self.worked += 500 * busy
        self.passed += 500

    def read(self) -> tuple[float, float]:
        return self.worked, self.passed


def test_processor_usage_is_told_where_it_has_changed(broker: EventBroker, heard: list[EventMessage]) -> None:
    clock = Clock()
    usage = ProcessorUsage(broker, clock.read)
    heard.clear()
    for busy in (1.0, 0.98, 1.0, 0.25, 0.0):
        clock.pass_time(busy)
        usage.measure()
    told = [(message.operation, message.data["Value"]) for message in heard if message.topic == PROCESSOR_USAGE.topic]
    assert told[-2:] == [(PropertyOperation.CHANGED, "25.0"), (PropertyOperation.CHANGED, "0.0")]
    assert len(told) <= 3


def test_without_a_measure_of_time_it_keeps_what_it_has(broker: EventBroker, heard: list[EventMessage]) -> None:
    usage = ProcessorUsage(broker, lambda: (0.0, 0.0))
    usage.measure()
    assert len(heard) == 1


def test_the_machine_is_measured() -> None:
    worked, could_have = processor_seconds()
    assert 0 <= worked <= could_have


def states(heard: list[EventMessage]) -> list[tuple[str, str]]:
    return [
        (message.source["Source"], message.data["State"]) for message in heard if message.topic == SIGNAL_LOSS.topic
    ]


def test_a_stream_is_lost_and_comes_back(broker: EventBroker, heard: list[EventMessage]) -> None:
    events = StreamEvents(broker, lambda path: path if path.startswith("cam") else None)
    for live in ([], ["cam1", "other"], ["cam1", "cam2"], ["cam2"], ["cam1", "cam2"]):
        events.look(live)
    assert states(heard) == [("cam1", "false"), ("cam2", "false"), ("cam1", "true"), ("cam1", "false")]
    assert [message.operation for message in heard][:2] == [PropertyOperation.INITIALIZED] * 2


def test_a_source_of_two_streams_is_lost_with_the_last(broker: EventBroker, heard: list[EventMessage]) -> None:
    events = StreamEvents(broker, lambda path: "camera")
    for live in (["main", "sub"], ["sub"], []):
        events.look(live)
    assert states(heard) == [("camera", "false"), ("camera", "true")]


def test_only_so_many_names_are_remembered(broker: EventBroker, heard: list[EventMessage]) -> None:
    events = StreamEvents(broker, lambda path: path)
    for number in range(1100):
        events.look([f"stream{number}"])
    assert len(list(broker.properties())) == 1000


class Watcher:
    """Takes the documents of a feed: a packager without viewers."""

    def __init__(self, tracks: Sequence[Track], cached: Sequence[Frame], limit: BacklogLimit, name: str) -> None:
        self.taken: list[bytes] = []

    def push(self, frame: Frame) -> None:
        self.taken += [bytes(unit) for unit in frame.units]

    def set_clock(self, unix_at_zero_s: float) -> None:
        pass

    def handle_timer(self, *, now_s: float, unix_s: float) -> None:
        pass

    def end(self) -> None:
        pass

    def close(self) -> None:
        pass


@pytest.fixture
async def hub() -> Hub:
    return Hub()


def watch(hub: Hub, path: str) -> Watcher:
    return hub.metadata.open(path).watch(object(), Watcher, lambda reason: None)


def topics(documents: list[bytes]) -> list[list[str | None]]:
    return [
        [
            str(topic.text)
            for topic in etree.fromstring(document).iterfind(f"{TT}Event/{WSNT}NotificationMessage/{WSNT}Topic")
        ]
        for document in documents
    ]


async def test_events_are_put_beside_the_streams_of_the_device(broker: EventBroker, hub: Hub) -> None:
    broker.declare(LOGIN)
    track = MetadataTrack(broker, hub.metadata, lambda path: path.startswith("cam"))
    broker.publish(LOGIN.topic)  # nobody watches
    one, two, other = watch(hub, "cam1"), watch(hub, "cam2"), watch(hub, "elsewhere")
    broker.publish(LOGIN.topic)
    assert topics(one.taken) == topics(two.taken) == [[LOGIN.topic]]
    assert one.taken[0] is two.taken[0]  # made once
    assert other.taken == []
    track.close()
    broker.publish(LOGIN.topic)
    assert len(one.taken) == 1
    hub.metadata.close("the test ends")


async def test_who_comes_is_told_the_state_of_properties_and_then_now_and_again(broker: EventBroker, hub: Hub) -> None:
    relay = EventDescription(topic="tns1:Device/Trigger/Relay", is_property=True)
    broker.declare(relay)
    track = MetadataTrack(broker, hub.metadata, lambda path: True)
    watcher = watch(hub, "cam")
    track.handle_timer(now_s=0)
    assert watcher.taken == []  # there is no property
    broker.publish(relay.topic, {"RelayToken": "1"}, {"LogicalState": "active"})
    watcher.taken.clear()
    told = []
    for now_s in range(1, 40):
        track.handle_timer(now_s=now_s)
        told += [now_s] * len(watcher.taken)
        if watcher.taken:
            assert topics(watcher.taken) == [[relay.topic]]
            assert b'"Initialized"' in watcher.taken[0]
        watcher.taken.clear()
    assert told[0] <= 10
    assert all(later - earlier == 10 for earlier, later in pairwise(told))
    watch(hub, "cam")
    track.handle_timer(now_s=40)
    assert len(watcher.taken) == 1
    hub.metadata.close("the test ends")


async def test_all_is_driven_by_one_timer(broker: EventBroker, heard: list[EventMessage], hub: Hub) -> None:
    settings = Events(simulate=True, simulate_interval_s=10)
    sources = EventSources(broker, settings, lambda: NOON, hub=hub, shows=lambda path: path != "not mine")
    heard.clear()
    hub.publish("live", [METADATA_TRACK], "test")
    hub.publish("not mine", [METADATA_TRACK], "test")
    for now_s in range(100, 121):
        sources.handle_timer(now_s=now_s)
    assert states(heard) == [("live", "false")]
    simulated = [message for message in heard if message.topic not in (SIGNAL_LOSS.topic, PROCESSOR_USAGE.topic)]
    assert len(simulated) == 2
    sources.close()
    await hub.close("the test ends")


async def test_streams_on_demand_are_never_lost(broker: EventBroker, heard: list[EventMessage], hub: Hub) -> None:
    sources = EventSources(broker, Events(), lambda: NOON, hub=hub)
    hub.offer("demo", lambda: pytest.fail("nobody asks for it"), "demo")
    sources.handle_timer(now_s=0)
    assert states(heard) == []
    sources.close()
    await hub.close("the test ends")


async def test_without_simulation_nothing_is_simulated(broker: EventBroker) -> None:
    sources = EventSources(broker, Events(simulate=False), lambda: NOON)
    assert broker.descriptions.keys() == {PROCESSOR_USAGE.topic}
    for now_s in range(100):
        sources.handle_timer(now_s=now_s)
    sources.close()
