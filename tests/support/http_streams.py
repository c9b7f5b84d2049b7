"""The HTTP ports with streams on them, inside the test's own event loop, and a client that takes replies apart."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from manycast.hub.catalogue import Catalogue, FileFinder
from manycast.hub.hub import Hub
from manycast.hub.stream import Stream
from manycast.media.track import Track
from manycast.servers.certificate import Certificate
from manycast.servers.faults import FaultLog
from manycast.servers.http.front import HttpFront
from manycast.servers.http.login import HttpLogin
from manycast.servers.http.overview import Offer, Overview
from manycast.servers.http.pages import Pages
from manycast.servers.http.stream.options import StreamOptions
from manycast.servers.http.stream.server import StreamServer
from support.clips import Clip, make_clip
from support.inprocess_http import listen
from support.tunnels import plain_connection

HOST = "127.0.0.1"
OFFERS = [Offer(label="HTTP-FLV", scheme="http", port=8080, suffix=".flv")]


@dataclass
class HttpStreams:
    hub: Hub
    streams: StreamServer
    port: int
    secure_port: int  # 0 without a certificate
    clip: Clip = field(default_factory=make_clip)

    async def ask(
        self, target: str, *, method: str = "GET", version: str = "1.1", secure: bool = False, more: str = ""
    ) -> Reply:
        """Send a request; the reply's head has come when this returns."""
        port = self.secure_port if secure else self.port
        return await asyncio.to_thread(Reply.ask, port, f"{method} {target} HTTP/{version}", more, secure)

    @asynccontextmanager
    async def publishing(self, name: str = "live", *, tracks: Sequence[Track] = ()) -> AsyncIterator[Stream]:
        """The clip, at 25 pictures a second, while the block runs; with `tracks` a stream into which nothing comes."""
        stream = self.hub.publish(name, tracks or [self.clip.track], "a test")
        task = None if tracks else asyncio.create_task(self._push(stream))
        try:
            yield stream
        finally:
            if task is not None:
                task.cancel()
            self.hub.unpublish(stream, "the test unpublished it")

    async def _push(self, stream: Stream) -> None:
        number = 0
        while True:
            stream.push(self.clip.frame(number))
            number += 1
            await asyncio.sleep(1 / self.clip.frame_rate)


@asynccontextmanager
async def serving_streams(
    *,
    users: dict[str, str] | None = None,
    certificate: Certificate | None = None,
    files: FileFinder | None = None,
    names: Sequence[str] = (),
    basic_in_clear: bool = False,
    **options: object,
) -> AsyncIterator[HttpStreams]:
    """`options` are those of StreamOptions; `names` the files that are listed."""

    async def list_files(limit: int) -> Sequence[str]:
        return names[:limit]

    hub = Hub()
    timer = asyncio.create_task(hub.run_timer())
    faults = FaultLog()
    login = None if users is None else HttpLogin(users, faults, basic_in_clear=basic_in_clear)
    if users is not None:
        options = {"flv_login": True, "mp4_login": True} | options
    catalogue = Catalogue(hub, files)
    streams = StreamServer(catalogue, StreamOptions(**options), faults, login)  # type: ignore[arg-type]
    streams.start()
    overview = Overview(catalogue, list_files, OFFERS, player=True)
    front = HttpFront(Pages(lambda: "how to play", overview, login))
    ports = listen(front, streams, certificate)
    front.start()
    try:
        yield HttpStreams(hub, streams, *ports)
    finally:
        timer.cancel()
        await hub.close("the test is over")
        streams.close("the test is over")
        await front.close()
        assert not streams.connections


@dataclass
class Reply:
    """An answer whose body is read as it comes."""

    sock: socket.socket
    status: int
    headers: dict[str, str]  # names in lower case; of several of one name the last
    head: str
    rest: bytes = b""  # received and not given out

    @classmethod
    def ask(cls, port: int, line: str, more: str, secure: bool) -> Reply:
        sock = plain_connection(HOST, port, secure=secure)
        sock.sendall(f"{line}\r\nHost: {HOST}:{port}\r\n{more}\r\n".encode("utf-8", "surrogateescape"))
        data = b""
        while b"\r\n\r\n" not in data:
            received = sock.recv(65536)
            assert received, f"hung up after {data!r}"
            data += received
        head, _, rest = data.partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        return cls(sock, int(lines[0].split()[1]), headers, head.decode(), rest)

    async def read(self, size: int) -> bytes:
        """So many bytes; fewer at the end of the connection."""
        return await asyncio.to_thread(self._read, lambda: len(self.rest) >= size, size)

    async def read_all(self) -> bytes:
        """All up to the end of the connection."""
        return await asyncio.to_thread(self._read, lambda: False, None)

    async def read_chunk(self) -> bytes:
        """One chunk; empty for the last one."""
        await asyncio.to_thread(self._read, lambda: b"\r\n" in self.rest, 0)
        size, _, self.rest = self.rest.partition(b"\r\n")
        data = await self.read(int(size, 16) + 2)
        assert data.endswith(b"\r\n")
        return data[:-2]

    async def read_message(self) -> tuple[int, bytes]:
        """Opcode and payload of one WebSocket message, which must be in one frame without a mask."""
        first, size = await self.read(2)
        assert first & 0x80
        assert size < 0x80
        if size >= 126:
            size = int.from_bytes(await self.read(2 if size == 126 else 8))
        return first & 0x0F, await self.read(size)

    def close(self) -> None:
        self.sock.close()

    def _read(self, enough: Callable[[], bool], size: int | None) -> bytes:
        while not enough():
            try:
                received = self.sock.recv(65536)
            except ConnectionResetError:
                break
            if not received:
                break
            self.rest += received
        taken = self.rest if size is None else self.rest[:size]
        self.rest = self.rest[len(taken) :]
        return taken
