"""The proxies of a configuration, running."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from manycast.app.outputs import output_of
from manycast.config.schema.proxy import Proxy, ProxyTransfer
from manycast.config.schema.settings import Settings
from manycast.hub.hops import Hops
from manycast.hub.hub import Hub, PathTaken
from manycast.hub.on_demand import START_TIMEOUT_S
from manycast.hub.output import Output
from manycast.hub.source import Source
from manycast.hub.transcoding import Transcoding
from manycast.sources.dialling import DialOptions
from manycast.sources.fetching import FetchPlan, make_fetcher
from manycast.sources.loops import OwnStreams
from manycast.sources.path_log import PathLog
from manycast.sources.proxy import ProxySource, keep
from manycast.sources.rtsp.source import Transfer
from manycast.sources.srt.joined import SharedSrt
from manycast.wire.address import MalformedAddress, SourceAddress
from manycast.wire.srt.call import SrtCall

PATIENCE_S = START_TIMEOUT_S - 1.0  # with a source on demand; its viewer, who waits longer, is told why
START_INTERVAL_S = 0.01  # between the first connections of proxies that are always on: hundreds are not a burst

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyPlan:
    """One proxy."""

    path: str
    fetch: FetchPlan
    on_demand: bool
    hold_s: float
    output: Output | None = None

    def __str__(self) -> str:
        return f"the proxy of {self.fetch.address}"


def proxy_plans(settings: Settings, notes: list[str]) -> tuple[ProxyPlan, ...]:
    """Those that have an address; what cannot be is said in `notes`."""
    plans: dict[str, ProxyPlan] = {}
    for application in settings.applications:
        for proxy in application.proxies:
            path = application.path_of(proxy.suffix)
            if path in plans or proxy.url is None:
                continue
            try:
                plans[path] = _plan(path, proxy, notes)
            except MalformedAddress as error:
                notes.append(f"the proxy {path} is left out: {error}")
    return tuple(plans.values())


def _plan(path: str, proxy: Proxy, notes: list[str]) -> ProxyPlan:
    password = None if proxy.password is None else proxy.password.get_secret_value()
    address = SourceAddress.parse(proxy.url or "").with_login(proxy.user, password)
    if proxy.transfer is not ProxyTransfer.TCP and not address.scheme.startswith("rtsp"):
        notes.append(f"the proxy {path}: transfer {proxy.transfer.value} is for RTSP sources; it changes nothing here")
    if address.scheme == "srt":
        unread = SrtCall.of(address).unread
        notes += [f"the proxy {path}: {name} in the url of an SRT source changes nothing here" for name in unread]
    options = DialOptions(verify_tls=proxy.tls_verify, allow_private_redirects=proxy.private_redirects)
    return ProxyPlan(
        path=path,
        fetch=FetchPlan(address=address, transfer=Transfer(proxy.transfer.value), options=options),
        on_demand=proxy.ondemand,
        hold_s=proxy.hold,
        output=None if proxy.output is None else output_of(proxy.output),
    )


class Proxies:
    """Offers every proxy's stream, and keeps those connected that are to be."""

    def __init__(
        self,
        hub: Hub,
        plans: Sequence[ProxyPlan],
        path_of: Callable[[str], str],
        transcoding: Transcoding,
        hops: Hops,
    ) -> None:
        """`path_of` gives the path in the hub of the name in an address."""
        self._hub = hub
        self._transcoding = transcoding
        self._plans = plans
        self._own = OwnStreams(path_of, hops)
        self._srt = SharedSrt()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, ports: Collection[int], srt_ports: Collection[int]) -> None:
        """`ports` are all on which the server listens, by TCP."""
        self._own.ports = frozenset(ports)
        self._own.srt_ports = frozenset(srt_ports)
        for number, plan in enumerate(self._plans):
            try:
                self._start(plan, number * START_INTERVAL_S)
            except PathTaken as error:
                log.warning("%s is left out: %s", plan, error)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _start(self, plan: ProxyPlan, wait_s: float) -> None:
        adapter = PathLog(log, "proxy", plan.path)

        patience_s = PATIENCE_S if plan.on_demand else 0.0

        def make() -> ProxySource:
            fetcher = make_fetcher(plan.fetch, self._own.guard(plan.path), self._srt, adapter)
            return ProxySource(fetcher, hold_s=plan.hold_s, patience_s=patience_s, log=adapter)

        def make_on_demand() -> Source:
            source = make()
            return source if plan.output is None else self._transcoding.source(source, plan.output, plan.path)

        if plan.on_demand:
            self._hub.offer(plan.path, make_on_demand, str(plan))
            return
        reservation = self._hub.reserve(plan.path, str(plan))

        async def run() -> None:
            await asyncio.sleep(wait_s)
            await keep(reservation, make(), adapter)

        self._tasks.append(asyncio.create_task(run(), name=f"proxy {plan.path}"))
