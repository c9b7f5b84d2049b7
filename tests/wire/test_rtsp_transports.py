"""Channels, UDP ports, sessions and the connections they hang on, IPv4 and IPv6."""

from __future__ import annotations

import socket
from itertools import pairwise

import pytest
from support.clips import make_clip
from support.ports import udp_pair
from support.publishing import Publisher, publishing, sdp_of
from support.rtsp import RawRtsp, Reply
from support.server import CONFIG, ServerFactory, ServerProcess
from support.waiting import wait_until

from manycast.servers.rtsp.udp_ports import PORTS_PER_SESSION
from manycast.wire.rtp.packet import RtpPacket
from manycast.wire.rtp.rtcp import Goodbye, ReceiverReport, SenderReport, SourceDescription, parse_compound

Pair = tuple[socket.socket, socket.socket]


def set_up_udp(client: RawRtsp, pair: Pair, name: str = "live") -> Reply:
    port = pair[0].getsockname()[1]
    reply = client.ask("SETUP", f"{name}/trackID=0", {"Transport": f"RTP/AVP;unicast;client_port={port}-{port + 1}"})
    assert reply.status == 200, reply
    client.session = reply.session
    return reply


def close(pair: Pair) -> None:
    for sock in pair:
        sock.close()


def receive_rtp(pair: Pair, count: int) -> list[RtpPacket]:
    return [RtpPacket.parse(pair[0].recv(2048)) for _ in range(count)]


# Interleaved channels


@pytest.mark.parametrize("channels", ["0-1", "2-3", "6-7", "254-255"])
def test_the_channels_asked_for_are_given(client: RawRtsp, live: Publisher, channels: str) -> None:
    reply = client.ask("SETUP", "live/trackID=0", {"Transport": f"RTP/AVP/TCP;unicast;interleaved={channels}"})
    assert reply.parameters["interleaved"] == channels
    client.session = reply.session
    assert client.ask("PLAY", "live").status == 200
    first = int(channels.partition("-")[0])
    assert {client.packet().channel for _ in range(10)} <= {first, first + 1}


def test_channels_in_use_are_not_given_twice(client: RawRtsp, live: Publisher) -> None:
    replies = [
        client.ask("SETUP", "live/trackID=0", {"Transport": "RTP/AVP/TCP;unicast;interleaved=0-1"}) for _ in range(3)
    ]
    assert [reply.pair("interleaved") for reply in replies] == [(0, 1), (2, 3), (4, 5)]


def test_without_a_wish_the_lowest_free_channels_are_given(client: RawRtsp, live: Publisher) -> None:
    replies = [client.ask("SETUP", "live/trackID=0", {"Transport": "RTP/AVP/TCP;unicast"}) for _ in range(2)]
    assert [reply.pair("interleaved") for reply in replies] == [(0, 1), (2, 3)]


def test_a_channel_is_free_again_after_teardown(client: RawRtsp, live: Publisher) -> None:
    for _ in range(300):  # more than there are channels
        reply = client.ask("SETUP", "live/trackID=0", {"Transport": "RTP/AVP/TCP;unicast;interleaved=8-9"})
        assert reply.pair("interleaved") == (8, 9)
        assert client.ask("TEARDOWN", "live", {"Session": reply.session}).status == 200


def test_when_all_channels_are_in_use_the_next_set_up_is_refused(client: RawRtsp, live: Publisher) -> None:
    statuses = [client.ask("SETUP", "live/trackID=0", {"Transport": "RTP/AVP/TCP"}).status for _ in range(129)]
    assert statuses[:128] == [200] * 128
    assert 400 <= statuses[128] < 500


def test_interleaved_data_for_channels_nobody_set_up_is_passed_over(client: RawRtsp, live: Publisher) -> None:
    for channel in (0, 1, 7, 255):
        client.send_interleaved(channel, b"x" * 100)
        client.send_interleaved(channel, b"")
    assert client.ask("OPTIONS", "*").status == 200
    client.play("live")
    for channel in (0, 1, 7, 255):
        client.send_interleaved(channel, b"\x80" * 1500)
    client.rtp(5)


