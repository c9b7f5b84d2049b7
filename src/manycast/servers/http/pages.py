"""Ordinary HTTP: what is small and asked for now and then, served by aiohttp.

aiohttp is imported for the first request, in a thread: it takes a fifth of a second, in which viewers would wait,
and memory that a server without such requests does not need.
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.resources
import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from manycast import __version__
from manycast.servers.http.login import HttpLogin
from manycast.servers.http.overview import Overview
from manycast.servers.http.request import HttpRequest, HttpRoute
from manycast.servers.http.transport import PipeTransport
from manycast.wire.http import HttpError, RequestHead, origin_form

if TYPE_CHECKING:
    from aiohttp import web

MAX_CONNECTIONS = 1000
KEEP_ALIVE_S = 15.0
SHUTDOWN_S = 0.5

log = logging.getLogger(__name__)
_errors = logging.getLogger(f"{__name__}.errors")  # aiohttp's, of which requests that are none are not worth a line
_errors.addFilter(lambda record: not _is_bad_request(record))

_OWN = "/-/"  # what addresses of pages begin with, but for the first one
_INDEX = "index.html"
_FILES = {
    _INDEX: "text/html",
    "page.css": "text/css",
    "page.js": "text/javascript",
    "player.js": "text/javascript",
}
_PAGE_HEADERS = {
    "Cache-Control": "no-cache",
    # Only what comes from here runs, whatever streams are called.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; "
    "media-src blob:; connect-src 'self' ws: wss:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",  # the query may hold a password
}
_WITHOUT_BODY = ("GET", "HEAD", "OPTIONS")
_NOT_FOUND = "There is nothing at this address. What can be played here is listed at / \n"


class Pages:
    """The connections of ordinary HTTP requests, and what they get."""

    def __init__(
        self, describe: Callable[[], str], overview: Overview | None = None, login: HttpLogin | None = None
    ) -> None:
        """`describe` says, as plain text, how streams are played: that is what / shows to all but browsers.

        They get a page with what `overview` says. With `login` both are for users only.
        """
        self._describe = describe
        self._overview = overview
        self._login = login
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
        protocol.data_received(_as_to_a_server(request) + request.received)

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
        if self._overview is not None:
            application.router.add_get(f"{_OWN}streams.json", self._streams)
            for name in _FILES:
                application.router.add_get(f"{_OWN}{name}", _file)
        application.router.add_route("*", "/{path:.*}", _elsewhere)
        runner = web.AppRunner(
            application,
            access_log=None,
            logger=_errors,
            keepalive_timeout=KEEP_ALIVE_S,
            shutdown_timeout=SHUTDOWN_S,
        )
        await runner.setup()
        return runner

    async def _index(self, request: web.Request) -> web.StreamResponse:
        from aiohttp import web

        await self._admit(request)
        if self._overview is not None and "text/html" in request.headers.get("Accept", ""):
            return _file_named(_INDEX)
        names = "" if self._overview is None else await self._overview.as_text()
        return web.Response(text=f"manycast {__version__}\n\n{self._describe()}{names}")

    async def _streams(self, request: web.Request) -> web.StreamResponse:
        from aiohttp import web

        await self._admit(request)
        assert self._overview is not None
        return web.json_response(await self._overview.as_json(), headers={"Cache-Control": "no-store"})

    async def _admit(self, request: web.Request) -> None:
        """Raises the answer that asks for a login."""
        from aiohttp import web

        if self._login is None:
            return
        assert request.transport is not None
        client = request.transport.get_extra_info("client")
        parameters = {key.lower(): value for key, value in request.query.items()}
        try:
            await self._login.check(client, _head_of(request), parameters, log)
        except HttpError as error:
            refused = {401: web.HTTPUnauthorized, 503: web.HTTPServiceUnavailable}.get(error.status, web.HTTPForbidden)
            raise refused(text=f"{error}\n", headers=list(error.headers)) from error


def _is_bad_request(record: logging.LogRecord) -> bool:
    from aiohttp.http_exceptions import HttpProcessingError

    return record.exc_info is not None and isinstance(record.exc_info[1], HttpProcessingError)


def _as_to_a_server(request: HttpRequest) -> bytes:
    """A request's head with its target as aiohttp knows it, without the server's name."""
    target = request.head.target
    own = origin_form(target)
    if own == target:
        return request.head_bytes
    return request.head_bytes.replace(
        target.encode("utf-8", "surrogateescape"), own.encode("utf-8", "surrogateescape"), 1
    )


def is_page(path: str) -> bool:
    """Whether an address belongs to the pages, whatever streams there are."""
    return path == "/" or path.startswith(_OWN)


async def _file(request: web.Request) -> web.StreamResponse:
    return _file_named(request.path.removeprefix(_OWN))


def _file_named(name: str) -> web.StreamResponse:
    from aiohttp import web

    text = (importlib.resources.files("manycast.servers.http.site") / name).read_text()
    return web.Response(text=text, content_type=_FILES[name], headers=_PAGE_HEADERS)


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


def _head_of(request: web.Request) -> RequestHead:
    fields = tuple(
        (name.decode().lower(), value.decode("utf-8", "surrogateescape")) for name, value in request.raw_headers
    )
    return RequestHead(request.method, request.raw_path, (request.version.major, request.version.minor), fields)


def _take(request: web.Request) -> bool:
    """Whether a route has taken the connection."""
    transport = request.transport
    # A body has been read in part, and the end of an answer that still waits would get lost.
    if (
        request.method not in _WITHOUT_BODY
        or not isinstance(transport, PipeTransport)
        or transport.get_write_buffer_size()
    ):
        return False
    taken = HttpRequest(transport.get_extra_info("client"), _head_of(request), head_bytes=b"", received=b"")
    transport.pause_reading()
    try:
        for route in transport.get_extra_info("routes"):
            if route.take(taken):
                transport.release()
                return True
    finally:
        transport.resume_reading()
    return False
