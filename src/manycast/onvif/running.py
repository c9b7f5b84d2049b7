"""A device with its web server, from its start to its end, and through its restarts."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from manycast.onvif.onvif_device import OnvifDevice
from manycast.onvif.server import OnvifServer
from manycast.onvif.state.network import Protocols
from manycast.onvif.state.store import StateStore
from manycast.onvif.surroundings import Surroundings
from manycast.onvif.tls import make_context

RETRY_S = 5.0  # when a port cannot be opened after a restart
RESTART_PAUSE_S = 0.2  # for clients to notice that the device is away

Sockets = Sequence[socket.socket]
OpenPort = Callable[[str, int], Sockets]  # HTTP or HTTPS, and the port; raises OSError

log = logging.getLogger(__name__)


class Announcer(Protocol):
    """Tells the network that the device comes and goes."""

    async def hello(self) -> None: ...
    async def bye(self) -> None: ...


class RunningDevice:
    """Runs one device. What it does to its surroundings it does through the functions it is given."""

    def __init__(
        self,
        store: StateStore,
        *,
        name: str,
        surroundings: Surroundings,
        open_port: OpenPort,
        certificate: tuple[Path, Path] | None,
        on_restart: Callable[[], Awaitable[None]],
    ) -> None:
        """Args:
        open_port: Opens another port than those of `start`, when a client changes them.
        certificate: The configured one for HTTPS, and its key; None: there is no HTTPS.
        on_restart: Restarts what belongs to the device beside itself: its streams.
        """
        self.device = OnvifDevice(store, surroundings, name=name)
        self.server = OnvifServer(self.device)
        self._open_port = open_port
        self._certificate = certificate
        self._on_restart = on_restart
        self._stopped = False
        self._restarting = False
        self._ports = asyncio.Lock()  # while they are opened: whoever changes them waits
        self._reachable = store.state.network.protocols  # where clients last reached it
        self.announcer: Announcer | None = None  # set before `start`
        surroundings.https = certificate is not None
        surroundings.restart = self.restart
        surroundings.listen = self._listen
        surroundings.certificates_changed = lambda: self.device.run(self._use_certificates())

    async def start(self, opened: Mapping[str, Sockets], ago_s: float = 0.0) -> None:
        """Answer on these sockets, by protocol; they have been open for some time."""
        await self.device.load()
        self.device.start(ago_s)
        self._place_rtsp()  # before a client can move it
        async with self._ports:
            for protocol, sockets in opened.items():
                await self._open(protocol, sockets)
        await self._say_hello()
        self.device.run(self.device.prepare())

    async def stop(self) -> None:
        """End it, and have its state written."""
        self._stopped = True
        await self._pause()
        await self.device.store.close()

    async def restart(self) -> None:
        """What a reboot is: everybody is sent away, and the ports open again as the state has them."""
        if self._stopped or self._restarting:
            return
        self._restarting = True
        try:
            await self._restart()
        finally:
            self._restarting = False

    async def _restart(self) -> None:
        log.info("%s: restarts", self.device.name)
        await self._pause()
        await self._on_restart()
        await asyncio.sleep(RESTART_PAUSE_S)
        network = self.device.surroundings.network
        if network is not None:
            await network.restore(self.device.store.state.network)
        if self._stopped:
            return
        self.device.start()
        self._place_rtsp()
        while not await self._listen_again():
            log.error("%s: no port can be opened, tries again in %g s", self.device.name, RETRY_S)
            await asyncio.sleep(RETRY_S)
        if not self._stopped:
            await self._say_hello()

    async def _listen_again(self) -> bool:
        """After a restart: at every port that can be had; if none can, where clients last reached it."""
        network = self.device.store.state.network
        for protocols in (network.protocols, self._reachable):
            for name in ("HTTP", "HTTPS"):
                try:
                    async with self._ports:
                        await self._change_ports(protocols, (name,))
                except OSError as error:
                    log.error("%s: does not listen by %s: %s", self.device.name, name, error)
            if self._stopped:
                return True
            if self.server.listens:
                if protocols is not network.protocols:
                    former = {"http": protocols.http, "https": protocols.https}
                    network.protocols = network.protocols.model_copy(update=former)
                    self.device.store.save()
                self._reachable = network.protocols
                return True
        return False

    def _place_rtsp(self) -> None:
        """RTSP listens where clients want it, or else where it is configured."""
        around, wanted = self.device.surroundings, self.device.store.state.network.protocols.rtsp
        if around.move_rtsp is None:
            return
        port = around.rtsp_port if wanted is None else (wanted.port if wanted.enabled else None)
        try:
            around.move_rtsp(port)
        except OSError as error:
            log.error("%s: RTSP stays where it is: %s", self.device.name, error)

    async def _say_hello(self) -> None:
        if self.announcer is not None:
            await self.announcer.hello()

    async def _pause(self) -> None:
        if self.announcer is not None:
            await self.announcer.bye()
        await self.server.close()
        await self.device.close()

    async def _listen(self, protocols: Protocols) -> None:
        """Have the ports that are wanted: all of them, or none is changed. Raises OSError."""
        async with self._ports:
            await self._change_ports(protocols, ("HTTP", "HTTPS"))
        self._reachable = protocols

    async def _change_ports(self, protocols: Protocols, names: Sequence[str]) -> None:
        opened: dict[str, Sockets] = {}
        wanted = {name: protocols.http if name == "HTTP" else protocols.https for name in names}
        if self._certificate is None:
            wanted.pop("HTTPS", None)
        try:
            for name, protocol in wanted.items():
                if protocol.enabled and protocol.port != self.server.port(secure=name == "HTTPS"):
                    opened[name] = self._open_port(name, protocol.port)
        except OSError:
            for sockets in opened.values():
                for sock in sockets:
                    sock.close()
            raise
        for name, protocol in wanted.items():
            if not protocol.enabled:
                self.server.silence(secure=name == "HTTPS")
        for name, sockets in opened.items():
            await self._open(name, sockets)

    async def _open(self, protocol: str, sockets: Sockets) -> None:
        context = await self._context() if protocol == "HTTPS" else None
        if protocol == "HTTPS" and context is None:
            for sock in sockets:
                sock.close()
            return
        await self.server.listen(sockets[0].getsockname()[1], sockets, context)

    async def _use_certificates(self) -> None:
        context = await self._context()
        if context is not None:
            await self.server.use(context)

    async def _context(self) -> ssl.SSLContext | None:
        assert self._certificate is not None
        try:
            return await asyncio.to_thread(make_context, self.device.store.state.certificates, *self._certificate)
        except (OSError, ssl.SSLError, ValueError) as error:
            log.error("%s: the certificate cannot be used: %s", self.device.name, error)
            return None
