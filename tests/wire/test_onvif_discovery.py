"""Devices of a process in WS-Discovery, on the loopback and a port of their own."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from ipaddress import IPv4Interface
from uuid import UUID

import pytest
from support.discovery import DiscoveryClient, Heard, probe, resolve
from support.ports import free_udp_port

from manycast.onvif.discovery import service
from manycast.onvif.discovery.device import DiscoveredDevice
from manycast.onvif.discovery.interfaces import Endpoint, Interface
from manycast.onvif.discovery.scopes import NONE, STRCMP0
from manycast.onvif.discovery.service import Discovery, DiscoveryError
from manycast.onvif.state.device import DeviceState
from manycast.onvif.state.discovery import DiscoveryMode
from manycast.onvif.state.network import IpFilter, IpFilterType
from manycast.onvif.state.scopes import Scope
from manycast.onvif.state.store import StateStore

ONVIF = "onvif://www.onvif.org"
LOOPBACK = Interface(name="lo", index=socket.if_nametoindex("lo"), ipv4=(IPv4Interface("127.0.0.1/8"),))
WITH_SECOND_ADDRESS = replace(LOOPBACK, ipv4=(*LOOPBACK.ipv4, IPv4Interface("127.0.0.2/8")))
RULES = "http://schemas.xmlsoap.org/ws/2005/04/discovery/"


@dataclass
class Net:
    """A discovery with its devices, and a client of it."""

    discovery: Discovery
    client: DiscoveryClient
    devices: list[DiscoveredDevice]

    @property
    def store(self) -> StateStore:
        return self.devices[0].store

    @property
    def endpoint(self) -> str:
        return self.store.state.discovery.endpoint.urn


def made_device(number: int, host: str = "127.0.0.1") -> DiscoveredDevice:
    def state() -> DeviceState:
        made = DeviceState(scopes=[Scope(uri=f"{ONVIF}/name/Camera{number}"), Scope(uri=f"{ONVIF}/hardware/HI3518C")])
        made.discovery.endpoint = UUID(int=number)
        return made

    return DiscoveredDevice(StateStore(state), lambda: [Endpoint(scheme="http", address=host, port=8000 + number)])


@asynccontextmanager
async def network(
    devices: int = 1, look: Callable[[], list[Interface]] = lambda: [LOOPBACK], announced: bool = True
) -> AsyncIterator[Net]:
    port = free_udp_port()
    client = DiscoveryClient(port)
    discovery = Discovery(interfaces=look, port=port)
    net = Net(discovery, client, [made_device(number) for number in range(devices)])
    discovery.start()
    try:
        for device in net.devices:
            discovery.add(device)
        if announced:
            await announced_by(client, devices)
        yield net
    finally:
        await discovery.stop()


async def announced_by(client: DiscoveryClient, count: int) -> None:
    seen: set[str] = set()
    while len(seen) < count:
        seen.add((await client.announcement("Hello")).endpoint)


async def said_twice(client: DiscoveryClient, action: str) -> Heard:
    first, second = [await client.announcement(action) for _ in range(2)]
    assert first.header("a:MessageID") == second.header("a:MessageID")
    return first


async def test_a_device_comes_and_goes() -> None:
    async with network(announced=False) as net:
        hello = await said_twice(net.client, "Hello")
        assert hello.endpoint == net.endpoint
        assert hello.xaddrs == ["http://127.0.0.1:8000/onvif/device_service"]
        assert hello.scopes == [f"{ONVIF}/name/Camera0", f"{ONVIF}/hardware/HI3518C"]
        assert hello.body("d:Types").split() == ["dn:NetworkVideoTransmitter", "tds:Device"]
    bye = await said_twice(net.client, "Bye")
    assert bye.endpoint == hello.endpoint
    assert bye.number > hello.number


async def test_who_looks_for_devices_finds_it() -> None:
    async with network() as net:
        net.client.ask_all(probe("tds:Device dn:NetworkVideoTransmitter", f"{ONVIF}/name", message_id="urn:mine"))
        match = await net.client.answer()
        assert (match.action, match.header("a:RelatesTo")) == ("ProbeMatches", "urn:mine")
        assert match.endpoint == net.endpoint
        assert match.xaddrs == ["http://127.0.0.1:8000/onvif/device_service"]
        net.client.ask_all(probe())
        assert (await net.client.answer()).number == match.number + 1


NOT_MEANT = [
    probe("tds:Printer"),
    probe("tds:Device tds:Printer"),
    probe(scopes=f"{ONVIF}/hardware/HI"),
    probe(scopes=f"{ONVIF}/name {ONVIF}/location"),
    probe(scopes=ONVIF, rule=STRCMP0),
    probe(rule=NONE),
    resolve(UUID(int=99).urn),
    resolve("http://127.0.0.1/"),
    b"",
    b"nonsense",
    probe() + b"<",
    probe("x:Device"),
    b"<" * 60000,
]


@pytest.mark.parametrize("data", NOT_MEANT)
@pytest.mark.parametrize("to_all", [True, False])
async def test_what_is_not_meant_for_it_is_not_answered(data: bytes, to_all: bool) -> None:
    async with network() as net:
        (net.client.ask_all if to_all else net.client.ask)(data)
        net.client.ask(probe(message_id="urn:good"))
        assert (await net.client.answer()).header("a:RelatesTo") == "urn:good"


MEANT = [
    probe("tds:Device"),
    probe("dn:NetworkVideoTransmitter"),
    probe(scopes=f"{ONVIF}/hardware/HI3518C"),
    probe(scopes=f"{ONVIF}/name/Camera0", rule=STRCMP0),
    probe(scopes=f"{ONVIF}", rule=f"{RULES}rfc2396"),
]


@pytest.mark.parametrize("data", MEANT)
async def test_a_device_that_is_asked_directly_answers(data: bytes) -> None:
    async with network() as net:
        net.client.ask(data)
        assert (await net.client.answer()).endpoint == net.endpoint


async def test_it_is_told_where_a_known_device_is() -> None:
    async with network() as net:
        for ask in (net.client.ask, net.client.ask_all):
            ask(resolve(net.endpoint))
            match = await net.client.answer()
            assert (match.action, match.endpoint) == ("ResolveMatches", net.endpoint)
            assert match.xaddrs == ["http://127.0.0.1:8000/onvif/device_service"]


async def test_a_message_sent_again_is_answered_once() -> None:
    async with network() as net:
        for _ in range(3):
            net.client.ask(probe(message_id="urn:again"))
        net.client.ask(probe(message_id="urn:other"))
        relations = [(await net.client.answer()).header("a:RelatesTo") for _ in range(2)]
        assert relations == ["urn:again", "urn:other"]


@pytest.mark.parametrize("rule", ["ldap", "uuid", "whatever"])
async def test_an_unknown_rule_is_refused_to_who_asks_one_device(rule: str) -> None:
    async with network(2) as net:
        net.client.ask_all(probe(rule=RULES + rule))
        net.client.ask(probe(rule=RULES + rule, message_id="urn:mine"))
        fault = await net.client.answer()
        assert (fault.action, fault.header("a:RelatesTo")) == ("fault", "urn:mine")
        assert fault.body("s:Subcode/s:Value") == "d:MatchingRuleNotSupported"
        net.client.ask(probe(message_id="urn:next"))
        assert (await net.client.answer()).header("a:RelatesTo") == "urn:next"


async def test_changed_scopes_are_announced_and_found_at_once() -> None:
    async with network() as net:
        state = net.store.state
        state.scopes = [*state.scopes, Scope(uri=f"{ONVIF}/location/city/Bern")]
        state.discovery.metadata_version += 1
        net.store.save()
        net.client.ask(probe(scopes=f"{ONVIF}/location/city"))
        assert (await net.client.answer()).endpoint == net.endpoint
        hello = await net.client.announcement("Hello")
        while f"{ONVIF}/location/city/Bern" not in hello.scopes:  # the second of the first two
            hello = await net.client.announcement("Hello")
        assert hello.body("d:MetadataVersion") == "2"


async def test_what_others_cannot_see_is_not_announced() -> None:
    async with network() as net:
        net.store.state.clock.offset_s = 5
        net.store.save()
        net.client.ask_all(probe())
        first = await net.client.answer()
        net.client.ask_all(probe())
        assert (await net.client.answer()).number == first.number + 1


async def test_a_device_that_does_not_want_to_be_found_is_silent() -> None:
    async with network(2) as net:
        net.store.state.discovery.mode = DiscoveryMode.NON_DISCOVERABLE
        net.store.save()
        assert (await said_twice(net.client, "Bye")).endpoint == net.endpoint
        net.client.ask(resolve(net.endpoint))
        net.client.ask(probe())
        answer = await net.client.answer()
        assert (answer.action, answer.endpoint) == ("ProbeMatches", UUID(int=1).urn)
        net.store.state.discovery.mode = DiscoveryMode.DISCOVERABLE
        net.store.save()
        while (await net.client.announcement("Hello")).endpoint != net.endpoint:
            pass
        net.client.ask(resolve(net.endpoint))
        assert (await net.client.answer()).endpoint == net.endpoint


async def test_who_is_filtered_out_does_not_find_it() -> None:
    async with network(2) as net:
        net.store.state.network.ip_filter = IpFilter(type=IpFilterType.DENY, ipv4=[IPv4Interface("127.0.0.0/8")])
        net.store.save()
        net.client.ask(resolve(net.endpoint))
        net.client.ask(probe())
        answer = await net.client.answer()
        assert (answer.action, answer.endpoint) == ("ProbeMatches", UUID(int=1).urn)


async def test_a_device_that_starts_unseen_says_nothing() -> None:
    async with network(0) as net:
        unseen, seen = made_device(1), made_device(2)
        unseen.store.state.discovery.mode = DiscoveryMode.NON_DISCOVERABLE
        for device in (unseen, seen):
            net.discovery.add(device)
        assert (await net.client.announcement("Hello")).endpoint == UUID(int=2).urn
    assert (await said_twice(net.client, "Bye")).endpoint == UUID(int=2).urn


async def test_a_device_can_go_and_come_again_while_others_stay() -> None:
    async with network(2) as net:
        first = net.devices[0]
        net.discovery.remove(first)
        assert (await said_twice(net.client, "Bye")).endpoint == net.endpoint
        first.store.save()  # of a device that is not there
        net.client.ask(probe())
        assert (await net.client.answer()).endpoint == UUID(int=1).urn
        net.discovery.add(first)
        while (await net.client.announcement("Hello")).endpoint != net.endpoint:
            pass


async def test_fifty_devices_answer_for_themselves() -> None:
    async with network(50) as net:
        net.client.ask_all(probe("tds:Device"))
        answers = [await net.client.answer() for _ in range(50)]
        assert {answer.endpoint for answer in answers} == {UUID(int=number).urn for number in range(50)}
        assert {answer.xaddrs[0].split("/")[2] for answer in answers} == {f"127.0.0.1:{8000 + n}" for n in range(50)}
        net.client.ask_all(probe(scopes=f"{ONVIF}/name/Camera7", message_id="urn:one"))
        answer = await net.client.answer()
        assert (answer.endpoint, answer.header("a:RelatesTo")) == (UUID(int=7).urn, "urn:one")


async def test_two_programs_share_the_port() -> None:
    port = free_udp_port()
    client = DiscoveryClient(port)
    both = [Discovery(interfaces=lambda: [LOOPBACK], port=port) for _ in range(2)]
    try:
        for number, discovery in enumerate(both):
            discovery.start()
            discovery.add(made_device(number))
        await announced_by(client, 2)
        client.ask_all(probe())
        assert {(await client.answer()).endpoint for _ in range(2)} == {UUID(int=0).urn, UUID(int=1).urn}
    finally:
        for discovery in both:
            await discovery.stop()


async def test_a_port_that_is_taken_is_said() -> None:
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as taken:  # IPv4, too
        taken.bind(("::", 0))
        with pytest.raises(DiscoveryError, match=r"UDP port \d+ cannot be opened: Address already in use"):
            Discovery(port=taken.getsockname()[1]).start()


async def test_a_device_is_announced_where_it_becomes_reachable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "LOOK_INTERVAL_S", 0.1)
    there = [LOOPBACK]
    async with network(look=lambda: list(there)) as net:
        net.discovery.add(made_device(1, "127.0.0.2"))
        net.client.ask(probe())
        assert (await net.client.answer()).endpoint == net.endpoint  # the second is not reached anywhere
        there[0] = WITH_SECOND_ADDRESS
        hello = await net.client.announcement("Hello")
        while hello.endpoint != UUID(int=1).urn:
            hello = await net.client.announcement("Hello")
        assert hello.xaddrs == ["http://127.0.0.2:8001/onvif/device_service"]
        net.client.ask_all(probe())
        assert {(await net.client.answer()).endpoint for _ in range(2)} == {net.endpoint, UUID(int=1).urn}


async def test_a_new_address_is_announced_as_another_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "LOOK_INTERVAL_S", 0.1)
    there = [LOOPBACK]
    async with network(0, look=lambda: list(there)) as net:
        net.discovery.add(made_device(1, "0.0.0.0"))
        first = await said_twice(net.client, "Hello")
        there[0] = WITH_SECOND_ADDRESS
        second = await said_twice(net.client, "Hello")
        assert [hello.body("d:MetadataVersion") for hello in (first, second)] == ["1", "2"]
        assert second.xaddrs == [f"http://127.0.0.{n}:8001/onvif/device_service" for n in (1, 2)]


async def test_a_flood_is_not_answered_in_full() -> None:
    async with network() as net:
        for number in range(300):
            net.client.ask(probe(message_id=f"urn:{number}"))
            if number % 50 == 49:
                await asyncio.sleep(0)  # or the socket's buffer loses some
        await net.client.answer()
        assert net.discovery.refused > 0
