"""Names, interfaces, gateways, protocols and the address filter."""

from __future__ import annotations

from datetime import timedelta
from ipaddress import IPv4Interface
from typing import Any

import pytest
from support.soap import SoapFault, asked_device

from manycast.onvif import machine
from manycast.onvif.ip_rules import lets_in
from manycast.onvif.state.limits import MAX_FILTER_ENTRIES
from manycast.onvif.state.network import IpFilter, IpFilterType, Protocols
from manycast.onvif.surroundings import Surroundings

OWN = "192.0.2.1/32"  # the address from which the tests ask


async def test_a_host_name_is_kept_and_without_one_it_is_the_machines() -> None:
    device = await asked_device()
    assert (await device.ask("tds:GetHostname")).HostnameInformation.Name == machine.host_name()
    await device.ask("tds:SetHostname", Name="Onvif-Test0-oNvif-Onv12")
    told = (await device.ask("tds:GetHostname")).HostnameInformation
    assert (told.FromDHCP, told.Name) == (False, "Onvif-Test0-oNvif-Onv12")
    await device.ask("tds:SetHostname", Name="")
    assert (await device.ask("tds:GetHostname")).HostnameInformation.FromDHCP is True
    assert (await device.ask("tds:SetHostnameFromDHCP", FromDHCP=False)).RebootNeeded is False


@pytest.mark.parametrize("name", ["Onvif_test1", "-a", "a-", "a" * 64, "a..b", "ä"])
async def test_what_is_no_host_name_is_refused(name: str) -> None:
    device = await asked_device()
    with pytest.raises(SoapFault, match="ter:InvalidArgVal/ter:InvalidHostname"):
        await device.ask("tds:SetHostname", Name=name)


async def test_dns_servers_are_kept() -> None:
    device = await asked_device()
    addresses = [
        {"Type": "IPv4", "IPv4Address": "10.1.1.1"},
        {"Type": "IPv6", "IPv6Address": "2001:1:1:1:1:1:1:1"},
    ]
    await device.ask("tds:SetDNS", FromDHCP=False, SearchDomain=["domain.name"], DNSManual=addresses)
    told = (await device.ask("tds:GetDNS")).DNSInformation
    assert (told.FromDHCP, told.SearchDomain) == (False, ["domain.name"])
    assert [each.IPv4Address or each.IPv6Address for each in told.DNSManual] == ["10.1.1.1", "2001:1:1:1:1:1:1:1"]
    await device.ask("tds:SetDNS", FromDHCP=True)
    assert (await device.ask("tds:GetDNS")).DNSInformation.FromDHCP is True


@pytest.mark.parametrize(
    ("operation", "values", "subcode"),
    [
        ("SetDNS", {"DNSManual": [{"Type": "IPv4", "IPv4Address": "10.1.1"}]}, "ter:InvalidIPv4Address"),
        ("SetDNS", {"DNSManual": [{"Type": "IPv6", "IPv6Address": "FF02:1"}]}, "ter:InvalidIPv6Address"),
        ("SetDNS", {"DNSManual": [{"Type": "IPv6", "IPv6Address": "fe80::1%eth0"}]}, "ter:InvalidIPv6Address"),
        ("SetDNS", {"DNSManual": [{"Type": "IPv4"}]}, "ter:InvalidIPv4Address"),
        ("SetNTP", {"NTPManual": [{"Type": "IPv4", "IPv4Address": "10.1.1"}]}, "ter:InvalidIPv4Address"),
        ("SetNTP", {"NTPManual": [{"Type": "IPv6", "IPv6Address": "FF02:1"}]}, "ter:InvalidIPv6Address"),
        ("SetNTP", {"NTPManual": [{"Type": "DNS", "DNSname": "_"}]}, "ter:InvalidDnsName"),
    ],
)
async def test_servers_that_cannot_be_are_refused(operation: str, values: dict[str, Any], subcode: str) -> None:
    device = await asked_device()
    before = device.state.network.model_copy(deep=True)
    with pytest.raises(SoapFault) as caught:
        await device.ask(f"tds:{operation}", FromDHCP=False, **values)
    assert caught.value.subcodes == f"ter:InvalidArgVal/{subcode}"
    assert device.state.network == before


