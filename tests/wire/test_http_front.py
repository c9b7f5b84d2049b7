"""The HTTP port: pages, RTSP without HTTP around it, and what is neither."""

from __future__ import annotations

import asyncio
import socket
import time

import pytest
from support.inprocess import HOST, blocking
from support.inprocess_http import HttpInProcess, serving_http
from support.rtsp import RawRtsp
from support.tunnels import get_request, plain_connection, read_head, upgrade_request
from support.waiting import until

from manycast.servers.http import front
from manycast.wire.http import MAX_HEAD_BYTES

SHORT_S = 0.6


async def exchange(server: HttpInProcess, data: bytes) -> bytes:
    """All that comes back for some bytes, up to the end of the connection."""

    def ask() -> bytes:
        sock = plain_connection(HOST, server.port)
        answer = b""
        try:
            sock.sendall(data)
            while received := sock.recv(65536):
                answer += received
        except (ConnectionResetError, BrokenPipeError):
            pass
        return answer

    return await blocking(ask)


async def test_the_first_page_says_how_to_play() -> None:
    async with serving_http() as server:
        answer = await exchange(server, b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        assert b"text/plain" in answer
        assert b"\r\nServer: manycast/" in answer
        assert answer.endswith(b"how to play")


@pytest.mark.parametrize("target", ["http://h/", "HTTP://h:80", "https://h/?x"])
async def test_an_address_as_proxies_are_asked_is_understood(target: str) -> None:
    async with serving_http() as server:
        answer = await exchange(server, f"GET {target} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n".encode())
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize(
    ("headers", "word"),
    [
        ("", "Host"),
        ("Host: a\r\nHost: b\r\n", "Host"),
        ("Host: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n", "length"),
        ("Host: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n", "length"),
        ("Host: a\r\nContent-Length: x\r\n", "Content-Length"),
        ("Host: a\r\nTransfer-Encoding: gunk\r\n", ""),
    ],
)
async def test_what_nobody_can_frame_is_refused_without_a_fuss(
    headers: str, word: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving_http() as server:
        for before in (b"", b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"):
            answer = await exchange(server, before + f"GET / HTTP/1.1\r\n{headers}\r\n".encode())
            assert b"HTTP/1.1 400" in answer or b"HTTP/1.0 400" in answer
            assert word.encode() in answer or before
        assert "Traceback" not in caplog.text


async def test_other_addresses_are_not_found() -> None:
    async with serving_http() as server:
        for method in ("GET", "POST", "OPTIONS", "DELETE"):
            request = f"{method} /live.flv HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
            answer = await exchange(server, request.encode())
            assert answer.startswith(b"HTTP/1.1 404 "), method
            assert b"nothing at this address" in answer


async def test_a_connection_is_kept_for_more_requests() -> None:
    async with serving_http() as server:
        sock = await blocking(plain_connection, HOST, server.port)
        for path in ("/", "/x", "/"):
            sock.sendall(f"GET {path} HTTP/1.1\r\nHost: h\r\n\r\n".encode())
            head, rest = await blocking(read_head, sock)
            length = int(head.lower().partition("content-length: ")[2].split()[0])
            while len(rest) < length:
                rest += await blocking(sock.recv, 65536)
            assert head.split()[1] == ("404" if path == "/x" else "200")


async def test_a_tunnel_or_a_websocket_may_follow_on_a_page_s_connection() -> None:
    async with serving_http() as server:
        for request, answer in ((get_request("cookie"), "HTTP/1.0 200 OK"), (upgrade_request(), "HTTP/1.1 101 ")):
            sock = await blocking(plain_connection, HOST, server.port)
            for _ in range(2):
                sock.sendall(b"GET /nothing HTTP/1.1\r\nHost: h\r\n\r\n")
                head, rest = await blocking(read_head, sock)
                assert head.startswith("HTTP/1.1 404 ")
                while len(rest) < int(head.lower().partition("content-length: ")[2].split()[0]):
                    rest += await blocking(sock.recv, 65536)
            sock.sendall(request)
            assert (await blocking(read_head, sock))[0].startswith(answer)
            sock.settimeout(0.2)
            with pytest.raises(TimeoutError):
                sock.recv(1)
        await until(lambda: server.tunnels.half_open == 1 and server.rtsp.rtsp.connections == 1, "both are taken")
        sock.sendall(upgrade_request(changes={"Sec-WebSocket-Version": "8"}))  # no frame of a WebSocket
        await until(lambda: server.rtsp.rtsp.connections == 0, "the WebSocket's owner reads it")


async def test_a_refusal_may_follow_on_a_page_s_connection() -> None:
    async with serving_http() as server:
        sock = await blocking(plain_connection, HOST, server.port)
        sock.sendall(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        await blocking(read_head, sock)
        sock.sendall(upgrade_request(changes={"Sec-WebSocket-Version": "8"}))
        answer = (await blocking(sock.recv, 65536)).decode()
        assert "HTTP/1.1 426 " in answer
        assert "Sec-WebSocket-Version: 13" in answer


async def test_rtsp_without_http_around_it_is_rtsp() -> None:
    async with serving_http() as server, server.publishing():
        client = await blocking(RawRtsp.connect, HOST, server.port)
        assert (await blocking(client.ask, "OPTIONS", "*")).status == 200
        await blocking(client.play, "live")
        assert len(await blocking(client.rtp, 20)) == 20


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"hello\r\n\r\n", 400),
        (b"\r\n\r\n", 400),
        (b"GET / HTTP/3.0\r\n\r\n", 505),
        (b"GET /\x01 HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 200 + b"\r\n", 431),
        (b"GET / HTTP/1.1\r\nA: " + b"a" * (MAX_HEAD_BYTES + 100), 431),
        (b"\x00" * MAX_HEAD_BYTES, 431),
    ],
)
async def test_what_is_no_request_is_refused(data: bytes, status: int) -> None:
    async with serving_http() as server:
        assert (await exchange(server, data)).startswith(f"HTTP/1.1 {status} ".encode())


async def test_tls_on_the_plain_port_is_named_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    async with serving_http() as server:
        assert await exchange(server, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(300)) == b""
    assert "TLS on the plain HTTP port" in caplog.text


async def test_a_request_that_trickles_in_is_cut_off() -> None:
    async with serving_http(head_timeout_s=SHORT_S) as server:
        sock = await blocking(plain_connection, HOST, server.port)
        started_s = time.monotonic()
        try:
            while time.monotonic() - started_s < 10:
                sock.sendall(b"G")
                await asyncio.sleep(0.05)
        except OSError:
            pass
        assert time.monotonic() - started_s < 9


async def test_a_crowd_behind_one_address_is_answered() -> None:
    async with serving_http() as server:
        crowd = [await blocking(plain_connection, HOST, server.port) for _ in range(300)]
        for sock in crowd:
            sock.sendall(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        for sock in crowd:
            assert (await blocking(sock.recv, 15)) == b"HTTP/1.1 200 OK"
            sock.close()


async def test_too_many_who_wait_push_each_other_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(front, "MAX_WAITING_PER_ADDRESS", 5)
    async with serving_http() as server:
        waiting = [await blocking(plain_connection, HOST, server.port) for _ in range(20)]
        answer = await exchange(server, b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert server.front.waiting <= 5
        assert await blocking(waiting[0].recv, 1) == b""


async def test_who_is_pushed_out_before_the_first_look_is_closed_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(front, "MAX_WAITING_PER_ADDRESS", 5)
    async with serving_http() as server:
        # All at once: the loop takes them in one go, while we hold it.
        waiting = [plain_connection(HOST, server.port) for _ in range(50)]
        await until(lambda: server.front.waiting == 5, "the last ones wait")
        for sock in waiting[:45]:
            assert await blocking(sock.recv, 1) == b""


async def test_pages_and_half_requests_end_with_the_server() -> None:
    async with serving_http() as server:
        kept, half = [await blocking(plain_connection, HOST, server.port) for _ in range(2)]
        kept.sendall(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        await blocking(read_head, kept)
        half.sendall(b"GET / HT")
        await blocking(time.sleep, 0.05)
    for sock in (kept, half):
        assert await blocking(ended, sock)


def ended(sock: socket.socket) -> bool:
    try:
        while sock.recv(65536):
            pass
    except ConnectionResetError:
        pass
    return True


async def test_a_tunnel_that_is_asked_for_by_a_path_of_a_page_is_a_tunnel() -> None:
    async with serving_http() as server:
        sock = await blocking(plain_connection, HOST, server.port)
        sock.sendall(get_request("cookie", path="/"))
        assert (await blocking(read_head, sock))[0].startswith("HTTP/1.0 200 OK")
