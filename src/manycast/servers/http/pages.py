"""Ordinary HTTP: what is small and asked for now and then, served by aiohttp.

aiohttp is imported for the first request, in a thread: it takes a fifth of a second, in which viewers would wait,
and memory that a server without such requests does not need.
"""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from manycast import __version__
from manycast.servers.http.request import HttpRequest, HttpRoute
from manycast.servers.http.transport import PipeTransport
from manycast.wire.http import HttpError, RequestHead

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

    async def serve(self, request: HttpRequest, routes: Sequence[HttpRoute]) -> None:
        """Own a connection from now on. Raises HttpError when there are too many.

        A later request on it that is for one of the routes ends that, as if it had been the first.
        """
        server = (await self._started()).server
        assert server is not None
        if len(server.connections) >= MAX_CONNECTIONS:
            raise HttpError(503, f"all {MAX_CONNECTIONS} connections are in use", [("Retry-After", "10")])
        client = request.client
        protocol = server()
        PipeTransport(client.pipe, protocol, {"peername": client.peer, "client": client, "routes": routes})
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
        application.router.add_route("*", "/{path:.*}", _elsewhere)
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


async def _elsewhere(request: web.Request) -> web.StreamResponse:
    """What is no page: a route's, or nobody's."""
    from aiohttp import web

    try:
        taken = _take(request)
    except HttpError as error:
        return web.Response(status=error.status, text=f"{error}\n", headers=dict(error.headers))
    if taken:
        return web.Response()  # which goes nowhere
    return web.Response(status=404, text=_NOT_FOUND)


def _take(request: web.Request) -> bool:
    """Whether a route has taken the connection."""
    transport = request.transport
    # A body has been read in part, and the end of an answer that still waits would get lost.
    if request.method != "GET" or not isinstance(transport, PipeTransport) or transport.get_write_buffer_size():
        return False
    fields = tuple(
        (name.decode().lower(), value.decode("utf-8", "surrogateescape")) for name, value in request.raw_headers
    )
    head = RequestHead(request.method, request.raw_path, (request.version.major, request.version.minor), fields)
    taken = HttpRequest(transport.get_extra_info("client"), head, head_bytes=b"", received=b"")
    transport.pause_reading()
    try:
        for route in transport.get_extra_info("routes"):
            if route.take(taken):
                transport.release()
                return True
    finally:
        transport.resume_reading()
    return False
