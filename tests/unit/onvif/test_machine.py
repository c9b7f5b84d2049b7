"""What is read of the machine's network."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

import pytest

from manycast.onvif import machine

ROUTE = """Iface	Destination	Gateway 	Flags	RefCnt	Use	Metric	Mask		MTU	Window	IRTT
eth0	00000000	0102A8C0	0003	0	0	100	00000000	0	0	0
eth0	0002A8C0	00000000	0001	0	0	100	00FFFFFF	0	0	0
eth1	00000000	00000000	0001	0	0	100	00000000	0	0	0
"""
ROUTE_6 = f"""{"0" * 32} 00 {"0" * 32} 00 fe800000000000000000000000000001 00000400 00000001 00000000 00000003 eth0
{"0" * 32} 00 {"0" * 32} 00 {"0" * 32} ffffffff 00000001 00000000 00200200 lo
fe80{"0" * 28} 40 {"0" * 32} 00 {"0" * 32} 00000100 00000001 00000000 00000001 eth0
"""
RESOLVER = """# a comment
domain old.example
search one.example two.example
nameserver 192.0.2.53
nameserver fe80::1%eth0
nameserver nonsense
nameserver
"""


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, attribute, text in (
        ("route", "_ROUTES", ROUTE),
        ("ipv6_route", "_ROUTES_6", ROUTE_6),
        ("resolv.conf", "RESOLVER", RESOLVER),
    ):
        (tmp_path / name).write_text(text)
        monkeypatch.setattr(machine, attribute, tmp_path / name)
    return tmp_path


def test_gateways_are_those_of_the_default_routes(files: Path) -> None:
    assert machine.gateways() == ([IPv4Address("192.168.2.1")], [IPv6Address("fe80::1")])


def test_name_servers_and_domains_are_those_of_the_resolver(files: Path) -> None:
    assert machine.dns_servers() == [IPv4Address("192.0.2.53"), IPv6Address("fe80::1")]
    assert machine.search_domains() == ["one.example", "two.example"]


def test_systems_without_these_files_have_nothing_to_tell(files: Path) -> None:
    for file in files.iterdir():
        file.unlink()
    assert machine.gateways() == ([], [])
    assert machine.dns_servers() == machine.search_domains() == []


def test_there_is_an_interface_with_an_address() -> None:
    assert all(each.ipv4 or each.ipv6 for each in machine.interfaces())
    assert machine.interfaces()
    assert machine.host_name()
