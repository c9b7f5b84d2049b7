"""Network: interfaces, protocols, gateways, dynamic DNS."""

from __future__ import annotations

from ipaddress import IPv4Interface, ip_address

from lxml import etree

from conformance.base.features import DYNAMIC_DNS, IPV6, NETWORK, SPECIFICATION
from conformance.base.host_name import HOST_NAME
from conformance.base.requests import ask, boolean, refused, value, written
from conformance.base.servers import IPV4, IPV6_ADDRESS, NO_IPV4, NO_IPV6
from conformance.client import NAMESPACES, SoapFault
from conformance.device import Device
from conformance.frame import require

PORT = 10554


# Interfaces


def _interfaces(device: Device) -> list[etree._Element]:
    return ask(device, "<tds:GetNetworkInterfaces/>").all("tds:NetworkInterfaces")


def _set_interface(token: str, content: str) -> str:
    return (
        f"<tds:SetNetworkInterfaces><tds:InterfaceToken>{token}</tds:InterfaceToken>"
        f"<tds:NetworkInterface>{content}</tds:NetworkInterface></tds:SetNetworkInterfaces>"
    )


def _change(device: Device, token: str, content: str) -> etree._Element:
    """Change an interface, restart the device where it wants that; how the interface is told then."""
    reply = ask(device, _set_interface(token, content))
    if boolean(reply.text("tds:RebootNeeded")):
        device.reboot()
    (found,) = (each for each in _interfaces(device) if each.get("token") == token)
    return found


def _as_it_was(interface: etree._Element) -> str:
    """What SetNetworkInterfaces needs for an interface to be as it was told."""
    content = [f"<tt:Enabled>{value(interface, 'tt:Enabled')}</tt:Enabled>"]
    for family in ("IPv4", "IPv6"):
        told = interface.find(f"tt:{family}", NAMESPACES)
        if told is None:
            continue
        parts = [f"<tt:Enabled>{value(told, 'tt:Enabled')}</tt:Enabled>"]
        accept = value(told, "tt:Config/tt:AcceptRouterAdvert")
        if accept is not None:
            parts.append(f"<tt:AcceptRouterAdvert>{accept}</tt:AcceptRouterAdvert>")
        parts += [written(each, "tt:Manual") for each in told.iterfind("tt:Config/tt:Manual", NAMESPACES)]
        parts.append(f"<tt:DHCP>{value(told, 'tt:Config/tt:DHCP')}</tt:DHCP>")
        content.append(f"<tt:{family}>{''.join(parts)}</tt:{family}>")
    return "".join(content)


@SPECIFICATION.case("DEVICE-2-1-17", "GET NETWORK INTERFACE CONFIGURATION", NETWORK)
def get_interfaces(device: Device) -> None:
    require(_interfaces(device), "no network interface")


@SPECIFICATION.case("DEVICE-2-1-18", "SET NETWORK INTERFACE CONFIGURATION - IPV4", NETWORK)
def set_interface_ipv4(device: Device) -> None:
    interface = _interfaces(device)[0]
    token = interface.get("token") or ""
    told = interface.find("tt:IPv4/tt:Config", NAMESPACES)
    address, length = "192.0.2.1", "24"
    if told is not None:
        for each in ("Manual", "FromDHCP", "LinkLocal"):
            if value(told, f"tt:{each}/tt:Address"):
                address = value(told, f"tt:{each}/tt:Address") or address
                length = value(told, f"tt:{each}/tt:PrefixLength") or length
                break
    network = IPv4Interface(f"{address}/{length}").network
    other = next((str(each) for each in network.hosts() if str(each) != address), address)
    manual = f"<tt:Manual><tt:Address>{other}</tt:Address><tt:PrefixLength>{length}</tt:PrefixLength></tt:Manual>"
    try:
        changed = _change(
            device, token, f"<tt:IPv4><tt:Enabled>true</tt:Enabled>{manual}<tt:DHCP>false</tt:DHCP></tt:IPv4>"
        )
        require(boolean(value(changed, "tt:IPv4/tt:Enabled")), "IPv4 is off")
        manuals = [value(each, "tt:Address") for each in changed.iterfind("tt:IPv4/tt:Config/tt:Manual", NAMESPACES)]
        require(manuals == [other], f"{other} was set, {manuals} are told")
        require(not boolean(value(changed, "tt:IPv4/tt:Config/tt:DHCP")), "DHCP is on")
    finally:
        _change(device, token, _as_it_was(interface))


