"""The devices of this process in WS-Discovery: they say when they come and go, and answer who looks for them."""

from __future__ import annotations

import asyncio
import logging
import random
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_address

from manycast.errors import ManycastError
from manycast.onvif.discovery import messages
from manycast.onvif.discovery.device import DiscoveredDevice, Shown
from manycast.onvif.discovery.gatekeeper import Gatekeeper
from manycast.onvif.discovery.interfaces import Interface, machine_interfaces
from manycast.onvif.discovery.messages import Probe, Request, Target
from manycast.onvif.discovery.scopes import SUPPORTED_RULES
from manycast.onvif.discovery.sockets import PORT, Arrival, DiscoverySocket

MAX_DELAY_S = 0.5  # WS-Discovery's APP_MAX_DELAY: what everybody is told, or asks, is answered within it
REPEAT_S = 0.1  # what everybody is told is sent twice, for datagrams get lost
LOOK_INTERVAL_S = 10.0  # at the machine's interfaces
MAX_WAITING = 5000  # answers that wait for their turn

log = logging.getLogger(__name__)


class DiscoveryError(ManycastError):
    """Devices of this process cannot be found by others."""


@dataclass(slots=True, eq=False)
class _Entry:
    """A device here."""

    device: DiscoveredDevice
    shown: Shown | None = None  # as it was announced; None: it is not there for others
    hello: asyncio.TimerHandle | None = None  # that waits


