"""Clients change the machine's network, where the configuration lets them: a server on a host of its own."""

from __future__ import annotations

import json
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lxml import etree
from support.network import CLIENT_IPV4, SERVER_IPV4, Host, cabled_hosts
from support.server import ServerProcess
from support.soap import envelope
from support.waiting import wait_until

from manycast.onvif.soap.contract import contract
from manycast.onvif.soap.names import ENVELOPE, expanded

NEW_IPV4 = "198.51.100.77"
PORT = 8000
CONFIG = """
rtsp: {udp_base_port: UDP_BASE}
onvif: {http_port: 8000, https_enable: 0, apply_network: 1}
"""
SERVERS = [{"Type": "IPv4", "IPv4Address": "198.51.100.53"}]


@pytest.fixture
def hosts() -> Iterator[tuple[Host, Host]]:
    with cabled_hosts() as hosts:
        yield hosts


def started(folder: Path, host: Host, *through: str) -> ServerProcess:
    """With a host name and a resolver's file of its own."""
    resolver = folder / "resolv.conf"
    resolver.touch()
    mount = f'mount --bind {resolver} /etc/resolv.conf && exec "$@"'
    with host.entered():
        program = ["unshare", "--uts", "--mount", "sh", "-c", mount, "sh", *through]
        return ServerProcess(folder, config=CONFIG, host=None, onvif=None, through=program)


def asked(client: Host, address: str, name: str, **values: Any) -> Any:
    """The reply as zeep has it; a fault's reason where it is one."""
    contract("tds").read()
    data = envelope(contract("tds").rendered(expanded(name), values))
    request = urllib.request.Request(f"http://{address}:{PORT}/onvif/device_service", data)
    with client.entered():
        try:
            with urllib.request.urlopen(request, timeout=20) as reply:
                body = etree.fromstring(reply.read()).find(f"{{{ENVELOPE}}}Body")
        except urllib.error.HTTPError as error:
            return etree.fromstring(error.read()).findtext(f".//{{{ENVELOPE}}}Text")
    assert body is not None
    return contract("tds").parse(body[0])


def addresses(host: Host) -> list[str]:
    with host.entered():
        done = subprocess.run(["ip", "-j", "-4", "address", "show", "dev", "cable"], capture_output=True, check=True)
    return [each["local"] for each in json.loads(done.stdout)[0]["addr_info"]]


def told_addresses(client: Host, address: str) -> list[str]:
    (told,) = asked(client, address, "tds:GetNetworkInterfaces").NetworkInterfaces
    return [each.Address for each in told.IPv4.Config.Manual]


def interface(address: str) -> dict[str, Any]:
    ipv4 = {"Enabled": True, "Manual": [{"Address": address, "PrefixLength": 24}], "DHCP": False}
    return {"InterfaceToken": "cable", "NetworkInterface": {"MTU": 1400, "IPv4": ipv4}}


