"""Where a device is reached on each interface."""

from __future__ import annotations

from ipaddress import IPv4Interface, IPv6Interface, ip_address

import pytest

from manycast.onvif.discovery.interfaces import Endpoint, Interface, machine_interfaces, xaddrs

CABLE = Interface(
    name="eth0",
    index=2,
    ipv4=(IPv4Interface("192.0.2.5/24"),),
    ipv6=(IPv6Interface("2001:db8::5/64"), IPv6Interface("fe80::5/64")),
)
LOOPBACK = Interface(name="lo", index=1, ipv4=(IPv4Interface("127.0.0.1/8"),), ipv6=(IPv6Interface("::1/128"),))
LOCAL_ONLY = Interface(name="eth1", index=3, ipv6=(IPv6Interface("fe80::6/64"),))

EVERYWHERE = [Endpoint(scheme="http", address="0.0.0.0", port=80), Endpoint(scheme="http", address="::", port=80)]


def urls(endpoints: list[Endpoint], interface: Interface, first: int = 4) -> list[str]:
    return list(xaddrs(endpoints, interface, "/s", first=first))


def test_a_device_on_every_address_has_those_of_the_interface() -> None:
    assert urls(EVERYWHERE, CABLE) == ["http://192.0.2.5:80/s", "http://[2001:db8::5]:80/s"]
    assert urls(EVERYWHERE, LOOPBACK) == ["http://127.0.0.1:80/s", "http://[::1]:80/s"]


def test_the_version_that_was_asked_by_comes_first() -> None:
    assert urls(EVERYWHERE, CABLE, first=6)[0] == "http://[2001:db8::5]:80/s"


def test_http_comes_before_https() -> None:
    both = [Endpoint(scheme="https", address="0.0.0.0", port=443), *EVERYWHERE]
    assert urls(both, CABLE) == ["http://192.0.2.5:80/s", "https://192.0.2.5:443/s", "http://[2001:db8::5]:80/s"]


def test_a_link_local_address_is_told_only_where_there_is_no_other() -> None:
    assert urls(EVERYWHERE, LOCAL_ONLY) == ["http://[fe80::6]:80/s"]


def test_a_device_on_one_address_is_on_its_interface_alone() -> None:
    bound = [Endpoint(scheme="http", address="127.0.0.1", port=80)]
    assert urls(bound, LOOPBACK) == ["http://127.0.0.1:80/s"]
    assert urls(bound, CABLE) == []


@pytest.mark.parametrize(
    ("address", "held"),
    [("192.0.2.99", True), ("192.0.3.1", False), ("2001:db8::1234", True), ("2001:db8:1::1", False)],
)
def test_who_is_in_an_interfaces_networks(address: str, held: bool) -> None:
    assert CABLE.holds(ip_address(address)) is held


def test_this_machine_has_a_loopback() -> None:
    assert any(ip_address("127.0.0.1") in interface.addresses(4) for interface in machine_interfaces())
