"""HLS on HTTP ports inside the test's own event loop, and a player that speaks plain HTTP."""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Self

from manycast.hub.catalogue import Catalogue, FileFinder
from manycast.hub.hls_packager import HlsOptions
from manycast.hub.hls_runs import HlsRuns
from manycast.hub.hub import Hub
from manycast.hub.stream import Stream
from manycast.servers.certificate import Certificate
from manycast.servers.faults import FaultLog
from manycast.servers.http.front import HttpFront
from manycast.servers.http.hls.options import HlsServerOptions
from manycast.servers.http.hls.server import HlsServer
from manycast.servers.http.login import HttpLogin
from manycast.servers.http.pages import Pages
from manycast.wire.hls.segmenter import SegmenterOptions
from support.clips import Clip, make_clip
from support.inprocess_http import listen

HOST = "127.0.0.1"
QUICK = SegmenterOptions(fragment_s=1, playlist=3, part_s=0.2)
TIMEOUT_S = 60.0


@dataclass
class Answer:
    status: int
    headers: dict[str, str]  # names in lower case
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def names(self) -> list[str]:
        """What a playlist lists."""
        return [line for line in self.text.splitlines() if not line.startswith("#")]

    def tag(self, name: str) -> str:
        found = re.search(rf"#{name}:(.*)", self.text)
        assert found is not None, f"no {name} in {self.text}"
        return found[1]


class Player:
    """One connection, kept for all requests."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def connect(cls, port: int, *, secure: bool = False) -> Self:
        context = None
        if secure:
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return cls(*await asyncio.open_connection(HOST, port, ssl=context))

    async def send(self, target: str, *, method: str = "GET", version: str = "1.1", **headers: str) -> None:
        lines = [f"{method} {target} HTTP/{version}", "Host: h"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        self._writer.write("\r\n".join([*lines, "", ""]).encode())
        await self._writer.drain()

    async def send_bytes(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def receive(self, *, body: bool = True) -> Answer:
        async with asyncio.timeout(TIMEOUT_S):
            head = (await self._reader.readuntil(b"\r\n\r\n")).decode()
            first, *lines = head.rstrip().split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
            size = int(headers.get("content-length", "0")) if body else 0
            return Answer(int(first.split()[1]), headers, await self._reader.readexactly(size))

    async def ask(self, target: str, *, method: str = "GET", version: str = "1.1", **headers: str) -> Answer:
        await self.send(target, method=method, version=version, **headers)
        return await self.receive(body=method != "HEAD")

    async def at_end(self) -> bool:
        """Whether the server hangs up."""
        async with asyncio.timeout(TIMEOUT_S):
            return await self._reader.read(1) == b""

    def close(self) -> None:
        self._writer.close()


@dataclass
class HlsPorts:
    hub: Hub
    server: HlsServer
    port: int
    secure_port: int  # 0 without a certificate
    clip: Clip = field(default_factory=lambda: make_clip(gop=10))
    _players: list[Player] = field(default_factory=list)

    @property
    def runs(self) -> HlsRuns:
        return self.server.runs

    async def player(self, *, secure: bool = False) -> Player:
        player = await Player.connect(self.secure_port if secure else self.port, secure=secure)
        self._players.append(player)
        return player

    async def ask(self, target: str, *, method: str = "GET", **headers: str) -> Answer:
        return await (await self.player()).ask(target, method=method, **headers)

    async def playlist_address(self, name: str = "live") -> str:
        """The address of the media playlist."""
        answer = await self.ask(f"/{name}.m3u8")
        assert answer.status == 200, answer
        return f"/{name.rpartition('/')[0]}/{answer.names[0]}".replace("//", "/")

    @asynccontextmanager
    async def publishing(self, name: str = "live", *, speed: float = 4.0) -> AsyncIterator[Stream]:
        """The clip while the block runs."""
        stream = self.hub.publish(name, [self.clip.track], "a test")
        task = asyncio.create_task(self._push(stream, speed))
        try:
            yield stream
        finally:
            task.cancel()
            self.hub.unpublish(stream, "the test unpublished it")

    async def _push(self, stream: Stream, speed: float) -> None:
        number = 0
        while True:
            stream.push(self.clip.frame(number))
            number += 1
            await asyncio.sleep(1 / self.clip.frame_rate / speed)

    def hang_up(self) -> None:
        for player in self._players:
            player.close()


@asynccontextmanager
async def serving_hls(
    options: HlsOptions | None = None,
    *,
    users: Mapping[str, str] | None = None,
    certificate: Certificate | None = None,
    files: FileFinder | None = None,
    **server_options: object,
) -> AsyncIterator[HlsPorts]:
    """`server_options` are those of HlsServerOptions."""
    hub = Hub()
    timer = asyncio.create_task(hub.run_timer())
    faults = FaultLog()
    login = HttpLogin(users, faults) if users is not None else None
    server = HlsServer(
        Catalogue(hub, files),
        HlsRuns(hub, options or HlsOptions(segments=QUICK)),
        HlsServerOptions(login=users is not None, **server_options),  # type: ignore[arg-type]
        faults,
        login,
    )
    front = HttpFront(Pages(lambda: "how to play"))
    port, secure_port = listen(front, server, certificate)
    front.start()
    server.start()
    ports = HlsPorts(hub, server, port, secure_port)
    try:
        yield ports
    finally:
        ports.hang_up()
        timer.cancel()
        await hub.close("the test is over")
        server.close()
        await front.close()
        assert not server.connections
