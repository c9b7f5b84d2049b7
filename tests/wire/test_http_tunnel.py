"""RTSP over HTTP: the two connections, and what can go wrong with either."""

from __future__ import annotations

import asyncio
import base64
import itertools
import socket
import time

import pytest
from support.inprocess import HOST, blocking
from support.inprocess_http import HttpInProcess, publishing_through, serving_http
from support.rtsp import RawRtsp
from support.tunnels import get_request, new_cookie, plain_connection, post_request, read_head
from support.waiting import until

from manycast.servers.rtsp import tunnel
from manycast.wire.rtp.packet import RtpPacket

SHORT_S = 0.6


async def answer_to(server: HttpInProcess, data: bytes) -> str:
    """The head of the answer to some bytes, sent to the HTTP port on a connection of their own."""

    def ask() -> str:
        sock = plain_connection(HOST, server.port)
        sock.sendall(data)
        return read_head(sock)[0]

    return await blocking(ask)


async def hung_up(sock: socket.socket) -> bool:
    """Wait until the server closes a connection."""

    def read() -> bool:
        try:
            while sock.recv(65536):
                pass
        except ConnectionResetError:
            pass
        return True

    return await blocking(read)


async def watch(client: RawRtsp, name: str = "live", packets: int = 50) -> list[RtpPacket]:
    def play() -> list[RtpPacket]:
        assert client.ask("DESCRIBE", name, {"Accept": "application/sdp"}).status == 200
        client.play(name)
        return client.rtp(packets)

    return await blocking(play)


def without_gaps(packets: list[RtpPacket]) -> bool:
    return all((b.sequence - a.sequence) & 0xFFFF == 1 for a, b in itertools.pairwise(packets))


@pytest.mark.parametrize("post_first", [False, True])
async def test_a_stream_is_watched_whichever_connection_comes_first(post_first: bool) -> None:
    async with serving_http() as server:
        client, sock = await server.tunnel(post_first=post_first)
        assert sock.answer.startswith("HTTP/1.0 200 OK\r\n")
        assert "Content-Type: application/x-rtsp-tunnelled" in sock.answer
        async with server.publishing():
            assert without_gaps(await watch(client))
        assert (await blocking(client.ask, "TEARDOWN", "live")).status == 200
        assert not server.tunnels.half_open
        client.close()
        await until(lambda: server.rtsp.rtsp.connections <= 1, "the tunnel's connection is gone")


async def test_a_stream_is_published_through_a_tunnel() -> None:
    async with serving_http() as server:
        client, _ = await server.tunnel()
        async with publishing_through(client):
            assert without_gaps(await watch(await server.rtsp.connect()))


async def test_both_connections_and_the_session_end_with_the_get() -> None:
    async with serving_http() as server, server.publishing():
        client, sock = await server.tunnel()
        await watch(client)
        sock.get.close()
        assert await hung_up(sock.post)
        await until(lambda: len(server.rtsp.sessions) == 1, "only the publisher's session is left")


async def test_both_connections_and_the_session_end_with_a_post_that_breaks() -> None:
    async with serving_http() as server, server.publishing():
        client, sock = await server.tunnel()
        await watch(client)
        sock.post.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # closing resets it
        sock.post.close()
        assert await hung_up(sock.get)
        await until(lambda: len(server.rtsp.sessions) == 1, "only the publisher's session is left")


async def test_a_post_that_breaks_off_within_a_character_is_broken() -> None:
    async with serving_http() as server:
        _, sock = await server.tunnel()
        sock.post.sendall(b"T1BUSU9")
        sock.post.shutdown(socket.SHUT_WR)
        assert await hung_up(sock.get)


async def test_a_post_may_be_closed_and_another_opened_while_media_flows() -> None:
    async with serving_http() as server, server.publishing():
        client, sock = await server.tunnel()
        await watch(client)
        for _ in range(3):
            sock.post.close()
            assert without_gaps(await blocking(client.rtp, 30))
            await blocking(sock.open_post)
            assert (await blocking(client.ask, "GET_PARAMETER", "live")).status == 200


async def test_a_post_may_take_the_place_of_one_that_was_never_closed() -> None:
    async with serving_http() as server:
        client, sock = await server.tunnel()
        assert (await blocking(client.ask, "OPTIONS", "*")).status == 200
        earlier = sock.post
        client.send("OPTIONS", "*")
        await blocking(sock.open_post)
        assert (await blocking(client.reply)).status == 200, "what the earlier one had said is heard"
        assert (await blocking(client.ask, "OPTIONS", "*")).status == 200
        assert await hung_up(earlier)


