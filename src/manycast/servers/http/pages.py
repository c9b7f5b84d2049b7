"""Ordinary HTTP: what is small and asked for now and then, served by aiohttp.

aiohttp is imported for the first request, in a thread: it takes a fifth of a second, in which viewers would wait,
and memory that a server without such requests does not need.
"""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING

from manycast import __version__
from manycast.servers.http.request import HttpRequest
from manycast.servers.http.transport import PipeTransport
from manycast.wire.http import HttpError

if TYPE_CHECKING:
    from aiohttp import web

MAX_CONNECTIONS = 1000
KEEP_ALIVE_S = 15.0
SHUTDOWN_S = 0.5

_NOT_FOUND = "There is nothing at this address. What can be played here is listed at / \n"


class Pages:
    """The connections of ordinary HTTP requests, and what they get."""

    def __init__(self, describe: Callable[[], str]) -> None:
        """`describe` says, as plain text, how streams are played; the page at / shows it."""
        self._describe = describe
        self._runner: web.AppRunner | None = None
        self._starting = asyncio.Lock()

    async def serve(self, request: HttpRequest) -> None:
        """Own a connection from now on. Raises HttpError when there are too many."""
        server = (await self._started()).server
        assert server is not None
        if len(server.connections) >= MAX_CONNECTIONS:
            raise HttpError(503, f"all {MAX_CONNECTIONS} connections are in use", [("Retry-After", "10")])
        client = request.client
        protocol = server()
        PipeTransport(client.pipe, protocol, {"peername": client.peer})
        protocol.data_received(request.head_bytes + request.received)

    async def close(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _started(self) -> web.AppRunner:
        async with self._starting:
            if self._runner is None:
                await asyncio.to_thread(importlib.import_module, "aiohttp.web")
                self._runner = await self._start()
            return self._runner

    async def _start(self) -> web.AppRunner:
        from aiohttp import web

        application = web.Application()
        application.on_response_prepare.append(_sign)
        application.router.add_get("/", self._index)
        application.router.add_route("*", "/{path:.*}", _not_found)
        runner = web.AppRunner(
            application, access_log=None, keepalive_timeout=KEEP_ALIVE_S, shutdown_timeout=SHUTDOWN_S
        )
        await runner.setup()
        return runner

    async def _index(self, request: web.Request) -> web.StreamResponse:
        from aiohttp import web

        return web.Response(text=f"manycast {__version__}\n\n{self._describe()}")


async def _sign(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers["Server"] = f"manycast/{__version__}"


async def _not_found(request: web.Request) -> web.StreamResponse:
    from aiohttp import web

    return web.Response(status=404, text=_NOT_FOUND)
