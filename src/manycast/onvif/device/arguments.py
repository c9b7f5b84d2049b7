"""Arguments that several operations have in common, checked, with the faults that ONVIF Core names for them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import timedelta
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface
from math import isfinite
from typing import Any

from manycast.onvif.soap.fault import Fault
from manycast.onvif.state.network import NetworkHost

MAX_NAME_CHARS = 253
_LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?")

Reply = dict[str, Any]


def invalid(subcode: str, reason: str = "") -> Fault:
    """The fault for a value that cannot be."""
    return Fault.sender("ter:InvalidArgVal", subcode, reason=reason)


def ipv4(text: str | None) -> IPv4Address:
    try:
        return IPv4Address(text or "")
    except ValueError:
        raise invalid("ter:InvalidIPv4Address", f"no IPv4 address: {(text or '')[:60]!r}") from None


def ipv6(text: str | None) -> IPv6Address:
    try:
        address = IPv6Address(text or "")
    except ValueError:
        raise invalid("ter:InvalidIPv6Address", f"no IPv6 address: {(text or '')[:60]!r}") from None
    if address.scope_id is not None:
        raise invalid("ter:InvalidIPv6Address", "an address with a zone holds on one machine only")
    return address


def prefixed_ipv4(value: Any) -> IPv4Interface:
    """tt:PrefixedIPv4Address."""
    if not 0 <= value.PrefixLength <= 32:
        raise invalid("ter:InvalidIPv4Address", f"a prefix of {value.PrefixLength} bits")
    return IPv4Interface((ipv4(value.Address), value.PrefixLength))


def prefixed_ipv6(value: Any) -> IPv6Interface:
    """tt:PrefixedIPv6Address."""
    if not 0 <= value.PrefixLength <= 128:
        raise invalid("ter:InvalidIPv6Address", f"a prefix of {value.PrefixLength} bits")
    return IPv6Interface((ipv6(value.Address), value.PrefixLength))


def is_dns_name(text: str) -> bool:
    """Whether it is a host name (RFC 1123 section 2.1), perhaps with domains."""
    labels = text.removesuffix(".").split(".")
    return 0 < len(text) <= MAX_NAME_CHARS and all(_LABEL.fullmatch(label) for label in labels)


def ip_address(value: Any) -> IPv4Address | IPv6Address:
    """tt:IPAddress."""
    return ipv4(value.IPv4Address) if value.Type == "IPv4" else ipv6(value.IPv6Address)


def network_host(value: Any) -> NetworkHost:
    """tt:NetworkHost."""
    if value.Type == "IPv4":
        return NetworkHost(ipv4=ipv4(value.IPv4Address))
    if value.Type == "IPv6":
        return NetworkHost(ipv6=ipv6(value.IPv6Address))
    if not is_dns_name(value.DNSname or ""):
        raise invalid("ter:InvalidDnsName", f"no name of a host: {(value.DNSname or '')[:60]!r}")
    return NetworkHost(dns_name=value.DNSname)


def written_host(host: NetworkHost) -> Reply:
    """tt:NetworkHost."""
    if host.ipv4 is not None:
        return {"Type": "IPv4", "IPv4Address": str(host.ipv4)}
    if host.ipv6 is not None:
        return {"Type": "IPv6", "IPv6Address": str(host.ipv6)}
    return {"Type": "DNS", "DNSname": host.dns_name}


def written_addresses(addresses: Iterable[IPv4Address | IPv6Address]) -> list[Reply]:
    """A list of tt:IPAddress."""
    return [{"Type": f"IPv{each.version}", f"IPv{each.version}Address": str(each)} for each in addresses]


def written_prefixed(addresses: Iterable[IPv4Interface | IPv6Interface]) -> list[Reply]:
    """A list of tt:PrefixedIPv4Address or tt:PrefixedIPv6Address."""
    return [{"Address": str(each.ip), "PrefixLength": each.network.prefixlen} for each in addresses]


def seconds(duration: Any) -> float | None:
    """An xs:duration in seconds; None for one of months or years, which have no fixed length."""
    return duration.total_seconds() if isinstance(duration, timedelta) else None


def finite(number: float | None) -> float | None:
    """A number that is one. Raises Fault for infinity and NaN, which xs:float allows."""
    if number is not None and not isfinite(number):
        raise Fault.sender("ter:InvalidArgVal", reason=f"{number} is no place")
    return number
