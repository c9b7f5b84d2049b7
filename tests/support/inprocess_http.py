"""The HTTP and HTTPS ports inside the test's own event loop, in front of an RTSP server."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from manycast.self_signed import make_certificate
from manycast.servers.certificate import Certificate
from manycast.servers.http.front import HEAD_TIMEOUT_S, HttpFront
from manycast.servers.http.pages import Pages
from manycast.servers.http.request import HttpRoute
from manycast.servers.rtsp.tunnel import ORPHAN_S, TunnelRoute
from manycast.servers.rtsp.websocket import WebSocketRoute
from support.clips import make_clip
from support.inprocess import HOST, InProcess, serving
from support.publishing import CONTROL, Publisher, sdp_of, sender_of
from support.rtsp import RawRtsp
from support.tunnels import TunnelSocket, WebSocket, tunnel, websocket


@dataclass
class HttpInProcess:
    rtsp: InProcess
    front: HttpFront
    tunnels: TunnelRoute  # of the HTTP port
    port: int
    secure_port: int  # 0 without a certificate
    rtsps_port: int

    def publishing(self, name: str = "live") -> AbstractAsyncContextManager[Publisher]:
        """A clip published over plain TCP while the block runs."""
        return publishing_through(RawRtsp.connect(HOST, self.rtsp.port), name)

    def port_for(self, secure: bool) -> int:
        return self.secure_port if secure else self.port

    async def tunnel(self, *, secure: bool = False, post_first: bool = False) -> tuple[RawRtsp, TunnelSocket]:
        return await asyncio.to_thread(
            lambda: tunnel(HOST, self.port_for(secure), secure=secure, post_first=post_first)
        )

    async def websocket(self, *, secure: bool = False, path: str = "/websocket") -> tuple[RawRtsp, WebSocket]:
        return await asyncio.to_thread(lambda: websocket(HOST, self.port_for(secure), secure=secure, path=path))


@asynccontextmanager
async def publishing_through(client: RawRtsp, name: str = "live") -> AsyncIterator[Publisher]:
    """A clip published in real time, on a connection that is there already."""
    clip = make_clip()
    reply = await asyncio.to_thread(lambda: client.publish(name, sdp_of(clip), controls=[CONTROL]))
    assert reply.status == 200, reply
    publisher = Publisher(client, clip, name, sender_of(clip))
    publisher.start()
    try:
        yield publisher
    finally:
        await asyncio.to_thread(publisher.stop)


def make_files(folder: Path) -> tuple[Path, Path]:
    """A certificate and its key."""
    files = folder / "server.crt", folder / "server.key"
    make_certificate(*files, ["localhost", HOST])
    return files


def listen(front: HttpFront, route: HttpRoute, certificate: Certificate | None) -> tuple[int, int]:
    """Open a port of the front, and with a certificate one for HTTPS; the second is 0 without."""
    listener = socket.create_server((HOST, 0))
    front.listen([listener], [route])
    secure_port = 0
    if certificate is not None:
        secure = socket.create_server((HOST, 0))
        secure_port = secure.getsockname()[1]
        front.listen([secure], [route], make_context=certificate.context)
    return listener.getsockname()[1], secure_port


@asynccontextmanager
async def serving_http(
    *,
    certificate: Certificate | None = None,
    head_timeout_s: float = HEAD_TIMEOUT_S,
    orphan_s: float = ORPHAN_S,
    **options: object,
) -> AsyncIterator[HttpInProcess]:
    """`options` are those of RtspOptions."""
    async with serving(**options) as server:
        rtsp = server.rtsp
        front = HttpFront(Pages(lambda: "how to play"), head_timeout_s=head_timeout_s)
        routes = [TunnelRoute(rtsp, orphan_s=orphan_s), TunnelRoute(rtsp, orphan_s=orphan_s)]
        listener = socket.create_server((HOST, 0))
        front.listen([listener], [routes[0], WebSocketRoute(rtsp)], take_rtsp=rtsp.take)
        secure_port = rtsps_port = 0
        if certificate is not None:
            secure, rtsps = socket.create_server((HOST, 0)), socket.create_server((HOST, 0))
            secure_port, rtsps_port = secure.getsockname()[1], rtsps.getsockname()[1]
            front.listen(
                [secure], [routes[1], WebSocketRoute(rtsp)], take_rtsp=rtsp.take, make_context=certificate.context
            )
            rtsp.listen([rtsps], make_context=certificate.context)
        front.start()
        try:
            yield HttpInProcess(server, front, routes[0], listener.getsockname()[1], secure_port, rtsps_port)
        finally:
            await front.close()
            for route in routes:
                route.close()
                assert not route.half_open
            assert not front.waiting