async def test_a_tunnel_whose_post_ended_is_closed_when_no_other_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tunnel, "REOPEN_S", SHORT_S)
    async with serving_http() as server, server.publishing():
        client, sock = await server.tunnel()
        await watch(client)
        sock.post.close()
        assert await hung_up(sock.get)
        await until(lambda: len(server.rtsp.sessions) == 1, "only the publisher's session is left")


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_half_a_tunnel_is_closed_after_a_while(method: str) -> None:
    async with serving_http(orphan_s=SHORT_S) as server:
        sock = await blocking(plain_connection, HOST, server.port)
        started_s = time.monotonic()
        sock.sendall(get_request(new_cookie()) if method == "GET" else post_request(new_cookie()))
        await until(lambda: server.tunnels.half_open == 1, "half a tunnel is there")
        assert await hung_up(sock)
        assert SHORT_S / 2 < time.monotonic() - started_s < 10
        assert not server.tunnels.half_open


async def test_a_get_that_is_closed_is_forgotten() -> None:
    async with serving_http() as server:
        sock = await blocking(plain_connection, HOST, server.port)
        sock.sendall(get_request("again"))
        assert "200 OK" in (await blocking(read_head, sock))[0]
        sock.close()
        await until(lambda: not server.tunnels.half_open, "it is forgotten")
        assert "200 OK" in await answer_to(server, get_request("again"))


async def test_a_second_get_with_the_same_cookie_is_refused_and_harms_nobody() -> None:
    async with serving_http() as server:
        client, sock = await server.tunnel()
        assert (await blocking(client.ask, "OPTIONS", "*")).status == 200
        assert (await answer_to(server, get_request(sock.cookie))).startswith("HTTP/1.1 409 ")
        assert (await blocking(client.ask, "OPTIONS", "*")).status == 200


async def test_a_second_post_that_came_early_takes_the_first_ones_place() -> None:
    async with serving_http() as server:
        cookie = new_cookie()
        first, second = [await blocking(plain_connection, HOST, server.port) for _ in range(2)]
        first.sendall(post_request(cookie))
        await until(lambda: server.tunnels.half_open == 1, "the first is there")
        second.sendall(post_request(cookie) + base64.b64encode(b"OPTIONS * RTSP/1.0\r\nCSeq: 7\r\n\r\n"))
        assert await hung_up(first)
        get = await blocking(plain_connection, HOST, server.port)
        get.sendall(get_request(cookie))
        _, rest = await blocking(read_head, get)
        while b"CSeq: 7" not in rest:
            received = await blocking(get.recv, 65536)
            assert received, "the reply to what the second has said"
            rest += received


async def test_a_get_without_a_cookie_is_refused() -> None:
    async with serving_http() as server:
        assert (await answer_to(server, get_request(None))).startswith("HTTP/1.1 400 ")


@pytest.mark.parametrize("length", [0, 5, 150, "none"])
async def test_the_declared_length_of_a_post_is_not_kept(length: object) -> None:
    async with serving_http() as server:
        client, sock = await server.tunnel()
        sock.post = await blocking(plain_connection, HOST, server.port)
        sock.post.sendall(post_request(sock.cookie, length=length))
        for _ in range(20):
            assert (await blocking(client.ask, "OPTIONS", "*")).status == 200


async def test_base64_may_be_cut_anywhere_and_joined() -> None:
    async with serving_http() as server:
        client, sock = await server.tunnel()
        requests = [client.bytes_of("OPTIONS", "*") for _ in range(3)]
        text = b"\r\n".join(base64.b64encode(request) for request in requests)
        for at in range(0, len(text), 7):
            sock.post.sendall(text[at : at + 7])
            await asyncio.sleep(0.001)
        assert [(await blocking(client.reply)).status for _ in requests] == [200, 200, 200]


async def test_wrong_base64_is_answered_and_ends_the_tunnel() -> None:
    async with serving_http() as server:
        client, sock = await server.tunnel()
        sock.post.sendall(client.bytes_of("OPTIONS", "*"))
        assert (await blocking(client.reply)).status == 400
        assert await hung_up(sock.get)
        assert await hung_up(sock.post)


