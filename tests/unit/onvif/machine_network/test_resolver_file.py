"""The resolver's file and the host name, as clients set them."""

from __future__ import annotations

import os
import socket
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

import pytest

from manycast.onvif.machine_network import names
from manycast.onvif.machine_network.errors import CannotApply, MissingRight

BEFORE = b"# by hand\nnameserver 192.0.2.1\nnameserver 192.0.2.2\nsearch old.example\noptions edns0\n"
SERVERS: list[IPv4Address | IPv6Address] = [IPv4Address("198.51.100.53"), IPv6Address("2001:db8::53")]


def test_servers_and_domains_are_replaced_and_the_rest_stays(tmp_path: Path) -> None:
    file = tmp_path / "resolv.conf"
    file.write_bytes(BEFORE)
    file.chmod(0o640)
    names.set_dns(SERVERS, ["one.example", "two.example"], file)
    assert file.read_bytes() == (
        b"# by hand\noptions edns0\nnameserver 198.51.100.53\nnameserver 2001:db8::53\nsearch one.example two.example\n"
    )
    assert file.stat().st_mode & 0o777 == 0o640
    names.set_dns([], [], file)  # shorter than before
    assert file.read_bytes() == b"# by hand\noptions edns0\n"


def test_a_link_is_another_programs(tmp_path: Path) -> None:
    target = tmp_path / "stub-resolv.conf"
    target.write_bytes(BEFORE)
    link = tmp_path / "resolv.conf"
    link.symlink_to(target)
    with pytest.raises(CannotApply, match="belongs to another program"):
        names.set_dns(SERVERS, [], link)
    assert target.read_bytes() == BEFORE


def test_where_there_is_no_file_none_is_made(tmp_path: Path) -> None:
    with pytest.raises(CannotApply, match="there is no"):
        names.set_dns(SERVERS, [], tmp_path / "resolv.conf")
    assert list(tmp_path.iterdir()) == []


def test_more_servers_than_are_asked_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "resolv.conf"
    file.write_bytes(BEFORE)
    with pytest.raises(CannotApply, match="3 servers"):
        names.set_dns([ip_address(f"192.0.2.{number}") for number in range(4)], [], file)
    assert file.read_bytes() == BEFORE


def test_a_file_that_cannot_be_written_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "resolv.conf"
    file.write_bytes(BEFORE)

    def refuse(*arguments: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(MissingRight, match="as a user who may"):
        names.set_dns(SERVERS, [], file)


def test_a_full_disk_leaves_the_file_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "resolv.conf"
    file.write_bytes(BEFORE)
    write = os.pwrite
    left = [7]  # bytes, for the first call

    def partly(descriptor: int, data: bytes, offset: int) -> int:
        return write(descriptor, data[: left.pop()] if left else data, offset)

    monkeypatch.setattr(os, "pwrite", partly)
    with pytest.raises(CannotApply, match="No space left"):
        names.set_dns(SERVERS, ["a.example"], file)
    assert file.read_bytes() == BEFORE


def test_a_host_name_needs_the_right_to_set_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(socket, "sethostname", refuse)
    names.set_host_name(socket.gethostname())  # which changes nothing
    with pytest.raises(MissingRight, match="CAP_SYS_ADMIN"):
        names.set_host_name("another")
    with pytest.raises(CannotApply) as caught:
        names.set_host_name("n" * (names.HOST_NAME_MAX + 1))
    assert caught.value.subcode == "ter:InvalidHostname"
