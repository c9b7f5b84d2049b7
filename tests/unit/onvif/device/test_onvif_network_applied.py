"""Changes of the network where clients may change the machine's: what is asked of it, and what is refused."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface
from pathlib import Path
from typing import Any

import pytest
from support.soap import AskedDevice, SoapFault, asked_device

from manycast.onvif import machine
from manycast.onvif.machine import MachineInterface
from manycast.onvif.machine_network import machine_network, names, netlink
from manycast.onvif.machine_network.errors import CannotApply, MissingRight
from manycast.onvif.machine_network.machine_network import MachineNetwork, restore, trouble
from manycast.onvif.machine_network.netlink import WantedInterface
from manycast.onvif.state.network import Gateway, InterfaceSettings, IPv4Settings, Network
from manycast.onvif.surroundings import Surroundings

OWN = IPv4Interface("192.0.2.7/24")
OWN_IPV6 = IPv6Interface("2001:db8::7/64")
FROM_ROUTER = IPv6Interface("2001:db8:1::7/64")
CABLE = MachineInterface(
    name="cable",
    mac="02:00:00:00:00:01",
    mtu=1500,
    speed_mbps=1000,
    ipv4=(OWN,),
    ipv6=(OWN_IPV6, FROM_ROUTER, IPv6Interface("fe80::7/64")),
    ipv6_enabled=True,
    accepts_router_advert=True,
    from_routers=(FROM_ROUTER,),
)
SPARE = MachineInterface(
    name="spare", mac="02:00:00:00:00:02", mtu=9000, speed_mbps=None, ipv4=(), ipv6=(), enabled=False
)


class FakeMachine:
    """In the place of the kernel."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.interfaces = [CABLE, SPARE]
        self.asked: list[Any] = []
        self.finished: list[str] = []
        self.refusal: CannotApply | None = None
        monkeypatch.setattr(machine_network, "REPLY_DELAY_S", 0.0)
        monkeypatch.setattr(netlink, "read_interfaces", lambda: list(self.interfaces))
        monkeypatch.setattr(netlink, "change_interface", self.change_interface)
        monkeypatch.setattr(netlink, "change_gateways", lambda *gateways: self.note(gateways))
        monkeypatch.setattr(names, "set_host_name", self.note)
        monkeypatch.setattr(names, "set_dns", lambda servers, domains: self.note((servers, domains)))

    def note(self, what: Any) -> None:
        if self.refusal is not None:
            raise self.refusal
        self.asked.append(what)

    def change_interface(self, wanted: WantedInterface) -> Any:
        self.note(wanted)
        return lambda: self.finished.append(wanted.name)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeMachine:
    return FakeMachine(monkeypatch)


async def applying() -> AskedDevice:
    return await asked_device(surroundings=Surroundings(network=MachineNetwork()))


async def set_interface(device: AskedDevice, token: str = "cable", **values: Any) -> Any:
    return await device.ask("tds:SetNetworkInterfaces", InterfaceToken=token, NetworkInterface=values)


def manual(address: str, prefix: int = 24) -> dict[str, Any]:
    return {"Enabled": True, "Manual": [{"Address": address, "PrefixLength": prefix}], "DHCP": False}


async def test_only_what_a_request_names_is_asked_of_the_machine(fake: FakeMachine) -> None:
    device = await applying()
    assert (await set_interface(device, IPv4=manual("10.0.0.7"))).RebootNeeded is False
    await set_interface(device, MTU=1400)
    assert fake.asked == [
        WantedInterface(name="cable", enabled=True, ipv4=[IPv4Interface("10.0.0.7/24")]),
        WantedInterface(name="cable", enabled=True, mtu=1400),
    ]
    (kept,) = device.state.network.interfaces
    assert kept.ipv4 is not None
    assert (kept.mtu, kept.ipv4.manual) == (1400, [IPv4Interface("10.0.0.7/24")])
    await device.ask("tds:GetNetworkInterfaces")  # which waits for the latest change
    assert fake.finished == ["cable", "cable"]


