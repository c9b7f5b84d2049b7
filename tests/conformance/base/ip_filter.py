"""IP filtering."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_network
from urllib.parse import urlsplit

from lxml import etree

from conformance.base.features import IP_FILTER, NETWORK, SPECIFICATION
from conformance.base.requests import ask, value, written
from conformance.client import NAMESPACES
from conformance.device import Device
from conformance.frame import Failed, require

OTHER = ("192.0.2.77", "32")  # which we do not have

Range = tuple[str, str]


def _filter(device: Device) -> etree._Element:
    return ask(device, "<tds:GetIPAddressFilter/>").all("tds:IPAddressFilter")[0]


def _ranges(found: etree._Element) -> list[Range]:
    return [
        (value(each, "tt:Address") or "", value(each, "tt:PrefixLength") or "")
        for each in found.iterfind("tt:IPv4Address", NAMESPACES)
    ]


def _request(operation: str, kind: str, *ranges: Range) -> str:
    listed = "".join(
        f"<tt:IPv4Address><tt:Address>{address}</tt:Address><tt:PrefixLength>{length}</tt:PrefixLength></tt:IPv4Address>"
        for address, length in ranges
    )
    content = f"<tds:IPAddressFilter><tt:Type>{kind}</tt:Type>{listed}</tds:IPAddressFilter>"
    return f"<tds:{operation}IPAddressFilter>{content}</tds:{operation}IPAddressFilter>"


def _require(device: Device, kind: str, *ranges: Range) -> None:
    found = _filter(device)
    told = (value(found, "tt:Type"), _ranges(found))
    require(told == (kind, list(ranges)), f"{kind} {list(ranges)} was set, {told} is told")


def _own(device: Device) -> Range:
    """The address from which the device sees us."""
    place = urlsplit(device.endpoint.address)
    with socket.create_connection((place.hostname or "", place.port or 80), timeout=5) as sock:
        return str(sock.getsockname()[0]), "32"


@contextmanager
def _kept(device: Device) -> Iterator[None]:
    old = _filter(device)
    try:
        yield
    finally:
        ask(device, f"<tds:SetIPAddressFilter>{written(old, 'tds:IPAddressFilter')}</tds:SetIPAddressFilter>")


@SPECIFICATION.case("DEVICE-7-1-1", "GET IP ADDRESS FILTER", NETWORK, IP_FILTER)
def get_filter(device: Device) -> None:
    found = _filter(device)
    require(value(found, "tt:Type") in ("Allow", "Deny"), f"type {value(found, 'tt:Type')}")
    for family in ("IPv4", "IPv6"):
        for each in found.iterfind(f"tt:{family}Address", NAMESPACES):
            text = f"{value(each, 'tt:Address')}/{value(each, 'tt:PrefixLength')}"
            try:
                network = ip_network(text, strict=False)
            except ValueError as error:
                raise Failed(f"{text} is no range: {error}") from error
            require(f"IPv{network.version}" == family, f"{text} among the {family} addresses")


@SPECIFICATION.case("DEVICE-7-1-2", "SET IP ADDRESS FILTER - IPv4", NETWORK, IP_FILTER)
def set_filter(device: Device) -> None:
    own = _own(device)
    with _kept(device):
        ask(device, _request("Set", "Deny", OTHER))
        _require(device, "Deny", OTHER)
        ask(device, _request("Set", "Allow", own))
        _require(device, "Allow", own)


@SPECIFICATION.case("DEVICE-7-1-3", "ADD IP ADDRESS FILTER - IPv4", NETWORK, IP_FILTER)
def add_to_filter(device: Device) -> None:
    with _kept(device):
        ask(device, _request("Set", "Deny"))
        ask(device, _request("Add", "Deny", OTHER))
        _require(device, "Deny", OTHER)


@SPECIFICATION.case("DEVICE-7-1-4", "REMOVE IP ADDRESS FILTER - IPv4", NETWORK, IP_FILTER)
def remove_from_filter(device: Device) -> None:
    """The document removes with the type Allow from a list of the type Deny; ONVIF Core lets the type not count."""
    with _kept(device):
        ask(device, _request("Set", "Deny", OTHER))
        _require(device, "Deny", OTHER)
        ask(device, _request("Remove", "Allow", OTHER))
        _require(device, "Deny")
