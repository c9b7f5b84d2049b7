"""Names, addresses and ports. Changes are kept and reported; the machine's own settings are not touched."""

from __future__ import annotations

from enum import StrEnum
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface
from typing import Annotated

from pydantic import Field

from manycast.onvif.state.base import Part, Token
from manycast.onvif.state.limits import MAX_ADDRESSES, MAX_FILTER_ENTRIES, MAX_INTERFACES, MAX_NTP_SERVERS, MAX_SERVERS

Port = Annotated[int, Field(ge=1, le=65535)]
MacAddress = Annotated[str, Field(pattern=r"^[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){5}$")]


class NetworkHost(Part):
    """An address or a name: tt:NetworkHost. Exactly one is set."""

    ipv4: IPv4Address | None = None
    ipv6: IPv6Address | None = None
    dns_name: str | None = None


class Hostname(Part):
    from_dhcp: bool = False
    name: str | None = None  # None: the machine's own


class Dns(Part):
    from_dhcp: bool = False
    search_domains: list[str] = Field(default_factory=list, max_length=MAX_SERVERS)
    servers: list[IPv4Address | IPv6Address] | None = Field(None, max_length=MAX_SERVERS)  # None: the machine's own


class Ntp(Part):
    from_dhcp: bool = True  # or however else the machine comes by its time
    servers: list[NetworkHost] = Field(default_factory=list, max_length=MAX_NTP_SERVERS)


class DynamicDnsType(StrEnum):
    """tt:DynamicDNSType."""

    NO_UPDATE = "NoUpdate"
    CLIENT_UPDATES = "ClientUpdates"
    SERVER_UPDATES = "ServerUpdates"


class DynamicDns(Part):
    type: DynamicDnsType = DynamicDnsType.NO_UPDATE
    name: str | None = None
    ttl_s: float | None = None


class IPv4Settings(Part):
    enabled: bool = True
    dhcp: bool | None = None  # None: as the machine has it; likewise for what follows
    manual: list[IPv4Interface] | None = Field(None, max_length=MAX_ADDRESSES)


class IPv6Dhcp(StrEnum):
    """tt:IPv6DHCPConfiguration."""

    AUTO = "Auto"
    STATEFUL = "Stateful"
    STATELESS = "Stateless"
    OFF = "Off"


class IPv6Settings(Part):
    enabled: bool = True
    accept_router_advert: bool | None = None
    dhcp: IPv6Dhcp | None = None
    manual: list[IPv6Interface] | None = Field(None, max_length=MAX_ADDRESSES)


class LinkSettings(Part):
    """tt:NetworkInterfaceConnectionSetting."""

    auto_negotiation: bool = True
    speed_mbps: int = 0
    duplex: str = "Full"


class InterfaceSettings(Part):
    """What a client has set of one interface; everything else is as the machine has it."""

    token: Token
    enabled: bool = True
    link: LinkSettings | None = None
    mtu: int | None = None
    ipv4: IPv4Settings | None = None
    ipv6: IPv6Settings | None = None


class Protocol(Part):
    """A server of the device."""

    enabled: bool = True
    port: Port


class Protocols(Part):
    """What GetNetworkProtocols lists. RTSP's is that of the streaming side, until a client sets it."""

    http: Protocol = Field(default_factory=lambda: Protocol(port=8000))
    https: Protocol = Field(default_factory=lambda: Protocol(port=8443))
    rtsp: Protocol | None = None


class Gateway(Part):
    """None: as the machine has it."""

    ipv4: list[IPv4Address] | None = Field(None, max_length=MAX_ADDRESSES)
    ipv6: list[IPv6Address] | None = Field(None, max_length=MAX_ADDRESSES)


class ZeroConfiguration(Part):
    """The interfaces on which link-local addresses are asked for."""

    interfaces: list[Token] = Field(default_factory=list, max_length=MAX_INTERFACES)


class IpFilterType(StrEnum):
    """tt:IPAddressFilterType."""

    ALLOW = "Allow"
    DENY = "Deny"


class IpFilter(Part):
    type: IpFilterType = IpFilterType.DENY
    ipv4: list[IPv4Interface] = Field(default_factory=list, max_length=MAX_FILTER_ENTRIES)
    ipv6: list[IPv6Interface] = Field(default_factory=list, max_length=MAX_FILTER_ENTRIES)


class Network(Part):
    mac: MacAddress | None = None  # of a virtual device; None: the machine's
    hostname: Hostname = Field(default_factory=Hostname)
    dns: Dns = Field(default_factory=Dns)
    ntp: Ntp = Field(default_factory=Ntp)
    dynamic_dns: DynamicDns = Field(default_factory=DynamicDns)
    interfaces: list[InterfaceSettings] = Field(default_factory=list, max_length=MAX_INTERFACES)
    protocols: Protocols = Field(default_factory=Protocols)
    gateway: Gateway = Field(default_factory=Gateway)
    zero_configuration: ZeroConfiguration = Field(default_factory=ZeroConfiguration)
    ip_filter: IpFilter = Field(default_factory=IpFilter)