async def test_dynamic_dns_is_kept() -> None:
    device = await asked_device()
    await device.ask("tds:SetDynamicDNS", Type="ClientUpdates", Name="camera.example", TTL=timedelta(seconds=30))
    told = (await device.ask("tds:GetDynamicDNS")).DynamicDNSInformation
    assert (told.Type, told.Name, told.TTL) == ("ClientUpdates", "camera.example", timedelta(seconds=30))
    with pytest.raises(SoapFault, match="InvalidArgVal"):
        await device.ask("tds:SetDynamicDNS", Type="ClientUpdates", Name="_")


async def test_interfaces_are_those_of_the_machine() -> None:
    device = await asked_device()
    told = (await device.ask("tds:GetNetworkInterfaces")).NetworkInterfaces
    assert [each.token for each in told] == [each.name for each in machine.interfaces()]
    addresses = {each.Address for interface in told for each in interface.IPv4.Config.Manual}
    assert addresses == {str(each.ip) for interface in machine.interfaces() for each in interface.ipv4}


async def test_a_virtual_device_has_a_hardware_address_of_its_own() -> None:
    device = await asked_device()
    device.state.network.mac = "02:00:00:00:00:07"
    told = (await device.ask("tds:GetNetworkInterfaces")).NetworkInterfaces
    assert {each.Info.HwAddress for each in told} == {"02:00:00:00:00:07"}


async def test_what_is_set_of_an_interface_is_told_and_the_rest_stays() -> None:
    device = await asked_device()
    token = machine.interfaces()[0].name
    ipv4 = {"Enabled": True, "Manual": [{"Address": "10.9.8.7", "PrefixLength": 24}], "DHCP": False}
    reply = await device.ask("tds:SetNetworkInterfaces", InterfaceToken=token, NetworkInterface={"IPv4": ipv4})
    assert reply.RebootNeeded is True
    await device.ask("tds:SetNetworkInterfaces", InterfaceToken=token, NetworkInterface={"MTU": 1400})
    told = (await device.ask("tds:GetNetworkInterfaces")).NetworkInterfaces[0]
    assert [(each.Address, each.PrefixLength) for each in told.IPv4.Config.Manual] == [("10.9.8.7", 24)]
    assert told.Info.MTU == 1400


@pytest.mark.parametrize(
    ("settings", "subcode"),
    [
        ({"IPv4": {"Enabled": True, "Manual": [{"Address": "10.1.1", "PrefixLength": 24}]}}, "InvalidIPv4Address"),
        ({"IPv4": {"Enabled": True, "Manual": [{"Address": "10.1.1.1", "PrefixLength": 33}]}}, "InvalidIPv4Address"),
        ({"IPv6": {"Enabled": True, "Manual": [{"Address": "FF02:1", "PrefixLength": 64}]}}, "InvalidIPv6Address"),
        ({"MTU": 67}, "InvalidMtuValue"),
        ({"Link": {"AutoNegotiation": True, "Speed": -1, "Duplex": "Full"}}, "InvalidInterfaceSpeed"),
    ],
)
async def test_settings_that_cannot_be_are_refused(settings: dict[str, Any], subcode: str) -> None:
    device = await asked_device()
    token = machine.interfaces()[0].name
    with pytest.raises(SoapFault, match=f"ter:InvalidArgVal/ter:{subcode}"):
        await device.ask("tds:SetNetworkInterfaces", InterfaceToken=token, NetworkInterface=settings)
    assert device.state.network.interfaces == []


