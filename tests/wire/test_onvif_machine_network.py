"""Changes of interfaces, addresses and gateways: real ones, in network namespaces."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface
from typing import Any

import pytest
from support.network import CLIENT_IPV4, SERVER_IPV4, SERVER_IPV6, cabled_hosts

from manycast.onvif.machine_network import netlink
from manycast.onvif.machine_network.errors import CannotApply
from manycast.onvif.machine_network.machine_network import wanted
from manycast.onvif.machine_network.netlink import WantedInterface, change_gateways, change_interface
from manycast.onvif.state.network import InterfaceSettings

NEW_IPV4, NEW_IPV6 = IPv4Interface("198.51.100.77/24"), IPv6Interface("2001:db8::77/64")


@pytest.fixture(autouse=True)
def host() -> Iterator[None]:
    """The tests' thread is on a host of its own."""
    with cabled_hosts() as (server, _), server.entered():
        yield


def shown(*arguments: str) -> Any:
    return json.loads(subprocess.run(["ip", "-j", *arguments], capture_output=True, check=True, text=True).stdout)


def addresses() -> set[str]:
    (link,) = shown("address", "show", "dev", "cable")
    return {f"{each['local']}/{each['prefixlen']}" for each in link["addr_info"] if each["scope"] != "link"}


def mtu() -> int:
    return int(shown("link", "show", "dev", "cable")[0]["mtu"])


def is_up() -> bool:
    return "UP" in shown("link", "show", "dev", "cable")[0]["flags"]


def gateways(version: int = 4) -> list[str]:
    return [each["gateway"] for each in shown(f"-{version}", "route", "show", "default")]


def change(**values: Any) -> None:
    """Both steps."""
    change_interface(WantedInterface(name="cable", **values))()


def test_what_is_read_is_what_there_is() -> None:
    (found,) = netlink.read_interfaces()
    assert (found.name, found.enabled, found.mtu, found.ipv6_enabled) == ("cable", True, 1500, True)
    assert found.ipv4 == (IPv4Interface(f"{SERVER_IPV4}/24"),)
    assert IPv6Interface(f"{SERVER_IPV6}/64") in found.ipv6
    assert found.from_routers == ()


def test_new_addresses_come_first_and_old_ones_go_later() -> None:
    before = addresses()
    finish = change_interface(WantedInterface(name="cable", ipv4=[NEW_IPV4], ipv6=[NEW_IPV6]))
    assert addresses() == before | {str(NEW_IPV4), str(NEW_IPV6)}
    finish()
    assert addresses() == {str(NEW_IPV4), str(NEW_IPV6)}


def test_default_routes_outlive_the_first_address_of_their_network() -> None:
    change(ipv4=[NEW_IPV4])
    assert gateways() == [CLIENT_IPV4]


def test_a_prefix_alone_can_be_another() -> None:
    change(ipv4=[IPv4Interface(f"{SERVER_IPV4}/25")], ipv6=[IPv6Interface(f"{SERVER_IPV6}/56")])
    assert addresses() == {f"{SERVER_IPV4}/25", f"{SERVER_IPV6}/56"}


def test_what_is_not_named_stays() -> None:
    before = addresses()
    change(mtu=1400)
    assert (addresses(), mtu(), is_up()) == (before, 1400, True)


def test_an_interface_goes_off_and_on() -> None:
    change(enabled=False)
    assert not is_up()
    assert [each.enabled for each in netlink.read_interfaces() if each.name == "cable"] == [False]
    change(enabled=True)
    assert is_up()


def test_without_any_address_it_can_still_be_found() -> None:
    change(ipv4=[], ipv6=[], ipv6_enabled=False)
    assert addresses() == set()
    (found,) = netlink.read_interfaces()
    assert (found.name, found.ipv4, found.ipv6, found.ipv6_enabled) == ("cable", (), (), False)
    change(ipv6=[NEW_IPV6], ipv6_enabled=True, accept_router_advert=False)
    assert addresses() == {str(NEW_IPV6)}
    (found,) = netlink.read_interfaces()
    assert (found.ipv6_enabled, found.accepts_router_advert) == (True, False)


