"""The ONVIF devices of the process: their ports, their states, and what they need of the rest."""

from __future__ import annotations

import asyncio
import gc
import itertools
import logging
import socket
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from manycast.app.listening import Listening, StartError, open_listeners
from manycast.app.onvif_certificate import has_certificate, make_certificate
from manycast.app.onvif_plan import OnvifPlan
from manycast.app.onvif_users import OnvifUsers
from manycast.app.onvif_wake import until_wanted
from manycast.config.onvif_state import ConfiguredDevice
from manycast.hub.hub import Hub
from manycast.onvif.discovery.interfaces import Endpoint
from manycast.onvif.ip_rules import lets_in
from manycast.onvif.log_memory import LogMemory
from manycast.onvif.state.network import Protocol
from manycast.onvif.state.runtime_file import RuntimeFileError
from manycast.onvif.state.store import StateStore
from manycast.onvif.surroundings import Surroundings

if TYPE_CHECKING:
    from manycast.onvif.discovery.device import DiscoveredDevice
    from manycast.onvif.discovery.service import Discovery
    from manycast.onvif.running import RunningDevice
    from manycast.onvif.security.used_tokens import UsedTokens

# What moves a port, as the advice names it.
OPTIONS: Mapping[str, str] = {
    "HTTP": "--onvif-port",
    "HTTPS": "--onvif-https-port, where 0 switches it off",
}

log = logging.getLogger(__name__)


@dataclass(slots=True, kw_only=True)
class _Device:
    """One device, before and while it runs."""

    name: str
    store: StateStore
    sockets: dict[str, list[socket.socket]] = field(default_factory=dict)
    https: bool = False
    running: RunningDevice | None = None
    answers: bool = False
    announcer: _Announcer | None = None

    def endpoints(self) -> list[Endpoint]:
        """What it listens on."""
        if self.running is not None and self.answers:
            return self.running.server.endpoints()
        return [Endpoint.of(name.lower(), sock) for name, sockets in self.sockets.items() for sock in sockets]

    def streams(self) -> list[str]:
        """The paths that it shows."""
        profiles = self.store.state.profiles
        return [profile.stream_uri.stream for profile in profiles if profile.stream_uri.uri is None]

    def close_ports(self) -> None:
        for sock in itertools.chain(*self.sockets.values()):
            sock.close()