# Several sessions, several connections


def test_several_sessions_play_on_one_connection(client: RawRtsp, live: Publisher) -> None:
    sessions = []
    for index in range(3):
        transport = f"RTP/AVP/TCP;unicast;interleaved={2 * index}-{2 * index + 1}"
        reply = client.ask("SETUP", "live/trackID=0", {"Transport": transport})
        sessions.append(reply.session)
        assert client.ask("PLAY", "live", {"Session": reply.session}).status == 200
    for channel in (0, 2, 4):
        client.rtp(5, channel)
    assert client.ask("TEARDOWN", "live", {"Session": sessions[0]}).status == 200
    client.packets.clear()
    channels = {packet.channel for packet in (client.packet() for _ in range(30)) if packet.is_rtp}
    assert channels == {2, 4}


def test_a_udp_session_goes_on_over_another_connection(server: ServerProcess, live: Publisher) -> None:
    pair = udp_pair()
    with RawRtsp.connect(server.host, server.port) as first, RawRtsp.connect(server.host, server.port) as second:
        set_up_udp(first, pair)
        second.session = first.session
        assert second.ask("PLAY", "live").status == 200
        receive_rtp(pair, 5)
        first.close()
        assert second.ask("GET_PARAMETER", "live").status == 200
        receive_rtp(pair, 20)
        assert second.ask("TEARDOWN", "live").status == 200
    close(pair)


def test_an_interleaved_session_is_steered_from_another_connection(server: ServerProcess, live: Publisher) -> None:
    with RawRtsp.connect(server.host, server.port) as first, RawRtsp.connect(server.host, server.port) as second:
        first.play("live")
        first.rtp(3)
        second.session = first.session
        assert second.ask("PAUSE", "live").status == 200
        assert second.ask("PLAY", "live").status == 200
        first.packets.clear()
        first.rtp(3)


def test_an_interleaved_session_ends_with_its_connection(server: ServerProcess, live: Publisher) -> None:
    with RawRtsp.connect(server.host, server.port) as first, RawRtsp.connect(server.host, server.port) as second:
        first.play("live")
        session = first.session
        first.close()
        assert session is not None
        wait_until(
            lambda: second.ask("GET_PARAMETER", "live", {"Session": session}).status == 454,
            "the session is gone with its connection",
        )


def test_one_session_has_one_kind_of_transport(client: RawRtsp, server: ServerProcess) -> None:
    sdp = sdp_of(make_clip(), control="trackID=0") + b"m=audio 0 RTP/AVP 8\r\na=control:trackID=1\r\n"
    with RawRtsp.connect(server.host, server.port) as publisher:
        assert publisher.publish("two", sdp, controls=["trackID=0", "trackID=1"]).status == 200
        client.set_up("two", tracks=[0])
        reply = client.ask("SETUP", "two/trackID=1", {"Transport": "RTP/AVP;unicast;client_port=5000-5001"})
        assert reply.status == 461
        assert client.ask("PLAY", "two").status == 200


# UDP


def test_udp_media_comes_from_an_even_pair_at_the_base_port(start_server: ServerFactory) -> None:
    server = start_server(config=CONFIG)
    pair = udp_pair()
    with publishing(server), RawRtsp.connect(server.host, server.port) as client:
        reply = set_up_udp(client, pair)
        port = pair[0].getsockname()[1]
        assert reply.pair("client_port") == (port, port + 1)
        rtp_port, rtcp_port = reply.pair("server_port")
        assert rtp_port == server.udp_base
        assert rtcp_port == rtp_port + 1
        assert client.ask("PLAY", "live").status == 200
        data, sender = pair[0].recvfrom(2048)
        assert sender == (server.host, rtp_port)
        RtpPacket.parse(data)
        data, sender = pair[1].recvfrom(2048)
        assert sender == (server.host, rtcp_port)
        assert isinstance(parse_compound(data)[0], SenderReport)
    close(pair)


