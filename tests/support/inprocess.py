"""An RTSP server inside the test's own event loop, for tests that need short limits."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

from manycast.hub.catalogue import Catalogue
from manycast.hub.hub import Hub
from manycast.servers.rtsp.options import RtspOptions
from manycast.servers.rtsp.server import RtspServer
from manycast.servers.rtsp.session import RtspSession
from support.ports import free_udp_base
from support.publishing import Publisher, open_publisher
from support.rtsp import RawRtsp

P = ParamSpec("P")
T = TypeVar("T")

HOST = "127.0.0.1"


@dataclass
class InProcess:
    hub: Hub
    rtsp: RtspServer
    port: int

    @property
    def sessions(self) -> dict[str, RtspSession]:
        return self.rtsp.context.sessions

    async def connect(self) -> RawRtsp:
        return await asyncio.to_thread(RawRtsp.connect, HOST, self.port)

    async def publish(self, name: str = "live", *, udp: bool = False) -> Publisher:
        return await asyncio.to_thread(lambda: open_publisher(HOST, self.port, name, udp=udp))


@asynccontextmanager
async def serving(**options: object) -> AsyncIterator[InProcess]:
    """`options` are those of RtspOptions."""
    hub = Hub()
    timer = asyncio.create_task(hub.run_timer())
    listener = socket.create_server((HOST, 0))
    rtsp = RtspServer(Catalogue(hub, None), RtspOptions(udp_base_port=free_udp_base(), **options))  # type: ignore[arg-type]
    rtsp.listen([listener])
    rtsp.start()
    try:
        yield InProcess(hub, rtsp, listener.getsockname()[1])
    finally:
        timer.cancel()
        await hub.close("the test is over")
        await rtsp.close("the test is over")
        assert not rtsp.context.sessions
        assert not rtsp.connections


async def blocking(call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run what blocks beside the event loop."""
    return await asyncio.to_thread(call, *args, **kwargs)
