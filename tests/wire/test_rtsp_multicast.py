"""RTP multicast: groups, who shares them, when they send and when they stop."""

from __future__ import annotations

import ipaddress
import socket
import threading
from collections.abc import Iterator
from functools import partial
from itertools import pairwise

import pytest
from support.inprocess import InProcess, blocking, serving
from support.keyframes import picture_loss, small_demo, wait_for_soon_keyframe
from support.multicast import HOST, MULTICAST, listen, set_up_multicast
from support.ports import UDP_BLOCK
from support.publishing import Publisher, publishing
from support.rtsp import RawRtsp
from support.server import CONFIG, ServerFactory, ServerProcess
from support.waiting import until, wait_until

from manycast.servers.rtsp import play
from manycast.wire.rtp.packet import RtpPacket
from manycast.wire.rtp.rtcp import ReceiverReport, SenderReport, SourceDescription, parse_compound
from manycast.wire.sdp import SessionDescription

MULTICAST_ON = f"{CONFIG}  multicast: 1\n"
CLIP = "test.mp4"
SHORT_S = 0.6
REPORT = ReceiverReport(ssrc=1).serialize() + SourceDescription(ssrc=1, cname="me").serialize()


@pytest.fixture(scope="module")
def module_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    config = f"{MULTICAST_ON}  multicast_ttl: 5\n  metadata: 1\n"
    with ServerProcess(tmp_path_factory.mktemp("multicast"), config=config) as server:
        yield server


@pytest.fixture
def server(module_server: ServerProcess) -> Iterator[ServerProcess]:
    yield module_server
    module_server.check_log()


@pytest.fixture
def live(server: ServerProcess) -> Iterator[Publisher]:
    """As everywhere, but the path is free when the test is over: it takes a moment to see that one has hung up."""
    with publishing(server) as publisher:
        yield publisher
        publisher.teardown()


@pytest.fixture
def clients(server: ServerProcess) -> Iterator[list[RawRtsp]]:
    """Three connections; what they opened is torn down behind the test."""
    connections = [RawRtsp.connect(server.host, server.port) for _ in range(3)]
    yield connections
    for client in connections:
        if client.session is not None:
            client.ask("TEARDOWN", "")  # whatever it is for
        client.close()


def without_gaps(packets: list[RtpPacket]) -> bool:
    return all((b.sequence - a.sequence) & 0xFFFF == 1 for a, b in pairwise(packets))


# What SETUP says


def test_the_reply_names_group_ports_time_to_live_and_source(
    server: ServerProcess, clients: list[RawRtsp], live: Publisher
) -> None:
    reply = set_up_multicast(clients[0])
    assert reply["Transport"].startswith("RTP/AVP;multicast;")
    assert ipaddress.ip_address(reply.parameters["destination"]) in ipaddress.ip_network("232.0.0.0/8")
    assert reply.parameters["source"] == server.host
    assert reply.parameters["ttl"] == "5"
    rtp, rtcp = reply.pair("port")
    assert rtp % 2 == 0
    assert rtcp == rtp + 1
    assert rtp in range(server.udp_base, server.udp_base + UDP_BLOCK)
    assert not {"client_port", "server_port"} & reply.parameters.keys()


@pytest.mark.parametrize(
    "wish",
    ["RTP/AVP/UDP;multicast", "RTP/AVP;multicast;port=5000-5001", "RTP/AVP;multicast;destination=239.1.2.3;ttl=255"],
)
def test_whatever_is_wished_the_group_is_that_of_the_stream(clients: list[RawRtsp], live: Publisher, wish: str) -> None:
    given = set_up_multicast(clients[0]).parameters
    reply = clients[1].ask("SETUP", "live/trackID=0", {"Transport": wish})
    assert reply.status == 200
    clients[1].session = reply.session
    assert {name: reply.parameters[name] for name in ("destination", "port", "ttl")} == {
        name: given[name] for name in ("destination", "port", "ttl")
    }


@pytest.mark.parametrize(
    "transport",
    ["RTP/SAVP;multicast", "RTP/AVP;multicast;mode=record", "RTP/AVP/TCP;multicast", "RAW/RAW/UDP;multicast"],
)
def test_what_cannot_be_given_by_multicast_is_461(clients: list[RawRtsp], live: Publisher, transport: str) -> None:
    assert clients[0].ask("SETUP", "live/trackID=0", {"Transport": transport}).status == 461


