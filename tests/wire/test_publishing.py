"""Publishing by RTSP: who may, what viewers are told, what becomes of packets that are lost or out of order."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterable
from itertools import pairwise

import pytest
from support.clips import Clip, make_clip, slices
from support.publishing import CONTROL, Publisher, open_publisher, publishing, sdp_of, sender_of
from support.rtsp import HungUp, Interleaved, RawRtsp
from support.server import ServerProcess
from support.waiting import wait_until
from support.watching import undisturbed

from manycast.media.nal import split_annex_b
from manycast.wire.rtp.formats import format_for_codec
from manycast.wire.rtp.rtcp import Goodbye, parse_compound

SDP = {"Content-Type": "application/sdp"}


def said_goodbye(items: Iterable[object]) -> bool:
    return any(
        isinstance(packet, Goodbye)
        for item in items
        if isinstance(item, Interleaved) and not item.is_rtp
        for packet in parse_compound(item.payload)
    )


def test_the_exchange_of_an_ordinary_publisher(client: RawRtsp) -> None:
    assert client.ask("OPTIONS", "pushed").status == 200
    assert client.ask("ANNOUNCE", "pushed", SDP, sdp_of(make_clip(), control="realvideo")).status == 200
    # Without mode=record: the announcement has said that this is a push.
    transport = {"Transport": "RTP/AVP/TCP;unicast;interleaved=0-1"}
    reply = client.ask("SETUP", "pushed/realvideo", transport)
    assert reply.status == 200
    assert reply.pair("interleaved") == (0, 1)
    client.session = reply.session
    reply = client.ask("RECORD", "pushed", {"Range": "npt=0.000-"})
    assert reply.status == 200
    assert reply.session == client.session
    assert client.ask("TEARDOWN", "pushed").status == 200


@pytest.mark.parametrize("name", ["a", "myapp/live", "deep/er/path", "with%20space", "%C3%BCml%C3%A4ut", "a+b", "x&y"])
def test_any_legal_path_can_be_published_to(server: ServerProcess, client: RawRtsp, name: str) -> None:
    with publishing(server, name):
        client.play(name)
        packets = client.rtp(3)
        assert [b.sequence - a.sequence & 0xFFFF for a, b in pairwise(packets)] == [1, 1]


@pytest.mark.parametrize("name", ["", "../up", "a/../../b", "%2e%2e/x", "a%00b"])
def test_other_paths_cannot(client: RawRtsp, name: str) -> None:
    assert client.ask("ANNOUNCE", name, SDP, sdp_of(make_clip())).status in (400, 403, 404)


def test_a_second_publisher_is_refused_and_the_first_goes_on(server: ServerProcess, live: Publisher) -> None:
    with undisturbed(server), RawRtsp.connect(server.host, server.port) as second:
        assert second.ask("ANNOUNCE", "live", SDP, sdp_of(make_clip())).status == 403


def test_of_two_who_announced_one_records(server: ServerProcess) -> None:
    with RawRtsp.connect(server.host, server.port) as first, RawRtsp.connect(server.host, server.port) as second:
        for client in (first, second):
            assert client.ask("ANNOUNCE", "both", SDP, sdp_of(make_clip())).status == 200
            reply = client.ask("SETUP", f"both/{CONTROL}", {"Transport": "RTP/AVP/TCP;unicast;interleaved=0-1"})
            client.session = reply.session
        assert first.ask("RECORD", "both").status == 200
        assert second.ask("RECORD", "both").status == 403


@pytest.mark.parametrize("udp", [False, True], ids=["tcp", "udp"])
@pytest.mark.parametrize("way", ["teardown", "hang up"])
def test_when_the_publisher_goes_viewers_are_told_and_the_path_is_free(
    server: ServerProcess, client: RawRtsp, udp: bool, way: str
) -> None:
    publisher = open_publisher(server.host, server.port, "coming-and-going", udp=udp)
    publisher.start()
    client.play("coming-and-going")
    before = client.rtp(5)
    if way == "teardown":
        publisher.teardown()
    publisher.stop()
    publisher.rtsp.close()
    while not said_goodbye([client.packet()]):
        pass
    with publishing(server, "coming-and-going"), RawRtsp.connect(server.host, server.port) as next_client:
        next_client.play("coming-and-going")
        assert next_client.rtp(5)[0].ssrc != before[0].ssrc, "it is another stream"
    if publisher.rtp_socket is not None:
        publisher.rtp_socket.close()


def test_a_viewer_who_comes_before_the_publisher_gets_404_and_may_come_again(
    server: ServerProcess, client: RawRtsp
) -> None:
    assert client.ask("DESCRIBE", "later").status == 404
    assert client.ask("SETUP", "later/trackID=0", {"Transport": "RTP/AVP/TCP"}).status == 404
    with publishing(server, "later"):
        client.play("later")
        client.rtp(3)


def test_a_viewer_who_stays_connected_after_the_end_is_not_leaked(server: ServerProcess, client: RawRtsp) -> None:
    for _ in range(3):
        client.session = None
        with publishing(server, "short-lived") as publisher:
            client.play("short-lived")
            client.rtp(3)
            publisher.teardown()
            wait_until(lambda: client.ask("GET_PARAMETER", "x").status == 454, "the viewer's session has ended")


def test_announced_but_never_recorded_leaves_the_path_free(server: ServerProcess) -> None:
    with RawRtsp.connect(server.host, server.port) as idle:
        assert idle.ask("ANNOUNCE", "undecided", SDP, sdp_of(make_clip())).status == 200
        with publishing(server, "undecided"):
            pass


def test_a_publisher_may_pause_and_go_on(server: ServerProcess, client: RawRtsp) -> None:
    publisher = open_publisher(server.host, server.port, "pausing")
    publisher.start()
    client.play("pausing")
    client.rtp(5)
    publisher.stop()
    assert publisher.rtsp.ask("PAUSE", "pausing").status == 200
    assert publisher.rtsp.ask("RECORD", "pausing").status == 200
    publisher.start()
    client.packets.clear()
    client.rtp(30)
    publisher.teardown()
    publisher.rtsp.close()


def test_record_may_be_asked_for_twice(server: ServerProcess) -> None:
    with publishing(server, "twice") as publisher:
        publisher.stop()
        assert publisher.rtsp.ask("RECORD", "twice").status == 200


def test_set_up_while_recording_is_455(server: ServerProcess) -> None:
    with publishing(server, "busy") as publisher:
        publisher.stop()
        reply = publisher.rtsp.ask("SETUP", f"busy/{CONTROL}", {"Transport": "RTP/AVP/TCP;interleaved=2-3"})
        assert reply.status == 455


def test_play_of_a_publishing_session_is_refused(server: ServerProcess) -> None:
    with publishing(server, "mine") as publisher:
        publisher.stop()
        assert publisher.rtsp.ask("PLAY", "mine").status in (455, 456)


def test_set_up_of_a_control_nobody_announced_is_404(client: RawRtsp) -> None:
    assert client.ask("ANNOUNCE", "odd", SDP, sdp_of(make_clip())).status == 200
    assert client.ask("SETUP", "odd/streamid=7", {"Transport": "RTP/AVP/TCP;interleaved=0-1"}).status == 404


def test_data_before_record_is_passed_over(server: ServerProcess, client: RawRtsp) -> None:
    publisher = open_publisher(server.host, server.port, "early")
    with RawRtsp.connect(server.host, server.port) as early:
        assert early.ask("ANNOUNCE", "early2", SDP, sdp_of(make_clip())).status == 200
        reply = early.ask("SETUP", f"early2/{CONTROL}", {"Transport": "RTP/AVP/TCP;interleaved=0-1"})
        early.session = reply.session
        for packet in publisher.sender.packets(make_clip().frame(0)):
            early.send_interleaved(0, packet)
        assert early.ask("RECORD", "early2").status == 200
    publisher.rtsp.close()


@pytest.mark.parametrize(
    "body",
    [
        b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n",  # no media
        b"",
        b"garbage",
        b"\xff\xfe\x00",
        b"v=0\r\nm=video\r\n",
        b"m=video 0 RTP/AVP 96\r\n" * 1000,
    ],
)
def test_an_announcement_without_usable_media_is_refused(client: RawRtsp, body: bytes) -> None:
    headers = SDP | ({} if body else {"Content-Length": "0"})
    assert client.ask("ANNOUNCE", "bad", headers, body).status in (400, 413, 415)
    assert client.ask("OPTIONS", "*").status == 200


def test_sdp_as_old_cameras_write_it_is_read(server: ServerProcess) -> None:
    sdp = b"v=0\r\no= 2890842807 IN IP4 192.168.0.1\r\nm=audio 0 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n"
    sdp += b"a=control:audio\r\n"
    with RawRtsp.connect(server.host, server.port) as client:
        assert client.publish("old", sdp, controls=["audio"]).status == 200


# Losses. The publisher packetises real pictures, and what is sent of them is decided by the test.

Mangler = Callable[[list[bytes], random.Random], list[bytes]]


def lose_some(packets: list[bytes], source: random.Random) -> list[bytes]:
    return [packet for packet in packets if source.random() > 0.05]


def swap_some(packets: list[bytes], source: random.Random) -> list[bytes]:
    """Each packet may come up to six places later than it was sent."""
    keyed = [(index + source.randrange(0, 6), index, packet) for index, packet in enumerate(packets)]
    return [packet for _, _, packet in sorted(keyed)]


def double_some(packets: list[bytes], source: random.Random) -> list[bytes]:
    return [packet for packet in packets for _ in range(1 + (source.random() < 0.2))]


def all_at_once(packets: list[bytes], source: random.Random) -> list[bytes]:
    return double_some(swap_some(lose_some(packets, source), source), source)


@pytest.mark.parametrize(
    ("mangle", "complete"),
    [(lose_some, False), (swap_some, True), (double_some, True), (all_at_once, False)],
    ids=["lost", "reordered", "doubled", "all at once"],
)
def test_viewers_get_whole_original_pictures_only(
    server: ServerProcess, client: RawRtsp, mangle: Mangler, complete: bool
) -> None:
    clip = make_clip(width=640, height=480, bit_rate_bps=2_000_000)
    publisher = open_publisher(server.host, server.port, "lossy", clip=clip, udp=True)
    publisher.send_frame()  # the viewer joins at this keyframe
    publisher.send_frame()
    wait_until(lambda: server_frames(publisher) >= 1, "the first picture is in")
    client.play("lossy")
    got: list[tuple[bytes, ...]] = []
    reader = threading.Thread(target=lambda: got.extend(receive_all(client, clip)))
    reader.start()
    first = publisher.sent_frames
    packets = [packet for number in range(first, 150) for packet in publisher.sender.packets(clip.frame(number))]
    assert publisher.rtp_socket is not None
    for count, packet in enumerate(mangle(packets, random.Random(20_001))):
        publisher.rtp_socket.send(packet)
        if count % 50 == 49:  # the server's socket buffer is not what this is about
            assert publisher.rtsp.ask("GET_PARAMETER", "lossy").status == 200
    publisher.sent_frames = 150
    for _ in range(20):  # undamaged pictures, so that the last of them is known to come through
        publisher.send_frame()
    reader.join()
    assert slices(clip.pictures[(publisher.sent_frames - 2) % len(clip.pictures)]) in map(slices, got[-3:])
    originals = {slices(picture) for picture in clip.pictures}
    broken = [picture for picture in got if slices(picture) not in originals]
    assert not broken, f"{len(broken)} of {len(got)} pictures are not as they were published"
    assert len(got) > 60
    if complete:
        assert len(got) >= 150
    publisher.teardown()
    publisher.rtsp.close()
    publisher.rtp_socket.close()


def server_frames(publisher: Publisher) -> int:
    headers = {"Content-Type": "text/parameters"}
    reply = publisher.rtsp.ask("GET_PARAMETER", publisher.name, headers, b"frames_received\r\n")
    return int(reply.body.split(b":")[1])


def receive_all(client: RawRtsp, clip: Clip) -> list[tuple[bytes, ...]]:
    """The pictures a viewer gets, until nothing comes for a while."""
    depacketiser = format_for_codec(clip.track.codec).depacketiser(clip.track, 0)
    pictures: list[tuple[bytes, ...]] = []
    client.sock.settimeout(3.0)
    while True:
        try:
            (packet,) = client.rtp(1)
        except (TimeoutError, HungUp):
            return pictures
        pictures += [tuple(frame.units) for frame in depacketiser.push(packet)]


def test_a_publisher_with_wrong_payload_types_and_strange_sources_is_kept_apart(
    server: ServerProcess, client: RawRtsp
) -> None:
    clip = make_clip()
    with publishing(server, "mixed") as publisher:
        client.play("mixed")
        strange = [
            b"",
            b"\x80",
            b"\x00" * 40,
            b"\xff" * 40,
            b"\x80\x7f" + bytes(30),  # another payload type
            b"\x80\x60\x00\x01" + bytes(4) + b"\xde\xad\xbe\xef" + b"\x41" * 20,  # another source
        ]
        for data in strange * 5:
            publisher.rtsp.send_interleaved(0, data)
            publisher.rtsp.send_interleaved(1, data)
            publisher.rtsp.send_interleaved(9, data)
        sequences = [packet.sequence for packet in client.rtp(80)]
        assert all((b - a) & 0xFFFF == 1 for a, b in pairwise(sequences))
    assert clip is publisher.clip


def test_a_publisher_who_starts_anew_with_another_ssrc_goes_on_as_one_stream(
    server: ServerProcess, client: RawRtsp
) -> None:
    with publishing(server, "restarting") as publisher:
        client.play("restarting")
        before = client.rtp(40)
        publisher.stop()
        publisher.sender = sender_of(publisher.clip, ssrc=0x9999, first_sequence=7)
        publisher.sent_frames = 0
        publisher.start()
        after = client.rtp(80)
        packets = [*before, *after]
        assert len({packet.ssrc for packet in packets}) == 1
        assert all((b.sequence - a.sequence) & 0xFFFF == 1 for a, b in pairwise(packets))
        times = [(packet.timestamp - packets[0].timestamp) & 0xFFFFFFFF for packet in packets]
        assert all(b - a < 90_000 * 10 for a, b in pairwise(times))
        assert times == sorted(times)


def test_parameters_that_change_in_mid_stream_reach_old_and_new_viewers(server: ServerProcess, client: RawRtsp) -> None:
    small, large = make_clip(), make_clip(width=640, height=480, bit_rate_bps=2_000_000)
    with publishing(server, "growing", clip=small) as publisher:
        client.play("growing")
        client.rtp(20)
        publisher.stop()
        publisher.clip = large
        while publisher.sent_frames % 50:
            publisher.sent_frames += 1
        publisher.start()
        wanted = set(large.track.parameters.sps)  # type: ignore[union-attr]
        wait_until(lambda: wanted & units_of(client, 5), "the new SPS reaches the viewer")
        with RawRtsp.connect(server.host, server.port) as later:
            description = later.ask("DESCRIBE", "growing").body
            assert description != b""
            later.play("growing")
            assert wanted & units_of(later, 2)


def units_of(client: RawRtsp, count: int) -> set[bytes]:
    """The NAL units that come whole in the next packets, aggregates taken apart."""
    units: set[bytes] = set()
    for packet in client.rtp(count):
        payload = packet.payload
        if payload[0] & 0x1F != 24:
            units.add(payload)
            continue
        position = 1
        while position + 2 <= len(payload):
            size = int.from_bytes(payload[position : position + 2])
            units.add(payload[position + 2 : position + 2 + size])
            position += 2 + size
    return units


def test_the_clip_is_what_the_tests_take_it_for() -> None:
    clip = make_clip()
    assert len(clip.pictures) == 50
    assert 0 in clip.keyframes
    assert split_annex_b(b"".join(b"\0\0\0\1" + unit for unit in clip.pictures[0])) == list(clip.pictures[0])


def test_after_a_refused_set_up_another_transport_may_be_asked_for(client: RawRtsp) -> None:
    assert client.ask("ANNOUNCE", "picky", SDP, sdp_of(make_clip())).status == 200
    for transport, status in (("RTP/SAVP;unicast;client_port=5000-5001", 461), ("RTP/AVP/TCP;interleaved=0-1", 200)):
        reply = client.ask("SETUP", f"picky/{CONTROL}", {"Transport": f"{transport};mode=record"})
        assert reply.status == status
    client.session = reply.session
    assert client.ask("RECORD", "picky").status == 200


def test_nothing_is_set_up_anew_in_a_publishers_pause(client: RawRtsp) -> None:
    transport = {"Transport": "RTP/AVP/TCP;unicast;interleaved=0-1;mode=record"}
    assert client.ask("ANNOUNCE", "paused", SDP, sdp_of(make_clip())).status == 200
    client.session = client.ask("SETUP", f"paused/{CONTROL}", transport).session
    for method in ("RECORD", "PAUSE"):
        assert client.ask(method, "paused").status == 200
    assert client.ask("SETUP", f"paused/{CONTROL}", transport).status == 455