@SPECIFICATION.case("DEVICE-2-1-19", "SET NETWORK INTERFACE CONFIGURATION - IPV6", NETWORK, IPV6)
def set_interface_ipv6(device: Device) -> None:
    interface = next(each for each in _interfaces(device) if each.find("tt:IPv6", NAMESPACES) is not None)
    token = interface.get("token") or ""
    accept = value(interface, "tt:IPv6/tt:Config/tt:AcceptRouterAdvert")
    told = "" if accept is None else f"<tt:AcceptRouterAdvert>{accept}</tt:AcceptRouterAdvert>"
    manual = f"<tt:Manual><tt:Address>{IPV6_ADDRESS}</tt:Address><tt:PrefixLength>64</tt:PrefixLength></tt:Manual>"
    content = f"<tt:IPv6><tt:Enabled>true</tt:Enabled>{told}{manual}<tt:DHCP>Off</tt:DHCP></tt:IPv6>"
    try:
        changed = _change(device, token, f"<tt:Enabled>true</tt:Enabled>{content}")
        require(boolean(value(changed, "tt:IPv6/tt:Enabled")), "IPv6 is off")
        manuals = [
            ip_address(value(each, "tt:Address") or "::")
            for each in changed.iterfind("tt:IPv6/tt:Config/tt:Manual", NAMESPACES)
        ]
        require(manuals == [ip_address(IPV6_ADDRESS)], f"{IPV6_ADDRESS} was set, {manuals} are told")
        require(value(changed, "tt:IPv6/tt:Config/tt:DHCP") == "Off", "DHCP is on")
    finally:
        _change(device, token, _as_it_was(interface))


def _refuse_interface(device: Device, family: str, address: str, dhcp: str, code: str) -> None:
    token = _interfaces(device)[0].get("token") or ""
    manual = f"<tt:Manual><tt:Address>{address}</tt:Address><tt:PrefixLength>24</tt:PrefixLength></tt:Manual>"
    content = f"<tt:{family}><tt:Enabled>true</tt:Enabled>{manual}<tt:DHCP>{dhcp}</tt:DHCP></tt:{family}>"
    refused(device, _set_interface(token, content), "InvalidArgVal", code)
    for each in _interfaces(device):
        addresses = [value(manual, "tt:Address") for manual in each.iterfind(".//tt:Manual", NAMESPACES)]
        require(address not in addresses, f"{address} was refused, and is told")


@SPECIFICATION.case("DEVICE-2-1-20", "SET NETWORK INTERFACE CONFIGURATION - INVALID IPV4", NETWORK)
def set_bad_interface_ipv4(device: Device) -> None:
    _refuse_interface(device, "IPv4", NO_IPV4, "false", "InvalidIPv4Address")


@SPECIFICATION.case("DEVICE-2-1-21", "SET NETWORK INTERFACE CONFIGURATION - INVALID IPV6", NETWORK, IPV6)
def set_bad_interface_ipv6(device: Device) -> None:
    _refuse_interface(device, "IPv6", NO_IPV6, "Off", "InvalidIPv6Address")


# Protocols


def _protocols(device: Device) -> dict[str, etree._Element]:
    reply = ask(device, "<tds:GetNetworkProtocols/>")
    return {value(each, "tt:Name") or "": each for each in reply.all("tds:NetworkProtocols")}


def _set_protocol(name: str, enabled: bool) -> str:
    return (
        f"<tds:SetNetworkProtocols><tds:NetworkProtocols><tt:Name>{name}</tt:Name>"
        f"<tt:Enabled>{str(enabled).lower()}</tt:Enabled><tt:Port>{PORT}</tt:Port>"
        "</tds:NetworkProtocols></tds:SetNetworkProtocols>"
    )


@SPECIFICATION.case("DEVICE-2-1-33", "GET NETWORK PROTOCOLS CONFIGURATION", NETWORK)
def get_protocols(device: Device) -> None:
    found = _protocols(device)
    require("HTTP" in found, f"no HTTP among {', '.join(found)}")
    streams = {"trt", "tr2", "trp"} & device.services.keys()
    require(not streams or "RTSP" in found, f"no RTSP among {', '.join(found)}")


@SPECIFICATION.case("DEVICE-2-1-34", "SET NETWORK PROTOCOLS CONFIGURATION", NETWORK)
def set_protocols(device: Device) -> None:
    old = _protocols(device)
    if "RTSP" not in old:
        return
    try:
        for enabled in (True, False):
            ask(device, _set_protocol("RTSP", enabled))
            found = _protocols(device)["RTSP"]
            require(boolean(value(found, "tt:Enabled")) == enabled, f"Enabled is not {enabled}")
            ports = [str(each.text).strip() for each in found.iterfind("tt:Port", NAMESPACES)]
            require(not enabled or ports == [str(PORT)], f"port {PORT} was set, {ports} are told")
    finally:
        ask(
            device,
            f"<tds:SetNetworkProtocols>{written(old['RTSP'], 'tds:NetworkProtocols')}</tds:SetNetworkProtocols>",
        )


@SPECIFICATION.case("DEVICE-2-1-35", "SET NETWORK PROTOCOLS CONFIGURATION - UNSUPPORTED PROTOCOLS", NETWORK)
def set_unsupported_protocol(device: Device) -> None:
    missing = [name for name in ("HTTPS", "RTSP") if name not in _protocols(device)]
    if not missing:
        return
    refused(device, _set_protocol(missing[0], True), "InvalidArgVal", "ServiceNotSupported")
    require(missing[0] not in _protocols(device), f"{missing[0]} was refused, and is told")


