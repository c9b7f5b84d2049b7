"""A web server in the test's own event loop, which answers as the test tells it to, and sources that ask it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing

from manycast.sources.dialling import DialOptions
from manycast.sources.http.source import HttpSource
from manycast.sources.loops import OwnStreams
from manycast.wire.address import SourceAddress

HOST = "127.0.0.1"

Handler = Callable[[str, asyncio.StreamWriter], Awaitable[None]]  # the request's head


@asynccontextmanager
async def web_server(handler: Handler) -> AsyncIterator[int]:
    """Yields the port."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with closing(writer):
            try:
                while True:
                    head = await reader.readuntil(b"\r\n\r\n")
                    await handler(head.decode(), writer)
                    await writer.drain()
            except (asyncio.IncompleteReadError, ConnectionError):
                pass

    server = await asyncio.start_server(serve, HOST, 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


def http_source(port: int, path: str, login: str = "") -> HttpSource:
    address = SourceAddress.parse(f"http://{login}{HOST}:{port}{path}")
    return HttpSource(address, options=DialOptions(), guard=OwnStreams(str).guard("copy"), agent="test")
