"""No two listeners on one port."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

from manycast.config.onvif_devices import devices_of
from manycast.config.problems import Problem
from manycast.config.schema.pusher import Pusher, PusherMode
from manycast.config.subject import Step, Subject, said_at

_ADDRESSES_OF = {"rtsps": "rtsp", "rtmps": "rtmp"}  # the block whose addresses they share
_LOCAL_NAMES = {"localhost": ("127.0.0.1", "::1")}


@dataclass(frozen=True, slots=True)
class Listener:
    """What will be listened on."""

    protocol: str  # "TCP" or "UDP"
    addresses: tuple[str, ...]  # empty: every one
    port: int
    path: tuple[Step, ...]  # the field that sets the port, or the device that has it from elsewhere
    field: str = ""  # of such a device


def doubled_ports(subject: Subject) -> Iterator[Problem]:
    known: dict[tuple[str, int], list[Listener]] = {}
    for listener in listeners(subject):
        earlier = known.setdefault((listener.protocol, listener.port), [])
        other = next((one for one in earlier if _overlap(one, listener)), None)
        if other is not None:
            yield _doubled(subject, other, listener)
        earlier.append(listener)


def listeners(subject: Subject) -> Iterator[Listener]:
    """Everything that will be listened on."""
    yield from _servers(subject)
    yield from _pushers(subject)
    yield from _onvif(subject)


def _doubled(subject: Subject, first: Listener, second: Listener) -> Problem:
    """Stands at the later one that a file sets."""
    if not subject.node(*second.path).written:
        first, second = second, first
    other = subject.node(*first.path)
    same = f"the same {second.protocol} port as {other.label} ({other.place})"
    if isinstance(second.path[-1], int):
        text = f"{second.field} is not said, and so {second.port}: {same}; give each device its own"
        return subject.problem(second.path, text)
    return subject.problem(second.path, same, str(second.port))


def _servers(subject: Subject) -> Iterator[Listener]:
    settings = subject.settings
    for protocol, name in (
        ("TCP", "http"),
        ("TCP", "https"),
        ("TCP", "rtsp"),
        ("TCP", "rtsps"),
        ("TCP", "rtmp"),
        ("TCP", "rtmps"),
        ("UDP", "srt"),
    ):
        server = getattr(settings, name)
        addresses = getattr(settings, _ADDRESSES_OF.get(name, name)).serverip
        if server.enable:
            yield Listener(protocol, addresses, server.serverport, (name, "serverport"))


def _pushers(subject: Subject) -> Iterator[Listener]:
    for index, application in enumerate(subject.settings.applications):
        for number, pusher in enumerate(application.pushers):
            if pusher.raw:
                yield from _raw(pusher, ("applications", index, "pushers", number, "transfer"))


def _onvif(subject: Subject) -> Iterator[Listener]:
    onvif = subject.settings.onvif
    for index, device in devices_of(onvif) if onvif.enable else ():
        if device.http_enable:
            yield Listener("TCP", device.server_ip, device.http_port, said_at(subject, index, "http_port"), "http_port")
        if device.https_enable:
            yield Listener(
                "TCP", device.server_ip, device.https_port, said_at(subject, index, "https_port"), "https_port"
            )


def _raw(pusher: Pusher, path: tuple[Step, ...]) -> Iterator[Listener]:
    transfer = pusher.transfer
    protocol = "TCP" if transfer.mode is PusherMode.TCP else "UDP"
    addresses = () if transfer.ip is None else (transfer.ip,)
    if pusher.video is not None:
        yield Listener(protocol, addresses, transfer.vport, (*path, "vport"))
    if pusher.audio is not None:
        yield Listener(protocol, addresses, transfer.aport, (*path, "aport"))


def _overlap(first: Listener, second: Listener) -> bool:
    if not first.addresses or not second.addresses:
        return True
    return any(_same(one, other) for one, other in product(_known(first.addresses), _known(second.addresses)))


def _known(addresses: tuple[str, ...]) -> list[str]:
    return [known for address in addresses for known in _LOCAL_NAMES.get(address.lower(), (address,))]


def _same(one: str, other: str) -> bool:
    """Whether both addresses name an interface in common, as far as can be told without asking for names."""
    if one.lower() == other.lower():
        return True
    families = {_family(one), _family(other)} - {None}
    return len(families) < 2 and any(_is_any(address) for address in (one, other))


def _family(address: str) -> int | None:
    try:
        return ipaddress.ip_address(address).version
    except ValueError:
        return None


def _is_any(address: str) -> bool:
    return address in ("0.0.0.0", "::")