async def test_an_unknown_interface_is_refused() -> None:
    device = await asked_device()
    with pytest.raises(SoapFault, match="ter:InvalidNetworkInterface"):
        await device.ask("tds:SetNetworkInterfaces", InterfaceToken="none", NetworkInterface={"MTU": 1400})
    with pytest.raises(SoapFault, match="ter:InvalidNetworkInterface"):
        await device.ask("tds:SetZeroConfiguration", InterfaceToken="none", Enabled=True)


async def test_gateways_are_kept() -> None:
    device = await asked_device()
    await device.ask("tds:SetNetworkDefaultGateway", IPv4Address=["10.1.1.1"], IPv6Address=["2001:1:1:1:1:1:1:1"])
    told = (await device.ask("tds:GetNetworkDefaultGateway")).NetworkGateway
    assert (told.IPv4Address, told.IPv6Address) == (["10.1.1.1"], ["2001:1:1:1:1:1:1:1"])


@pytest.mark.parametrize(
    ("addresses", "subcode"),
    [
        ({"IPv4Address": ["10.1.1"]}, "InvalidGatewayAddress"),
        ({"IPv6Address": ["FF02:1"]}, "InvalidGatewayAddress"),
        ({"IPv4Address": ["224.0.0.1"]}, "InvalidGatewayAddress"),
        ({"IPv6Address": ["::"]}, "InvalidGatewayAddress"),
    ],
)
async def test_what_is_no_gateway_is_refused(addresses: dict[str, list[str]], subcode: str) -> None:
    device = await asked_device()
    with pytest.raises(SoapFault, match=f"ter:InvalidArgVal/ter:{subcode}"):
        await device.ask("tds:SetNetworkDefaultGateway", **addresses)


async def test_zero_configuration_is_kept_for_each_interface() -> None:
    device = await asked_device()
    token = machine.interfaces()[0].name
    for enabled in (True, False):
        await device.ask("tds:SetZeroConfiguration", InterfaceToken=token, Enabled=enabled)
        told = (await device.ask("tds:GetZeroConfiguration")).ZeroConfiguration
        assert (told.InterfaceToken, told.Enabled) == (token, enabled)


async def listed(device: Any) -> dict[str, tuple[bool, list[int]]]:
    protocols = (await device.ask("tds:GetNetworkProtocols")).NetworkProtocols
    return {each.Name: (each.Enabled, each.Port) for each in protocols}


async def test_protocols_are_told_as_they_are() -> None:
    device = await asked_device(surroundings=Surroundings(rtsp_port=8554, https=True))
    assert await listed(device) == {"HTTP": (True, [8000]), "HTTPS": (True, [8443]), "RTSP": (True, [8554])}
    plain = await asked_device()
    assert await listed(plain) == {"HTTP": (True, [8000])}


async def test_the_port_of_rtsp_is_kept_and_told() -> None:
    device = await asked_device(surroundings=Surroundings(rtsp_port=8554))
    for enabled in (True, False):
        wanted = {"Name": "RTSP", "Enabled": enabled, "Port": [10554]}
        await device.ask("tds:SetNetworkProtocols", NetworkProtocols=[wanted])
        assert (await listed(device))["RTSP"] == (enabled, [10554])


async def test_rtsp_moves_and_goes_back_when_another_server_cannot() -> None:
    moves: list[int | None] = []

    def move(port: int | None) -> None:
        if port == 1:
            raise OSError("it is taken")
        moves.append(port)

    async def listen(protocols: Protocols) -> None:
        if protocols.http.port == 1:
            raise OSError("it is taken")

    device = await asked_device(surroundings=Surroundings(rtsp_port=8554, move_rtsp=move, listen=listen))
    await device.ask("tds:SetNetworkProtocols", NetworkProtocols=[{"Name": "RTSP", "Enabled": True, "Port": [10554]}])
    await device.ask("tds:SetNetworkProtocols", NetworkProtocols=[{"Name": "RTSP", "Enabled": False, "Port": [10554]}])
    assert moves == [10554, None]
    assert (await listed(device))["RTSP"] == (False, [10554])
    for wanted in (
        [{"Name": "RTSP", "Enabled": True, "Port": [1]}],
        [{"Name": "RTSP", "Enabled": True, "Port": [554]}, {"Name": "HTTP", "Enabled": True, "Port": [1]}],
    ):
        with pytest.raises(SoapFault, match="ter:PortAlreadyInUse"):
            await device.ask("tds:SetNetworkProtocols", NetworkProtocols=wanted)
        assert (await listed(device))["RTSP"] == (False, [10554])
    assert moves == [10554, None, None, 554, None]


