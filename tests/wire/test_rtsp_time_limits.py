"""What is ended because nothing comes, or nothing is taken, for too long. The limits are made short."""

from __future__ import annotations

import asyncio
import socket
import time
from itertools import pairwise

import pytest
from support.clips import make_clip
from support.inprocess import InProcess, blocking, serving
from support.ports import udp_pair
from support.rtsp import RawRtsp, Reply
from support.waiting import until

from manycast.servers.rtsp import play
from manycast.servers.rtsp.connection import EVENTS_PER_TURN, RtspConnection
from manycast.servers.rtsp.reply import Reply as ServerReply
from manycast.wire.rtp.rtcp import Goodbye, ReceiverReport, parse_compound
from manycast.wire.rtsp.message import Request

SHORT_S = 0.6
KEPT_S = 3.0  # for those who are to keep within it, on a busy machine, too


async def hangs_up(client: RawRtsp) -> float:
    """Seconds until the server closes the connection."""
    started_s = time.monotonic()
    await blocking(client.hangs_up)
    return time.monotonic() - started_s


async def test_a_connection_that_sends_nothing_is_closed() -> None:
    async with serving(first_request_timeout_s=SHORT_S) as server:
        client = await server.connect()
        assert SHORT_S / 2 < await hangs_up(client) < 10


