"""Namespaces: the DNS settings changed by requests whose prefixes are declared in other ways."""

from __future__ import annotations

from conformance.base.features import NETWORK, SPECIFICATION
from conformance.base.network import IPV4, check_manual, dns, manual_dns, put_back_dns, set_dns
from conformance.base.requests import xml
from conformance.client import Reply
from conformance.device import Device
from conformance.namespaces import STYLES, Style, rewritten


def _send(device: Device, text: str, style: Style) -> Reply:
    to = device.services["tds"]
    body = xml(text)
    action = device.action_of(body)
    return device.client.send(to.address, rewritten(device.client.message(to, body, action), style), action)


def _change_dns(device: Device, style: Style) -> None:
    old = dns(device)
    try:
        _send(device, "<tds:GetDNS/>", style)
        _send(device, set_dns(manual_dns("IPv4", IPV4)), style)
        found = _send(device, "<tds:GetDNS/>", style).all("tds:DNSInformation")[0]
        check_manual(found, "DNSManual", "IPv4", IPV4)
    finally:
        put_back_dns(device, old)


def _add(identifier: str, title: str, style: Style) -> None:
    SPECIFICATION.case(identifier, f"DEVICE MANAGEMENT - NAMESPACES ({title})", NETWORK)(
        lambda device: _change_dns(device, style)
    )


for _number, (_title, _style) in enumerate(STYLES.items(), start=1):
    _add(f"DEVICE-6-1-{_number}", _title, _style)