async def test_the_servers_change_before_the_state_does() -> None:
    asked: list[Protocols] = []

    async def listen(protocols: Protocols) -> None:
        asked.append(protocols)
        if protocols.http.port == 1:
            raise OSError("it is taken")

    device = await asked_device(surroundings=Surroundings(listen=listen))
    await device.ask("tds:SetNetworkProtocols", NetworkProtocols=[{"Name": "HTTP", "Enabled": True, "Port": [8080]}])
    assert await listed(device) == {"HTTP": (True, [8080])}
    with pytest.raises(SoapFault, match="ter:InvalidArgVal/ter:PortAlreadyInUse"):
        await device.ask("tds:SetNetworkProtocols", NetworkProtocols=[{"Name": "HTTP", "Enabled": True, "Port": [1]}])
    assert await listed(device) == {"HTTP": (True, [8080])}
    assert [protocols.http.port for protocols in asked] == [8080, 1]


@pytest.mark.parametrize(
    ("wanted", "subcodes"),
    [
        ({"Name": "RTSP", "Enabled": True, "Port": [10554]}, "ter:InvalidArgVal/ter:ServiceNotSupported"),
        ({"Name": "HTTPS", "Enabled": True, "Port": [8443]}, "ter:InvalidArgVal/ter:ServiceNotSupported"),
        ({"Name": "HTTP", "Enabled": False, "Port": [8000]}, "ter:InvalidArgVal"),
        ({"Name": "HTTP", "Enabled": True, "Port": [0]}, "ter:InvalidArgVal"),
        ({"Name": "HTTP", "Enabled": True, "Port": [65536]}, "ter:InvalidArgVal"),
        ({"Name": "GOPHER", "Enabled": True, "Port": [70]}, "ter:InvalidArgs"),
    ],
)
async def test_protocols_that_cannot_be_are_refused(wanted: dict[str, Any], subcodes: str) -> None:
    device = await asked_device()
    with pytest.raises(SoapFault) as caught:
        await device.ask("tds:SetNetworkProtocols", NetworkProtocols=[wanted])
    assert caught.value.subcodes == subcodes
    assert await listed(device) == {"HTTP": (True, [8000])}


def address_filter(*networks: str, kind: str = "Deny") -> dict[str, Any]:
    entries = [
        dict(zip(("Address", "PrefixLength"), (part[0], int(part[1])), strict=True))
        for part in (network.split("/") for network in networks)
    ]
    return {
        "Type": kind,
        "IPv4Address": [entry for entry in entries if ":" not in str(entry["Address"])],
        "IPv6Address": [entry for entry in entries if ":" in str(entry["Address"])],
    }


async def filtered(device: Any) -> tuple[str, list[str]]:
    told = (await device.ask("tds:GetIPAddressFilter")).IPAddressFilter
    entries = [f"{each.Address}/{each.PrefixLength}" for each in (*told.IPv4Address, *told.IPv6Address)]
    return told.Type, entries


