"""Which addresses may speak to the device at all."""

from __future__ import annotations

from ipaddress import IPv4Interface, IPv6Interface
from typing import Any

from manycast.onvif.device.arguments import invalid, prefixed_ipv4, prefixed_ipv6, written_prefixed
from manycast.onvif.device.part import DevicePart
from manycast.onvif.ip_rules import lets_in
from manycast.onvif.security.access import Access
from manycast.onvif.soap.fault import Fault
from manycast.onvif.soap.service import NOTHING, Caller, Reply, operation
from manycast.onvif.state.limits import MAX_FILTER_ENTRIES
from manycast.onvif.state.network import IpFilter, IpFilterType


class IpFilters(DevicePart):
    @operation(Access.READ_SYSTEM)
    async def get_ip_address_filter(self, request: Any, caller: Caller) -> Reply:
        kept = self.state.network.ip_filter
        return {
            "IPAddressFilter": {
                "Type": kept.type.value,
                "IPv4Address": written_prefixed(kept.ipv4),
                "IPv6Address": written_prefixed(kept.ipv6),
            }
        }

    @operation(Access.WRITE_SYSTEM)
    async def set_ip_address_filter(self, request: Any, caller: Caller) -> Reply:
        self._put(caller, IpFilterType(request.IPAddressFilter.Type), *_entries(request.IPAddressFilter))
        return NOTHING

    @operation(Access.WRITE_SYSTEM)
    async def add_ip_address_filter(self, request: Any, caller: Caller) -> Reply:
        """The type of the request means nothing here, as Core says."""
        kept = self.state.network.ip_filter
        new_ipv4, new_ipv6 = _entries(request.IPAddressFilter)
        self._put(
            caller,
            kept.type,
            [*kept.ipv4, *(each for each in new_ipv4 if each not in kept.ipv4)],
            [*kept.ipv6, *(each for each in new_ipv6 if each not in kept.ipv6)],
        )
        return NOTHING

    @operation(Access.WRITE_SYSTEM)
    async def remove_ip_address_filter(self, request: Any, caller: Caller) -> Reply:
        """All or none."""
        kept = self.state.network.ip_filter
        gone_ipv4, gone_ipv6 = _entries(request.IPAddressFilter)
        for each in gone_ipv4:
            if each not in kept.ipv4:
                raise invalid("ter:NoIPv4Address", f"{each} is not in the filter")
        for other in gone_ipv6:
            if other not in kept.ipv6:
                raise invalid("ter:NoIPv6Address", f"{other} is not in the filter")
        self._put(
            caller,
            kept.type,
            [each for each in kept.ipv4 if each not in gone_ipv4],
            [each for each in kept.ipv6 if each not in gone_ipv6],
        )
        return NOTHING

    def _put(self, caller: Caller, kind: IpFilterType, ipv4: list[IPv4Interface], ipv6: list[IPv6Interface]) -> None:
        """Raises Fault, also where only some are allowed, and who asks is none of them: it may shut out everybody."""
        if len(ipv4) + len(ipv6) > MAX_FILTER_ENTRIES:
            raise invalid("ter:IPFilterListIsFull", f"at most {MAX_FILTER_ENTRIES} entries")
        wanted = IpFilter(type=kind, ipv4=ipv4, ipv6=ipv6)
        if kind is IpFilterType.ALLOW and not lets_in(wanted, caller.address):
            reason = f"your own address, {caller.address}, is not among those that are allowed"
            raise Fault.sender("ter:InvalidArgVal", reason=reason)
        self.state.network.ip_filter = wanted
        self.save()


def _entries(wanted: Any) -> tuple[list[IPv4Interface], list[IPv6Interface]]:
    return [prefixed_ipv4(each) for each in wanted.IPv4Address], [prefixed_ipv6(each) for each in wanted.IPv6Address]
