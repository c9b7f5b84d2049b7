"""The machine's network, as ONVIF's clients change it: one change after another, each whole or not at all."""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import TypeVar

from manycast.onvif.machine import MachineInterface
from manycast.onvif.machine_network import names, netlink
from manycast.onvif.machine_network.errors import CannotApply
from manycast.onvif.machine_network.netlink import WantedInterface
from manycast.onvif.state.network import Dns, Gateway, Hostname, InterfaceSettings, IPv4Settings, IPv6Settings, Network

NEEDED_SYSTEM = "the machine's network can be changed on Linux only"
REPLY_DELAY_S = 0.5  # for a reply to get out before the address goes that it is sent from

T = TypeVar("T")

log = logging.getLogger(__name__)


class MachineNetwork:
    """Changes it for one device. Methods raise CannotApply, and log why."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._finishing: asyncio.Task[None] | None = None

    async def interfaces(self) -> list[MachineInterface]:
        """As they are when the latest change is through."""
        async with self._lock:
            return await self._do("read", netlink.read_interfaces)

    async def set_interface(self, settings: InterfaceSettings, gateway: Gateway | None = None) -> None:
        """What is added is there at once; what goes away goes when the client has its reply.

        `gateway` is the one to have then: an interface that was off has lost its routes.
        """
        await self._lock.acquire()
        try:
            finish = await self._do(f"set {settings.token}", partial(netlink.change_interface, wanted(settings)))
        except BaseException:
            self._lock.release()
            raise
        self._finishing = asyncio.get_running_loop().create_task(self._finish(settings.token, finish, gateway))

    async def set_gateway(self, gateway: Gateway) -> None:
        async with self._lock:
            await self._do("set the gateway", partial(_set_gateway, gateway))

    async def set_host_name(self, hostname: Hostname) -> None:
        async with self._lock:
            await self._do("set the host name", partial(_set_host_name, hostname))

    async def set_dns(self, dns: Dns) -> None:
        async with self._lock:
            await self._do("set the name servers", partial(_set_dns, dns))

    async def restore(self, network: Network) -> None:
        """As `restore`, which is for the start."""
        async with self._lock:
            await asyncio.to_thread(restore, network)

    async def _finish(self, name: str, finish: Callable[[], None], gateway: Gateway | None) -> None:
        try:
            # The thread waits, not the task: so the change is whole even when the server stops meanwhile.
            await self._do(f"finish setting {name}", partial(_after_the_reply, finish))
            if gateway is not None:
                await self._do(f"set the gateway beyond {name}", partial(_set_gateway, gateway))
        except CannotApply:
            pass  # it is logged, and clients are told what there is
        finally:
            self._lock.release()

    async def _do(self, what: str, work: Callable[[], T]) -> T:
        try:
            if sys.platform != "linux":
                raise CannotApply(NEEDED_SYSTEM)
            return await asyncio.to_thread(work)
        except CannotApply as error:
            log.error("the machine's network, %s: %s", what, error)
            raise


def _after_the_reply(finish: Callable[[], None]) -> None:
    time.sleep(REPLY_DELAY_S)
    finish()


def trouble() -> str | None:
    """Why no change will be possible; None: nothing is known to be in the way."""
    if sys.platform != "linux":
        return f"apply_network: {NEEDED_SYSTEM}; changes by clients are refused"
    if not netlink.may_change():
        return f"apply_network: {netlink.NEEDED_RIGHT}; until then, changes by clients are refused"
    return None


def restore(network: Network) -> None:
    """Have what clients set. It blocks; what cannot be had is logged."""
    for what, work in _restoring(network):
        try:
            work()
        except CannotApply as error:
            log.error("the machine's network, %s as it was: %s", what, error)


def wanted(settings: InterfaceSettings) -> WantedInterface:
    """What these settings ask of the machine."""
    ipv4, ipv6 = settings.ipv4 or IPv4Settings(), settings.ipv6 or IPv6Settings()
    return WantedInterface(
        name=settings.token,
        enabled=settings.enabled,
        mtu=settings.mtu,
        ipv4=ipv4.manual if ipv4.enabled else [],
        ipv6=ipv6.manual if ipv6.enabled else None,
        ipv6_enabled=None if settings.ipv6 is None else ipv6.enabled,
        accept_router_advert=ipv6.accept_router_advert,
    )


def _restoring(network: Network) -> Iterator[tuple[str, Callable[[], None]]]:
    for settings in network.interfaces:
        yield f"set {settings.token}", partial(_restore_interface, settings)
    yield "set the gateway", partial(_set_gateway, network.gateway)
    yield "set the host name", partial(_set_host_name, network.hostname)
    yield "set the name servers", partial(_set_dns, network.dns)


def _restore_interface(settings: InterfaceSettings) -> None:
    netlink.change_interface(wanted(settings))()


def _set_gateway(gateway: Gateway) -> None:
    if gateway.ipv4 is not None or gateway.ipv6 is not None:
        netlink.change_gateways(gateway.ipv4, gateway.ipv6)


def _set_host_name(hostname: Hostname) -> None:
    if hostname.name is not None and not hostname.from_dhcp:
        names.set_host_name(hostname.name)


def _set_dns(dns: Dns) -> None:
    if dns.servers is not None and not dns.from_dhcp:
        names.set_dns(dns.servers, dns.search_domains)