class OnvifService:
    """Opens the ports at once, and has the devices found. They are loaded when somebody wants something of them."""

    def __init__(
        self,
        plan: OnvifPlan,
        *,
        hub: Hub,
        rtsp_port: int | None,
        move_rtsp: Callable[[int | None], None],
        restart_streams: Callable[[Sequence[str]], Awaitable[None]],
    ) -> None:
        """`move_rtsp` has RTSP listen at another port or at none, `restart_streams` restarts the streams at paths."""
        self._plan = plan
        self._hub = hub
        self._rtsp_port = rtsp_port
        self._move_rtsp = move_rtsp
        self._restart_streams = restart_streams
        self._system_log = LogMemory()
        self._used_tokens: UsedTokens | None = None
        self._devices: list[_Device] = []
        self._started_s = 0.0
        self._starting: asyncio.Task[None] | None = None
        self._discovery: Discovery | None = None

    def open(self, notes: list[str]) -> None:
        """Read the states and open the ports; what could not be opened is in the notes, or raises StartError."""
        try:
            for number, configured in enumerate(self._plan.devices):
                self._devices.append(self._open_device(number, configured, notes))
        except StartError as error:
            self.close_ports()
            if self._plan.required:
                raise
            notes.append(f"no ONVIF: {error}")

    def admits(self, address: str) -> bool:
        """Whether some device's filter lets this address in: then it is served streams, too."""
        filters = [device.store.state.network.ip_filter for device in self._devices]
        return not filters or any(lets_in(rules, address) for rules in filters)

    def with_users(self, own: Mapping[str, str]) -> Mapping[str, str]:
        """The logins of the streams, and those of devices with logins: recorders use theirs for both."""
        return OnvifUsers(own, [device.store for device in self._devices])

    def addresses(self) -> list[str]:
        """Of the device services, for people to paste."""
        found = []
        for device in self._devices:
            for protocol in device.sockets:
                port = device.sockets[protocol][0].getsockname()[1]
                listening = self._listening(device.store, protocol, port)
                found.append(f"{listening.base}/onvif/device_service")
        return found

    def close_ports(self) -> None:
        for device in self._devices:
            device.close_ports()
        self._devices.clear()

    def start(self) -> None:
        """Have the devices found, and answer who connects."""
        self._started_s = asyncio.get_running_loop().time()
        logging.getLogger("manycast").addHandler(self._system_log)
        self._starting = asyncio.get_running_loop().create_task(self._start(), name="onvif start")

    async def stop(self) -> None:
        logging.getLogger("manycast").removeHandler(self._system_log)
        if self._starting is not None:
            self._starting.cancel()
            await asyncio.gather(self._starting, return_exceptions=True)
        await asyncio.gather(*(self._stop_device(device) for device in self._devices))
        if self._discovery is not None:
            await self._discovery.stop()

    async def _stop_device(self, device: _Device) -> None:
        if device.running is not None:
            await device.running.stop()
        else:
            if device.announcer is not None:
                await device.announcer.bye()  # which says where it was: its ports are still open
            await device.store.close()
        device.close_ports()  # where it has not come to answering

    def _open_device(self, number: int, configured: ConfiguredDevice, notes: list[str]) -> _Device:
        """Raises StartError."""
        try:
            always = configured.configuration_file is not None
            origin = configured.origin()
            store = StateStore(configured.default_state, configured.runtime_file, origin=origin, always=always)
        except RuntimeFileError as error:
            advice = "delete it to begin with the configuration"
            raise StartError(f"the running configuration of ONVIF: {error}; {advice}") from error
        if store.loaded and (note := configured.runtime_note(store.origin)):
            notes.append(note)
        if store.loaded:  # the certificate's files are of this folder, wherever it was when the state was written
            server = configured.default_state().server
            store.state.server.cert_file, store.state.server.key_file = server.cert_file, server.key_file
            store.state.server.apply_network = server.apply_network  # which no client can change; likewise
            store.state.server.push_to = server.push_to
        else:  # it has to grow over the file's deletion, too
            store.state.discovery.metadata_version = int(time.time())
        if self._plan.port is not None:
            store.override("network.protocols.http", Protocol(port=self._plan.port + number))
        if self._plan.https_port is not None:
            https = store.state.network.protocols.https
            wanted = Protocol(port=self._plan.https_port + number) if self._plan.https_port else None
            wanted = wanted or Protocol(enabled=False, port=https.port)
            store.override("network.protocols.https", wanted)
        if self._plan.host is not None:
            store.override("server.addresses", [self._plan.host])
        if store.state.server.apply_network:
            _restore_network(store, notes)  # before ports are opened at addresses that are not there yet
        device = _Device(name="onvif" if number == 0 else f"onvif {number + 1}", store=store)
        protocols = store.state.network.protocols
        try:
            if protocols.http.enabled:
                device.sockets["HTTP"] = self._bind(store, "HTTP", protocols.http.port)
            device.https = protocols.https.enabled and has_certificate(store, notes)
            if device.https:
                self._bind_https(device, protocols.https.port, notes)
        except StartError:
            device.close_ports()
            raise
        return device

    def _bind_https(self, device: _Device, port: int, notes: list[str]) -> None:
        """Raises StartError."""
        try:
            device.sockets["HTTPS"] = self._bind(device.store, "HTTPS", port)
        except StartError as error:
            if self._plan.https_required:
                raise
            notes.append(f"no ONVIF by HTTPS: {error}")
            device.https = False

    def _bind(self, store: StateStore, protocol: str, port: int) -> list[socket.socket]:
        """Raises StartError."""
        return open_listeners(self._listening(store, protocol, port))

    def _listening(self, store: StateStore, protocol: str, port: int) -> Listening:
        return Listening(
            protocol=f"ONVIF {protocol}",
            scheme=protocol.lower(),
            addresses=tuple(store.state.server.addresses),
            port=port,
            origin=self._plan.origins[protocol],
            option=OPTIONS[protocol],
        )

    def _reopen(self, store: StateStore, protocol: str, port: int) -> list[socket.socket]:
        """Raises OSError, with StartError's text."""
        try:
            return self._bind(store, protocol, port)
        except StartError as error:
            raise OSError(str(error)) from error

    async def _start(self) -> None:
        await asyncio.to_thread(_load_discovery)
        self._discovery = _start_discovery()
        for device in self._devices:
            await self._announce(device)
        await until_wanted(itertools.chain(*(s for d in self._devices for s in d.sockets.values())), self._is_wanted)
        with _to_stay():
            await asyncio.to_thread(_load_modules)  # aiohttp and zeep, which take a while
            if len(self._devices) > 1:
                from manycast.onvif.security.used_tokens import UsedTokens

                self._used_tokens = UsedTokens()
            for device in self._devices:
                try:
                    await self._run(device)
                except Exception:
                    log.exception("%s could not be started", device.name)

    async def _announce(self, device: _Device) -> None:
        if self._discovery is None:
            return
        from manycast.onvif.discovery.device import DiscoveredDevice

        device.announcer = _Announcer(self._discovery, DiscoveredDevice(device.store, device.endpoints))
        await device.announcer.hello()

    def _is_wanted(self) -> bool:
        """Whether a device has something to do before anybody connects."""
        if any(device.store.state.network.protocols.rtsp is not None for device in self._devices):
            return True  # RTSP is to listen elsewhere
        shown = {path for device in self._devices for path in device.streams()}
        watched = {feed.path for feed in self._hub.metadata}  # events are told there
        on_demand = set(self._hub.offered)
        live = {stream.path for stream in self._hub if stream.path not in on_demand}  # and when they are lost
        return not shown.isdisjoint(watched | live)

    async def _run(self, device: _Device) -> None:
        from manycast.onvif.machine_network.machine_network import MachineNetwork
        from manycast.onvif.running import RunningDevice

        if device.https:
            device.https = await asyncio.to_thread(make_certificate, device.store, device.name)
        if not device.https:
            for sock in device.sockets.pop("HTTPS", ()):
                sock.close()
        server = device.store.state.server
        surroundings = Surroundings(
            rtsp_port=self._rtsp_port,
            # Of several devices none has RTSP for itself.
            move_rtsp=self._move_rtsp if self._rtsp_port is not None and len(self._devices) == 1 else None,
            system_log=self._system_log,
            hub=self._hub,
            shows=lambda path: path in device.streams(),
            network=MachineNetwork() if server.apply_network else None,
            used_tokens=self._used_tokens,
        )
        device.running = RunningDevice(
            device.store,
            name=device.name,
            surroundings=surroundings,
            open_port=lambda protocol, port: self._reopen(device.store, protocol, port),
            certificate=(server.cert_file, server.key_file) if device.https else None,
            on_restart=lambda: self._restart_streams(device.streams()),
        )
        device.running.announcer = device.announcer
        await device.running.start(device.sockets, asyncio.get_running_loop().time() - self._started_s)
        device.answers = True