# Gateways


def _gateways(device: Device) -> dict[str, list[str]]:
    (found,) = ask(device, "<tds:GetNetworkDefaultGateway/>").all("tds:NetworkGateway")
    return {
        family: [str(each.text).strip() for each in found.iterfind(f"tt:{family}Address", NAMESPACES)]
        for family in ("IPv4", "IPv6")
    }


def _set_gateway(addresses: dict[str, list[str]]) -> str:
    content = "".join(
        f"<tds:{family}Address>{address}</tds:{family}Address>"
        for family, each in addresses.items()
        for address in each
    )
    return f"<tds:SetNetworkDefaultGateway>{content}</tds:SetNetworkDefaultGateway>"


@SPECIFICATION.case("DEVICE-2-1-25", "GET NETWORK DEFAULT GATEWAY CONFIGURATION", NETWORK)
def get_gateway(device: Device) -> None:
    _gateways(device)


def _refuse_gateway(device: Device, family: str, address: str) -> None:
    refused(device, _set_gateway({family: [address]}), "InvalidArgVal", "InvalidGatewayAddress")
    require(address not in _gateways(device)[family], f"{address} was refused, and is told")


def _change_gateway(device: Device, family: str, address: str) -> None:
    old = _gateways(device)
    try:
        ask(device, _set_gateway({family: [address]}))
        found = [ip_address(each) for each in _gateways(device)[family]]
        require(found == [ip_address(address)], f"{address} was set, {found} are told")
    finally:
        if any(old.values()):
            ask(device, _set_gateway(old))


@SPECIFICATION.case("DEVICE-2-1-28", "SET NETWORK DEFAULT GATEWAY CONFIGURATION - INVALID IPV4", NETWORK)
def set_bad_gateway_ipv4(device: Device) -> None:
    _refuse_gateway(device, "IPv4", NO_IPV4)


@SPECIFICATION.case("DEVICE-2-1-29", "SET NETWORK DEFAULT GATEWAY CONFIGURATION - INVALID IPV6", NETWORK, IPV6)
def set_bad_gateway_ipv6(device: Device) -> None:
    _refuse_gateway(device, "IPv6", NO_IPV6)


@SPECIFICATION.case("DEVICE-2-1-30", "SET NETWORK DEFAULT GATEWAY CONFIGURATION - IPV4", NETWORK)
def set_gateway_ipv4(device: Device) -> None:
    _change_gateway(device, "IPv4", IPV4)


@SPECIFICATION.case("DEVICE-2-1-31", "SET NETWORK DEFAULT GATEWAY CONFIGURATION - IPV6", NETWORK, IPV6)
def set_gateway_ipv6(device: Device) -> None:
    _change_gateway(device, "IPv6", IPV6_ADDRESS)


# Dynamic DNS


def _dynamic_dns(device: Device) -> etree._Element:
    return ask(device, "<tds:GetDynamicDNS/>").all("tds:DynamicDNSInformation")[0]


def _set_dynamic_dns(kind: str, name: str | None, ttl: str | None) -> str:
    content = f"<tds:Type>{kind}</tds:Type>"
    content += "" if name is None else f"<tds:Name>{name}</tds:Name>"
    content += "" if ttl is None else f"<tds:TTL>{ttl}</tds:TTL>"
    return f"<tds:SetDynamicDNS>{content}</tds:SetDynamicDNS>"


@SPECIFICATION.case("DEVICE-2-1-36", "GET DYNAMIC DNS CONFIGURATION", NETWORK, DYNAMIC_DNS)
def get_dynamic_dns(device: Device) -> None:
    _dynamic_dns(device)


@SPECIFICATION.case("DEVICE-2-1-37", "SET DYNAMIC DNS CONFIGURATION", NETWORK, DYNAMIC_DNS)
def set_dynamic_dns(device: Device) -> None:
    old = _dynamic_dns(device)
    timed = value(old, "tt:TTL") is not None
    refusals = []
    try:
        for kind, name, ttl in (
            ("NoUpdate", None, "PT20S"),
            ("ServerUpdates", None, "PT25S"),
            ("ClientUpdates", HOST_NAME, "PT30S"),
        ):
            try:
                ask(device, _set_dynamic_dns(kind, name, ttl if timed else None))
            except SoapFault:
                require(kind != "NoUpdate", "NoUpdate is refused")
                refusals.append(kind)
                continue
            found = _dynamic_dns(device)
            require(value(found, "tt:Type") == kind, f"{kind} was set, {value(found, 'tt:Type')} is told")
            require(name is None or value(found, "tt:Name") == name, f"{name} was set, not told")
            require(not timed or value(found, "tt:TTL") == ttl, f"{ttl} was set, {value(found, 'tt:TTL')} is told")
        require(len(refusals) < 2, "ServerUpdates and ClientUpdates are both refused")
    finally:
        ask(
            device,
            _set_dynamic_dns(value(old, "tt:Type") or "NoUpdate", value(old, "tt:Name"), value(old, "tt:TTL")),
        )
