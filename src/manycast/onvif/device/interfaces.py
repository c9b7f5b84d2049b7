"""Network interfaces, gateways and link-local addresses: read from the machine. What clients set is kept and told, and
never applied to the machine."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address
from typing import Any

from manycast.onvif import machine
from manycast.onvif.device.arguments import (
    invalid,
    ipv4,
    ipv6,
    prefixed_ipv4,
    prefixed_ipv6,
    written_prefixed,
)
from manycast.onvif.device.part import DevicePart
from manycast.onvif.machine import MachineInterface
from manycast.onvif.security.access import Access
from manycast.onvif.soap.fault import Fault
from manycast.onvif.soap.service import NOTHING, Caller, Reply, operation
from manycast.onvif.state.limits import MAX_ADDRESSES
from manycast.onvif.state.network import (
    InterfaceSettings,
    IPv4Settings,
    IPv6Dhcp,
    IPv6Settings,
    LinkSettings,
)

MIN_MTU, MAX_MTU = 68, 65535  # RFC 791
ETHERNET = 6  # IANA ifType ethernetCsmacd
DEFAULT_SPEED_MBPS = 1000
_LINK_LOCAL = IPv4Network("169.254.0.0/16")


class Interfaces(DevicePart):
    @operation(Access.READ_SYSTEM)
    async def get_network_interfaces(self, request: Any, caller: Caller) -> Reply:
        return {"NetworkInterfaces": [self._written(each) for each in machine.interfaces()]}

    @operation(Access.WRITE_SYSTEM)
    async def set_network_interfaces(self, request: Any, caller: Caller) -> Reply:
        """What is left out stays as it is."""
        token = self._known(request.InterfaceToken)
        wanted = request.NetworkInterface
        kept = self._settings(token) or InterfaceSettings(token=token)
        settings = InterfaceSettings(
            token=token,
            enabled=kept.enabled if wanted.Enabled is None else wanted.Enabled,
            link=kept.link if wanted.Link is None else _link(wanted.Link),
            mtu=kept.mtu if wanted.MTU is None else _mtu(wanted.MTU),
            ipv4=kept.ipv4 if wanted.IPv4 is None else _ipv4(wanted.IPv4, kept.ipv4 or IPv4Settings()),
            ipv6=kept.ipv6 if wanted.IPv6 is None else _ipv6(wanted.IPv6, kept.ipv6 or IPv6Settings()),
        )
        if wanted.Extension is not None and wanted.Extension.Dot11:
            raise Fault.receiver("ter:ActionNotSupported", "ter:InvalidDot11", reason="no wireless interfaces")
        others = [each for each in self.state.network.interfaces if each.token != token]
        self.state.network.interfaces = [*others, settings]
        self.save()
        return {"RebootNeeded": True}  # until then, as Core says, the device is found where it was

    @operation(Access.READ_SYSTEM)
    async def get_network_default_gateway(self, request: Any, caller: Caller) -> Reply:
        gateway = self.state.network.gateway
        found_ipv4, found_ipv6 = machine.gateways()
        used_ipv4 = found_ipv4 if gateway.ipv4 is None else gateway.ipv4
        used_ipv6 = found_ipv6 if gateway.ipv6 is None else gateway.ipv6
        return {
            "NetworkGateway": {
                "IPv4Address": [str(each) for each in used_ipv4],
                "IPv6Address": [str(each) for each in used_ipv6],
            }
        }

    @operation(Access.WRITE_SYSTEM)
    async def set_network_default_gateway(self, request: Any, caller: Caller) -> Reply:
        try:
            wanted_ipv4 = [ipv4(each) for each in request.IPv4Address]
            wanted_ipv6 = [ipv6(each) for each in request.IPv6Address]
        except Fault as fault:
            raise invalid("ter:InvalidGatewayAddress", fault.reason) from fault
        addresses: list[IPv4Address | IPv6Address] = [*wanted_ipv4, *wanted_ipv6]
        for address in addresses:
            if address.is_multicast or address.is_unspecified:
                raise invalid("ter:InvalidGatewayAddress", f"{address} cannot be a gateway")
        if len(wanted_ipv4) > MAX_ADDRESSES or len(wanted_ipv6) > MAX_ADDRESSES:
            raise Fault.sender("ter:InvalidArgVal", reason=f"at most {MAX_ADDRESSES} gateways")
        self.state.network.gateway.ipv4 = wanted_ipv4
        self.state.network.gateway.ipv6 = wanted_ipv6
        self.save()
        return NOTHING

    @operation(Access.READ_SYSTEM)
    async def get_zero_configuration(self, request: Any, caller: Caller) -> Reply:
        first, *others = [self._zero_configuration(each) for each in machine.interfaces()]
        if others:
            first["Extension"] = {"Additional": others}
        return {"ZeroConfiguration": first}

    @operation(Access.WRITE_SYSTEM)
    async def set_zero_configuration(self, request: Any, caller: Caller) -> Reply:
        token = self._known(request.InterfaceToken)
        zero = self.state.network.zero_configuration
        others = [each for each in zero.interfaces if each != token]
        zero.interfaces = [*others, token] if request.Enabled else others
        self.save()
        return NOTHING

    def _known(self, token: str) -> str:
        if all(each.name != token for each in machine.interfaces()):
            raise invalid("ter:InvalidNetworkInterface", f"no interface {token[:64]!r}")
        return token

    def _settings(self, token: str) -> InterfaceSettings | None:
        return next((each for each in self.state.network.interfaces if each.token == token), None)

    def _written(self, interface: MachineInterface) -> Reply:
        settings = self._settings(interface.name) or InterfaceSettings(token=interface.name)
        mac = self.state.network.mac or interface.mac or "00:00:00:00:00:00"
        running = LinkSettings(speed_mbps=interface.speed_mbps or DEFAULT_SPEED_MBPS)
        return {
            "token": interface.name,
            "Enabled": settings.enabled,
            "Info": {"Name": interface.name, "HwAddress": mac, "MTU": settings.mtu or interface.mtu},
            "Link": {
                "AdminSettings": _written_link(settings.link or running),
                "OperSettings": _written_link(running),
                "InterfaceType": ETHERNET,
            },
            "IPv4": _written_ipv4(interface, settings.ipv4 or IPv4Settings()),
            "IPv6": _written_ipv6(interface, settings.ipv6 or IPv6Settings(enabled=bool(interface.ipv6))),
        }

    def _zero_configuration(self, interface: MachineInterface) -> dict[str, Any]:
        return {
            "InterfaceToken": interface.name,
            "Enabled": interface.name in self.state.network.zero_configuration.interfaces,
            "Addresses": [str(each.ip) for each in interface.ipv4 if each.ip in _LINK_LOCAL],
        }


def _link(wanted: Any) -> LinkSettings:
    if wanted.Speed < 0:
        raise invalid("ter:InvalidInterfaceSpeed", f"a speed of {wanted.Speed}")
    return LinkSettings(auto_negotiation=wanted.AutoNegotiation, speed_mbps=wanted.Speed, duplex=wanted.Duplex)


def _mtu(wanted: int) -> int:
    if not MIN_MTU <= wanted <= MAX_MTU:
        raise invalid("ter:InvalidMtuValue", f"an MTU of {wanted}")
    return wanted


def _ipv4(wanted: Any, kept: IPv4Settings) -> IPv4Settings:
    manual = [prefixed_ipv4(each) for each in wanted.Manual]
    _check_count(manual)
    return IPv4Settings(
        enabled=kept.enabled if wanted.Enabled is None else wanted.Enabled,
        dhcp=kept.dhcp if wanted.DHCP is None else wanted.DHCP,
        manual=manual or kept.manual,
    )


def _ipv6(wanted: Any, kept: IPv6Settings) -> IPv6Settings:
    manual = [prefixed_ipv6(each) for each in wanted.Manual]
    _check_count(manual)
    return IPv6Settings(
        enabled=kept.enabled if wanted.Enabled is None else wanted.Enabled,
        accept_router_advert=kept.accept_router_advert
        if wanted.AcceptRouterAdvert is None
        else wanted.AcceptRouterAdvert,
        dhcp=kept.dhcp if wanted.DHCP is None else IPv6Dhcp(wanted.DHCP),
        manual=manual or kept.manual,
    )


def _check_count(addresses: list[Any]) -> None:
    if len(addresses) > MAX_ADDRESSES:
        raise Fault.sender("ter:InvalidArgVal", reason=f"at most {MAX_ADDRESSES} addresses")


def _written_link(link: LinkSettings) -> Reply:
    return {"AutoNegotiation": link.auto_negotiation, "Speed": link.speed_mbps, "Duplex": link.duplex}


def _written_ipv4(interface: MachineInterface, settings: IPv4Settings) -> Reply:
    """How the machine came by its addresses is not known: they count as set by hand."""
    own = [each for each in interface.ipv4 if each.ip not in _LINK_LOCAL]
    link_local = [each for each in interface.ipv4 if each.ip in _LINK_LOCAL]
    return {
        "Enabled": settings.enabled,
        "Config": {
            "Manual": written_prefixed(own if settings.manual is None else settings.manual),
            "LinkLocal": written_prefixed(link_local[:1])[0] if link_local else None,
            "FromDHCP": written_prefixed(own[:1])[0] if settings.dhcp and own else None,
            "DHCP": bool(settings.dhcp),
        },
    }


def _written_ipv6(interface: MachineInterface, settings: IPv6Settings) -> Reply:
    own = [each for each in interface.ipv6 if not each.ip.is_link_local]
    return {
        "Enabled": settings.enabled,
        "Config": {
            "AcceptRouterAdvert": settings.accept_router_advert,
            "DHCP": (settings.dhcp or IPv6Dhcp.OFF).value,
            "Manual": written_prefixed(own if settings.manual is None else settings.manual),
            "LinkLocal": written_prefixed(each for each in interface.ipv6 if each.ip.is_link_local),
        },
    }
