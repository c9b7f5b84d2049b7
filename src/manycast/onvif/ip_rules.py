"""Whom the address filter of a device lets in."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address

from manycast.onvif.state.network import IpFilter, IpFilterType


def lets_in(rules: IpFilter, address: str) -> bool:
    """Whether a client of this address is served. A filter without entries filters nothing."""
    if not rules.ipv4 and not rules.ipv6:
        return True
    client = ip_address(address.partition("%")[0])
    if isinstance(client, IPv6Address) and client.ipv4_mapped is not None:
        client = client.ipv4_mapped
    networks: tuple[IPv4Network | IPv6Network, ...] = (
        *(each.network for each in rules.ipv4),
        *(each.network for each in rules.ipv6),
    )
    listed = any(client in network for network in networks)
    return listed == (rules.type is IpFilterType.ALLOW)
