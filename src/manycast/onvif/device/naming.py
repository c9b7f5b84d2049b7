"""Host name, DNS and dynamic DNS. They are kept and told; the machine's own are changed only where that is allowed."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from manycast.onvif import machine
from manycast.onvif.device.arguments import invalid, ip_address, is_dns_name, seconds, written_addresses
from manycast.onvif.device.part import DevicePart
from manycast.onvif.security.access import Access
from manycast.onvif.soap.fault import Fault
from manycast.onvif.soap.service import NOTHING, Caller, Reply, operation
from manycast.onvif.state.limits import MAX_SERVERS
from manycast.onvif.state.network import Dns, DynamicDns, DynamicDnsType, Hostname


class Naming(DevicePart):
    @operation(Access.PRE_AUTH)
    async def get_hostname(self, request: Any, caller: Caller) -> Reply:
        hostname = self.state.network.hostname
        name = None if hostname.from_dhcp else hostname.name
        if self.device.surroundings.network is not None and name != machine.full_host_name():
            name = None  # somebody else has changed it
        return {"HostnameInformation": {"FromDHCP": hostname.from_dhcp, "Name": name or machine.host_name()}}

    @operation(Access.WRITE_SYSTEM)
    async def set_hostname(self, request: Any, caller: Caller) -> Reply:
        """An empty one is asked of DHCP."""
        if request.Name and not is_dns_name(request.Name):
            raise invalid("ter:InvalidHostname", f"no name of a host: {request.Name[:60]!r}")
        wanted = Hostname(from_dhcp=not request.Name, name=request.Name or None)
        await self.apply(lambda network: network.set_host_name(wanted))
        self.state.network.hostname = wanted
        self.save()
        return NOTHING

    @operation(Access.WRITE_SYSTEM)
    async def set_hostname_from_dhcp(self, request: Any, caller: Caller) -> Reply:
        wanted = self.state.network.hostname.model_copy(update={"from_dhcp": request.FromDHCP})
        await self.apply(lambda network: network.set_host_name(wanted))
        self.state.network.hostname = wanted
        self.save()
        return {"RebootNeeded": False}

    @operation(Access.READ_SYSTEM)
    async def get_dns(self, request: Any, caller: Caller) -> Reply:
        dns = self.state.network.dns
        used = written_addresses(machine.dns_servers())
        is_real = dns.servers is None or self.device.surroundings.network is not None
        manual = used if is_real else written_addresses(dns.servers or [])
        return {
            "DNSInformation": {
                "FromDHCP": dns.from_dhcp,
                "SearchDomain": machine.search_domains() if is_real else dns.search_domains,
                "DNSFromDHCP": used if dns.from_dhcp else [],
                "DNSManual": [] if dns.from_dhcp and is_real else manual,
            }
        }

    @operation(Access.WRITE_SYSTEM)
    async def set_dns(self, request: Any, caller: Caller) -> Reply:
        servers = [ip_address(each) for each in request.DNSManual]
        domains = list(request.SearchDomain)
        if len(servers) > MAX_SERVERS or len(domains) > MAX_SERVERS:
            raise Fault.sender("ter:InvalidArgVal", reason=f"at most {MAX_SERVERS} servers, and as many domains")
        if not all(map(is_dns_name, domains)):
            raise Fault.sender("ter:InvalidArgVal", reason="a domain to search that is none")
        wanted = Dns(from_dhcp=request.FromDHCP, search_domains=domains, servers=servers)
        await self.apply(lambda network: network.set_dns(wanted))
        self.state.network.dns = wanted
        self.save()
        return NOTHING

    @operation(Access.READ_SYSTEM)
    async def get_dynamic_dns(self, request: Any, caller: Caller) -> Reply:
        settings = self.state.network.dynamic_dns
        return {
            "DynamicDNSInformation": {
                "Type": settings.type.value,
                "Name": settings.name,
                "TTL": None if settings.ttl_s is None else timedelta(seconds=settings.ttl_s),
            }
        }

    @operation(Access.WRITE_SYSTEM)
    async def set_dynamic_dns(self, request: Any, caller: Caller) -> Reply:
        if request.Name is not None and not is_dns_name(request.Name):
            raise Fault.sender("ter:InvalidArgVal", reason=f"no name: {request.Name[:60]!r}")
        ttl_s = seconds(request.TTL)
        if request.TTL is not None and (ttl_s is None or ttl_s < 0):
            raise Fault.sender("ter:InvalidArgVal", reason="a time to live that is none")
        self.state.network.dynamic_dns = DynamicDns(type=DynamicDnsType(request.Type), name=request.Name, ttl_s=ttl_s)
        self.save()
        return NOTHING