async def test_a_filter_is_set_added_to_and_taken_from() -> None:
    device = await asked_device()
    await device.ask("tds:SetIPAddressFilter", IPAddressFilter=address_filter("10.0.0.0/8", OWN, kind="Allow"))
    await device.ask("tds:AddIPAddressFilter", IPAddressFilter=address_filter("2001:db8::/32", "10.0.0.0/8"))
    assert await filtered(device) == ("Allow", ["10.0.0.0/8", OWN, "2001:db8::/32"])
    await device.ask("tds:RemoveIPAddressFilter", IPAddressFilter=address_filter("10.0.0.0/8"))
    assert await filtered(device) == ("Allow", [OWN, "2001:db8::/32"])


async def test_who_is_not_among_the_allowed_does_not_shut_themselves_out() -> None:
    device = await asked_device()
    with pytest.raises(SoapFault, match=r"ter:InvalidArgVal: your own address, 192\.0\.2\.1,"):
        await device.ask("tds:SetIPAddressFilter", IPAddressFilter=address_filter("10.0.0.0/8", kind="Allow"))
    assert await filtered(device) == ("Deny", [])
    await device.ask("tds:SetIPAddressFilter", IPAddressFilter=address_filter(kind="Allow"))
    with pytest.raises(SoapFault, match="your own address"):
        await device.ask("tds:AddIPAddressFilter", IPAddressFilter=address_filter("10.0.0.0/8"))
    await device.ask("tds:AddIPAddressFilter", IPAddressFilter=address_filter("10.0.0.0/8", OWN))
    with pytest.raises(SoapFault, match="your own address"):
        await device.ask("tds:RemoveIPAddressFilter", IPAddressFilter=address_filter(OWN))
    await device.ask("tds:RemoveIPAddressFilter", IPAddressFilter=address_filter("10.0.0.0/8", OWN))
    assert await filtered(device) == ("Allow", [])  # which filters nothing


@pytest.mark.parametrize(
    ("operation", "entry", "subcode"),
    [
        ("Set", "10.0.0/8", "InvalidIPv4Address"),
        ("Set", "10.0.0.0/33", "InvalidIPv4Address"),
        ("Add", "2001:db8/32", "InvalidIPv6Address"),
        ("Remove", "10.0.0.0/8", "NoIPv4Address"),
        ("Remove", "2001:db8::/32", "NoIPv6Address"),
    ],
)
async def test_filters_that_cannot_be_are_refused(operation: str, entry: str, subcode: str) -> None:
    device = await asked_device()
    with pytest.raises(SoapFault, match=f"ter:InvalidArgVal/ter:{subcode}"):
        await device.ask(f"tds:{operation}IPAddressFilter", IPAddressFilter=address_filter(entry))


async def test_a_filter_is_full_some_time() -> None:
    device = await asked_device()
    entries = [f"10.0.{number}.0/24" for number in range(MAX_FILTER_ENTRIES)]
    await device.ask("tds:SetIPAddressFilter", IPAddressFilter=address_filter(*entries))
    with pytest.raises(SoapFault, match="ter:IPFilterListIsFull"):
        await device.ask("tds:AddIPAddressFilter", IPAddressFilter=address_filter("10.1.0.0/24"))


@pytest.mark.parametrize(
    ("kind", "address", "served"),
    [
        (IpFilterType.DENY, "10.0.0.7", False),
        (IpFilterType.DENY, "::ffff:10.0.0.7", False),
        (IpFilterType.DENY, "192.0.2.1", True),
        (IpFilterType.DENY, "fe80::1%eth0", True),
        (IpFilterType.ALLOW, "10.0.0.7", True),
        (IpFilterType.ALLOW, "192.0.2.1", False),
        (IpFilterType.ALLOW, "::1", False),
    ],
)
def test_a_filter_says_who_is_served(kind: IpFilterType, address: str, served: bool) -> None:
    assert lets_in(IpFilter(type=kind, ipv4=[IPv4Interface("10.0.0.1/24")]), address) is served


@pytest.mark.parametrize("kind", list(IpFilterType))
def test_a_filter_without_entries_lets_everybody_in(kind: IpFilterType) -> None:
    assert lets_in(IpFilter(type=kind), "192.0.2.1")
