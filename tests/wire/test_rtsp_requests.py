"""Methods, status codes and headers of the RTSP server, as bytes on the wire."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import pytest
from support.clips import make_clip
from support.publishing import Publisher, sdp_of
from support.rtsp import RawRtsp, Reply
from support.server import ServerFactory, ServerProcess

from manycast import __version__
from manycast.wire.sdp import SessionDescription

TCP = {"Transport": "RTP/AVP/TCP;unicast;interleaved=0-1"}
TEN_METHODS = {
    "DESCRIBE",
    "SETUP",
    "PLAY",
    "PAUSE",
    "OPTIONS",
    "TEARDOWN",
    "GET_PARAMETER",
    "SET_PARAMETER",
    "ANNOUNCE",
    "RECORD",
}


@pytest.mark.parametrize("name", ["*", "live", "nothing-of-this-name", ""])
def test_options_names_all_ten_methods(client: RawRtsp, live: Publisher, name: str) -> None:
    reply = client.ask("OPTIONS", name)
    assert reply.status == 200
    assert {method.strip() for method in reply["Public"].split(",")} == TEN_METHODS


def test_every_reply_has_cseq_server_and_date(client: RawRtsp) -> None:
    for method, status in (("OPTIONS", 200), ("DESCRIBE", 404), ("BREW", 501)):
        reply = client.ask(method, "x")
        assert reply.status == status
        assert reply["Server"] == f"manycast/{__version__}"
        date = reply["Date"]
        assert re.fullmatch(r"\w{3}, \d{2} \w{3} \d{4} \d{2}:\d{2}:\d{2} GMT", date)
        assert abs(parsedate_to_datetime(date) - datetime.now(UTC)) < timedelta(seconds=10)


@pytest.mark.parametrize("spelling", ["CSeq", "Cseq", "cseq", "CSEQ"])
def test_cseq_is_echoed_however_it_is_written(client: RawRtsp, spelling: str) -> None:
    client.sock.sendall(f"OPTIONS * RTSP/1.0\r\n{spelling}: 4711\r\n\r\n".encode())
    assert client.reply()["CSeq"] == "4711"


@pytest.mark.parametrize("header", ["", "CSeq: abc\r\n", "CSeq: -1\r\n", "CSeq:\r\n", "CSeq: 99999999999999999999\r\n"])
def test_a_request_without_a_usable_cseq_gets_400(client: RawRtsp, header: str) -> None:
    client.sock.sendall(f"OPTIONS * RTSP/1.0\r\n{header}\r\n".encode())
    assert client.reply().status == 400
    assert client.ask("OPTIONS", "*").status == 200  # where the next request begins is known


def test_a_cseq_that_jumps_or_repeats_is_answered_all_the_same(client: RawRtsp) -> None:
    for cseq in ("7", "7", "3", "1000000"):
        assert client.ask("OPTIONS", "*", {"CSeq": cseq})["CSeq"] == cseq


def test_describe_tells_of_each_medium_with_its_own_control(client: RawRtsp, live: Publisher) -> None:
    reply = client.ask("DESCRIBE", "live", {"Accept": "application/sdp"})
    assert reply.status == 200
    assert reply["Content-Type"] == "application/sdp"
    assert int(reply["Content-Length"]) == len(reply.body)
    assert reply["Content-Base"] == f"{client.base}/live/"
    description = SessionDescription.parse(reply.body)
    (media,) = description.media
    assert media.kind == "video"
    assert media.control == "trackID=0"
    (rtpmap,) = media.rtpmaps.values()
    assert (rtpmap.encoding_name, rtpmap.clock_rate_hz) == ("H264", 90_000)
    assert rtpmap.fmtp["packetization-mode"] == "1"
    lines = reply.body.decode().split("\r\n")
    assert lines[0] == "v=0"
    assert re.fullmatch(r"o=\S+ \d+ \d+ IN IP4 127\.0\.0\.1", lines[1])
    assert "t=0 0" in lines


@pytest.mark.parametrize("accept", ["", "application/sdp", "*/*", "application/*", "text/html, application/sdp;q=0.5"])
def test_describe_accepts_what_includes_sdp(client: RawRtsp, live: Publisher, accept: str) -> None:
    assert client.ask("DESCRIBE", "live", {"Accept": accept}).status == 200


def test_describe_of_what_is_not_there_is_404(client: RawRtsp) -> None:
    assert client.ask("DESCRIBE", "nothing-of-this-name").status == 404


def test_describe_in_another_language_than_sdp_is_406(client: RawRtsp, live: Publisher) -> None:
    assert client.ask("DESCRIBE", "live", {"Accept": "application/rtsl"}).status == 406


def test_set_up_of_what_is_not_there_is_404(client: RawRtsp, live: Publisher) -> None:
    assert client.ask("SETUP", "nothing-of-this-name/trackID=0", TCP).status == 404
    assert client.ask("SETUP", "live/trackID=9", TCP).status == 404


def test_set_up_opens_a_session_of_sixty_seconds(client: RawRtsp, live: Publisher) -> None:
    reply = client.ask("SETUP", "live/trackID=0", TCP)
    assert reply.status == 200
    session, _, parameters = reply["Session"].partition(";")
    assert parameters == "timeout=60"
    assert re.fullmatch(r"[0-9A-Za-z]{16,}", session)
    assert reply.parameters["interleaved"] == "0-1"
    assert reply["Transport"].startswith("RTP/AVP/TCP;unicast")


def test_session_ids_cannot_be_guessed(client: RawRtsp, live: Publisher) -> None:
    ids = {client.ask("SETUP", "live/trackID=0", {"Transport": "RTP/AVP/TCP"}).session for _ in range(20)}
    assert len(ids) == 20
    assert len({session_id[:4] for session_id in ids}) > 10


@pytest.mark.parametrize(
    "transport",
    [
        "RTP/AVP;multicast",
        "RTP/AVP/UDP;unicast",  # where to?
        "RTP/SAVP;unicast;client_port=5000-5001",
        "RAW/RAW/UDP;unicast;client_port=5000-5001",
        "RTP/AVP;unicast;client_port=0-0",
        "RTP/AVP;unicast;client_port=70000-70001",
        "RTP/AVP;unicast;client_port=-5",
        "RTP/AVP/TCP;unicast;interleaved=256-257",
        "garbage",
        ";;;",
    ],
)
def test_a_transport_that_cannot_be_given_is_461(client: RawRtsp, live: Publisher, transport: str) -> None:
    assert client.ask("SETUP", "live/trackID=0", {"Transport": transport}).status == 461
    assert client.ask("OPTIONS", "*").status == 200


def test_set_up_without_a_transport_is_461(client: RawRtsp, live: Publisher) -> None:
    assert client.ask("SETUP", "live/trackID=0").status == 461


def test_the_first_transport_that_can_be_given_is_taken(client: RawRtsp, live: Publisher) -> None:
    alternatives = "RTP/SAVP;unicast;client_port=4000-4001,RTP/AVP;multicast,RTP/AVP/TCP;unicast;interleaved=6-7"
    reply = client.ask("SETUP", "live/trackID=0", {"Transport": alternatives})
    assert reply.status == 200
    assert reply["Transport"].startswith("RTP/AVP/TCP;")
    assert reply.pair("interleaved") == (6, 7)


def test_play_answers_with_range_and_rtp_info_before_any_packet(client: RawRtsp, live: Publisher) -> None:
    live.wait_for_frames(12)
    client.set_up("live")
    client.send("PLAY", "live", {"Range": "npt=0.000-"})
    reply = client.next_item()
    assert isinstance(reply, Reply)
    assert reply.status == 200
    assert reply["Range"].startswith("npt=")
    info = dict(part.split("=", 1) for part in reply["RTP-Info"].split(";"))
    assert info["url"] == client.url("live/trackID=0")
    (first,) = client.rtp(1)
    assert first.sequence == int(info["seq"])
    assert first.timestamp == int(info["rtptime"])


def test_a_viewer_starts_with_parameter_sets_and_a_keyframe(client: RawRtsp, live: Publisher) -> None:
    live.wait_for_frames(15)  # in the middle of a group of pictures
    client.play("live")
    (first,) = client.rtp(1)
    kind = first.payload[0] & 0x1F
    assert kind in (7, 24), "SPS alone, or first in an aggregate"


def test_play_without_a_session_is_refused(client: RawRtsp, live: Publisher) -> None:
    assert client.ask("PLAY", "live").status == 454
    assert client.ask("PAUSE", "live").status == 454
    assert client.ask("RECORD", "live").status == 454
    assert client.ask("TEARDOWN", "live").status == 454


@pytest.mark.parametrize("method", ["SETUP", "PLAY", "PAUSE", "TEARDOWN", "RECORD", "GET_PARAMETER", "SET_PARAMETER"])
@pytest.mark.parametrize("session", ["0123456789abcdef", "x" * 200, "../../etc"])
def test_an_unknown_session_is_454(client: RawRtsp, live: Publisher, method: str, session: str) -> None:
    reply = client.ask(method, "live/trackID=0" if method == "SETUP" else "live", {"Session": session} | TCP)
    assert reply.status == 454


def test_set_up_after_play_is_455_and_playing_goes_on(client: RawRtsp, live: Publisher) -> None:
    client.play("live")
    reply = client.ask("SETUP", "live/trackID=0", TCP)
    assert reply.status == 455
    assert "TEARDOWN" in reply["Allow"]
    client.packets.clear()
    client.rtp(5)


def test_record_of_a_playing_session_is_455(client: RawRtsp, live: Publisher) -> None:
    client.set_up("live")
    assert client.ask("RECORD", "live").status == 455


@pytest.mark.parametrize("method", ["DESCRIBE", "SETUP", "PLAY", "PAUSE", "ANNOUNCE", "RECORD"])
def test_the_server_as_a_whole_cannot_be_played_or_published(client: RawRtsp, method: str) -> None:
    reply = client.ask(method, "*", TCP)
    assert reply.status in (405, 454, 455)
    if reply.status == 405:
        assert "OPTIONS" in reply["Allow"]


@pytest.mark.parametrize("method", ["BREW", "play", "DESCRIBES", "REDIRECT", "X" * 500])
def test_an_unknown_method_is_501(client: RawRtsp, live: Publisher, method: str) -> None:
    assert client.ask(method, "live").status == 501
    assert client.ask("OPTIONS", "*").status == 200


@pytest.mark.parametrize("version", ["RTSP/2.0", "RTSP/0.9", "RTSP/1.1", "RTSP/99999"])
def test_another_version_is_505(client: RawRtsp, version: str) -> None:
    client.sock.sendall(f"OPTIONS * {version}\r\nCSeq: 1\r\n\r\n".encode())
    assert client.reply().status == 505


@pytest.mark.parametrize("header", ["Require", "Proxy-Require"])
def test_an_unknown_required_option_is_551_and_named(client: RawRtsp, live: Publisher, header: str) -> None:
    reply = client.ask("DESCRIBE", "live", {header: "funky-feature"})
    assert reply.status == 551
    assert reply["Unsupported"] == "funky-feature"


def test_get_parameter_without_a_body_keeps_alive(client: RawRtsp, live: Publisher) -> None:
    assert client.ask("GET_PARAMETER", "*").status == 200
    client.set_up("live")
    reply = client.ask("GET_PARAMETER", "live")
    assert reply.status == 200
    assert reply.session == client.session


def test_get_parameter_answers_what_it_knows(client: RawRtsp, live: Publisher) -> None:
    client.play("live")
    client.rtp(3)
    reply = client.ask("GET_PARAMETER", "live", {"Content-Type": "text/parameters"}, b"frames_sent\r\n")
    assert reply.status == 200
    assert re.fullmatch(rb"frames_sent: [1-9]\d*\r\n", reply.body)


def test_an_unknown_parameter_is_451(client: RawRtsp, live: Publisher) -> None:
    client.set_up("live")
    headers = {"Content-Type": "text/parameters"}
    for method, body in ("GET_PARAMETER", b"colour\r\n"), ("SET_PARAMETER", b"colour: green\r\n"):
        reply = client.ask(method, "live", headers, body)
        assert (reply.status, reply["Content-Type"], reply.body) == (451, "text/parameters", b"colour\r\n")
    assert client.ask("SET_PARAMETER", "live").status == 200


def test_one_track_of_several_cannot_be_played_alone(client: RawRtsp, server: ServerProcess) -> None:
    sdp = _two_tracks()
    with RawRtsp.connect(server.host, server.port) as publisher:
        assert publisher.publish("two", sdp, controls=["trackID=0", "trackID=1"]).status == 200
        assert client.ask("SETUP", "two", TCP).status == 459
        client.set_up("two", tracks=(0, 1))
        assert client.ask("PLAY", "two/trackID=1").status == 460
        assert client.ask("PAUSE", "two/trackID=1").status == 460
        assert client.ask("PLAY", "two").status == 200


def test_pause_stops_and_play_goes_on(client: RawRtsp, live: Publisher) -> None:
    client.play("live")
    client.rtp(3)
    assert client.ask("PAUSE", "live").status == 200
    client.packets.clear()
    sent = live.sent_frames
    live.wait_for_frames(sent + 10)
    assert client.ask("GET_PARAMETER", "live").status == 200
    assert not [packet for packet in client.packets if packet.is_rtp], "nothing comes while it is paused"
    assert client.ask("PLAY", "live").status == 200
    client.rtp(3)


def test_pause_and_play_may_come_twice(client: RawRtsp, live: Publisher) -> None:
    client.play("live")
    assert client.ask("PLAY", "live").status == 200
    assert client.ask("PAUSE", "live").status == 200
    assert client.ask("PAUSE", "live").status == 200


def test_teardown_ends_the_session_and_the_connection_lives_on(client: RawRtsp, live: Publisher) -> None:
    client.play("live")
    old = client.session
    assert client.ask("TEARDOWN", "live").status == 200
    assert client.ask("PLAY", "live").status == 454
    client.session = None
    client.packets.clear()
    client.play("live")
    assert client.session != old
    client.rtp(3)


def test_pipelined_requests_are_answered_in_order(client: RawRtsp, live: Publisher) -> None:
    requests = [
        client.bytes_of("OPTIONS", "*"),
        client.bytes_of("DESCRIBE", "live"),
        client.bytes_of("DESCRIBE", "nothing-of-this-name"),
        client.bytes_of("SETUP", "live/trackID=0", TCP),
        client.bytes_of("GET_PARAMETER", "*"),
        client.bytes_of("BREW", "live"),
    ]
    client.sock.sendall(b"".join(requests))
    replies = [client.reply() for _ in requests]
    assert [reply["CSeq"] for reply in replies] == ["1", "2", "3", "4", "5", "6"]
    assert [reply.status for reply in replies] == [200, 200, 404, 200, 200, 501]


def test_many_pipelined_requests_are_all_answered(client: RawRtsp) -> None:
    count = 1000
    client.sock.sendall(b"".join(client.bytes_of("OPTIONS", "*") for _ in range(count)))
    assert [client.reply()["CSeq"] for _ in range(count)] == [str(number + 1) for number in range(count)]


def test_requests_may_arrive_byte_by_byte(client: RawRtsp, live: Publisher) -> None:
    for request, status in (
        (client.bytes_of("DESCRIBE", "live"), 200),
        (client.bytes_of("SETUP", "live/trackID=0", TCP), 200),
        (client.bytes_of("SET_PARAMETER", "live", {"Content-Type": "text/parameters"}, b"a: b\r\n"), 451),
    ):
        for position in range(len(request)):
            client.sock.sendall(request[position : position + 1])
        assert client.reply().status == status


def test_a_request_may_be_cut_at_every_place(client: RawRtsp, live: Publisher) -> None:
    size = len(client.bytes_of("DESCRIBE", "live"))
    for cut in range(1, size):
        request = client.bytes_of("DESCRIBE", "live")
        client.sock.sendall(request[:cut])
        client.sock.sendall(request[cut:])
        assert client.reply().status == 200


def test_lines_may_end_in_lf_alone(client: RawRtsp) -> None:
    client.sock.sendall(b"OPTIONS * RTSP/1.0\nCSeq: 1\n\n")
    assert client.reply().status == 200


def test_a_query_and_appended_parameters_do_not_hide_the_stream(client: RawRtsp, live: Publisher) -> None:
    assert client.ask("DESCRIBE", "live?token=1").status == 200
    assert client.ask("DESCRIBE", "live&t=unicast&p=udp").status == 200
    assert client.ask("DESCRIBE", "li%76e").status == 200
    assert client.ask("DESCRIBE", "live/").status == 200


@pytest.mark.parametrize("content_type", ["text/plain", "application/octet-stream", "application/sdpx"])
def test_an_announcement_that_is_no_sdp_is_415(client: RawRtsp, content_type: str) -> None:
    assert client.ask("ANNOUNCE", "x", {"Content-Type": content_type}, sdp_of(make_clip())).status == 415


@pytest.mark.parametrize("name", ["Content-type", "content-type", "CONTENT-TYPE"])
def test_content_type_may_be_written_in_any_way(client: RawRtsp, name: str) -> None:
    assert client.ask("ANNOUNCE", "x", {name: "Application/SDP"}, sdp_of(make_clip())).status == 200


def test_an_announcement_of_nothing_that_can_be_carried_is_415(client: RawRtsp) -> None:
    sdp = b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=video 0 RTP/AVP 97\r\n"
    assert client.ask("ANNOUNCE", "x", {"Content-Type": "application/sdp"}, sdp).status == 415


def test_over_the_limit_of_sessions_is_453(start_server: ServerFactory) -> None:
    server = start_server(config="limits:\n  max_sessions: 3\nrtsp:\n  udp_base_port: UDP_BASE\n")
    with RawRtsp.connect(server.host, server.port) as publisher, RawRtsp.connect(server.host, server.port) as client:
        assert publisher.publish("live", sdp_of(make_clip()), controls=["streamid=0"]).status == 200
        sessions = [client.ask("SETUP", "live/trackID=0", {"Transport": "RTP/AVP/TCP"}) for _ in range(3)]
        assert [reply.status for reply in sessions] == [200, 200, 453]
        assert client.ask("TEARDOWN", "live", {"Session": sessions[0].session}).status == 200
        assert client.ask("SETUP", "live/trackID=0", {"Transport": "RTP/AVP/TCP"}).status == 200


def _two_tracks() -> bytes:
    video = sdp_of(make_clip(), control="trackID=0")
    return video + b"m=audio 0 RTP/AVP 8\r\na=rtpmap:8 PCMA/8000\r\na=control:trackID=1\r\n"
