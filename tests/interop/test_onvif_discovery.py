"""Clients of others find the devices of a process, over a network of their own."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from typing import Any
from uuid import UUID

import pytest
from lxml import etree
from support.discovery import GROUP, GROUP_6, LOOPBACK, NAMES, probe
from support.network import CLIENT_IPV4, CLIENT_IPV6, SERVER_IPV4, SERVER_IPV6, Host, cabled_hosts
from support.sockets import kept
from support.waiting import until

from manycast.onvif.discovery.device import DiscoveredDevice
from manycast.onvif.discovery.interfaces import Endpoint, machine_interfaces
from manycast.onvif.discovery.service import Discovery
from manycast.onvif.discovery.sockets import PORT
from manycast.onvif.state.device import DeviceState
from manycast.onvif.state.scopes import Scope
from manycast.onvif.state.store import StateStore

# Of the client, only the search: afterwards it asks the devices for more, and there are no services here.
ONVIF_PYTHON = f"""
import json
from onvif.utils.discovery import ONVIFDiscovery
discovery = ONVIFDiscovery(timeout=3, interface={CLIENT_IPV4!r})
discovery._process_device = lambda devices: devices
print(json.dumps(discovery.discover()))
"""

WSDISCOVERY = """
import json, sys, time
from wsdiscovery import QName, Scope
from wsdiscovery.discovery import ThreadedWSDiscovery
wsd = ThreadedWSDiscovery()
heard = []
wsd.setRemoteServiceByeCallback(lambda address, endpoint: heard.append(str(endpoint)))
wsd.start()
types = [QName("http://www.onvif.org/ver10/network/wsdl", "NetworkVideoTransmitter")]
scopes = [Scope(each) for each in sys.argv[1:]]
found = wsd.searchServices(types=types, scopes=scopes or None, timeout=3)
print(json.dumps([
    {"epr": s.getEPR(), "xaddrs": s.getXAddrs(), "scopes": [str(each) for each in s.getScopes()],
     "types": [[each.getNamespace(), each.getLocalname()] for each in s.getTypes()]}
    for s in found
]))
wsd.stop()
"""


@pytest.fixture(scope="module")
def hosts() -> Iterator[tuple[Host, Host]]:
    with cabled_hosts() as both:
        yield both


def made_device(number: int, *hosts: str) -> DiscoveredDevice:
    def state() -> DeviceState:
        made = DeviceState(scopes=[Scope(uri=f"onvif://www.onvif.org/name/Camera{number}")])
        made.discovery.endpoint = UUID(int=number)
        return made

    endpoints = [Endpoint(scheme="http", address=host, port=8000 + number) for host in hosts]
    return DiscoveredDevice(StateStore(state), lambda: endpoints)


@pytest.fixture
async def discovery(hosts: tuple[Host, Host]) -> AsyncIterator[Discovery]:
    server, _client = hosts

    def look() -> Any:
        with server.entered():
            return machine_interfaces()

    discovery = Discovery(interfaces=look)
    with server.entered():
        discovery.start()
    yield discovery
    await discovery.stop()


def hearing(address: str) -> socket.socket:
    """A socket for what is said to everybody on the network of an address."""
    sock = kept(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((GROUP, PORT))
    membership = socket.inet_aton(GROUP) + socket.inet_aton(address)
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, membership)
    sock.setblocking(False)
    return sock


def received(sock: socket.socket) -> list[bytes]:
    """What has come so far."""
    messages = []
    try:
        while True:
            messages.append(sock.recv(65536))
    except BlockingIOError:
        return messages


def run_on(host: Host, script: str, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    with host.entered():
        return subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, check=True, timeout=60)


async def answered(host: Host, script: str, *arguments: str) -> list[dict[str, Any]]:
    """What a client on a host finds."""
    done = await asyncio.to_thread(run_on, host, script, *arguments)
    found = json.loads(done.stdout)
    assert isinstance(found, list)
    return sorted(found, key=lambda each: str(each["epr"]))


async def test_onvif_python_finds_the_devices(hosts: tuple[Host, Host], discovery: Discovery) -> None:
    for number in range(3):
        discovery.add(made_device(number, "0.0.0.0", "::"))
    found = await answered(hosts[1], ONVIF_PYTHON)
    assert [each["epr"] for each in found] == [UUID(int=number).urn for number in range(3)]
    assert [(each["host"], each["port"]) for each in found] == [(SERVER_IPV4, 8000 + number) for number in range(3)]
    assert found[0]["types"] == ["dn:NetworkVideoTransmitter", "tds:Device"]
    assert found[0]["scopes"] == ["onvif://www.onvif.org/name/Camera0"]


async def test_wsdiscovery_finds_by_type_and_scope(hosts: tuple[Host, Host], discovery: Discovery) -> None:
    for number in range(2):
        discovery.add(made_device(number, "0.0.0.0", "::"))
    found = await answered(hosts[1], WSDISCOVERY)
    assert [each["epr"] for each in found] == [UUID(int=number).urn for number in range(2)]
    assert ["http://www.onvif.org/ver10/device/wsdl", "Device"] in found[0]["types"]
    assert f"http://{SERVER_IPV4}:8001/onvif/device_service" in found[1]["xaddrs"]
    one = await answered(hosts[1], WSDISCOVERY, "onvif://www.onvif.org/name/Camera1")
    assert [each["epr"] for each in one] == [UUID(int=1).urn]
    assert await answered(hosts[1], WSDISCOVERY, "onvif://www.onvif.org/name/Cam") == []


async def test_by_ipv6(hosts: tuple[Host, Host], discovery: Discovery) -> None:
    discovery.add(made_device(1, "0.0.0.0", "::"))
    with hosts[1].entered():
        client = kept(socket.socket(socket.AF_INET6, socket.SOCK_DGRAM))
        index = socket.if_nametoindex("cable")
        client.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
        client.bind((CLIENT_IPV6, 0))
    client.setblocking(False)
    heard: list[bytes] = []

    def asked_again() -> list[bytes]:
        """Until there is an answer: it is announced first."""
        try:
            client.sendto(probe("tds:Device"), (GROUP_6, PORT, 0, index))
            heard.append(client.recv(65536))
        except BlockingIOError:
            pass
        return heard

    await until(asked_again, "an answer by IPv6")
    root = etree.fromstring(heard[0])
    assert root.findtext("s:Body//d:XAddrs", "", NAMES).split() == [
        f"http://[{SERVER_IPV6}]:8001/onvif/device_service",
        f"http://{SERVER_IPV4}:8001/onvif/device_service",
    ]


async def test_a_device_on_the_loopback_is_not_on_the_network(hosts: tuple[Host, Host], discovery: Discovery) -> None:
    with hosts[0].entered():
        on_loopback = kept(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        on_loopback.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, LOOPBACK)
        on_loopback.bind(("127.0.0.1", 0))
    on_loopback.setblocking(False)
    with hosts[1].entered():
        on_network = hearing(CLIENT_IPV4)
    discovery.add(made_device(1, "127.0.0.1"))
    heard: list[bytes] = []

    def asked_again() -> list[bytes]:
        try:
            on_loopback.sendto(probe("tds:Device"), (GROUP, PORT))
            heard.append(on_loopback.recv(65536))
        except BlockingIOError:
            pass
        return heard

    await until(asked_again, "an answer on the loopback")
    assert await answered(hosts[1], ONVIF_PYTHON) == []
    await discovery.stop()
    assert all(b"/Probe<" in message for message in received(on_network))  # the client's own, and nothing else


async def test_what_is_said_to_everybody_is_heard_on_the_network(
    hosts: tuple[Host, Host], discovery: Discovery
) -> None:
    with hosts[1].entered():
        on_network = hearing(CLIENT_IPV4)
    heard: list[bytes] = []
    discovery.add(made_device(1, "0.0.0.0"))

    def more() -> list[bytes]:
        heard.extend(received(on_network))
        return heard

    await until(more, "a Hello")
    assert b"/discovery/Hello<" in heard[0]
    await discovery.stop()
    assert b"/discovery/Bye<" in received(on_network)[-1]
