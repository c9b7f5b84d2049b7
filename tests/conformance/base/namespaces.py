"""Namespaces: the DNS settings changed by requests whose prefixes are declared in other ways."""

from __future__ import annotations

from conformance.base.features import NETWORK, SPECIFICATION
from conformance.base.requests import xml
from conformance.base.servers import DNS_SERVERS, IPV4
from conformance.client import Reply
from conformance.device import Device
from conformance.namespaces import STYLES, Style, rewritten


def _send(device: Device, text: str, style: Style) -> Reply:
    to = device.services["tds"]
    body = xml(text)
    action = device.action_of(body)
    return device.client.send(to.address, rewritten(device.client.message(to, body, action), style), action)


def _change_dns(device: Device, style: Style) -> None:
    with DNS_SERVERS.kept(device):
        _send(device, DNS_SERVERS.get, style)
        _send(device, DNS_SERVERS.set(DNS_SERVERS.manual("IPv4", IPV4)), style)
        told = _send(device, DNS_SERVERS.get, style).all("tds:DNSInformation")[0]
        DNS_SERVERS.check_manual(told, "IPv4", IPV4)


def _add(identifier: str, title: str, style: Style) -> None:
    SPECIFICATION.case(identifier, f"DEVICE MANAGEMENT - NAMESPACES ({title})", NETWORK)(
        lambda device: _change_dns(device, style)
    )


for _number, (_title, _style) in enumerate(STYLES.items(), start=1):
    _add(f"DEVICE-6-1-{_number}", _title, _style)