async def test_a_client_that_waits_for_a_word_before_its_post_gets_it() -> None:
    async with serving_http() as server:
        client, sock = await server.tunnel()
        sock.post.close()
        sock.post = await blocking(plain_connection, HOST, server.port)
        request = post_request(sock.cookie, more="Expect: 100-continue\r\n").replace(b"HTTP/1.0", b"HTTP/1.1")
        sock.post.sendall(request)
        assert (await blocking(read_head, sock.post))[0] == "HTTP/1.1 100 Continue"
        assert (await blocking(client.ask, "OPTIONS", "*")).status == 200


async def test_a_post_is_not_answered() -> None:
    async with serving_http() as server:
        client, sock = await server.tunnel()
        assert (await blocking(client.ask, "OPTIONS", "*")).status == 200
        sock.post.settimeout(0.2)
        with pytest.raises(TimeoutError):
            sock.post.recv(1)


async def test_a_get_that_talks_on_and_on_is_closed() -> None:
    async with serving_http() as server:
        _, sock = await server.tunnel()

        def flood() -> None:
            for _ in range(200):
                sock.get.sendall(bytes(65536))

        with pytest.raises(OSError, match=r"reset|pipe"):
            await blocking(flood)


async def test_a_post_whose_client_hangs_up_before_its_get_is_forgotten_at_once() -> None:
    async with serving_http(orphan_s=1e6) as server:
        post = await blocking(plain_connection, HOST, server.port)
        post.sendall(post_request(new_cookie()))
        await until(lambda: server.tunnels.half_open == 1, "half a tunnel is there")
        post.close()
        await until(lambda: not server.tunnels.half_open, "it is forgotten")


async def test_what_a_post_says_before_its_get_comes_is_kept() -> None:
    async with serving_http() as server:
        cookie = new_cookie()
        post = await blocking(plain_connection, HOST, server.port)
        post.sendall(post_request(cookie))
        await until(lambda: server.tunnels.half_open == 1, "half a tunnel is there")
        said = base64.b64encode(b"OPTIONS * RTSP/1.0\r\nCSeq: 7\r\n\r\n")
        post.sendall(said[:10])
        await asyncio.sleep(0.05)
        post.sendall(said[10:])
        post.shutdown(socket.SHUT_WR)
        await asyncio.sleep(0.05)
        get = await blocking(plain_connection, HOST, server.port)
        get.sendall(get_request(cookie))
        _, said_back = await blocking(read_head, get)
        if not said_back:
            said_back = (await blocking(read_head, get))[0].encode()
        assert said_back.startswith(b"RTSP/1.0 200")
        assert b"CSeq: 7" in said_back


async def test_half_tunnels_are_limited_and_the_oldest_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tunnel, "MAX_HALF_OPEN_PER_ADDRESS", 5)
    async with serving_http() as server:
        socks = [await blocking(plain_connection, HOST, server.port) for _ in range(8)]
        for sock in socks:
            sock.sendall(get_request(new_cookie()))
            await blocking(read_head, sock)
        assert server.tunnels.half_open == 5
        for sock in socks[:3]:
            assert await hung_up(sock)
        client, _ = await server.tunnel()
        assert (await blocking(client.ask, "OPTIONS", "*")).status == 200


async def test_logins_are_asked_for_inside_the_tunnel() -> None:
    async with serving_http(users={"me": "secret"}) as server:
        client, sock = await server.tunnel()
        assert sock.answer.startswith("HTTP/1.0 200 ")
        reply = await blocking(client.ask, "DESCRIBE", "live")
        assert reply.status == 401
        assert "Digest" in reply["WWW-Authenticate"]


async def test_a_viewer_that_stands_still_disturbs_nobody() -> None:
    async with serving_http(stall_s=1.0) as server, server.publishing() as publisher:
        stuck, sock = await server.tunnel()
        sock.get.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        await blocking(stuck.play, "live")
        client, _ = await server.tunnel()
        publisher.speed = 20.0
        assert without_gaps(await watch(client, packets=500))
        await until(lambda: server.rtsp.rtsp.connections == 2, "the one that stands still is gone")


async def test_tunnels_end_with_the_server() -> None:
    async with serving_http() as server:
        half = await blocking(plain_connection, HOST, server.port)
        half.sendall(get_request(new_cookie()))
        await blocking(read_head, half)
        client, sock = await server.tunnel()
        assert (await blocking(client.ask, "OPTIONS", "*")).status == 200
    assert await hung_up(half)
    assert await hung_up(sock.get)
    assert await hung_up(sock.post)