@pytest.mark.parametrize("half", [b"OPT", b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n", b"\r\n\r\n", b"$\x00\x10\x00abc"])
async def test_half_a_first_request_does_not_keep_a_connection_open(half: bytes) -> None:
    async with serving(first_request_timeout_s=SHORT_S) as server:
        client = await server.connect()
        client.sock.sendall(half)
        assert await hangs_up(client) < 10


async def test_a_request_that_trickles_in_is_cut_off() -> None:
    async with serving(first_request_timeout_s=SHORT_S) as server:
        client = await server.connect()
        started_s = time.monotonic()
        try:
            while time.monotonic() - started_s < 10:
                client.sock.sendall(b"X")
                await asyncio.sleep(0.05)
        except OSError:
            pass
        assert time.monotonic() - started_s < 9


async def test_half_a_later_request_is_cut_off() -> None:
    async with serving(first_request_timeout_s=SHORT_S) as server:
        client = await server.connect()
        assert (await blocking(client.ask, "OPTIONS", "*")).status == 200
        client.sock.sendall(b"DESCRIBE rtsp://x/live RTSP/1.0\r\nContent-Length: 100\r\n\r\nabc")
        assert await hangs_up(client) < 10


async def test_a_connection_without_a_session_is_closed_when_idle() -> None:
    async with serving(idle_timeout_s=SHORT_S) as server:
        client = await server.connect()
        assert (await blocking(client.ask, "OPTIONS", "*")).status == 200
        assert SHORT_S / 2 < await hangs_up(client) < 10


async def test_a_playing_connection_stays_open_without_requests() -> None:
    async with serving(first_request_timeout_s=SHORT_S, idle_timeout_s=SHORT_S) as server:
        publisher = await server.publish()
        client = await server.connect()
        await blocking(client.play, "live")
        publisher.start()
        await asyncio.sleep(3 * SHORT_S)
        client.packets.clear()
        packets = await blocking(client.rtp, 5)
        await blocking(publisher.stop)
        assert len({packet.ssrc for packet in packets}) == 1, "it is the same stream still"


async def test_a_silent_publisher_is_ended_and_viewers_are_told() -> None:
    async with serving(publisher_silence_s=SHORT_S) as server:
        publisher = await server.publish()
        await blocking(publisher.send_frame)
        client = await server.connect()
        await blocking(client.play, "live")
        while True:
            packet = await blocking(client.packet)
            if not packet.is_rtp and any(isinstance(report, Goodbye) for report in parse_compound(packet.payload)):
                break
        assert server.hub.live("live") is None


async def test_an_interleaved_publisher_who_says_goodbye_has_ended() -> None:
    async with serving() as server:
        publisher = await server.publish()
        await blocking(publisher.send_frame)
        publisher.rtsp.send_interleaved(1, publisher.sender.goodbye())
        await until(lambda: server.hub.live("live") is None, "the stream has ended")


async def test_a_udp_session_without_a_sign_of_life_is_reclaimed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(play, "RECLAIM_TIMEOUT_S", SHORT_S)
    async with serving() as server:
        client, _pair, _reply = await _play_over_udp(server)
        await until(lambda: len(server.sessions) == 1, "only the publisher's session is left")
        assert (await blocking(client.ask, "GET_PARAMETER", "live")).status == 454


@pytest.mark.parametrize("paused", [False, True])
async def test_a_session_over_tcp_that_does_not_play_is_reclaimed(
    monkeypatch: pytest.MonkeyPatch, paused: bool
) -> None:
    monkeypatch.setattr(play, "RECLAIM_TIMEOUT_S", SHORT_S)
    async with serving() as server:
        await server.publish()
        client = await server.connect()
        await blocking(client.set_up, "live")
        if paused:
            assert (await blocking(client.ask, "PLAY", "live")).status == 200
            assert (await blocking(client.ask, "PAUSE", "live")).status == 200
        await until(lambda: len(server.sessions) == 1, "only the publisher's session is left")


async def test_a_publisher_who_only_sends_reports_is_not_silent() -> None:
    async with serving(publisher_silence_s=KEPT_S) as server:
        publisher = await server.publish()
        await blocking(publisher.send_frame)
        ended_s = time.monotonic() + 1.5 * KEPT_S
        while time.monotonic() < ended_s:
            publisher.rtsp.send_interleaved(1, publisher.sender.sender_report(unix_s=time.time(), ticks=0))
            await asyncio.sleep(KEPT_S / 20)
        assert server.hub.live("live") is not None


async def test_one_who_floods_lets_others_have_their_turn() -> None:
    count, answered, most_at_once = 1000, 0, 0

    async with serving() as server:
        answer = server.rtsp.answer

        async def counted_answer(connection: RtspConnection, request: Request) -> ServerReply:
            nonlocal answered
            answered += 1
            return await answer(connection, request)

        async def watch_turns() -> None:
            nonlocal answered, most_at_once
            while True:
                answered = 0
                await asyncio.sleep(0)
                most_at_once = max(most_at_once, answered)

        server.rtsp.answer = counted_answer  # type: ignore[method-assign]
        flooder = await server.connect()
        flooder.sock.sendall(flooder.bytes_of("OPTIONS", "live") * count)
        watch = asyncio.create_task(watch_turns())
        for _ in range(count):
            assert (await blocking(flooder.reply)).status == 200
        watch.cancel()
        assert 0 < most_at_once <= EVENTS_PER_TURN


@pytest.mark.parametrize("sign", ["request", "options", "rtcp"])
async def test_signs_of_life_keep_a_udp_session(monkeypatch: pytest.MonkeyPatch, sign: str) -> None:
    monkeypatch.setattr(play, "RECLAIM_TIMEOUT_S", KEPT_S)
    async with serving() as server:
        client, pair, reply = await _play_over_udp(server)
        ended_s = time.monotonic() + 1.5 * KEPT_S
        while time.monotonic() < ended_s:
            if sign == "rtcp":
                pair[1].sendto(ReceiverReport(ssrc=7).serialize(), ("127.0.0.1", reply.pair("server_port")[1]))
            else:
                method = "OPTIONS" if sign == "options" else "GET_PARAMETER"
                assert (await blocking(client.ask, method, "live")).status == 200
            await asyncio.sleep(KEPT_S / 20)
        assert client.session in server.sessions


async def test_a_viewer_who_stops_reading_is_ended_and_another_is_not() -> None:
    async with serving(stall_s=2.0) as server:
        clip = make_clip(width=640, height=480, bit_rate_bps=2_000_000)
        publisher = await server.publish()
        publisher.clip = clip
        publisher.speed = 8
        lazy = await blocking(lambda: RawRtsp.connect("127.0.0.1", server.port, receive_buffer=8192))
        await blocking(lazy.play, "live")
        keen = await server.connect()
        await blocking(keen.play, "live")
        publisher.start()
        reading = asyncio.create_task(_read_while(keen, lambda: len(server.sessions) == 3))
        await until(lambda: len(server.sessions) == 2, "the viewer who does not read is ended")
        sequences = await reading
        assert len(sequences) > 100
        assert all((b - a) & 0xFFFF == 1 for a, b in pairwise(sequences))
        await blocking(publisher.stop)


async def test_a_slow_viewer_loses_whole_frames_up_to_a_keyframe() -> None:
    async with serving(stall_s=30.0) as server:
        clip = make_clip(width=640, height=480, bit_rate_bps=2_000_000)
        publisher = await server.publish()
        publisher.clip = clip
        publisher.speed = 8
        slow = await blocking(lambda: RawRtsp.connect("127.0.0.1", server.port, receive_buffer=8192))
        await blocking(slow.play, "live")
        session = slow.session
        publisher.start()
        assert session is not None
        viewer = server.sessions[session]
        await until(lambda: int(viewer.parameters()["frames_dropped"]) > 100, "frames are dropped for it")
        await blocking(publisher.stop)
        publisher.speed = 1
        publisher.start()
        packets = await blocking(slow.rtp, 1200)
        gaps = 0
        for before, packet in pairwise(packets):
            if (packet.sequence - before.sequence) & 0xFFFF != 1:
                gaps += 1
                assert before.marker, "the frame before a gap is whole"
                kind = packet.payload[0] & 0x1F
                assert kind in (7, 24), "it goes on with a keyframe"
        assert gaps >= 1
        await blocking(publisher.stop)


async def test_who_asks_and_never_reads_the_replies_is_hung_up_on() -> None:
    async with serving(stall_s=2.0) as server:
        client = await blocking(lambda: RawRtsp.connect("127.0.0.1", server.port, receive_buffer=8192))
        request = b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n" * 1000

        def flood() -> None:
            try:
                for _ in range(1000):
                    client.sock.sendall(request)
            except OSError:
                pass

        await blocking(flood)
        await until(lambda: server.rtsp.connections == 0, "the connection is closed")


async def test_over_the_limit_of_connections_the_next_is_told_503() -> None:
    async with serving(max_connections=3) as server:
        clients = [await server.connect() for _ in range(3)]
        for client in clients:
            assert (await blocking(client.ask, "OPTIONS", "*")).status == 200
        refused = await server.connect()
        items = await blocking(refused.hangs_up)
        assert isinstance(items[0], Reply)
        assert items[0].status == 503
        assert "Retry-After".lower() in items[0].headers
        clients[0].close()
        await until(lambda: server.rtsp.connections == 2, "the place is free again")
        again = await server.connect()
        assert (await blocking(again.ask, "OPTIONS", "*")).status == 200


async def test_a_client_whose_stream_ended_is_given_time_and_then_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    from manycast.servers.rtsp import connection

    monkeypatch.setattr(connection, "LINGER_S", SHORT_S)
    async with serving() as server:
        publisher = await server.publish()
        publisher.start()
        client = await server.connect()
        await blocking(client.play, "live")
        await blocking(client.rtp, 3)
        await blocking(publisher.stop)
        publisher.rtsp.close()
        assert await hangs_up(client) < 10


async def _play_over_udp(server: InProcess) -> tuple[RawRtsp, tuple[socket.socket, socket.socket], Reply]:
    publisher = await server.publish()
    await blocking(publisher.send_frame)
    client = await server.connect()
    pair = udp_pair()
    port = pair[0].getsockname()[1]
    transport = {"Transport": f"RTP/AVP;unicast;client_port={port}-{port + 1}"}
    reply = await blocking(client.ask, "SETUP", "live/trackID=0", transport)
    client.session = reply.session
    assert (await blocking(client.ask, "PLAY", "live")).status == 200
    return client, pair, reply


async def _read_while(client: RawRtsp, condition: object) -> list[int]:
    assert callable(condition)
    sequences: list[int] = []
    while condition():
        sequences += [packet.sequence for packet in await blocking(client.rtp, 20)]
    return sequences