@dataclass(slots=True)
class _Announcer:
    """What a device says to the network when it comes and goes."""

    discovery: Discovery
    device: DiscoveredDevice
    there: bool = False

    async def hello(self) -> None:
        if not self.there:
            self.there = True
            self.discovery.add(self.device)

    async def bye(self) -> None:
        self.there = False
        self.discovery.remove(self.device)


def _start_discovery() -> Discovery | None:
    from manycast.onvif.discovery.service import Discovery, DiscoveryError

    discovery = Discovery()
    try:
        discovery.start()
    except DiscoveryError as error:
        log.warning("ONVIF devices are not found by themselves: %s", error)
        return None
    return discovery


def _restore_network(store: StateStore, notes: list[str]) -> None:
    """Have the machine's network as clients have set it. It blocks."""
    from manycast.onvif.machine_network.machine_network import restore, trouble

    reason = trouble()
    if reason is not None:
        notes.append(reason)
    else:
        with ThreadPoolExecutor(1) as thread:  # netlink has an event loop of its own, and there is one here
            thread.submit(restore, store.state.network).result()


@contextmanager
def _to_stay() -> Iterator[None]:
    """What is made in the block stays: no garbage is looked for in it, which would only take time, now and later."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if enabled:
            gc.enable()


def _load_discovery() -> None:
    import manycast.onvif.discovery.service  # noqa: F401


def _load_modules() -> None:
    import manycast.onvif.running  # noqa: F401
