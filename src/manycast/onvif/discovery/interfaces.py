"""The interfaces of the machine, and where a device is reached on each."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface, ip_address

import ifaddr

IpAddress = IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True, kw_only=True)
class Interface:
    name: str
    index: int
    ipv4: tuple[IPv4Interface, ...] = ()
    ipv6: tuple[IPv6Interface, ...] = ()

    def addresses(self, version: int) -> tuple[IpAddress, ...]:
        """Those of one version of IP, the ones that others can use: link-local ones only if there is nothing else."""
        if version == 4:
            return tuple(each.ip for each in self.ipv4)
        wide = tuple(each.ip for each in self.ipv6 if not each.ip.is_link_local)
        return wide or (() if self.ipv4 else tuple(each.ip for each in self.ipv6))

    def holds(self, address: IpAddress) -> bool:
        """Whether an address is in one of its networks."""
        held: tuple[IPv4Interface | IPv6Interface, ...] = (*self.ipv4, *self.ipv6)
        return any(address.version == each.version and address in each.network for each in held)


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """What a device listens on."""

    scheme: str  # http or https
    address: str  # 0.0.0.0 and :: are all of their version
    port: int

    @classmethod
    def of(cls, scheme: str, sock: socket.socket) -> Endpoint:
        """Where a socket is bound to."""
        address, port = sock.getsockname()[:2]
        return cls(scheme=scheme, address=address.partition("%")[0], port=port)


def machine_interfaces() -> list[Interface]:
    """Those that have an address."""
    found: dict[int, Interface] = {}
    for adapter in ifaddr.get_adapters():
        if adapter.index is None or not adapter.ips:
            continue
        known = found.get(adapter.index, Interface(name=adapter.name, index=adapter.index))
        ipv4 = [IPv4Interface((each.ip, each.network_prefix)) for each in adapter.ips if isinstance(each.ip, str)]
        ipv6 = [IPv6Interface((each.ip[0], each.network_prefix)) for each in adapter.ips if isinstance(each.ip, tuple)]
        found[adapter.index] = Interface(
            name=known.name, index=known.index, ipv4=(*known.ipv4, *ipv4), ipv6=(*known.ipv6, *ipv6)
        )
    return list(found.values())


def xaddrs(endpoints: Iterable[Endpoint], interface: Interface, path: str, *, first: int = 4) -> tuple[str, ...]:
    """The addresses of a service for those who are reached by an interface; `first` is the preferred version of IP."""
    found: list[tuple[bool, bool, str]] = []
    for endpoint in endpoints:
        for address in _reached(endpoint, interface):
            host = f"[{address}]" if address.version == 6 else str(address)
            url = f"{endpoint.scheme}://{host}:{endpoint.port}{path}"
            found.append((endpoint.scheme != "http", address.version != first, url))
    return tuple(url for *_, url in sorted(found, key=lambda each: (each[1], each[0])))


def _reached(endpoint: Endpoint, interface: Interface) -> tuple[IpAddress, ...]:
    bound = ip_address(endpoint.address)
    if bound.is_unspecified:
        return interface.addresses(bound.version)
    held: tuple[IPv4Interface | IPv6Interface, ...] = (*interface.ipv4, *interface.ipv6)
    return (bound,) if any(each.ip == bound for each in held) else ()
