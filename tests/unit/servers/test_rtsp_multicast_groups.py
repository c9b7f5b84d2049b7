"""Multicast groups: their addresses, their sockets, and how long they live."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, cast

import pytest
from support.ports import UDP_BLOCK, free_udp_base
from support.waiting import until

from manycast.hub.fanout import BacklogLimit
from manycast.servers.rtsp import multicast, multicast_sockets
from manycast.servers.rtsp.connection import RtspConnection
from manycast.servers.rtsp.multicast import MulticastGroup, MulticastGroups, MulticastTransport
from manycast.servers.rtsp.multicast_sockets import random_group
from manycast.servers.rtsp.udp_ports import UdpPorts
from manycast.wire.rtsp.errors import NotEnoughBandwidth, UnsupportedTransport
from manycast.wire.rtsp.headers import TransportSpec

HOST = "127.0.0.1"
WISH = TransportSpec(protocol="RTP/AVP", multicast=True)


class FakeTarget:
    def __init__(self) -> None:
        self.tracks = ()
        self.senders: list[Any] = []
        self.limit = BacklogLimit()
        self.closed = 0

    def close(self, *, say_goodbye: bool) -> None:
        self.closed += 1


class Opener:
    """Counts what is opened."""

    def __init__(self, before: Callable[[], Any] | None = None) -> None:
        self.opened: list[Any] = []
        self._before = before

    async def __call__(self, _on_end: Callable[[str], None]) -> Any:
        before, self._before = self._before, None
        if before is not None:
            await before()
        self.opened.append(FakeTarget())
        return self.opened[-1]


@pytest.fixture
async def groups() -> AsyncIterator[MulticastGroups]:
    groups = MulticastGroups(UdpPorts(free_udp_base()), ttl=7, segmentation=True)
    yield groups
    assert not len(groups)


def no_reports(_track_index: int, _data: bytes) -> None:
    raise AssertionError("nobody reports")


class FakeConnection:
    peer_address = local_address = HOST
    closed = False


def member(
    group: MulticastGroup,
    on_rtcp: Callable[[int, bytes], None] = no_reports,
    connection: FakeConnection | None = None,
) -> MulticastTransport:
    return MulticastTransport(group, cast(RtspConnection, connection or FakeConnection()), on_rtcp)


# Addresses


def test_groups_are_source_specific_and_clear_of_what_is_reserved() -> None:
    found = {random_group(socket.AF_INET) for _ in range(3000)}
    assert len(found) > 2990
    for address in map(ipaddress.IPv4Address, found):
        assert address in ipaddress.ip_network("232.0.0.0/8")
        assert int(address) & 0x7FFFFF >= 0x100, "232.0.0.x, or an Ethernet address of 224.0.0.x"


@pytest.mark.parametrize("bits", [0, 0xFF, 0x800000, 0x8000FF])
def test_a_reserved_address_is_drawn_again(monkeypatch: pytest.MonkeyPatch, bits: int) -> None:
    drawn = iter([bits, 0x010203])
    monkeypatch.setattr("manycast.servers.rtsp.multicast_sockets.secrets.randbits", lambda _count: next(drawn))
    assert random_group(socket.AF_INET) == "232.1.2.3"


def test_groups_of_ipv6_are_of_the_range_a_host_may_choose_from() -> None:
    found = {ipaddress.IPv6Address(random_group(socket.AF_INET6)) for _ in range(1000)}
    assert len(found) > 990
    for address in found:
        assert address in ipaddress.ip_network("ff38::/96")
        assert int(address) & 0x80000000


async def test_no_two_groups_have_one_address(groups: MulticastGroups, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = iter(["232.1.1.1", "232.1.1.1", "232.1.1.2"])
    monkeypatch.setattr(multicast, "random_group", lambda _family: next(drawn))
    first, second = [await groups.find(path, HOST, Opener()) for path in ("one", "two")]
    assert (first.address, second.address) == ("232.1.1.1", "232.1.1.2")
    for group in (first, second):
        member(group).close()


# Life


async def test_a_group_lives_from_its_first_member_to_its_last(groups: MulticastGroups) -> None:
    opener = Opener()
    group = await groups.find("live", HOST, opener)
    first = member(group)
    assert await groups.find("live", HOST, opener) is group
    second = member(group)
    first.close()
    assert await groups.find("live", HOST, opener) is group
    second.close()
    assert len(opener.opened) == 1
    again = await groups.find("live", HOST, opener)
    assert again is not group
    assert len(opener.opened) == 2
    member(again).close()


async def test_other_interfaces_have_other_groups(groups: MulticastGroups) -> None:
    group, other = await groups.find("live", HOST, Opener()), await groups.find("live", "127.0.0.2", Opener())
    assert group.address != other.address
    for each in (group, other):
        member(each).close()


async def test_of_two_who_open_at_the_same_moment_the_second_gets_the_groups_of_the_first(
    groups: MulticastGroups,
) -> None:
    faster = Opener()
    slower = Opener(before=lambda: groups.find("live", HOST, faster))
    group = await groups.find("live", HOST, slower)
    assert group.main.target is faster.opened[0]
    assert slower.opened[0].closed == 1
    member(group).close()


async def test_what_cannot_be_opened_leaves_no_group(groups: MulticastGroups) -> None:
    async def fail(_on_end: Callable[[str], None]) -> Any:
        raise UnsupportedTransport("no")

    with pytest.raises(UnsupportedTransport):
        await groups.find("live", HOST, fail)


# Sockets


async def test_sockets_send_by_the_interface_of_the_request_as_far_as_it_is_set(groups: MulticastGroups) -> None:
    group = await groups.find("live", HOST, Opener())
    transport = member(group)
    agreed = transport.set_up(WISH, 0, 0)
    sockets = group.sockets(0, 0)
    for sock in (sockets.rtp, sockets.rtcp):
        assert sock.getsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, 4) == socket.inet_aton(HOST)
        assert sock.getsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL) == 7
        assert sock.getsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP) == 1
    assert sockets.rtp.getpeername() == (group.address, sockets.ports[0])
    assert agreed.serialize() == (
        f"RTP/AVP;multicast;destination={group.address};source={HOST};port={sockets.ports[0]}-{sockets.ports[1]};ttl=7"
    )
    transport.close()
    assert sockets.rtp.fileno() == sockets.rtcp.fileno() == -1


async def test_the_ports_of_a_track_can_be_bound_by_viewers_of_the_same_machine(groups: MulticastGroups) -> None:
    transport = member(await groups.find("live", HOST, Opener()))
    ports = transport.set_up(WISH, 0, 0).port
    assert ports is not None
    for port in ports:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(("", port))
    transport.close()


async def test_a_track_is_sent_for_those_who_have_set_it_up(groups: MulticastGroups) -> None:
    group = await groups.find("live", HOST, Opener())
    first, second = member(group), member(group)
    limit = BacklogLimit()
    first.set_up(WISH, 0, 0)
    viewer, layout = first.viewer(range(2), limit)
    second.set_up(WISH, 0, 0)
    second.set_up(WISH, 1, 2)
    assert second.viewer(range(2), limit) == (viewer, layout)
    sound = group.sockets(1, 2)
    second.close()
    assert sound.rtp.fileno() == -1
    assert group.sockets(0, 0).rtp.fileno() > 0
    first.close()


async def test_reports_go_to_the_sessions_of_their_address_that_have_their_connection(groups: MulticastGroups) -> None:
    group = await groups.find("live", HOST, Opener())
    heard: list[str] = []
    connections = {name: FakeConnection() for name in ("first", "second", "elsewhere", "sound")}
    connections["elsewhere"].peer_address = "192.0.2.7"

    def takes_down(name: str) -> Callable[[int, bytes], None]:
        return lambda _track_index, _data: heard.append(name)

    members = {name: member(group, takes_down(name), connection) for name, connection in connections.items()}
    for name, transport in members.items():
        transport.set_up(WISH, int(name == "sound"), 0)

    async def who_hears() -> list[str]:
        heard.clear()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind((HOST, 0))
            sock.sendto(b"report", (HOST, group.sockets(0, 0).ports[1]))
            await until(lambda: heard, "the report is taken")
        return sorted(heard)

    assert await who_hears() == ["first", "second"]
    connections["first"].closed = True
    assert await who_hears() == ["second"]
    connections["second"].closed = True
    assert await who_hears() == ["first", "second"]
    for transport in members.values():
        transport.close()


async def test_what_begins_anew_at_the_side_has_a_new_viewer(groups: MulticastGroups) -> None:
    transport = member(await groups.find("live", HOST, Opener()))
    transport.set_up(WISH, 1, 4)
    first, _ = transport.viewer(range(1, 2), BacklogLimit())
    second, _ = transport.viewer(range(1, 2), BacklogLimit())
    assert first is not second
    transport.close()


async def test_without_ports_it_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    base = free_udp_base()
    monkeypatch.setattr("manycast.servers.rtsp.udp_ports.LAST_PORT", base + UDP_BLOCK - 1)
    groups = MulticastGroups(UdpPorts(base), ttl=7, segmentation=True)
    transports = [member(await groups.find(str(number), HOST, Opener())) for number in range(UDP_BLOCK // 8)]
    for transport in transports:
        transport.set_up(WISH, 0, 0)
    late = member(await groups.find("late", HOST, Opener()))
    with pytest.raises(NotEnoughBandwidth):
        late.set_up(WISH, 0, 0)
    transports.pop().close()
    late.set_up(WISH, 0, 0)
    for transport in (*transports, late):
        transport.close()
    assert not len(groups)


async def test_an_interface_that_cannot_do_it_is_refused_and_nothing_stays_open(
    groups: MulticastGroups, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_arguments: object) -> None:
        raise OSError(101, "Network is unreachable")

    transport = member(await groups.find("live", HOST, Opener()))
    with monkeypatch.context() as patch:
        patch.setattr(multicast_sockets._Interface, "join", fail)
        with pytest.raises(UnsupportedTransport, match=f"no multicast from {HOST}: Network is unreachable"):
            transport.set_up(WISH, 0, 0)
    first = transport.set_up(WISH, 0, 0).port
    assert first is not None
    assert first[0] % 8 == 0, "the ports are free again"
    transport.close()


def test_the_interface_of_an_ipv6_address_is_looked_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = tmp_path / "if_inet6"
    table.write_text(
        "00000000000000000000000000000001 01 80 10 80       lo\n20010db8000000000000000000000001 1f 40 00 82     eth0\n"
    )
    monkeypatch.setattr(multicast_sockets, "IPV6_ADDRESSES", table)
    assert multicast_sockets._ipv6_interface("2001:db8::1") == 0x1F
    assert multicast_sockets._ipv6_interface("2001:db8::2") == 0
    assert multicast_sockets._ipv6_interface("fe80::1%lo") == socket.if_nametoindex("lo")
    monkeypatch.setattr(multicast_sockets, "IPV6_ADDRESSES", tmp_path / "missing")
    assert multicast_sockets._ipv6_interface("2001:db8::1") == 0