def test_each_session_has_eight_ports_of_its_own_and_gives_them_back(start_server: ServerFactory) -> None:
    server = start_server(config=CONFIG)
    pair = udp_pair()
    with publishing(server), RawRtsp.connect(server.host, server.port) as client:

        def open_one() -> Reply:
            client.session = None
            return set_up_udp(client, pair)

        replies = [open_one() for _ in range(3)]
        bases = [reply.pair("server_port")[0] - server.udp_base for reply in replies]
        assert bases == [0, PORTS_PER_SESSION, 2 * PORTS_PER_SESSION]
        assert client.ask("TEARDOWN", "live", {"Session": replies[1].session}).status == 200
        assert open_one().pair("server_port") == replies[1].pair("server_port")
        assert open_one().pair("server_port")[0] == server.udp_base + 3 * PORTS_PER_SESSION
    close(pair)


def test_a_track_set_up_again_and_again_keeps_its_ports(start_server: ServerFactory) -> None:
    server = start_server(config=CONFIG)
    pair = udp_pair()
    with publishing(server), RawRtsp.connect(server.host, server.port) as client:
        first = set_up_udp(client, pair).pair("server_port")
        for _ in range(100):
            assert set_up_udp(client, pair).pair("server_port") == first
        client.ask("PLAY", "live")
        receive_rtp(pair, 5)
    close(pair)


def test_after_pause_nothing_more_comes_over_udp(server: ServerProcess, live: Publisher) -> None:
    pair = udp_pair()
    with RawRtsp.connect(server.host, server.port) as client:
        set_up_udp(client, pair)
        for _ in range(3):
            reply = client.ask("PLAY", "live")
            announced = int(reply["RTP-Info"].partition("seq=")[2].partition(";")[0])
            assert receive_rtp(pair, 1)[0].sequence == announced, "what is sent first is what was announced"
            assert client.ask("PAUSE", "live").status == 200
            pair[0].settimeout(0.3)
            try:
                while pair[0].recv(2048):  # what was on its way
                    pass
            except TimeoutError:
                pair[0].settimeout(10.0)
    close(pair)


def test_a_session_is_for_one_address(client: RawRtsp, live: Publisher) -> None:
    client.set_up("live")
    reply = client.ask("SETUP", "another/trackID=0", {"Transport": "RTP/AVP/TCP;unicast;interleaved=2-3"})
    assert reply.status == 459


def test_a_port_another_program_has_is_passed_over(start_server: ServerFactory) -> None:
    server = start_server(config=CONFIG)
    pair = udp_pair()
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as rtcp_thief,
        publishing(server),
        RawRtsp.connect(server.host, server.port) as client,
    ):
        rtcp_thief.bind((server.host, server.udp_base + 1))
        first = set_up_udp(client, pair).pair("server_port")
        assert first[0] % 2 == 0
        assert first[1] == first[0] + 1
        assert first[0] != server.udp_base
        assert client.ask("PLAY", "live").status == 200
        receive_rtp(pair, 5)
    close(pair)


def test_frames_over_udp_come_whole_and_in_order(server: ServerProcess, live: Publisher) -> None:
    pair = udp_pair()
    with RawRtsp.connect(server.host, server.port) as client:
        set_up_udp(client, pair)
        assert client.ask("PLAY", "live").status == 200
        packets = receive_rtp(pair, 100)
        sequences = [packet.sequence for packet in packets]
        assert all((b - a) & 0xFFFF == 1 for a, b in pairwise(sequences))
        assert len({packet.ssrc for packet in packets}) == 1
    close(pair)


