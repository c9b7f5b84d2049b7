"""A client of WS-Discovery, in the network of the device under test."""

from __future__ import annotations

import select
import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

from lxml import etree
from support.discovery import GROUP, NAMES, Heard

from conformance.client import NAMESPACES
from conformance.device import Device

PORT = 3702


@dataclass(frozen=True, slots=True)
class Searcher:
    """Asks by one socket, and hears by another what is said to everybody. Knows the device by its addresses."""

    device: Device
    asking: socket.socket
    hearing: socket.socket

    def ask_all(self, data: bytes) -> None:
        self.asking.sendto(data, (GROUP, PORT))

    def ask(self, data: bytes) -> None:
        """The device alone."""
        self.asking.sendto(data, (_host(self.device), PORT))

    def answer(self, within_s: float, *, to: str) -> Heard | None:
        """What the device answers to a message; None: nothing. Faults do not say which device they are of."""

        def is_it(heard: Heard) -> bool:
            return heard.header("a:RelatesTo") == to and (heard.action == "fault" or self._is_device(heard))

        return self._next(self.asking, is_it, within_s)

    def announcement(self, action: str, within_s: float, *, endpoint: str) -> Heard | None:
        """What the device says to everybody: Hello or Bye."""
        return self._next(self.hearing, lambda heard: heard.action == action and heard.endpoint == endpoint, within_s)

    def forget(self) -> None:
        """What was said to everybody so far."""
        while self._next(self.hearing, lambda heard: True, 0) is not None:
            pass

    def _is_device(self, heard: Heard) -> bool:
        place = urlsplit(self.device.endpoint.address)
        return any(
            (found.hostname, found.port) == (place.hostname, place.port) for found in map(urlsplit, heard.xaddrs)
        )

    def _next(self, sock: socket.socket, wanted: Callable[[Heard], bool], within_s: float) -> Heard | None:
        end_s = time.monotonic() + within_s
        while select.select([sock], [], [], max(0.0, end_s - time.monotonic()))[0]:
            data, sender = sock.recvfrom(65536)
            try:
                heard = Heard(etree.fromstring(data), sender)
            except etree.XMLSyntaxError:
                continue  # of somebody else
            if wanted(heard):
                return heard
        return None


@contextmanager
def searching(device: Device) -> Iterator[Searcher]:
    """A client on the interface by which the device is reached (IPv4)."""
    with _socket() as route:
        route.connect((_host(device), PORT))
        own = socket.inet_aton(route.getsockname()[0])
    with _socket() as asking, _socket() as hearing:
        asking.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, own)
        asking.bind((socket.inet_ntoa(own), 0))
        hearing.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        hearing.bind((GROUP, PORT))
        membership = struct.pack("=4s4s", socket.inet_aton(GROUP), own)
        hearing.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, membership)
        yield Searcher(device, asking, hearing)


def types_of(heard: Heard) -> set[str]:
    """The device's types as {namespace}name; one whose prefix is not declared is left as it is."""
    element = heard.root.find("s:Body//d:Types", NAMES)
    if element is None:
        return set()
    found = set()
    for name in (element.text or "").split():
        prefix, _, local = name.rpartition(":")
        namespace = element.nsmap.get(prefix or None)
        found.add(name if namespace is None else f"{{{namespace}}}{local}")
    return found


DEVICE_TYPES = {
    "{http://www.onvif.org/ver10/network/wsdl}NetworkVideoTransmitter",
    f"{{{NAMESPACES['tds']}}}Device",
}


def _socket() -> socket.socket:
    return socket.socket(socket.AF_INET, socket.SOCK_DGRAM)


def _host(device: Device) -> str:
    return socket.gethostbyname(urlsplit(device.endpoint.address).hostname or "")
