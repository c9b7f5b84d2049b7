"""Where notifications may go."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from manycast.onvif import machine
from manycast.onvif.events.destinations import Destinations, ForbiddenDestination
from manycast.onvif.state.server import PushTo

HERE, HERE_IPV6 = "192.168.1.5", "2001:db8::5"


@pytest.fixture(autouse=True)
def own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "addresses", lambda: set(map(ip_address, (HERE, HERE_IPV6, "127.0.0.1", "::1"))))


def allowed(subscriber: str, address: str, rule: PushTo = PushTo.NETWORK) -> bool:
    try:
        Destinations(subscriber, lambda: rule).check(address)
    except ForbiddenDestination:
        return False
    return True


@pytest.mark.parametrize(
    "address", ["192.168.1.77", "10.0.0.1", "203.0.113.7", "fd00::1", "2001:db8::7", "::ffff:192.168.1.77"]
)
def test_hosts_of_the_network_and_beyond_are_told(address: str) -> None:
    assert allowed("192.168.1.77", address)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.8.7.6",
        "::1",
        "::ffff:127.0.0.1",
        HERE,
        HERE_IPV6,
        f"::ffff:{HERE}",
        "0.0.0.0",
        "::",
        "169.254.169.254",
        "fe80::1",
        "fe80::1%eth0",
        "224.0.0.1",
        "ff02::1",
        "255.255.255.255",
        "240.0.0.1",
    ],
)
def test_nobody_elsewhere_has_this_machine_or_a_link_asked(address: str) -> None:
    assert not allowed("192.168.1.77", address)
    assert allowed("192.168.1.77", address, PushTo.ANYWHERE)


@pytest.mark.parametrize("subscriber", ["127.0.0.1", "::1", "::ffff:127.0.0.1", HERE, HERE_IPV6])
def test_who_is_on_this_machine_may_have_it_asked(subscriber: str) -> None:
    assert all(allowed(subscriber, address) for address in ("127.0.0.1", "::1", HERE, HERE_IPV6))
    assert not allowed(subscriber, "169.254.169.254")


def test_everybody_is_told_where_they_are() -> None:
    for address in ("169.254.7.7", "fe80::7%eth0", "127.0.0.1", "192.168.1.77"):
        for rule in PushTo:
            assert allowed(address, address, rule)
    assert allowed("fe80::7%eth0", "fe80::7")


def test_only_the_subscriber_is_told_where_the_rule_is_so() -> None:
    assert allowed("192.168.1.77", "::ffff:192.168.1.77", PushTo.SUBSCRIBER)
    assert not allowed("192.168.1.77", "192.168.1.78", PushTo.SUBSCRIBER)