def test_switched_off_it_is_461_and_the_log_says_why(start_server: ServerFactory) -> None:
    server = start_server(config=CONFIG)
    with publishing(server), RawRtsp.connect(server.host, server.port) as client:
        assert client.ask("SETUP", "live/trackID=0", MULTICAST).status == 461
        assert "multicast is off here" in server.log
        assert "source-filter" not in client.ask("DESCRIBE", "live").body.decode()


def test_one_session_has_one_kind_of_transport(clients: list[RawRtsp], live: Publisher) -> None:
    set_up_multicast(clients[0])
    unicast = clients[0].ask("SETUP", "live/trackID=0", {"Transport": "RTP/AVP;unicast;client_port=5000-5001"})
    assert unicast.status == 461
    clients[1].set_up("live")
    assert clients[1].ask("SETUP", "live/trackID=0", MULTICAST).status == 461


def test_what_is_not_there_is_404(clients: list[RawRtsp], live: Publisher) -> None:
    assert clients[0].ask("SETUP", "nothing/trackID=0", MULTICAST).status == 404
    assert clients[0].ask("SETUP", "live/trackID=7", MULTICAST).status == 404


def test_the_description_is_that_of_unicast_and_names_the_source(
    server: ServerProcess, clients: list[RawRtsp], live: Publisher
) -> None:
    body = clients[0].ask("DESCRIBE", "live").body
    assert b"c=IN IP4 0.0.0.0\r\n" in body
    assert f"a=source-filter: incl IN IP4 * {server.host}\r\n".encode() in body
    assert all(medium.port == 0 for medium in SessionDescription.parse(body).media)


def test_clients_misled_by_a_source_filter_get_none(clients: list[RawRtsp], live: Publisher) -> None:
    for agent in (
        "openRTSP (LIVE555 Streaming Media v2023.01.19)",
        "LibVLC/3.0.18 (LIVE555 Streaming Media v2016.11.28)",
    ):
        body = clients[0].ask("DESCRIBE", "live", {"User-Agent": agent}).body
        assert b"source-filter" not in body


# Sharing


def test_sessions_of_a_stream_share_the_group_and_data_comes_once(clients: list[RawRtsp], live: Publisher) -> None:
    replies = [set_up_multicast(client) for client in clients]
    assert len({reply["Transport"] for reply in replies}) == 1
    assert len({reply.session for reply in replies}) == 3
    listener = listen(replies[0])
    for client in clients:
        assert client.ask("PLAY", "live").status == 200
    packets = listener.packets(60)
    assert without_gaps(packets)
    assert len({packet.ssrc for packet in packets}) == 1


def test_other_streams_have_other_groups_and_ports(
    server: ServerProcess, clients: list[RawRtsp], live: Publisher
) -> None:
    with publishing(server, "other"):
        first, second = set_up_multicast(clients[0]), set_up_multicast(clients[1], "other")
        assert first.parameters["destination"] != second.parameters["destination"]
        assert not set(first.pair("port")) & set(second.pair("port"))
        clients[1].ask("TEARDOWN", "other")
        clients[1].session = None