async def test_what_is_told_is_what_the_machine_has(fake: FakeMachine) -> None:
    device = await applying()
    await set_interface(device, MTU=1400, IPv4=manual("10.0.0.7"))
    cable, spare = (await device.ask("tds:GetNetworkInterfaces")).NetworkInterfaces
    assert (cable.token, cable.Enabled, cable.Info.MTU) == ("cable", True, 1500)
    assert [each.Address for each in cable.IPv4.Config.Manual] == ["192.0.2.7"]
    assert [each.Address for each in cable.IPv6.Config.Manual] == ["2001:db8::7"]
    assert [each.Address for each in cable.IPv6.Config.FromRA] == ["2001:db8:1::7"]
    assert (cable.IPv6.Enabled, cable.IPv6.Config.AcceptRouterAdvert) == (True, True)
    assert (spare.token, spare.Enabled) == ("spare", False)


async def test_what_goes_off_comes_back_with_its_addresses(fake: FakeMachine) -> None:
    device = await applying()
    await set_interface(device, IPv4={"Enabled": False})
    await set_interface(device, IPv4={"Enabled": True})
    assert [each.ipv4 for each in fake.asked] == [[], [OWN]]
    await set_interface(device, IPv6={"Enabled": False})
    await set_interface(device, IPv6={"Enabled": True})
    assert [(each.ipv6_enabled, each.ipv6) for each in fake.asked[2:]] == [(False, None), (True, [OWN_IPV6])]


async def test_an_interface_that_is_off_stays_so_unless_it_is_asked_for(fake: FakeMachine) -> None:
    device = await applying()
    await set_interface(device, "spare", MTU=1400)
    await set_interface(device, "spare", Enabled=True)
    assert [(each.enabled, each.mtu) for each in fake.asked] == [(False, 1400), (True, None)]


@pytest.mark.parametrize(
    ("values", "subcodes"),
    [
        ({"IPv4": {"Enabled": True, "DHCP": True}}, "ter:ActionNotSupported"),
        ({"IPv6": {"Enabled": True, "DHCP": "Stateful"}}, "ter:ActionNotSupported/ter:InvalidDHCPv6"),
        (
            {"Link": {"AutoNegotiation": True, "Speed": 100, "Duplex": "Full"}},
            "ter:InvalidArgVal/ter:InvalidInterfaceSpeed",
        ),
        ({"Enabled": False}, "ter:InvalidArgVal"),  # the only one with addresses
        ({"IPv4": {"Enabled": False}, "IPv6": {"Enabled": False}}, "ter:InvalidArgVal"),
    ],
)
async def test_what_cannot_be_done_is_refused_instead_of_kept(
    fake: FakeMachine, values: dict[str, Any], subcodes: str
) -> None:
    device = await applying()
    with pytest.raises(SoapFault) as caught:
        await set_interface(device, **values)
    assert caught.value.subcodes == subcodes
    assert (fake.asked, device.state.network.interfaces) == ([], [])


async def test_the_speed_that_there_is_can_be_repeated(fake: FakeMachine) -> None:
    device = await applying()
    await set_interface(device, Link={"AutoNegotiation": True, "Speed": 1000, "Duplex": "Full"})
    assert fake.asked == [WantedInterface(name="cable", enabled=True)]


async def test_the_address_that_the_device_listens_on_does_not_go(fake: FakeMachine) -> None:
    device = await applying()
    device.state.server.addresses = ["192.0.2.7", "127.0.0.1"]
    with pytest.raises(SoapFault, match=r"listens on 192\.0\.2\.7 alone"):
        await set_interface(device, IPv4=manual("10.0.0.7"))
    await set_interface(device, IPv4=manual("192.0.2.7", 16))
    assert len(fake.asked) == 1