@pytest.mark.parametrize(
    ("values", "subcode"),
    [
        ({"mtu": 70_000}, "ter:InvalidMtuValue"),
        ({"mtu": 1279}, "ter:InvalidMtuValue"),  # there are addresses of IPv6
        ({"mtu": 1400, "ipv4": [NEW_IPV4, IPv4Interface("224.0.0.1/24")]}, "ter:InvalidIPv4Address"),
        ({"ipv6": [NEW_IPV6, IPv6Interface("2001:db8::77/56")]}, "ter:InvalidIPv6Address"),  # the same address twice
        ({"mtu": 1400, "ipv6": [NEW_IPV6, IPv6Interface("ff02::1/64")]}, "ter:InvalidIPv6Address"),
        ({"mtu": 1400, "ipv4": [NEW_IPV4], "ipv6": [IPv6Interface("ff02::1/64")]}, "ter:InvalidIPv6Address"),
    ],
)
def test_a_value_that_cannot_be_leaves_all_as_it_was(values: dict[str, Any], subcode: str) -> None:
    before = addresses(), mtu(), gateways(), gateways(6)
    with pytest.raises(CannotApply) as caught:
        change(enabled=True, **values)
    assert caught.value.subcode == subcode
    assert (addresses(), mtu(), gateways(), gateways(6)) == before


def test_an_interface_that_was_off_is_so_again_when_the_rest_fails() -> None:
    change(enabled=False)
    with pytest.raises(CannotApply):
        change(enabled=True, mtu=70_000)
    assert not is_up()


def test_an_address_that_is_wanted_twice_is_there_once() -> None:
    change(ipv4=[NEW_IPV4, NEW_IPV4])
    assert NEW_IPV4.with_prefixlen in addresses()


def test_addresses_of_ipv6_where_it_is_off_are_refused() -> None:
    change(ipv6_enabled=False)
    with pytest.raises(CannotApply, match="IPv6 is switched off on cable"):
        change(ipv6=[NEW_IPV6])


def test_an_unknown_interface_is_named() -> None:
    with pytest.raises(CannotApply, match="no interface none") as caught:
        change_interface(WantedInterface(name="none", mtu=1400))
    assert caught.value.subcode == "ter:InvalidNetworkInterface"


def test_gateways_are_replaced_and_the_first_one_is_preferred() -> None:
    ipv4 = [IPv4Address("198.51.100.9"), IPv4Address("198.51.100.8")]
    ipv6 = [IPv6Address("2001:db8::9"), IPv6Address("fe80::9")]
    change_gateways(ipv4, None)
    assert (gateways(), gateways(6)) == ([str(each) for each in ipv4], [])
    change_gateways(None, ipv6)
    assert (gateways(), gateways(6)) == ([str(each) for each in ipv4], [str(each) for each in ipv6])
    change_gateways(ipv4[:1], ipv6[1:])
    assert (gateways(), gateways(6)) == (["198.51.100.9"], ["fe80::9"])
    change_gateways([], [])
    assert (gateways(), gateways(6)) == ([], [])


def test_a_gateway_of_no_network_leaves_those_there_are() -> None:
    change_gateways(None, [IPv6Address("2001:db8::9")])
    wrong: list[tuple[list[IPv4Address], list[IPv6Address]]] = [
        ([IPv4Address("198.51.100.9"), IPv4Address("203.0.113.1")], []),
        ([], [IPv6Address("2001:dba::1")]),
        ([IPv4Address(SERVER_IPV4)], []),  # its own
    ]
    for ipv4, ipv6 in wrong:
        with pytest.raises(CannotApply) as caught:
            change_gateways(ipv4, ipv6)
        assert caught.value.subcode == "ter:InvalidGatewayAddress"
        assert (gateways(), gateways(6)) == ([CLIENT_IPV4], ["2001:db8::9"])


def test_settings_ask_for_no_more_than_was_set() -> None:
    assert wanted(InterfaceSettings(token="cable", mtu=1400)) == WantedInterface(name="cable", enabled=True, mtu=1400)