def test_sessions_that_come_at_the_same_moment_share_too(server: ServerProcess, live: Publisher) -> None:
    found = []

    def set_up() -> None:
        with RawRtsp.connect(server.host, server.port) as client:
            found.append(set_up_multicast(client, CLIP)["Transport"])
            barrier.wait()
            client.ask("TEARDOWN", CLIP)

    barrier = threading.Barrier(8)
    threads = [threading.Thread(target=set_up) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1


def test_a_stream_has_one_group_under_all_its_names(start_server: ServerFactory) -> None:
    server = start_server(config=f"{MULTICAST_ON}applications:\n  - name: mine\n")
    with (
        publishing(server, "mine/live"),
        RawRtsp.connect(server.host, server.port) as first,
        RawRtsp.connect(server.host, server.port) as second,
    ):
        assert (
            set_up_multicast(first, "mine/live").parameters["destination"]
            == (set_up_multicast(second, "live").parameters["destination"])
        )


def test_unicast_and_multicast_viewers_get_the_same_packets(clients: list[RawRtsp], live: Publisher) -> None:
    over_tcp, by_multicast, _ = clients
    listener = listen(set_up_multicast(by_multicast))
    assert by_multicast.ask("PLAY", "live").status == 200
    over_tcp.play("live")
    heard = {packet.sequence: packet.payload for packet in listener.packets(100)}
    read = {packet.sequence: packet.payload for packet in over_tcp.rtp(100)}
    common = heard.keys() & read.keys()
    assert len(common) > 50
    assert all(heard[sequence] == read[sequence] for sequence in common)


# Starting and stopping


def test_nothing_is_sent_before_the_first_play(clients: list[RawRtsp], live: Publisher) -> None:
    listener = listen(set_up_multicast(clients[0]))
    live.wait_for_frames(live.sent_frames + 10)
    assert listener.drain() == 0
    assert clients[0].ask("PLAY", "live").status == 200
    assert without_gaps(listener.packets(20))


def test_the_first_viewer_gets_a_keyframe_and_who_joins_hears_what_comes_next(
    clients: list[RawRtsp], live: Publisher
) -> None:
    listener = listen(set_up_multicast(clients[0]))
    reply = clients[0].ask("PLAY", "live")
    first = listener.packets(1)[0]
    assert f"seq={first.sequence};" in reply["RTP-Info"]
    assert first.payload[0] & 0x1F in (7, 24), "parameter sets"
    listener.packets(10)
    set_up_multicast(clients[1])
    listener.drain()
    joined = clients[1].ask("PLAY", "live")
    announced = int(joined["RTP-Info"].partition("seq=")[2].partition(";")[0])
    packets = listener.packets(20)
    assert without_gaps(packets), "nothing is sent again for who comes later"
    assert (announced - packets[0].sequence) & 0xFFFF < 20


def test_it_goes_on_until_the_last_session_ends(clients: list[RawRtsp], live: Publisher) -> None:
    replies = [set_up_multicast(client) for client in clients]
    listener = listen(replies[0])
    for client in clients:
        assert client.ask("PLAY", "live").status == 200
    packets = listener.packets(10)
    for client in clients[:2]:  # the one who began it among them
        assert client.ask("TEARDOWN", "live").status == 200
        client.session = None
        packets += listener.packets(30)
    assert without_gaps(packets)
    assert clients[2].ask("TEARDOWN", "live").status == 200
    clients[2].session = None
    listener.goodbye()
    listener.falls_silent()


def test_pause_of_one_does_not_stop_the_others(clients: list[RawRtsp], live: Publisher) -> None:
    first, second, _ = clients
    listener = listen(set_up_multicast(first))
    set_up_multicast(second)
    for client in (first, second):
        assert client.ask("PLAY", "live").status == 200
    packets = listener.packets(10)
    assert first.ask("PAUSE", "live").status == 200
    packets += listener.packets(30)
    assert second.ask("PAUSE", "live").status == 200
    listener.falls_silent()
    assert without_gaps(packets)
    assert first.ask("PLAY", "live").status == 200
    listener.packets(20)


def test_the_end_of_the_stream_ends_all_sessions(server: ServerProcess, clients: list[RawRtsp]) -> None:
    with publishing(server, "short") as publisher:
        listener = listen(set_up_multicast(clients[0], "short"))
        set_up_multicast(clients[1], "short")
        for client in clients[:2]:
            assert client.ask("PLAY", "short").status == 200
        listener.packets(5)
        publisher.teardown()
    listener.goodbye()
    for client in clients[:2]:
        assert client.ask("GET_PARAMETER", "short").status == 454
        client.session = None


def test_groups_and_ports_are_given_back(server: ServerProcess, clients: list[RawRtsp], live: Publisher) -> None:
    def once() -> str:
        transport = set_up_multicast(clients[0])
        assert clients[0].ask("TEARDOWN", "live").status == 200
        clients[0].session = None
        assert transport.pair("port")[0] < server.udp_base + UDP_BLOCK
        return transport.parameters["destination"]

    once()
    before = server.descriptors
    assert len({once() for _ in range(30)}) > 25, "each time another address"
    assert server.descriptors <= before


def test_a_track_is_sent_while_somebody_has_set_it_up(server: ServerProcess, clients: list[RawRtsp]) -> None:
    both, picture, _ = clients
    set_up_multicast(picture, CLIP)
    listener = listen(set_up_multicast(both, CLIP))
    sound = listen(set_up_multicast(both, CLIP, 1))
    for client in (picture, both):
        assert client.ask("PLAY", CLIP).status == 200
    sound.packets(10)
    assert both.ask("TEARDOWN", CLIP).status == 200
    both.session = None
    sound.falls_silent()
    listener.drain()
    listener.packets(10)


def test_a_track_set_up_while_others_play_comes_too(clients: list[RawRtsp]) -> None:
    picture, both, _ = clients
    set_up_multicast(picture, CLIP)
    assert picture.ask("PLAY", CLIP).status == 200
    set_up_multicast(both, CLIP)
    sound = listen(set_up_multicast(both, CLIP, 1))
    assert both.ask("PLAY", CLIP).status == 200
    sound.packets(10)


# On the wire


def test_it_goes_out_by_the_interface_of_the_request_with_the_time_to_live_that_is_set(
    server: ServerProcess, clients: list[RawRtsp], live: Publisher
) -> None:
    reply = set_up_multicast(clients[0])
    listener = listen(reply)
    assert clients[0].ask("PLAY", "live").status == 200
    heard = listener.hear()
    assert heard.sender == (server.host, reply.pair("port")[0])
    assert heard.ttl == 5
    assert heard.interface == socket.if_nametoindex("lo")


def test_reports_come_to_the_second_port(server: ServerProcess, clients: list[RawRtsp], live: Publisher) -> None:
    reply = set_up_multicast(clients[0])
    listener = listen(reply)
    live.wait_for_frames(3)
    assert clients[0].ask("PLAY", "live").status == 200
    data, sender = listener.rtcp.recvfrom(2048)
    assert sender == (server.host, reply.pair("port")[1])
    assert isinstance(parse_compound(data)[0], SenderReport)


def test_metadata_comes_at_ports_of_its_own(clients: list[RawRtsp], live: Publisher) -> None:
    first, second, _ = clients
    picture = set_up_multicast(first)
    reply = set_up_multicast(first, track="metadata")
    assert reply.parameters["destination"] == picture.parameters["destination"]
    assert not set(reply.pair("port")) & set(picture.pair("port"))
    set_up_multicast(second)
    assert set_up_multicast(second, track="metadata")["Transport"] == reply["Transport"]
    documents = listen(reply)
    for client in (first, second):
        assert client.ask("PLAY", "live").status == 200
    assert b"MetadataStream" in documents.packets(1)[0].payload
    assert first.ask("TEARDOWN", "live").status == 200
    first.session = None
    documents.drain()
    assert without_gaps(documents.packets(2))


# Files


def npt_of(header: str) -> float:
    return float(header.removeprefix("npt=").partition("-")[0])


def test_a_file_is_one_playback_that_later_viewers_do_not_disturb(clients: list[RawRtsp]) -> None:
    first, second, _ = clients
    listener = listen(set_up_multicast(first, CLIP))
    set_up_multicast(second, CLIP)
    assert npt_of(first.ask("PLAY", CLIP, {"Range": "npt=0-"})["Range"]) == 0
    packets = listener.packets(20)
    reply = second.ask("PLAY", CLIP, {"Range": "npt=7-", "Scale": "4"})
    assert reply.status == 200
    assert 0 < npt_of(reply["Range"]) < 5, "where it is, not where it was wished to be"
    assert float(reply["Scale"]) == 1
    packets += listener.packets(60)
    assert without_gaps(packets)
    assert all(0 <= (b.timestamp - a.timestamp + 90_000) & 0xFFFFFFFF < 180_000 for a, b in pairwise(packets))


def test_who_plays_a_file_alone_can_seek_and_pause(clients: list[RawRtsp]) -> None:
    first, second, _ = clients
    listener = listen(set_up_multicast(first, CLIP))
    set_up_multicast(second, CLIP)
    assert first.ask("PLAY", CLIP).status == 200
    listener.packets(5)
    assert npt_of(first.ask("PLAY", CLIP, {"Range": "npt=6-"})["Range"]) > 4
    paused = npt_of(first.ask("PAUSE", CLIP)["Range"])
    listener.falls_silent()
    assert npt_of(second.ask("PLAY", CLIP)["Range"]) == pytest.approx(paused, abs=0.2)
    listener.packets(5)


def test_a_bad_range_of_the_first_is_refused_and_leaves_nothing_behind(clients: list[RawRtsp]) -> None:
    first, second, _ = clients
    listener = listen(set_up_multicast(first, CLIP))
    set_up_multicast(second, CLIP)
    assert first.ask("PLAY", CLIP, {"Range": "npt=1000-"}).status == 457
    assert npt_of(second.ask("PLAY", CLIP, {"Range": "npt=4-"})["Range"]) > 2
    listener.packets(5)


def test_at_the_end_of_a_file_all_are_told_and_it_can_be_played_again(clients: list[RawRtsp]) -> None:
    first, second, _ = clients
    listener = listen(set_up_multicast(first, CLIP))
    set_up_multicast(second, CLIP)
    assert first.ask("PLAY", CLIP, {"Range": "npt=9-"}).status == 200
    assert second.ask("PLAY", CLIP).status == 200
    listener.goodbye()
    listener.falls_silent()
    assert npt_of(second.ask("PLAY", CLIP)["Range"]) == 0
    listener.packets(10)


# Signs of life


async def playing(server: InProcess, client: RawRtsp) -> tuple[str, int]:
    reply = await blocking(set_up_multicast, client)
    assert (await blocking(client.ask, "PLAY", "live")).status == 200
    return reply.parameters["destination"], reply.pair("port")[1]


async def test_a_session_whose_client_is_gone_is_reclaimed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(play, "RECLAIM_TIMEOUT_S", SHORT_S)
    async with serving(multicast=True) as server:
        await server.publish()
        client = await server.connect()
        await playing(server, client)
        assert len(server.sessions) == 2
        client.close()
        await until(lambda: len(server.sessions) == 1, "the viewer's session is ended")
        assert not len(server.rtsp.context.multicast)


@pytest.mark.parametrize("by_group", [True, False])
async def test_reports_to_the_group_or_to_the_server_keep_a_session(
    monkeypatch: pytest.MonkeyPatch, by_group: bool
) -> None:
    monkeypatch.setattr(play, "RECLAIM_TIMEOUT_S", SHORT_S)
    async with serving(multicast=True) as server:
        await server.publish()
        client = await server.connect()
        group, port = await playing(server, client)
        client.close()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(HOST))
            session = next(session for session in server.sessions.values() if not session.publishing)
            assert isinstance(session, play.PlaySession)
            opened_s = session.signs.last_s

            def newer(than_s: float) -> bool:
                return session.signs.last_s > than_s

            for data in (REPORT, b"", b"rubbish", REPORT[:-1], b"\xff" * 1400):
                sock.sendto(data, (group if by_group else HOST, port))
            while session.signs.last_s - opened_s < 2.5 * SHORT_S:
                before_s = session.signs.last_s
                sock.sendto(REPORT, (group if by_group else HOST, port))
                await until(partial(newer, before_s), "the report is taken")
            assert session.id in server.sessions
        await until(lambda: session.id not in server.sessions, "without reports it is ended")


