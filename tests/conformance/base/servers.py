"""Network: the servers for DNS and for NTP, which are set alike."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address

from lxml import etree

from conformance.base.features import DHCP, DISCOVERY, IPV6, NETWORK, NO_DHCP, NTP, SPECIFICATION
from conformance.base.requests import ask, boolean, refused, value, written
from conformance.client import NAMESPACES, SoapFault
from conformance.device import Device
from conformance.frame import Failed, require

IPV4, IPV6_ADDRESS = "10.1.1.1", "2001:1:1:1:1:1:1:1"
NO_IPV4, NO_IPV6 = "10.1.1", "FF02:1"


class Servers:
    """The servers of one kind: written down by hand, or from DHCP."""

    def __init__(self, name: str) -> None:
        """`name` is DNS or NTP."""
        self._name = name
        self.get = f"<tds:Get{name}/>"

    def told(self, device: Device) -> etree._Element:
        return ask(device, self.get).all(f"tds:{self._name}Information")[0]

    def set(self, *content: str, from_dhcp: bool = False) -> str:
        settings = f"<tds:FromDHCP>{str(from_dhcp).lower()}</tds:FromDHCP>{''.join(content)}"
        return f"<tds:Set{self._name}>{settings}</tds:Set{self._name}>"

    def manual(self, kind: str, address: str) -> str:
        """One server, for `set`; `kind` is IPv4 or IPv6."""
        content = f"<tt:Type>{kind}</tt:Type><tt:{kind}Address>{address}</tt:{kind}Address>"
        return f"<tds:{self._name}Manual>{content}</tds:{self._name}Manual>"

    @contextmanager
    def kept(self, device: Device) -> Iterator[None]:
        """What is set inside is put back."""
        old = self.told(device)
        try:
            yield
        finally:
            search = [written(each, "tds:SearchDomain") for each in old.iterfind("tt:SearchDomain", NAMESPACES)]
            manual = [written(each, f"tds:{self._name}Manual") for each in self._manual(old)]
            ask(device, self.set(*search, *manual, from_dhcp=boolean(value(old, "tt:FromDHCP"))))

    def check_manual(self, told: etree._Element, kind: str, address: str) -> None:
        require(not boolean(value(told, "tt:FromDHCP")), "FromDHCP is true")
        servers = [(value(each, "tt:Type"), value(each, f"tt:{kind}Address") or "") for each in self._manual(told)]
        same = [
            kind_told == kind and found and ip_address(found) == ip_address(address) for kind_told, found in servers
        ]
        require(any(same), f"{address} was set, {servers} are told")

    def set_by_hand(self, device: Device, kind: str, address: str) -> None:
        with self.kept(device):
            ask(device, self.set(self.manual(kind, address)))
            self.check_manual(self.told(device), kind, address)

    def set_from_dhcp(self, device: Device) -> None:
        with self.kept(device):
            ask(device, self.set(from_dhcp=True))
            require(boolean(value(self.told(device), "tt:FromDHCP")), "FromDHCP was set, and is false")

    def set_malformed(self, device: Device, kind: str, address: str) -> None:
        refused(device, self.set(self.manual(kind, address)), "InvalidArgVal", f"Invalid{kind}Address")
        self.check_without(device, kind, address)

    def check_without(self, device: Device, kind: str, address: str) -> None:
        for each in self._manual(self.told(device)):
            require(value(each, f"tt:{kind}Address") != address, f"{address} was refused, and is told")

    def _manual(self, told: etree._Element) -> Iterator[etree._Element]:
        return told.iterfind(f"tt:{self._name}Manual", NAMESPACES)


DNS_SERVERS, NTP_SERVERS = Servers("DNS"), Servers("NTP")


@SPECIFICATION.case("DEVICE-2-1-4", "GET DNS CONFIGURATION", NETWORK)
def get_dns(device: Device) -> None:
    DNS_SERVERS.told(device)


@SPECIFICATION.case("DEVICE-2-1-5", "SET DNS CONFIGURATION - SEARCHDOMAIN", NETWORK)
def set_search_domain(device: Device) -> None:
    domain = "domain.name"
    with DNS_SERVERS.kept(device):
        ask(device, DNS_SERVERS.set(f"<tds:SearchDomain>{domain}</tds:SearchDomain>"))
        told = DNS_SERVERS.told(device)
        domains = [str(each.text).strip() for each in told.iterfind("tt:SearchDomain", NAMESPACES)]
        require(domain in domains, f"{domain} was set, {domains} are told")


@SPECIFICATION.case("DEVICE-2-1-6", "SET DNS CONFIGURATION - DNSMANUAL IPV4", NETWORK, NO_DHCP)
def set_dns_ipv4(device: Device) -> None:
    DNS_SERVERS.set_by_hand(device, "IPv4", IPV4)


@SPECIFICATION.case("DEVICE-2-1-7", "SET DNS CONFIGURATION - DNSMANUAL IPV6", NETWORK, NO_DHCP, IPV6)
def set_dns_ipv6(device: Device) -> None:
    DNS_SERVERS.set_by_hand(device, "IPv6", IPV6_ADDRESS)


@SPECIFICATION.case("DEVICE-2-1-8", "SET DNS CONFIGURATION - FROMDHCP", NETWORK, DISCOVERY, DHCP)
def set_dns_from_dhcp(device: Device) -> None:
    DNS_SERVERS.set_from_dhcp(device)


@SPECIFICATION.case("DEVICE-2-1-9", "SET DNS CONFIGURATION - DNSMANUAL INVALID IPV4", NETWORK, NO_DHCP)
def set_bad_dns_ipv4(device: Device) -> None:
    DNS_SERVERS.set_malformed(device, "IPv4", NO_IPV4)


@SPECIFICATION.case("DEVICE-2-1-10", "SET DNS CONFIGURATION - DNSMANUAL INVALID IPV6", NETWORK, NO_DHCP, IPV6)
def set_bad_dns_ipv6(device: Device) -> None:
    DNS_SERVERS.set_malformed(device, "IPv6", NO_IPV6)


@SPECIFICATION.case("DEVICE-2-1-11", "GET NTP CONFIGURATION", NETWORK, NTP)
def get_ntp(device: Device) -> None:
    NTP_SERVERS.told(device)


@SPECIFICATION.case("DEVICE-2-1-12", "SET NTP CONFIGURATION - NTPMANUAL IPV4", NETWORK, NO_DHCP, NTP)
def set_ntp_ipv4(device: Device) -> None:
    NTP_SERVERS.set_by_hand(device, "IPv4", IPV4)


@SPECIFICATION.case("DEVICE-2-1-13", "SET NTP CONFIGURATION - NTPMANUAL IPV6", NETWORK, NO_DHCP, NTP, IPV6)
def set_ntp_ipv6(device: Device) -> None:
    NTP_SERVERS.set_by_hand(device, "IPv6", IPV6_ADDRESS)


@SPECIFICATION.case("DEVICE-2-1-14", "SET NTP CONFIGURATION - FROMDHCP", NETWORK, DHCP, NTP, DISCOVERY)
def set_ntp_from_dhcp(device: Device) -> None:
    NTP_SERVERS.set_from_dhcp(device)


@SPECIFICATION.case("DEVICE-2-1-15", "SET NTP CONFIGURATION - NTPMANUAL INVALID IPV4", NETWORK, NO_DHCP, NTP)
def set_bad_ntp_ipv4(device: Device) -> None:
    NTP_SERVERS.set_malformed(device, "IPv4", NO_IPV4)


@SPECIFICATION.case("DEVICE-2-1-16", "SET NTP CONFIGURATION - NTPMANUAL INVALID IPV6", NETWORK, NO_DHCP, NTP, IPV6)
def set_bad_ntp_ipv6(device: Device) -> None:
    """The document asks for InvalidIPv4Address, and ONVIF Core for InvalidIPv6Address: either will do."""
    try:
        ask(device, NTP_SERVERS.set(NTP_SERVERS.manual("IPv6", NO_IPV6)))
    except SoapFault as fault:
        require(fault.says("InvalidIPv4Address", "InvalidIPv6Address"), f"{fault}")
    else:
        raise Failed(f"{NO_IPV6} was accepted")
    NTP_SERVERS.check_without(device, "IPv6", NO_IPV6)