def host_name(server: ServerProcess) -> str:
    command = ["nsenter", "--target", str(server.process.pid), "--uts", "hostname"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_the_address_changes_and_is_there_again_after_the_next_start(tmp_path: Path, hosts: tuple[Host, Host]) -> None:
    host, client = hosts
    with started(tmp_path, host) as server:
        reply = asked(client, SERVER_IPV4, "tds:SetNetworkInterfaces", **interface(NEW_IPV4))
        assert reply.RebootNeeded is False
        wait_until(lambda: addresses(host) == [NEW_IPV4], "the old address is gone")
        (told,) = asked(client, NEW_IPV4, "tds:GetNetworkInterfaces").NetworkInterfaces
        assert (told.token, told.Enabled, told.Info.MTU) == ("cable", True, 1400)
        assert [(each.Address, each.PrefixLength) for each in told.IPv4.Config.Manual] == [(NEW_IPV4, 24)]
        gateway = asked(client, NEW_IPV4, "tds:GetNetworkDefaultGateway").NetworkGateway
        assert gateway.IPv4Address == [CLIENT_IPV4]
        assert server.process.poll() is None
    with host.entered():
        for change in (["add", f"{SERVER_IPV4}/24"], ["del", f"{NEW_IPV4}/24"]):
            subprocess.run(["ip", "address", change[0], change[1], "dev", "cable"], check=True)
    with started(tmp_path, host):
        assert addresses(host) == [NEW_IPV4]
        assert told_addresses(client, NEW_IPV4) == [NEW_IPV4]


def test_the_stop_does_not_come_between_the_steps_of_a_change(tmp_path: Path, hosts: tuple[Host, Host]) -> None:
    host, client = hosts
    with started(tmp_path, host):
        asked(client, SERVER_IPV4, "tds:SetNetworkInterfaces", **interface(NEW_IPV4))
    assert addresses(host) == [NEW_IPV4]


def test_an_interface_that_comes_back_has_its_gateway_again(tmp_path: Path, hosts: tuple[Host, Host]) -> None:
    host, client = hosts
    gateway = ["198.51.100.9"]

    def gateways() -> list[str]:
        return list(asked(client, SERVER_IPV4, "tds:GetNetworkDefaultGateway").NetworkGateway.IPv4Address)

    with host.entered():  # to ask by, while the cable is off
        for arguments in ("link add spare type veth peer name spare2", "link set spare up", "link set spare2 up"):
            subprocess.run(["ip", *arguments.split()], check=True)
        subprocess.run(["ip", "address", "add", "203.0.113.1/24", "dev", "spare"], check=True)
    with started(tmp_path, host):
        asked(client, SERVER_IPV4, "tds:SetNetworkDefaultGateway", IPv4Address=gateway)
        off = {"InterfaceToken": "cable", "NetworkInterface": {"Enabled": False}}
        asked(client, SERVER_IPV4, "tds:SetNetworkInterfaces", **off)
        wait_until(lambda: not shown_gateways(host), "the cable is off, and its routes with it")
        on = {"InterfaceToken": "cable", "NetworkInterface": {"Enabled": True}}
        assert asked(host, "203.0.113.1", "tds:SetNetworkInterfaces", **on).RebootNeeded is False
        wait_until(lambda: shown_gateways(host) == gateway, "the gateway is there again")
        assert gateways() == gateway


def shown_gateways(host: Host) -> list[str]:
    with host.entered():
        done = subprocess.run(["ip", "-j", "-4", "route", "show", "default"], capture_output=True, check=True)
    return [each["gateway"] for each in json.loads(done.stdout)]


def test_gateway_host_name_and_name_servers_change(tmp_path: Path, hosts: tuple[Host, Host]) -> None:
    host, client = hosts
    own_name = socket.gethostname()
    (tmp_path / "resolv.conf").write_text("nameserver 192.0.2.1\noptions edns0\n")
    with started(tmp_path, host) as server:
        asked(client, SERVER_IPV4, "tds:SetNetworkDefaultGateway", IPv4Address=["198.51.100.9"])
        told = asked(client, SERVER_IPV4, "tds:GetNetworkDefaultGateway")
        assert not isinstance(told, str), f"{told}\n{server.log}"
        assert told.NetworkGateway.IPv4Address == ["198.51.100.9"]
        asked(client, SERVER_IPV4, "tds:SetHostname", Name="gate.example")
        assert host_name(server) == "gate.example"
        assert asked(client, SERVER_IPV4, "tds:GetHostname").HostnameInformation.Name == "gate.example"
        dns = {"FromDHCP": False, "SearchDomain": ["a.example"], "DNSManual": SERVERS}
        asked(client, SERVER_IPV4, "tds:SetDNS", **dns)
        told = asked(client, SERVER_IPV4, "tds:GetDNS").DNSInformation
        assert ([each.IPv4Address for each in told.DNSManual], told.SearchDomain) == (["198.51.100.53"], ["a.example"])
    assert (tmp_path / "resolv.conf").read_text() == "options edns0\nnameserver 198.51.100.53\nsearch a.example\n"
    assert socket.gethostname() == own_name


def test_without_the_right_nothing_changes_and_everybody_is_told_what_is_missing(
    tmp_path: Path, hosts: tuple[Host, Host]
) -> None:
    host, client = hosts
    drop = ["setpriv", "--inh-caps=-net_admin,-sys_admin", "--bounding-set=-net_admin,-sys_admin"]
    with started(tmp_path, host, *drop) as server:
        assert "CAP_NET_ADMIN" in server.output
        for name, values, right in (
            ("tds:SetNetworkInterfaces", interface(NEW_IPV4), "CAP_NET_ADMIN"),
            ("tds:SetNetworkDefaultGateway", {"IPv4Address": ["198.51.100.9"]}, "CAP_NET_ADMIN"),
            ("tds:SetHostname", {"Name": "gate"}, "CAP_SYS_ADMIN"),
        ):
            assert right in asked(client, SERVER_IPV4, name, **values)
            assert right in server.log
        assert told_addresses(client, SERVER_IPV4) == [SERVER_IPV4]
        gateway = asked(client, SERVER_IPV4, "tds:GetNetworkDefaultGateway").NetworkGateway
        assert gateway.IPv4Address == [CLIENT_IPV4]
    assert addresses(host) == [SERVER_IPV4]


def test_unless_it_is_allowed_changes_are_kept_and_told_and_that_is_all(
    tmp_path: Path, hosts: tuple[Host, Host], monkeypatch: pytest.MonkeyPatch
) -> None:
    host, client = hosts
    monkeypatch.setitem(globals(), "CONFIG", CONFIG.replace("apply_network: 1", "apply_network: 0"))
    with started(tmp_path, host):
        assert asked(client, SERVER_IPV4, "tds:SetNetworkInterfaces", **interface(NEW_IPV4)).RebootNeeded is True
        assert told_addresses(client, SERVER_IPV4) == [NEW_IPV4]
        assert addresses(host) == [SERVER_IPV4]
