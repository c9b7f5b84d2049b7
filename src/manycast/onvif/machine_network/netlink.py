"""Interfaces, their addresses and the gateways, by the kernel's netlink. Everything here blocks, and is for a thread
without an event loop."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface, ip_interface
from pathlib import Path
from typing import Any

from manycast.onvif.machine import MachineInterface, speed_mbps
from manycast.onvif.machine_network.errors import CannotApply, MissingRight

IpInterface = IPv4Interface | IPv6Interface
IpAddress = IPv4Address | IPv6Address

# linux/if.h, linux/if_arp.h, linux/if_addr.h, linux/rtnetlink.h, linux/socket.h
IFF_UP, IFF_LOOPBACK = 0x1, 0x8
ARPHRD_ETHER = 1
IFA_F_PERMANENT = 0x80
RT_TABLE_MAIN = 254
RTN_UNICAST = 1
RTPROT_STATIC = 4
AF_INET, AF_INET6 = 2, 10

IPV6_MIN_MTU = 1280  # below, the kernel takes IPv6 off the interface (RFC 8200 section 5)
_IPV6_METRIC = 1024  # the kernel's own for a route of IPv6 without one
_SYSCTL_IPV6 = Path("/proc/sys/net/ipv6/conf")
_SYSCTL_IPV4 = Path("/proc/sys/net/ipv4/conf")

NEEDED_RIGHT = (
    "changing the machine's network needs CAP_NET_ADMIN: start the server as root, or give it the capability, with "
    "AmbientCapabilities and CapabilityBoundingSet in the service of systemd, or --cap-add=NET_ADMIN in a container"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedInterface:
    """What an interface is to be; None: as it is."""

    name: str
    enabled: bool | None = None
    mtu: int | None = None
    ipv4: Sequence[IPv4Interface] | None = None  # all of them, but those that are link-local
    ipv6: Sequence[IPv6Interface] | None = None  # likewise, and but those that routers gave
    ipv6_enabled: bool | None = None
    accept_router_advert: bool | None = None


def read_interfaces() -> list[MachineInterface]:
    """Interfaces that can have addresses, with or without; the loopback only if there is no other."""
    with _netlink() as kernel:
        addresses = list(kernel.get_addr())
        links = [link for link in kernel.get_links() if _counts(link, addresses)]
    links = [link for link in links if not link["flags"] & IFF_LOOPBACK] or links
    return [_read(link, addresses) for link in links]


def change_interface(wanted: WantedInterface) -> Callable[[], None]:
    """Do what may fail, and what nobody notices: all of it or nothing. Raises CannotApply.

    Returns: What does the rest: it takes addresses away, or the whole interface, by which the client may have come.
    """
    with _netlink() as kernel, ExitStack() as undo:
        link = _link(kernel, wanted.name)
        index, name = link["index"], wanted.name
        # What changes nothing takes the same right: so it is known before anything has changed.
        kernel.link("set", index=index, mtu=link.get_attr("IFLA_MTU"))
        if wanted.enabled and not link["flags"] & IFF_UP:
            kernel.link("set", index=index, state="up")
            undo.callback(kernel.link, "set", index=index, state="down")
        present = _addresses(kernel.get_addr(index=index))
        if wanted.ipv6_enabled and all(each.version == 4 for each in present):
            _set_sysctl(undo, _SYSCTL_IPV6 / name / "disable_ipv6", "0")
        if wanted.accept_router_advert is not None:
            _set_sysctl(undo, _SYSCTL_IPV6 / name / "accept_ra", "1" if wanted.accept_router_advert else "0")
        if wanted.mtu is not None:
            _set_mtu(kernel, undo, link, wanted.mtu, ipv6=any(each.version == 6 for each in present))
        if wanted.ipv6 and _sysctl(_SYSCTL_IPV6 / name / "disable_ipv6") == "1":
            raise CannotApply(f"IPv6 is switched off on {name}", "ter:InvalidIPv6Address")
        asked: list[IpInterface] = [*(wanted.ipv4 or ()), *(wanted.ipv6 or ())]
        for address in dict.fromkeys(asked):
            if address not in present:
                _add_address(kernel, undo, index, address, present)
        undo.pop_all()
    return lambda: _finish_interface(wanted)


def change_gateways(ipv4: Sequence[IPv4Address] | None, ipv6: Sequence[IPv6Address] | None) -> None:
    """Have these as default gateways and no others, the first one preferred; None: as they are. Raises CannotApply."""
    with _netlink() as kernel, ExitStack() as undo:
        for family, gateways in ((AF_INET, ipv4), (AF_INET6, ipv6)):
            if gateways is not None:
                _change_gateways(kernel, undo, family, gateways)
        undo.pop_all()


def may_change() -> bool:
    """Whether the process has the right to. Raises nothing: it may still be refused."""
    for line in Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines():
        if line.startswith("CapEff:"):
            return bool(int(line.split()[1], 16) & 1 << 12)  # CAP_NET_ADMIN
    return False


@contextmanager
def _netlink() -> Iterator[Any]:
    """The kernel. What it refuses raises CannotApply, when everything in the block is undone."""
    from pyroute2 import IPRoute  # here: it takes half a second, and most servers never change the network
    from pyroute2.netlink.exceptions import NetlinkError

    try:
        with IPRoute() as kernel:
            yield kernel
    except NetlinkError as error:
        raise _refusal(error.code, str(error.args[-1])) from error
    except OSError as error:
        raise _refusal(error.errno or 0, str(error)) from error


def _refusal(code: int, text: str) -> CannotApply:
    if code in (errno.EPERM, errno.EACCES):
        return MissingRight(NEEDED_RIGHT)
    if code in (errno.EROFS, errno.ENOENT):
        return MissingRight(
            f"switching IPv6, or what routers say, needs /proc/sys, which is not for this process: {text}"
        )
    return CannotApply(f"the system refuses it: {text}")


def _link(kernel: Any, name: str) -> Any:
    for link in kernel.get_links(ifname=name):
        return link
    raise CannotApply(f"there is no interface {name}", "ter:InvalidNetworkInterface")


def _change_gateways(kernel: Any, undo: ExitStack, family: int, gateways: Sequence[IpAddress]) -> None:
    from pyroute2.netlink.exceptions import NetlinkError

    present = _default_routes(kernel, family)
    if [route.get_attr("RTA_GATEWAY") for route in present] == [str(each) for each in gateways]:
        return
    for route in map(_as_request, present):
        kernel.route("del", **route)
        undo.callback(kernel.route, "add", **route)
    for number, gateway in enumerate(gateways):
        route = _gateway_request(kernel, family, gateway, number, present)
        try:
            kernel.route("add", **route)
        except NetlinkError as error:
            if error.code in (errno.EINVAL, errno.ENETUNREACH, errno.EHOSTUNREACH):
                raise CannotApply(f"{gateway} cannot be a gateway", "ter:InvalidGatewayAddress") from error
            raise
        undo.callback(kernel.route, "del", **route)


def _set_mtu(kernel: Any, undo: ExitStack, link: Any, mtu: int, *, ipv6: bool) -> None:
    from pyroute2.netlink.exceptions import NetlinkError

    index, present = link["index"], link.get_attr("IFLA_MTU")
    if mtu == present:
        return
    if mtu < IPV6_MIN_MTU and ipv6:
        raise CannotApply(f"IPv6 needs an MTU of {IPV6_MIN_MTU}", "ter:InvalidMtuValue")
    try:
        kernel.link("set", index=index, mtu=mtu)
    except NetlinkError as error:
        if error.code == errno.EINVAL:
            raise CannotApply(f"the interface cannot have an MTU of {mtu}", "ter:InvalidMtuValue") from error
        raise
    undo.callback(kernel.link, "set", index=index, mtu=present)


def _add_address(
    kernel: Any, undo: ExitStack, index: int, address: IpInterface, present: Sequence[IpInterface]
) -> None:
    from pyroute2.netlink.exceptions import NetlinkError

    subcode = f"ter:InvalidIPv{address.version}Address"
    if address.ip.is_multicast or address.ip.is_unspecified or address.ip.is_loopback:
        raise CannotApply(f"no interface can have {address}", subcode)
    for other in present:
        if other.version == 6 and other.ip == address.ip:  # IPv6 has an address once, whatever its prefix
            kernel.addr("del", index=index, **_as_address(other))
            undo.callback(kernel.addr, "add", index=index, **_as_address(other))
    try:
        kernel.addr("add", index=index, **_as_address(address))
    except NetlinkError as error:
        if error.code in (errno.EINVAL, errno.EADDRNOTAVAIL, errno.EEXIST):
            raise CannotApply(f"the interface cannot have {address}", subcode) from error
        raise
    undo.callback(kernel.addr, "del", index=index, **_as_address(address))


def _finish_interface(wanted: WantedInterface) -> None:
    """Take away what is not wanted. Raises CannotApply."""
    with _netlink() as kernel, ExitStack() as undo:
        index = _link(kernel, wanted.name)["index"]
        routes = [route for family in (AF_INET, AF_INET6) for route in _default_routes(kernel, family)]
        if wanted.ipv4 is not None:
            # Else the first address takes the others of its network with it.
            _try_sysctl(_SYSCTL_IPV4 / wanted.name / "promote_secondaries", "1")
            _remove_addresses(kernel, undo, index, 4, wanted.ipv4)
        if wanted.ipv6 is not None:
            _remove_addresses(kernel, undo, index, 6, wanted.ipv6)
        if wanted.ipv6_enabled is False:
            _set_sysctl(undo, _SYSCTL_IPV6 / wanted.name / "disable_ipv6", "1")
        if wanted.enabled is False:
            kernel.link("set", index=index, state="down")
        else:
            _restore_routes(kernel, routes)
        undo.pop_all()


def _remove_addresses(kernel: Any, undo: ExitStack, index: int, version: int, wanted: Sequence[IpInterface]) -> None:
    """Leave only the wanted ones."""
    leaving = [
        each
        for each in _addresses(kernel.get_addr(index=index), permanent=version == 6)
        if each.version == version and not each.is_link_local and each not in wanted
    ]
    for address in leaving:
        kernel.addr("del", index=index, **_as_address(address))
        undo.callback(kernel.addr, "add", index=index, **_as_address(address))
    remaining = _addresses(kernel.get_addr(index=index))
    for address in wanted:
        if address not in remaining:  # it went with another one all the same
            kernel.addr("add", index=index, **_as_address(address))


def _restore_routes(kernel: Any, routes: Sequence[Any]) -> None:
    """Default routes that went with an address for a moment come back, where their gateway can still be reached."""
    from pyroute2.netlink.exceptions import NetlinkError

    present = [_as_request(route) for family in (AF_INET, AF_INET6) for route in _default_routes(kernel, family)]
    for route in map(_as_request, routes):
        if route not in present:
            try:
                kernel.route("add", **route)
            except NetlinkError as error:
                if error.code in (errno.EPERM, errno.EACCES):
                    raise


def _counts(link: Any, addresses: Sequence[Any]) -> bool:
    if any(address["index"] == link["index"] for address in addresses):
        return True
    return link["ifi_type"] == ARPHRD_ETHER and link.get_attr("IFLA_MASTER") is None


def _read(link: Any, addresses: Sequence[Any]) -> MachineInterface:
    name = link.get_attr("IFLA_IFNAME")
    own = [address for address in addresses if address["index"] == link["index"]]
    found = _addresses(own)
    permanent = _addresses(own, permanent=True)
    disable_ipv6 = _sysctl(_SYSCTL_IPV6 / name / "disable_ipv6")
    accept_ra = _sysctl(_SYSCTL_IPV6 / name / "accept_ra")
    ipv6 = tuple(each for each in found if isinstance(each, IPv6Interface))
    return MachineInterface(
        name=name,
        mac=link.get_attr("IFLA_ADDRESS"),
        mtu=link.get_attr("IFLA_MTU"),
        speed_mbps=speed_mbps(name),
        ipv4=tuple(each for each in found if isinstance(each, IPv4Interface)),
        ipv6=ipv6,
        enabled=bool(link["flags"] & IFF_UP),
        ipv6_enabled=None if disable_ipv6 is None else disable_ipv6 == "0",
        accepts_router_advert=None if accept_ra is None else accept_ra != "0",
        from_routers=tuple(each for each in ipv6 if each not in permanent),
    )


def _addresses(found: Sequence[Any], *, permanent: bool = False) -> list[IpInterface]:
    return [
        ip_interface(f"{each.get_attr('IFA_LOCAL') or each.get_attr('IFA_ADDRESS')}/{each['prefixlen']}")
        for each in found
        if not permanent or (each.get_attr("IFA_FLAGS") or each["flags"]) & IFA_F_PERMANENT
    ]


def _as_address(address: IpInterface) -> dict[str, Any]:
    return {"address": str(address.ip), "prefixlen": address.network.prefixlen}


def _default_routes(kernel: Any, family: int) -> list[Any]:
    """Those with a gateway, the preferred one first."""
    found = [
        route
        for route in kernel.get_default_routes(family=family, table=RT_TABLE_MAIN)
        if route["type"] == RTN_UNICAST and route.get_attr("RTA_GATEWAY")
    ]
    return sorted(found, key=lambda route: route.get_attr("RTA_PRIORITY") or 0)


def _as_request(route: Any) -> dict[str, Any]:
    request = {
        "family": route["family"],
        "dst": "default",
        "gateway": route.get_attr("RTA_GATEWAY"),
        "oif": route.get_attr("RTA_OIF"),
        "proto": route["proto"],
        "flags": route["flags"] & 0x4,  # onlink; the others tell a state
        "table": RT_TABLE_MAIN,
    }
    for name, attribute in (("priority", "RTA_PRIORITY"), ("prefsrc", "RTA_PREFSRC")):
        value = route.get_attr(attribute)
        if value is not None:
            request[name] = value
    return request


def _gateway_request(
    kernel: Any, family: int, gateway: IpAddress, number: int, before: Sequence[Any]
) -> dict[str, Any]:
    """Raises CannotApply for one that is in none of the machine's networks."""
    metric = number if family == AF_INET else _IPV6_METRIC + number
    request: dict[str, Any] = {"family": family, "dst": "default", "gateway": str(gateway), "proto": RTPROT_STATIC}
    links = {
        link["index"] for link in kernel.get_links() if link["flags"] & IFF_UP and not link["flags"] & IFF_LOOPBACK
    }
    own = list(kernel.get_addr(family=family))
    if any(each.ip == gateway for each in _addresses(own)):
        raise CannotApply(f"{gateway} is this machine itself", "ter:InvalidGatewayAddress")
    if gateway.is_link_local:
        found = {route.get_attr("RTA_OIF") for route in before} or links
        if len(found) != 1:
            raise CannotApply(f"{gateway} may be on several interfaces", "ter:InvalidGatewayAddress")
    else:
        found = {
            address["index"]
            for address in own
            if address["index"] in links and gateway in _addresses([address])[0].network
        }
        if not found:
            raise CannotApply(f"{gateway} is in no network of this machine", "ter:InvalidGatewayAddress")
    request["oif"] = min(found)
    request["table"] = RT_TABLE_MAIN
    if metric:
        request["priority"] = metric
    return request


def _sysctl(path: Path) -> str | None:
    try:
        return path.read_text(encoding="ascii").strip()
    except OSError:
        return None


def _set_sysctl(undo: ExitStack, path: Path, value: str) -> None:
    """Raises OSError."""
    present = _sysctl(path)
    if present == value:
        return
    path.write_text(value, encoding="ascii")
    if present is not None:
        undo.callback(path.write_text, present, encoding="ascii")


def _try_sysctl(path: Path, value: str) -> None:
    try:
        path.write_text(value, encoding="ascii")
    except OSError:
        pass  # of a container, say: what it spares us is then done by hand