class Discovery:
    """Listens for all devices of the process, on each interface that one of them is reached on.

    Devices that listen on the loopback alone are found on the loopback alone: nothing is sent elsewhere.
    """

    def __init__(self, *, interfaces: Callable[[], Sequence[Interface]] = machine_interfaces, port: int = PORT) -> None:
        self._look = interfaces
        self._port = port
        self._interfaces: dict[int, Interface] = {}
        self._entries: list[_Entry] = []
        self._sockets: list[DiscoverySocket] = []
        self._gate = Gatekeeper(now_s=time.monotonic())
        self._waiting: set[asyncio.TimerHandle] = set()
        self._watcher: asyncio.Task[None] | None = None
        self._said_s = 0.0  # when something was said to everybody

    @property
    def refused(self) -> int:
        """How many datagrams and answers were too many."""
        return self._gate.refused

    def start(self) -> None:
        """Open the port of discovery. Raises DiscoveryError."""
        errors = []
        for family in (socket.AF_INET, socket.AF_INET6):
            try:
                self._sockets.append(DiscoverySocket(family, self._on_arrival, self._port))
            except OSError as error:
                errors.append(error)
        if not self._sockets:
            raise DiscoveryError(f"UDP port {self._port} cannot be opened: {errors[0].strerror}")
        self._watcher = asyncio.get_running_loop().create_task(self._watch(), name="discovery")

    def add(self, device: DiscoveredDevice) -> None:
        """Have a device found, from now on; it is announced."""
        entry = _Entry(device)
        self._entries.append(entry)
        self._look_around()
        device.on_change = partial(self._update, entry)
        self._update(entry)

    def remove(self, device: DiscoveredDevice) -> None:
        """The device goes, and says so."""
        for entry in [each for each in self._entries if each.device is device]:
            device.on_change = None
            self._part(entry)
            self._entries.remove(entry)

    async def stop(self) -> None:
        """Every device goes."""
        if self._watcher is not None:
            self._watcher.cancel()
        for device in [entry.device for entry in self._entries]:
            self.remove(device)
        await asyncio.sleep(max(0.0, self._said_s + 1.5 * REPEAT_S - time.monotonic()))  # until it is said twice
        for handle in self._waiting:
            handle.cancel()
        for sock in self._sockets:
            sock.close()
        self._sockets.clear()

    async def _watch(self) -> None:
        """Interfaces come and go while we run, and devices change their ports."""
        while True:
            await asyncio.sleep(LOOK_INTERVAL_S)
            self._look_around()
            for entry in self._entries:
                self._update(entry)

    def _look_around(self) -> None:
        """Listen where a device is reached."""
        self._interfaces = {each.index: each for each in self._look()}
        for sock in self._sockets:
            wanted = {each.index for each in self._interfaces.values() if self._is_used(each, sock.version)}
            for index in sock.joined - wanted:
                sock.leave(index)
            for index in wanted - sock.joined:
                try:
                    sock.join(index)
                except OSError as error:
                    log.debug("discovery: nothing heard on %s: %s", self._interfaces[index].name, error)

    def _is_used(self, interface: Interface, version: int) -> bool:
        has_version = interface.ipv4 if version == 4 else interface.ipv6
        return bool(has_version) and any(entry.device.target(interface, version) for entry in self._entries)

    # what devices say

    def _update(self, entry: _Entry) -> None:
        """Tell others what is new about a device."""
        if not entry.device.discoverable:
            self._part(entry)
        elif entry.hello is None and entry.shown != entry.device.show(self._interfaces.values()):
            delay_s = random.uniform(0, MAX_DELAY_S)  # else all devices would speak at once when the power is back
            entry.hello = self._later(delay_s, lambda: self._announce(entry))

    def _announce(self, entry: _Entry) -> None:
        entry.hello = None
        entry.shown = entry.device.show(self._interfaces.values())
        entry.device.announcing(entry.shown)
        self._tell(entry.device, messages.hello)
        log.info("discovery: %s announced", entry.device.store.state.discovery.endpoint)

    def _part(self, entry: _Entry) -> None:
        if entry.hello is not None:
            entry.hello.cancel()
            self._waiting.discard(entry.hello)
            entry.hello = None
        if entry.shown is not None:
            entry.shown = None
            self._tell(entry.device, messages.bye)
            log.info("discovery: %s gone", entry.device.store.state.discovery.endpoint)

    def _tell(self, device: DiscoveredDevice, message: Callable[[Target, messages.Stamp], bytes]) -> None:
        """Everybody, on every interface that the device is reached on; the same message again a little later."""
        self._said_s = time.monotonic()
        for sock in self._sockets:
            for index in sock.joined:
                target = device.target(self._interfaces[index], sock.version)
                if target is not None:
                    send = partial(sock.send_to_all, message(target, device.stamp()), index)
                    send()
                    self._later(REPEAT_S, send)

    # what others ask

    def _on_arrival(self, sock: DiscoverySocket, arrival: Arrival) -> None:
        now_s = time.monotonic()
        if not self._may_ask(arrival.host):
            return
        request = self._gate.admit(arrival.data, arrival.host, now_s=now_s)
        if request is None:
            return
        asked = [
            entry
            for entry in self._entries
            if entry.device.discoverable
            and entry.device.lets_in(arrival.host)
            and (arrival.multicast or entry.device.listens_on(arrival.local))
        ]
        if isinstance(request, Probe) and request.rule not in SUPPORTED_RULES:
            if asked and not arrival.multicast and self._gate.may_answer(now_s=now_s):
                sock.reply(messages.rule_refused(request, asked[0].device.stamp()), arrival)
            return
        delayed = arrival.multicast and isinstance(request, Probe)
        for entry in asked:
            if not entry.device.is_meant(request):
                continue
            if len(self._waiting) >= MAX_WAITING or not self._gate.may_answer(now_s=now_s):
                return
            delay_s = random.uniform(0, MAX_DELAY_S) if delayed else 0.0
            self._later(delay_s, self._answering(sock, arrival, request, entry))

    def _answering(
        self, sock: DiscoverySocket, arrival: Arrival, request: Request, entry: _Entry
    ) -> Callable[[], None]:
        def answer() -> None:
            interface = self._interfaces.get(arrival.interface)
            if entry not in self._entries or not entry.device.discoverable or interface is None:
                return  # gone meanwhile
            target = entry.device.target(interface, sock.version)
            if target is not None:
                sock.reply(messages.answer(request, target, entry.device.stamp()), arrival)

        return answer

    def _may_ask(self, host: str) -> bool:
        """Whoever is near, or in a private network. From the internet, senders' addresses are mostly made up."""
        address = ip_address(host)
        if address.is_multicast or address.is_unspecified:
            return False
        return not address.is_global or any(each.holds(address) for each in self._interfaces.values())

    def _later(self, delay_s: float, call: Callable[[], None]) -> asyncio.TimerHandle:
        def run() -> None:
            self._waiting.discard(handle)
            call()

        handle = asyncio.get_running_loop().call_later(delay_s, run)
        self._waiting.add(handle)
        return handle
