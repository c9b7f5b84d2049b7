"""What the machine's network looks like: read, never changed here."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface, ip_address
from pathlib import Path

import ifaddr

_SYSTEM = Path("/sys/class/net")
_ROUTES = Path("/proc/net/route")
_ROUTES_6 = Path("/proc/net/ipv6_route")
RESOLVER = Path("/etc/resolv.conf")


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineInterface:
    name: str
    mac: str | None
    mtu: int | None  # bytes
    speed_mbps: int | None
    ipv4: tuple[IPv4Interface, ...]
    ipv6: tuple[IPv6Interface, ...]
    enabled: bool = True
    ipv6_enabled: bool | None = None  # None: not known; likewise for what follows
    accepts_router_advert: bool | None = None
    from_routers: tuple[IPv6Interface, ...] = ()  # those of `ipv6` that come and go with a router

    @property
    def is_loopback(self) -> bool:
        return all(each.ip.is_loopback for each in self.ipv4) and all(each.ip.is_loopback for each in self.ipv6)


def interfaces() -> list[MachineInterface]:
    """The interfaces that have an address; the loopback only if there is no other."""
    found = [_interface(adapter) for adapter in ifaddr.get_adapters() if adapter.ips]
    return [each for each in found if not each.is_loopback] or found


def addresses() -> set[IPv4Address | IPv6Address]:
    """All that the machine has, on whatever interface."""
    return {
        ip_address((each.ip if isinstance(each.ip, str) else each.ip[0]).partition("%")[0])
        for adapter in ifaddr.get_adapters()
        for each in adapter.ips
    }


def gateways() -> tuple[list[IPv4Address], list[IPv6Address]]:
    """Where packets for everywhere else go."""
    ipv4 = [
        IPv4Address(int(gateway, 16).to_bytes(4, "little"))
        for _, destination, gateway, flags, *_ in map(str.split, _lines(_ROUTES)[1:])
        if destination == "00000000" and int(flags, 16) & 2
    ]
    ipv6 = [
        IPv6Address(bytes.fromhex(fields[4]))
        for fields in map(str.split, _lines(_ROUTES_6))
        if fields[0] == "0" * 32 and fields[1] == "00" and fields[4] != "0" * 32
    ]
    return ipv4, ipv6


def dns_servers() -> list[IPv4Address | IPv6Address]:
    found = []
    for line in _lines(RESOLVER):
        fields = line.split()
        if len(fields) > 1 and fields[0] == "nameserver":
            try:
                found.append(ip_address(fields[1].partition("%")[0]))
            except ValueError:
                continue  # the resolver ignores it as well
    return found


def search_domains() -> list[str]:
    domains: list[str] = []
    for line in _lines(RESOLVER):
        fields = line.split()
        if fields and fields[0] in ("search", "domain"):
            domains = fields[1:]  # the last one holds (resolv.conf(5))
    return domains


def full_host_name() -> str:
    return socket.gethostname()


def host_name() -> str:
    return full_host_name().partition(".")[0]


def speed_mbps(interface: str) -> int | None:
    return _number(_SYSTEM / interface / "speed")


def _interface(adapter: ifaddr.Adapter) -> MachineInterface:
    ipv4, ipv6 = [], []
    for each in adapter.ips:
        if isinstance(each.ip, str):
            ipv4.append(IPv4Interface((each.ip, each.network_prefix)))
        else:
            ipv6.append(IPv6Interface((each.ip[0], each.network_prefix)))
    folder = _SYSTEM / adapter.name
    return MachineInterface(
        name=adapter.name,
        mac=_text(folder / "address") or None,
        mtu=_number(folder / "mtu"),
        speed_mbps=speed_mbps(adapter.name),
        ipv4=tuple(ipv4),
        ipv6=tuple(ipv6),
    )


def _number(file: Path) -> int | None:
    """Interfaces without a cable say -1, or nothing."""
    text = _text(file)
    return int(text) if text.isdigit() else None


def _text(file: Path) -> str:
    return "\n".join(_lines(file)).strip()


def _lines(file: Path) -> list[str]:
    """Of a file that other systems than Linux do not have."""
    try:
        return file.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