def test_all_viewers_get_the_same_packets_whatever_their_transport(server: ServerProcess, live: Publisher) -> None:
    pair = udp_pair()
    with RawRtsp.connect(server.host, server.port) as over_udp, RawRtsp.connect(server.host, server.port) as over_tcp:
        set_up_udp(over_udp, pair)
        assert over_udp.ask("PLAY", "live").status == 200
        over_tcp.play("live")
        from_udp = {(p.ssrc, p.sequence): (p.timestamp, p.payload) for p in receive_rtp(pair, 120)}
        from_tcp = {(p.ssrc, p.sequence): (p.timestamp, p.payload) for p in over_tcp.rtp(120)}
        common = from_udp.keys() & from_tcp.keys()
        assert len(common) > 60
        assert all(from_udp[key] == from_tcp[key] for key in common)
    close(pair)


def test_reports_tie_all_tracks_to_one_clock_and_name_one_source(client: RawRtsp, live: Publisher) -> None:
    live.wait_for_frames(5)
    client.play("live")
    reports = [parse_compound(packet.payload) for packet in (client.packet() for _ in range(30)) if not packet.is_rtp]
    assert reports
    sender_report, description = reports[0]
    assert isinstance(sender_report, SenderReport)
    assert isinstance(description, SourceDescription)
    assert description.cname


def test_a_viewer_over_udp_is_told_of_the_end(server: ServerProcess) -> None:
    pair = udp_pair()
    with publishing(server, "short") as publisher, RawRtsp.connect(server.host, server.port) as client:
        set_up_udp(client, pair, "short")
        assert client.ask("PLAY", "short").status == 200
        receive_rtp(pair, 5)
        publisher.teardown()
        while not any(isinstance(packet, Goodbye) for packet in parse_compound(pair[1].recv(2048))):
            pass
    close(pair)


def test_receiver_reports_and_rubbish_on_the_rtcp_port_are_taken(server: ServerProcess, live: Publisher) -> None:
    pair = udp_pair()
    with RawRtsp.connect(server.host, server.port) as client:
        reply = set_up_udp(client, pair)
        assert client.ask("PLAY", "live").status == 200
        to = (server.host, reply.pair("server_port")[1])
        good = ReceiverReport(ssrc=1).serialize() + SourceDescription(ssrc=1, cname="me").serialize()
        for data in (good, b"", b"\xce\xfa\xed\xfe", b"\x80", good[:-3], b"\xff" * 1400):
            pair[1].sendto(data, to)
        receive_rtp(pair, 30)
        assert client.ask("GET_PARAMETER", "live").status == 200
    close(pair)


def test_a_player_whose_ports_close_is_noticed(server: ServerProcess, live: Publisher) -> None:
    pair = udp_pair()
    with RawRtsp.connect(server.host, server.port) as client, RawRtsp.connect(server.host, server.port) as other:
        set_up_udp(client, pair)
        assert client.ask("PLAY", "live").status == 200
        receive_rtp(pair, 5)
        session = client.session
        client.close()
        close(pair)
        assert session is not None
        wait_until(
            lambda: (
                "viewer of live closed after" in server.log
                and other.ask("OPTIONS", "*", {"Session": session}).status == 454
            ),
            "the session of a player that is gone is ended",
        )


# IPv6


def test_everything_works_over_ipv6(start_server: ServerFactory) -> None:
    server = start_server(config=CONFIG, host="::1")
    pair = udp_pair("::1")
    with publishing(server, udp=True), RawRtsp.connect(server.host, server.port) as client:
        description = client.ask("DESCRIBE", "live").body.decode()
        assert "IN IP6" in description
        assert "IN IP4" not in description
        set_up_udp(client, pair)
        assert client.ask("PLAY", "live").status == 200
        receive_rtp(pair, 20)
    with publishing(server), RawRtsp.connect(server.host, server.port) as client:
        client.play("live")
        client.rtp(20)
    close(pair)


def test_two_addresses_of_different_families_are_served_at_once(start_server: ServerFactory) -> None:
    config = f"{CONFIG}  serverip: [127.0.0.1, '::1']\n"
    server = start_server(config=config, host=None)
    for host in ("127.0.0.1", "::1"):
        with RawRtsp.connect(host, server.port) as client:
            assert client.ask("OPTIONS", "*").status == 200
