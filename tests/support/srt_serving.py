"""An SRT server inside the test's own event loop, and a publisher for it."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from manycast.hub.catalogue import Catalogue
from manycast.hub.hub import Hub
from manycast.hub.limits import ViewerLimits
from manycast.libsrt.library import SrtLibrary
from manycast.servers.srt.options import SrtOptions
from manycast.servers.srt.server import SrtServer
from manycast.wire.mpegts.mux import TsMuxer
from support.clips import make_clip
from support.inprocess import HOST, blocking
from support.server import STOP_S, STOP_SLACK_S
from support.srt import Refused, SrtCaller
from support.waiting import until

CLIP = make_clip()


@dataclass
class Serving:
    hub: Hub
    srt: SrtServer
    port: int

    async def call(self, stream_id: bytes | str, **options: object) -> SrtCaller:
        return await asyncio.to_thread(SrtCaller.connect, self.port, stream_id, **options)  # type: ignore[arg-type]

    async def refusal(self, stream_id: bytes | str, **options: object) -> int:
        with pytest.raises(Refused) as refused:
            await self.call(stream_id, **options)
        return refused.value.reason


@asynccontextmanager
async def serving(max_sessions: int | None = None, **options: object) -> AsyncIterator[Serving]:
    """`options` are those of SrtOptions."""
    hub = Hub(ViewerLimits(max_sessions=max_sessions))
    timer = asyncio.create_task(hub.run_timer())
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((HOST, 0))
    port = sock.getsockname()[1]
    srt = SrtServer(SrtLibrary(), Catalogue(hub, None), SrtOptions(**options))  # type: ignore[arg-type]
    srt.listen([sock])
    srt.start()
    try:
        yield Serving(hub, srt, port)
    finally:
        timer.cancel()
        await hub.close("the test is over")
        asked_s = time.monotonic()
        await srt.close("the test is over")
        assert time.monotonic() - asked_s < STOP_S + STOP_SLACK_S
        assert not srt.connections


@asynccontextmanager
async def publishing(
    server: Serving,
    stream_id: str = "live/cam,m=publish",
    path: str = "live/cam",
    *,
    port: int = 0,
    count: int = 5000,
    caller: Mapping[str, object] | None = None,
) -> AsyncIterator[SrtCaller]:
    """The clip, in real time, until the block ends; `caller` has more for SrtCaller.connect."""
    publisher = await asyncio.to_thread(SrtCaller.connect, port or server.port, stream_id, **(caller or {}))  # type: ignore[arg-type]
    muxer = TsMuxer([CLIP.track])
    number = 0

    async def send() -> None:
        nonlocal number
        started_s = time.monotonic()
        while number < count:
            await asyncio.to_thread(publisher.send, muxer.frame(CLIP.frame(number)))
            number += 1
            await asyncio.sleep(max(0.0, started_s + number / CLIP.frame_rate - time.monotonic()))

    task = asyncio.create_task(send())
    try:
        await until(lambda: server.hub.live(path) is not None, "the stream is there")
        yield publisher
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await blocking(publisher.close)