@pytest.mark.parametrize("by_group", [True, False])
async def test_who_asks_for_a_keyframe_gets_one_for_the_group(by_group: bool) -> None:
    async with serving(multicast=True) as server:
        server.hub.offer("live", small_demo, "test")
        client = await server.connect()
        reply = await blocking(set_up_multicast, client)
        listener = listen(reply)
        assert (await blocking(client.ask, "PLAY", "live")).status == 200
        to = (listener.group if by_group else HOST, listener.ports[1])

        def received() -> Iterator[RtpPacket]:
            while True:
                yield from listener.packets(1)

        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(HOST))
            await blocking(wait_for_soon_keyframe, received(), lambda data: sock.sendto(data, to), picture_loss)


async def test_our_own_reports_are_no_sign_of_life(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(play, "RECLAIM_TIMEOUT_S", SHORT_S)
    monkeypatch.setattr("manycast.hub.rtp_packager.REPORT_INTERVAL_S", 0.05)
    async with serving(multicast=True) as server:
        publisher = await server.publish()
        await blocking(publisher.send_frame)
        client = await server.connect()
        reply = await blocking(set_up_multicast, client)
        listener = listen(reply)
        assert (await blocking(client.ask, "PLAY", "live")).status == 200
        client.close()
        await blocking(listener.rtcp.recv, 2048)
        await until(lambda: len(server.sessions) == 1, "the viewer's session is ended")


def test_a_multicast_session_outlives_its_connection(server: ServerProcess, live: Publisher) -> None:
    with RawRtsp.connect(server.host, server.port) as first, RawRtsp.connect(server.host, server.port) as second:
        listener = listen(set_up_multicast(first))
        assert first.ask("PLAY", "live").status == 200
        first.close()
        listener.packets(30)
        second.session = first.session
        assert second.ask("TEARDOWN", "live").status == 200
        listener.falls_silent()


def test_a_server_that_stops_says_goodbye(start_server: ServerFactory) -> None:
    server = start_server(config=MULTICAST_ON)
    with RawRtsp.connect(server.host, server.port) as client:
        listener = listen(set_up_multicast(client, CLIP))
        assert client.ask("PLAY", CLIP).status == 200
        listener.packets(5)
        server.stop()
        listener.goodbye()


def test_multicast_is_no_longer_named_as_missing(start_server: ServerFactory) -> None:
    server = start_server(config=MULTICAST_ON)
    wait_until(lambda: server.output, "it says where it listens")
    assert "not available" not in server.output + server.log
