"""One device, as it shows itself to those who look for devices."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from ipaddress import ip_address
from uuid import uuid4

from manycast.onvif.discovery.interfaces import Endpoint, Interface, xaddrs
from manycast.onvif.discovery.messages import TYPES, Probe, Request, Stamp, Target
from manycast.onvif.discovery.scopes import SUPPORTED_RULES, matches
from manycast.onvif.ip_rules import lets_in
from manycast.onvif.state.discovery import DiscoveryMode
from manycast.onvif.state.store import StateStore

DEVICE_SERVICE = "/onvif/device_service"


@dataclass(frozen=True, slots=True)
class Shown:
    """What others know of a device once it was announced."""

    scopes: tuple[str, ...]
    addresses: tuple[tuple[str, ...], ...]  # by interface


class DiscoveredDevice:
    """The messages of a device are made of its state as it is when they are sent."""

    def __init__(self, store: StateStore, endpoints: Callable[[], Iterable[Endpoint]]) -> None:
        """`endpoints` tells what it listens on."""
        self.store = store
        self.on_change: Callable[[], None] | None = None  # who is told of what clients change
        self._endpoints = endpoints
        self._told_addresses: tuple[tuple[str, ...], ...] = ()
        self._instance_id = _next_instance_id()
        self._messages = 0
        store.listen(self._changed)

    @property
    def discoverable(self) -> bool:
        return self.store.state.discovery.mode is DiscoveryMode.DISCOVERABLE

    def show(self, interfaces: Iterable[Interface]) -> Shown:
        addresses = tuple(xaddrs(self._endpoints(), each, DEVICE_SERVICE) for each in interfaces)
        return Shown(self._scopes(), tuple(each for each in addresses if each))

    def announcing(self, shown: Shown) -> None:
        """Others are about to be told: addresses that differ from those they know make it another version."""
        if self._told_addresses not in ((), shown.addresses):
            self.store.state.discovery.metadata_version += 1
        self._told_addresses = shown.addresses

    def target(self, interface: Interface, version: int) -> Target | None:
        """What is said of it on an interface, by a version of IP; None: it is not reached there by that."""
        endpoints = tuple(self._endpoints())
        addresses = xaddrs(endpoints, interface, DEVICE_SERVICE, first=version)
        if not addresses or all(ip_address(each.address).version != version for each in endpoints):
            return None
        discovery = self.store.state.discovery
        return Target(
            endpoint=discovery.endpoint,
            scopes=self._scopes(),
            xaddrs=addresses,
            metadata_version=discovery.metadata_version,
        )

    def listens_on(self, local: bytes) -> bool:
        """Whether a message to one address, packed, is meant for it."""
        address = ip_address(local)
        bound = [ip_address(endpoint.address) for endpoint in self._endpoints()]
        return any(each == address or each.is_unspecified for each in bound)

    def lets_in(self, host: str) -> bool:
        """Whether its address filter lets somebody in."""
        return lets_in(self.store.state.network.ip_filter, host)

    def is_meant(self, request: Request) -> bool:
        """Whether it is what is looked for."""
        if not isinstance(request, Probe):
            named = request.endpoint.lower().removeprefix("urn:").removeprefix("uuid:")
            return named == str(self.store.state.discovery.endpoint)
        known = request.rule in SUPPORTED_RULES
        return known and request.types <= TYPES and matches(request.scopes, self._scopes(), request.rule)

    def stamp(self) -> Stamp:
        """What the next message is marked with."""
        self._messages += 1
        return Stamp(message_id=uuid4(), instance_id=self._instance_id, message_number=self._messages)

    def _changed(self) -> None:
        if self.on_change is not None:
            self.on_change()

    def _scopes(self) -> tuple[str, ...]:
        return tuple(scope.uri for scope in self.store.state.scopes)


_last_instance_id = 0


def _next_instance_id() -> int:
    """Seconds since 1970, and never the same twice: message numbers begin anew with each."""
    global _last_instance_id
    _last_instance_id = max(int(time.time()), _last_instance_id + 1)
    return _last_instance_id