async def test_what_the_machine_refuses_is_not_kept(
    fake: FakeMachine, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    device = await applying()
    before = device.state.network.model_copy(deep=True)
    requests: list[tuple[str, dict[str, Any]]] = [
        ("SetNetworkInterfaces", {"InterfaceToken": "cable", "NetworkInterface": {"MTU": 1400}}),
        ("SetNetworkDefaultGateway", {"IPv4Address": ["192.0.2.1"]}),
        ("SetHostname", {"Name": "camera"}),
        ("SetDNS", {"FromDHCP": False, "DNSManual": [{"Type": "IPv4", "IPv4Address": "192.0.2.53"}]}),
    ]
    for operation, values in requests:
        fake.refusal = MissingRight("needs CAP_NET_ADMIN")
        with pytest.raises(SoapFault) as caught:
            await device.ask(f"tds:{operation}", **values)
        assert (caught.value.code, caught.value.subcodes) == ("Receiver", "ter:Action")
        assert caught.value.reason == "needs CAP_NET_ADMIN"
        fake.refusal = CannotApply("it cannot be", "ter:InvalidGatewayAddress")
        with pytest.raises(SoapFault, match="Sender/ter:InvalidArgVal/ter:InvalidGatewayAddress: it cannot be"):
            await device.ask(f"tds:{operation}", **values)
    assert device.state.network == before
    assert caplog.text.count("needs CAP_NET_ADMIN") == len(requests)


async def test_gateways_names_and_servers_are_asked_of_the_machine(fake: FakeMachine) -> None:
    device = await applying()
    await device.ask("tds:SetNetworkDefaultGateway", IPv4Address=["192.0.2.1"])
    await device.ask("tds:SetNetworkDefaultGateway", IPv6Address=["fe80::1"])
    await device.ask("tds:SetHostname", Name="camera")
    addresses = [{"Type": "IPv4", "IPv4Address": "192.0.2.53"}]
    await device.ask("tds:SetDNS", FromDHCP=False, SearchDomain=["a.example"], DNSManual=addresses)
    assert fake.asked == [
        ([IPv4Address("192.0.2.1")], None),
        ([IPv4Address("192.0.2.1")], [IPv6Address("fe80::1")]),
        "camera",
        ([IPv4Address("192.0.2.53")], ["a.example"]),
    ]


async def test_what_comes_by_dhcp_is_left_to_it(fake: FakeMachine) -> None:
    device = await applying()
    await device.ask("tds:SetHostname", Name="")
    await device.ask("tds:SetDNS", FromDHCP=True)
    assert fake.asked == []
    told = (await device.ask("tds:GetHostname")).HostnameInformation
    assert (told.FromDHCP, told.Name) == (True, machine.host_name())
    assert (await device.ask("tds:GetDNS")).DNSInformation.FromDHCP is True


async def test_a_name_that_somebody_else_has_changed_is_told_as_it_is(fake: FakeMachine) -> None:
    device = await applying()
    await device.ask("tds:SetHostname", Name="camera")
    assert (await device.ask("tds:GetHostname")).HostnameInformation.Name == machine.host_name()


async def test_changes_come_one_after_another(fake: FakeMachine, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[str] = []

    def change_interface(wanted: WantedInterface) -> Any:
        steps.append(f"begin {wanted.mtu}")
        return lambda: steps.append(f"end {wanted.mtu}")

    monkeypatch.setattr(netlink, "change_interface", change_interface)
    network = MachineNetwork()
    for mtu in (1400, 1300):
        await network.set_interface(InterfaceSettings(token="cable", mtu=mtu))
    await network.interfaces()
    assert steps == ["begin 1400", "end 1400", "begin 1300", "end 1300"]


def test_what_was_set_is_there_again_after_a_start_as_far_as_it_can_be(
    fake: FakeMachine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    network = Network(
        interfaces=[
            InterfaceSettings(token="gone", mtu=1400),
            InterfaceSettings(token="cable", ipv4=IPv4Settings(manual=[OWN])),
        ],
        gateway=Gateway(ipv4=[IPv4Address("192.0.2.1")]),
    )
    change = fake.change_interface

    def only_the_cable(wanted: WantedInterface) -> Any:
        if wanted.name != "cable":
            raise CannotApply(f"there is no interface {wanted.name}")
        return change(wanted)

    monkeypatch.setattr(netlink, "change_interface", only_the_cable)
    restore(network)
    assert fake.asked == [
        WantedInterface(name="cable", enabled=True, ipv4=[OWN]),
        ([IPv4Address("192.0.2.1")], None),
    ]
    assert fake.finished == ["cable"]
    assert "there is no interface gone" in caplog.text


def test_what_is_in_the_way_is_known_before_anybody_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(netlink, "may_change", lambda: False)
    assert "AmbientCapabilities" in (trouble() or "")
    monkeypatch.setattr(netlink, "may_change", lambda: True)
    assert trouble() is None
    monkeypatch.setattr("sys.platform", "darwin")
    assert "on Linux only" in (trouble() or "")


async def test_on_other_systems_changes_are_refused(fake: FakeMachine, monkeypatch: pytest.MonkeyPatch) -> None:
    device = await applying()
    monkeypatch.setattr("sys.platform", "win32")
    with pytest.raises(SoapFault, match=r"Receiver/ter:Action: .* on Linux only"):
        await device.ask("tds:SetHostname", Name="camera")
    assert fake.asked == []
