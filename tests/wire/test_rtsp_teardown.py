"""TEARDOWN of one track and of all (RFC 2326 section 10.7); requests that name another stream than their session."""

from __future__ import annotations

import asyncio
import logging
import socket

import pytest
from support.inprocess import HOST, InProcess, blocking, serving
from support.ports import udp_pair
from support.rtsp import RawRtsp
from support.waiting import until

from manycast.servers.rtsp.publish import PublishSession
from manycast.wire.rtp.packet import RtpPacket
from manycast.wire.rtp.rtcp import Goodbye, parse_compound

CONTROLS = ["trackID=0", "trackID=1"]


async def _publish_two(server: InProcess, name: str = "two") -> RawRtsp:
    """Two tracks of sound, of which nothing is sent by itself."""
    media = "".join(f"m=audio 0 RTP/AVP {8 * index}\r\na=control:{it}\r\n" for index, it in enumerate(CONTROLS))
    sdp = f"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n{media}".encode()
    client = await server.connect()
    assert (await blocking(client.publish, name, sdp, controls=CONTROLS)).status == 200
    return client


def _send_audio(publisher: RawRtsp, sequence: int) -> None:
    packet = RtpPacket(
        payload_type=8, sequence=sequence, timestamp=160 * sequence, ssrc=7, marker=False, payload=bytes(160)
    )
    publisher.send_interleaved(2, packet.serialize())


async def test_a_track_torn_down_before_play_leaves_the_others() -> None:
    async with serving() as server:
        publisher = await _publish_two(server)
        viewer = await server.connect()
        await blocking(viewer.set_up, "two", tracks=(0, 1))
        assert (await blocking(viewer.ask, "TEARDOWN", "two/trackID=0")).status == 200
        assert (await blocking(viewer.ask, "TEARDOWN", "two/trackID=0")).status == 404
        reply = await blocking(viewer.ask, "PLAY", "two")
        assert reply.status == 200
        assert "trackID=0" not in reply["RTP-Info"]
        _send_audio(publisher, 1)
        assert (await blocking(viewer.rtp, 1, 2))[0].payload == bytes(160)
        assert (await blocking(viewer.ask, "TEARDOWN", "two/trackID=1/")).status == 200
        assert len(server.sessions) == 1, "with its last track the session has ended; the publisher's is left"
        assert (await blocking(viewer.ask, "PLAY", "two")).status == 454


async def test_tracks_that_play_in_one_connection_end_together() -> None:
    async with serving() as server:
        publisher = await _publish_two(server)
        viewer = await server.connect()
        await blocking(viewer.play, "two", tracks=(0, 1))
        assert (await blocking(viewer.ask, "TEARDOWN", "two/trackID=0")).status == 460
        _send_audio(publisher, 1)
        await blocking(viewer.rtp, 1, 2)
        assert (await blocking(viewer.ask, "TEARDOWN", "two")).status == 200
        assert len(server.sessions) == 1


async def test_by_udp_one_track_ends_while_the_other_plays_on() -> None:
    async with serving() as server:
        publisher = await _publish_two(server)
        viewer = await server.connect()
        pairs = [udp_pair(HOST) for _ in CONTROLS]
        server_ports = []
        for control, (rtp, rtcp) in zip(CONTROLS, pairs, strict=True):
            ports = f"{rtp.getsockname()[1]}-{rtcp.getsockname()[1]}"
            transport = {"Transport": f"RTP/AVP;unicast;client_port={ports}"}
            reply = await blocking(viewer.ask, "SETUP", f"two/{control}", transport)
            assert reply.status == 200
            viewer.session = reply.session
            server_ports.append(reply.pair("server_port"))
        assert (await blocking(viewer.ask, "PLAY", "two")).status == 200
        assert (await blocking(viewer.ask, "TEARDOWN", "two/trackID=0")).status == 200
        assert Goodbye in {type(packet) for packet in await blocking(_until_goodbye, pairs[0][1])}
        for port in server_ports[0]:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                sock.bind((HOST, port))
        for sequence in range(3):
            _send_audio(publisher, sequence)
            assert RtpPacket.parse(await blocking(pairs[1][0].recv, 2048)).payload == bytes(160)
        assert (await blocking(viewer.ask, "PAUSE", "two")).status == 200
        assert (await blocking(viewer.ask, "PLAY", "two")).status == 200
        assert (await blocking(viewer.ask, "TEARDOWN", "two/trackID=1")).status == 200
        assert len(server.sessions) == 1
        for pair in pairs:
            for sock in pair:
                sock.close()


def _until_goodbye(rtcp: socket.socket) -> list[object]:
    rtcp.settimeout(30)
    packets: list[object] = []
    while not any(isinstance(packet, Goodbye) for packet in packets):
        packets += parse_compound(rtcp.recv(2048))
    return packets


async def test_a_publisher_may_end_one_of_its_media() -> None:
    async with serving() as server:
        publisher = await _publish_two(server)
        viewer = await server.connect()
        await blocking(viewer.play, "two", tracks=(1,))
        assert (await blocking(publisher.ask, "TEARDOWN", "two/trackID=0")).status == 200
        assert (await blocking(publisher.ask, "TEARDOWN", "two/trackID=0")).status == 404
        _send_audio(publisher, 1)
        await blocking(viewer.rtp, 1, 2)
        assert (await blocking(publisher.ask, "TEARDOWN", "two/trackID=1")).status == 200
        await until(lambda: not any(isinstance(it, PublishSession) for it in server.sessions.values()), "it has ended")


@pytest.mark.parametrize("method", ["PLAY", "PAUSE", "TEARDOWN"])
async def test_a_session_is_not_for_another_stream(method: str) -> None:
    async with serving() as server:
        one, two = await _publish_two(server, "one"), await _publish_two(server, "two")
        viewer = await server.connect()
        await blocking(viewer.set_up, "one")
        for name in ("two", "two/trackID=0", "one/two", "none"):
            assert (await blocking(viewer.ask, method, name)).status == 404
        for name in ("one/", "one?user=a&pass=b", "one&w=1", "one/trackID=0/", ""):
            assert (await blocking(viewer.ask, "PLAY", name)).status == 200
        assert (await blocking(viewer.ask, method, "one")).status == 200
        for publisher, name in (one, "one"), (two, "two"):
            other = "two" if name == "one" else "one"
            for method_of_publisher in ("RECORD", "PAUSE", "TEARDOWN"):
                assert (await blocking(publisher.ask, method_of_publisher, other)).status == 404
            assert (await blocking(publisher.ask, "RECORD", f"{name}/")).status == 200


async def test_who_hangs_up_after_the_streams_end_does_nothing_wrong(caplog: pytest.LogCaptureFixture) -> None:
    async with serving() as server:
        publisher = await _publish_two(server)
        viewer = await server.connect()
        await blocking(viewer.play, "two", tracks=(1,))
        caplog.set_level(logging.INFO)
        assert (await blocking(publisher.ask, "TEARDOWN", "two")).status == 200
        await until(lambda: not server.sessions, "all sessions have ended")
        assert (await blocking(viewer.ask, "TEARDOWN", "two")).status == 454
        await asyncio.sleep(0)
        assert "refused" not in caplog.text
