"""Network interfaces, gateways and link-local addresses: read from the machine. What clients set is kept and told.

Where the configuration allows it, it is applied to the machine, and what is told is what the machine has.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface
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
from manycast.onvif.machine_network.errors import CannotApply
from manycast.onvif.security.access import Access
from manycast.onvif.soap.fault import Fault
from manycast.onvif.soap.service import NOTHING, Caller, Reply, operation
from manycast.onvif.state.limits import MAX_ADDRESSES
from manycast.onvif.state.network import (
    Gateway,
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
_NAMES = {"mtu": "MTU", "ipv4": "IPv4", "ipv6": "IPv6"}


class Interfaces(DevicePart):
    @operation(Access.READ_SYSTEM)
    async def get_network_interfaces(self, request: Any, caller: Caller) -> Reply:
        return {"NetworkInterfaces": [self._written(each) for each in await self._interfaces()]}

    @operation(Access.WRITE_SYSTEM)
    async def set_network_interfaces(self, request: Any, caller: Caller) -> Reply:
        """What is left out stays as it is."""
        interfaces = await self._interfaces()
        interface = _find(interfaces, request.InterfaceToken)
        wanted = request.NetworkInterface
        kept = self._settings(interface.name) or InterfaceSettings(token=interface.name, enabled=interface.enabled)
        settings = InterfaceSettings(
            token=interface.name,
            enabled=kept.enabled if wanted.Enabled is None else wanted.Enabled,
            link=kept.link if wanted.Link is None else _link(wanted.Link),
            mtu=kept.mtu if wanted.MTU is None else _mtu(wanted.MTU),
            ipv4=kept.ipv4 if wanted.IPv4 is None else _ipv4(wanted.IPv4, kept.ipv4 or IPv4Settings()),
            ipv6=kept.ipv6 if wanted.IPv6 is None else _ipv6(wanted.IPv6, kept.ipv6 or IPv6Settings()),
        )
        if wanted.Extension is not None and wanted.Extension.Dot11:
            raise Fault.receiver("ter:ActionNotSupported", "ter:InvalidDot11", reason="no wireless interfaces")
        applied = self.device.surroundings.network is not None
        if applied:
            settings = _as_it_can_be(settings, interface)
            _refuse_what_cannot_be(wanted, interface)
            self._refuse_what_locks_out(settings, interfaces)
            # What the request says nothing of may have been changed by others since.
            unsaid = {name: None for name in ("mtu", "ipv4", "ipv6") if getattr(wanted, _NAMES[name]) is None}
            change = settings.model_copy(update=unsaid)
            gateway = self.state.network.gateway if settings.enabled and not interface.enabled else None
            await self.apply(lambda network: network.set_interface(change, gateway))
        others = [each for each in self.state.network.interfaces if each.token != settings.token]
        self.state.network.interfaces = [*others, settings]
        self.save()
        # Until a restart that is needed, as Core says, the device is found where it was.
        return {"RebootNeeded": not applied}

    @operation(Access.READ_SYSTEM)
    async def get_network_default_gateway(self, request: Any, caller: Caller) -> Reply:
        applied = self.device.surroundings.network is not None
        gateway = Gateway() if applied else self.state.network.gateway
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
        """Where only gateways of one version of IP are named, those of the other stay."""
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
        kept = self.state.network.gateway
        gateway = Gateway(
            ipv4=wanted_ipv4 if wanted_ipv4 or not wanted_ipv6 else kept.ipv4,
            ipv6=wanted_ipv6 if wanted_ipv6 or not wanted_ipv4 else kept.ipv6,
        )
        await self.apply(lambda network: network.set_gateway(gateway))
        self.state.network.gateway = gateway
        self.save()
        return NOTHING

    @operation(Access.READ_SYSTEM)
    async def get_zero_configuration(self, request: Any, caller: Caller) -> Reply:
        first, *others = [self._zero_configuration(each) for each in await self._interfaces()]
        if others:
            first["Extension"] = {"Additional": others}
        return {"ZeroConfiguration": first}

    @operation(Access.WRITE_SYSTEM)
    async def set_zero_configuration(self, request: Any, caller: Caller) -> Reply:
        token = _find(await self._interfaces(), request.InterfaceToken).name
        zero = self.state.network.zero_configuration
        others = [each for each in zero.interfaces if each != token]
        zero.interfaces = [*others, token] if request.Enabled else others
        self.save()
        return NOTHING

    async def _interfaces(self) -> list[MachineInterface]:
        network = self.device.surroundings.network
        if network is None:
            return machine.interfaces()
        try:
            return await network.interfaces()
        except CannotApply as error:
            raise Fault.receiver("ter:Action", reason=str(error)) from error

    def _refuse_what_locks_out(self, settings: InterfaceSettings, interfaces: list[MachineInterface]) -> None:
        """Nobody could take back what leaves the machine, or the device, without an address. Raises Fault."""
        now: set[str] = set()
        left: set[str] = set()
        for each in interfaces:
            now |= _texts(*each.ipv4, *each.ipv6)
            if each.name != settings.token and each.enabled:
                left |= _texts(*each.ipv4, *each.ipv6)
            elif each.name == settings.token and settings.enabled:
                left |= _texts(*_addresses_after(settings, each))
        if not left:
            raise Fault.sender("ter:InvalidArgVal", reason="the machine would have no address left")
        for address in self.state.server.addresses:
            if address in now and address not in left:
                reason = f"the device listens on {address} alone, as it is configured (server_ip)"
                raise Fault.sender("ter:InvalidArgVal", reason=reason)

    def _settings(self, token: str) -> InterfaceSettings | None:
        return next((each for each in self.state.network.interfaces if each.token == token), None)

    def _written(self, interface: MachineInterface) -> Reply:
        if self.device.surroundings.network is None:
            settings = self._settings(interface.name) or InterfaceSettings(token=interface.name)
        else:
            settings = self._found(interface)
        mac = self.state.network.mac or interface.mac or "00:00:00:00:00:00"
        running = _running_link(interface)
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

    def _found(self, interface: MachineInterface) -> InterfaceSettings:
        """An interface as the machine has it, where that is what is told."""
        kept = self._settings(interface.name) or InterfaceSettings(token=interface.name)
        return InterfaceSettings(
            token=interface.name,
            enabled=interface.enabled,
            # It cannot be seen whether IPv4 is off, or there is merely no address.
            ipv4=IPv4Settings(enabled=bool(interface.ipv4) or kept.ipv4 is None or kept.ipv4.enabled),
            ipv6=IPv6Settings(
                enabled=bool(interface.ipv6) if interface.ipv6_enabled is None else interface.ipv6_enabled,
                accept_router_advert=interface.accepts_router_advert,
            ),
        )

    def _zero_configuration(self, interface: MachineInterface) -> dict[str, Any]:
        return {
            "InterfaceToken": interface.name,
            "Enabled": interface.name in self.state.network.zero_configuration.interfaces,
            "Addresses": [str(each.ip) for each in interface.ipv4 if each.ip in _LINK_LOCAL],
        }


def _find(interfaces: list[MachineInterface], token: str) -> MachineInterface:
    """Raises Fault."""
    for each in interfaces:
        if each.name == token:
            return each
    raise invalid("ter:InvalidNetworkInterface", f"no interface {token[:64]!r}")


def _refuse_what_cannot_be(wanted: Any, interface: MachineInterface) -> None:
    """What is not in our hands must not look as if it had been done. Raises Fault."""
    if wanted.IPv4 is not None and wanted.IPv4.DHCP:
        reason = "addresses by DHCP are for the machine's own set-up to ask for"
        raise Fault.receiver("ter:ActionNotSupported", reason=reason)
    if wanted.IPv6 is not None and wanted.IPv6.DHCP not in (None, IPv6Dhcp.OFF.value):
        reason = "addresses by DHCPv6 are for the machine's own set-up to ask for"
        raise Fault.receiver("ter:ActionNotSupported", "ter:InvalidDHCPv6", reason=reason)
    if wanted.Link is not None and _link(wanted.Link) != _running_link(interface):
        raise invalid("ter:InvalidInterfaceSpeed", "the speed is for the machine's own set-up to choose")


def _as_it_can_be(settings: InterfaceSettings, interface: MachineInterface) -> InterfaceSettings:
    """With the addresses that are to come back, when a version of IP is switched on again."""
    ipv4, ipv6 = settings.ipv4, settings.ipv6
    if ipv4 is not None and not ipv4.enabled and ipv4.manual is None:
        own = [each for each in interface.ipv4 if each.ip not in _LINK_LOCAL]
        ipv4 = ipv4.model_copy(update={"manual": own[:MAX_ADDRESSES]})
    if ipv6 is not None and not ipv6.enabled and ipv6.manual is None:
        ipv6 = ipv6.model_copy(update={"manual": _own_ipv6(interface)[:MAX_ADDRESSES]})
    return settings.model_copy(update={"link": None, "ipv4": ipv4, "ipv6": ipv6})


def _addresses_after(
    settings: InterfaceSettings, interface: MachineInterface
) -> Iterable[IPv4Interface | IPv6Interface]:
    """Those that an interface will have."""
    ipv4, ipv6 = settings.ipv4 or IPv4Settings(), settings.ipv6 or IPv6Settings()
    if ipv4.enabled:
        yield from interface.ipv4 if ipv4.manual is None else ipv4.manual
    if ipv6.enabled:
        yield from interface.ipv6 if ipv6.manual is None else ipv6.manual


def _texts(*addresses: IPv4Interface | IPv6Interface) -> set[str]:
    return {str(each.ip) for each in addresses}


def _own_ipv6(interface: MachineInterface) -> list[IPv6Interface]:
    """Without those that come by themselves."""
    return [each for each in interface.ipv6 if not each.ip.is_link_local and each not in interface.from_routers]


def _running_link(interface: MachineInterface) -> LinkSettings:
    return LinkSettings(speed_mbps=interface.speed_mbps or DEFAULT_SPEED_MBPS)


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
    return {
        "Enabled": settings.enabled,
        "Config": {
            "AcceptRouterAdvert": settings.accept_router_advert,
            "DHCP": (settings.dhcp or IPv6Dhcp.OFF).value,
            "Manual": written_prefixed(_own_ipv6(interface) if settings.manual is None else settings.manual),
            "FromRA": written_prefixed(interface.from_routers),
            "LinkLocal": written_prefixed(each for each in interface.ipv6 if each.ip.is_link_local),
        },
    }
