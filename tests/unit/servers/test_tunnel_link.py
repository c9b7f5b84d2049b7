"""A GET and its POSTs, over pipes that do what the test says."""

from __future__ import annotations

import asyncio
import base64

from support.scripted_pipe import ScriptedPipe

from manycast.servers.client import Client
from manycast.servers.http.request import HttpRequest
from manycast.servers.rtsp.tunnel import Post, TunnelLink
from manycast.wire.http import RequestHead

HEAD = RequestHead.parse(b"POST / HTTP/1.0\r\nx-sessioncookie: a\r\nContent-Length: 32767\r\n")


class Tunnel:
    def __init__(self) -> None:
        self.said = b""
        self.faults: list[str] = []
        self.ends: list[str] = []
        self.get = ScriptedPipe()
        self.get.room = 10_000
        self.link = TunnelLink(client_of(self.get), 30.0, self._note, lambda: None)

    def start(self) -> None:
        self.link.start(self._hear, self._end)

    def post(self) -> ScriptedPipe:
        pipe = ScriptedPipe()
        request = HttpRequest(client_of(pipe), HEAD, head_bytes=b"", received=b"")
        self.link.use(Post(request, 30.0, self._note, lambda: None))
        return pipe

    def _hear(self, data: bytes) -> None:
        self.said += data

    def _note(self, _client: Client, text: str) -> None:
        self.faults.append(text)

    def _end(self, reason: str) -> None:
        self.ends.append(reason)
        self.link.close()


def client_of(pipe: ScriptedPipe) -> Client:
    return Client(pipe, ("192.0.2.1", 1), "192.0.2.2", secure=False)


async def test_a_post_that_had_ended_unnoticed_is_replaced() -> None:
    tunnel = Tunnel()
    first = tunnel.post()
    tunnel.start()
    tunnel.link.pause_reading()
    first.incoming.append(b"")  # nobody reads it
    second = tunnel.post()
    assert first.closed
    assert second.on_readable is None, "the pause holds for the new one as well"
    tunnel.link.resume_reading()
    second.receives(base64.b64encode(b"OPTIONS"))
    assert tunnel.said == b"OPTIONS"
    assert not tunnel.ends
    tunnel.link.close()
    assert second.closed
    assert tunnel.get.closed


async def test_what_the_earlier_post_brought_is_heard_first() -> None:
    tunnel = Tunnel()
    first = tunnel.post()
    tunnel.start()
    first.incoming.append(base64.b64encode(b"one "))
    tunnel.post().receives(base64.b64encode(b"two"))
    assert tunnel.said == b"one two"
    tunnel.link.close()


async def test_a_fault_in_the_earlier_post_ends_the_tunnel_and_closes_the_new_one() -> None:
    tunnel = Tunnel()
    first = tunnel.post()
    tunnel.start()
    first.incoming.append(b"!!!!")
    second = tunnel.post()
    assert len(tunnel.ends) == len(tunnel.faults) == 1
    assert first.closed
    assert second.closed
    assert tunnel.get.closed


async def test_a_get_that_breaks_before_any_post_is_closed() -> None:
    tunnel = Tunnel()
    assert tunnel.get.sent.startswith(b"HTTP/1.0 200 OK\r\n")
    tunnel.get.receives(ConnectionResetError())
    assert tunnel.get.closed


async def test_a_get_that_can_not_be_answered_is_closed() -> None:
    tunnel = Tunnel()
    tunnel.link.outbox.fail("broken")
    await asyncio.sleep(0)
    assert tunnel.get.closed
