"""RTSP over WebSocket."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest
from support.inprocess import HOST, blocking
from support.inprocess_http import publishing_through, serving_http
from support.rtsp import HungUp, RawRtsp
from support.tunnels import plain_connection, read_head, upgrade_request
from support.waiting import until

from manycast.wire.rtp.packet import RtpPacket


async def watch(client: RawRtsp, name: str = "live", packets: int = 50) -> list[RtpPacket]:
    def play() -> list[RtpPacket]:
        client.play(name)
        return client.rtp(packets)

    return await blocking(play)


def without_gaps(packets: list[RtpPacket]) -> bool:
    return all((b.sequence - a.sequence) & 0xFFFF == 1 for a, b in pairwise(packets))


@pytest.mark.parametrize("path", ["/websocket", "/", "/live?token=x"])
async def test_a_stream_is_watched_at_any_path(path: str) -> None:
    async with serving_http() as server, server.publishing():
        client, sock = await server.websocket(path=path)
        assert "Sec-WebSocket-Accept: G/cEt4HtsYEnP0MnSVkKRk459gM=" in sock.answer
        assert "Sec-WebSocket-Protocol: rtsp.onvif.org" in sock.answer
        reply = await blocking(client.ask, "DESCRIBE", "live", {"Accept": "application/sdp"})
        assert (reply.status, reply["Content-Type"]) == (200, "application/sdp")
        assert without_gaps(await watch(client))


async def test_a_stream_is_published_and_two_share_its_frames() -> None:
    async with serving_http() as server:
        publisher, _ = await server.websocket()
        async with publishing_through(publisher):
            viewers = [(await server.websocket())[0], (await server.websocket())[0], await server.rtsp.connect()]
            for packets in await asyncio.gather(*(watch(viewer) for viewer in viewers)):
                assert without_gaps(packets)


@pytest.mark.parametrize("fragment_bytes", [1, 7, 1000])
async def test_requests_may_be_fragmented_or_joined_over_messages(fragment_bytes: int) -> None:
    async with serving_http() as server:
        client, sock = await server.websocket()
        sock.fragment_bytes = fragment_bytes
        client.sock.sendall(client.bytes_of("OPTIONS", "*") + client.bytes_of("OPTIONS", "*"))
        assert [(await blocking(client.reply)).status for _ in range(2)] == [200, 200]


async def test_a_ping_is_answered_between_the_frames_of_a_stream() -> None:
    async with serving_http() as server, server.publishing():
        client, sock = await server.websocket()
        await blocking(client.play, "live")
        sock.ping(b"are you there?")
        assert without_gaps(await blocking(client.rtp, 50))
        assert sock.pongs == [b"are you there?"]


async def test_a_client_that_closes_is_answered_and_its_session_ends() -> None:
    async with serving_http() as server, server.publishing():
        client, sock = await server.websocket()
        await watch(client)
        sock.close_handshake(1000)
        await blocking(client.hangs_up)
        assert sock.close_code == 1000
        await until(lambda: len(server.rtsp.sessions) == 1, "only the publisher's session is left")


async def test_a_server_that_stops_says_so() -> None:
    async with serving_http() as server, server.publishing():
        client, sock = await server.websocket()
        await watch(client)
    await blocking(client.hangs_up)
    assert sock.close_code == 1001


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"Sec-WebSocket-Version": "8"}, 426),
        ({"Sec-WebSocket-Version": None}, 426),
        ({"Sec-WebSocket-Protocol": None}, 400),
        ({"Sec-WebSocket-Protocol": "chat"}, 400),
        ({"Sec-WebSocket-Key": "short"}, 400),
        ({"Connection": "keep-alive"}, 400),
    ],
)
async def test_a_handshake_against_the_rules_opens_no_session(changes: dict[str, str | None], status: int) -> None:
    async with serving_http() as server:
        sock = await blocking(plain_connection, HOST, server.port)
        sock.sendall(upgrade_request(changes=changes))
        head, _ = await blocking(read_head, sock)
        assert head.startswith(f"HTTP/1.1 {status} ")
        assert ("Sec-WebSocket-Version: 13" in head) == (status == 426)
        assert not server.rtsp.rtsp.connections


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (b"\x82\x05hello", 1002),  # no mask
        (b"\x89\xfe\x00\x7e" + bytes(130), 1002),  # a ping over 125 bytes
        (b"\x82\xff" + b"\xff" * 8 + bytes(4), 1002),  # a length of 64 bits
        (b"\x81\x81" + bytes(4) + b"\xff", 1007),  # text that is none
        (b"\xf2\x85" + bytes(9), 1002),  # compressed, which nobody agreed on
    ],
)
async def test_a_frame_against_the_rules_closes_with_the_reason(frame: bytes, code: int) -> None:
    async with serving_http() as server:
        client, sock = await server.websocket()
        sock.sock.sendall(frame)
        await blocking(client.hangs_up)
        assert sock.close_code == code


async def test_a_message_that_never_ends_is_refused_by_what_is_in_it() -> None:
    async with serving_http() as server:
        client, sock = await server.websocket()
        sock.sock.sendall(b"\x82\xff" + (2**40).to_bytes(8) + bytes(4))

        def flood() -> int:
            try:
                for _ in range(64):
                    sock.sock.sendall(b"A" * 65536)
            except OSError:
                return 0
            return client.reply().status

        assert await blocking(flood) in (0, 400, 414)


async def test_what_is_no_rtsp_in_it_is_answered_in_a_frame() -> None:
    async with serving_http() as server:
        client, sock = await server.websocket()
        sock.sendall(b"\x00\x01\x02\x03\r\n\r\n")
        assert (await blocking(client.reply)).status == 400
        with pytest.raises(HungUp):
            await blocking(client.reply)


async def test_a_client_that_vanishes_takes_its_session_along() -> None:
    async with serving_http() as server, server.publishing():
        client, _ = await server.websocket()
        await watch(client)
        client.close()
        await until(lambda: len(server.rtsp.sessions) == 1, "only the publisher's session is left")
