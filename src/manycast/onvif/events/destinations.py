"""Where notifications may go: whoever subscribes chooses the address, and must not have us ask where they cannot."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address, ip_address

from manycast.errors import ManycastError
from manycast.onvif import machine
from manycast.onvif.state.server import PushTo

IpAddress = IPv4Address | IPv6Address


class ForbiddenDestination(ManycastError):
    """Nothing is sent there; the text says why."""


class Destinations:
    """Where one subscriber may have notifications sent to."""

    def __init__(self, subscriber: str, rule: Callable[[], PushTo]) -> None:
        """Args:
        subscriber: The address from which the subscription was asked for.
        rule: Asked for each time.
        """
        self._subscriber = _plain(subscriber)
        self._rule = rule

    def check(self, address: str) -> None:
        """Raise ForbiddenDestination unless notifications may go to this address, which is no name."""
        found, rule = _plain(address), self._rule()
        if rule is PushTo.ANYWHERE or found == self._subscriber:
            return
        if rule is PushTo.SUBSCRIBER:
            raise ForbiddenDestination(f"{address} is not the address that subscribed")
        own = machine.addresses()
        if _is_here(found, own):
            if not _is_here(self._subscriber, own):
                raise ForbiddenDestination(f"{address} is this machine itself, and the subscriber is not on it")
        elif found.is_unspecified or found.is_multicast or found.is_link_local or found.is_reserved:
            raise ForbiddenDestination(f"{address} is for no other host than one that subscribes from it")


def is_address(host: str) -> bool:
    """Whether it is no name."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _is_here(address: IpAddress, own: set[IpAddress]) -> bool:
    return address.is_loopback or address in own


def _plain(address: str) -> IpAddress:
    """Without a zone, and IPv4 as itself."""
    parsed = ip_address(address.partition("%")[0])
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is not None:
        return parsed.ipv4_mapped
    return parsed
