"""Scale, Speed and times to pause at, as requests and packets."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import pairwise

import pytest
from support.media import FRAME_RATE, FRAMES, SECONDS
from support.ports import udp_pair
from support.publishing import Publisher
from support.rtsp import RawRtsp
from support.server import ServerProcess

from manycast.wire.rtp.packet import RtpPacket
from manycast.wire.rtp.rtcp import Goodbye, parse_compound

FRAME_TICKS = 90_000 // FRAME_RATE
NAME = "plain.mp4"  # a keyframe each second


@pytest.fixture
def viewer(media_server: ServerProcess) -> Iterator[RawRtsp]:
    with RawRtsp.connect(media_server.host, media_server.port) as client:
        client.set_up(NAME, tracks=(0, 1))
        yield client


def played(client: RawRtsp) -> tuple[list[RtpPacket], list[RtpPacket]]:
    """Picture and sound up to the goodbye, with numbers that go on and times that grow."""
    tracks: dict[int, list[RtpPacket]] = {0: [], 2: []}
    while True:
        packet = client.packet()
        if packet.is_rtp:
            tracks[packet.channel].append(RtpPacket.parse(packet.payload))
        elif any(isinstance(report, Goodbye) for report in parse_compound(packet.payload)):
            break
    for packets in tracks.values():
        assert all((b.sequence - a.sequence) & 0xFFFF == 1 for a, b in pairwise(packets))
        assert all((b.timestamp - a.timestamp) & 0xFFFFFFFF < 90_000 * 10 for a, b in pairwise(packets))
    return tracks[0], tracks[2]


def steps(packets: list[RtpPacket]) -> list[int]:
    """Between the timestamps of a frame and the next."""
    times = list(dict.fromkeys(packet.timestamp for packet in packets))
    return [(b - a) & 0xFFFFFFFF for a, b in pairwise(times)]


@pytest.mark.parametrize("scale", [0.5, 2.0])
def test_at_half_and_double_scale_all_pictures_come(viewer: RawRtsp, scale: float) -> None:
    started_s = time.monotonic()
    reply = viewer.ask("PLAY", NAME, {"Scale": str(scale), "Range": "npt=0-2"})
    assert (reply.status, reply["Scale"]) == (200, str(scale))
    pictures, sound = played(viewer)
    assert 2 / scale - 0.5 < time.monotonic() - started_s < 2 / scale + 10
    assert steps(pictures) == [FRAME_TICKS / scale] * (2 * FRAME_RATE - 1)
    assert not sound


@pytest.mark.parametrize(("wanted", "given"), [("4", "4.0"), ("1000", "16.0"), ("2.5", "2.5")])
def test_faster_only_keyframes_come_and_the_reply_tells_the_nearest_scale(
    viewer: RawRtsp, wanted: str, given: str
) -> None:
    reply = viewer.ask("PLAY", NAME, {"Scale": wanted})
    assert (reply.status, reply["Scale"]) == (200, given)
    pictures, sound = played(viewer)
    assert steps(pictures) == [round(90_000 / float(given))] * (SECONDS - 1)
    assert not sound


@pytest.mark.parametrize(("wanted", "given"), [("-1", "-1.0"), ("-0.1", "-1.0"), ("-1000", "-16.0")])
def test_backwards_it_goes_from_the_end_to_the_start(viewer: RawRtsp, wanted: str, given: str) -> None:
    reply = viewer.ask("PLAY", NAME, {"Scale": wanted})
    assert (reply.status, reply["Scale"]) == (200, given)
    assert reply["Range"] == f"npt={SECONDS - 1}.000-0.000"
    pictures, _ = played(viewer)
    assert steps(pictures) == [round(90_000 / -float(given))] * (SECONDS - 1)


def test_backwards_a_range_runs_down(viewer: RawRtsp) -> None:
    assert viewer.ask("PLAY", NAME, {"Scale": "-2", "Range": "npt=1-2"}).status == 457
    reply = viewer.ask("PLAY", NAME, {"Scale": "-2", "Range": "npt=2.5-1"})
    assert (reply.status, reply["Range"]) == (200, "npt=2.000-1.000")
    assert len(steps(played(viewer)[0])) == 1


@pytest.mark.parametrize("header", ["Scale", "Speed"])
@pytest.mark.parametrize("value", ["0", "fast", "1e9", "--1", "nan", "0.0", "9" * 40])
def test_what_is_no_factor_is_400_and_the_session_lives(viewer: RawRtsp, header: str, value: str) -> None:
    assert viewer.ask("PLAY", NAME, {header: value}).status == 400
    assert viewer.ask("PLAY", NAME, {"Range": "npt=2-"}).status == 200
    assert len(steps(played(viewer)[0])) == FRAME_RATE - 1


@pytest.mark.parametrize(("wanted", "given"), [("4", "4.0"), ("100", "8.0")])
def test_at_a_speed_everything_comes_sooner(viewer: RawRtsp, wanted: str, given: str) -> None:
    started_s = time.monotonic()
    reply = viewer.ask("PLAY", NAME, {"Speed": wanted})
    assert (reply.status, reply["Speed"]) == (200, given)
    pictures, sound = played(viewer)
    assert time.monotonic() - started_s < SECONDS
    assert steps(pictures) == [FRAME_TICKS] * (FRAMES - 1)
    assert len(sound) > 40 * SECONDS


def test_the_scale_can_be_changed_while_playing(viewer: RawRtsp) -> None:
    viewer.ask("PLAY", NAME, {"Range": "npt=1-"})
    for scale in ("2.0", "0.5", "-1.0", "1.0"):
        reply = viewer.ask("PLAY", NAME, {"Scale": scale})
        assert (reply.status, reply["Scale"]) == (200, scale)
        time.sleep(0.1)
    pictures, sound = played(viewer)
    assert len(steps(pictures)) >= 2 * FRAME_RATE
    assert sound


def test_without_a_scale_playing_goes_on_at_1_after_a_pause(viewer: RawRtsp) -> None:
    assert viewer.ask("PLAY", NAME, {"Scale": "2"}).status == 200
    viewer.rtp(5, channel=0)
    assert viewer.ask("PAUSE", NAME).status == 200
    viewer.packets.clear()
    assert viewer.ask("PLAY", NAME).status == 200
    pictures, sound = played(viewer)
    assert set(steps(pictures)) == {FRAME_TICKS}
    assert sound


def test_a_live_stream_has_one_scale_and_speed(client: RawRtsp, live: Publisher) -> None:
    reply = client.play("live", headers={"Scale": "2", "Speed": "3"})
    assert (reply["Scale"], reply["Speed"]) == ("1.0", "1.0")
    client.rtp(10)
    reply = client.ask("PLAY", "live", {"Scale": "-1"})
    assert (reply.status, reply["Scale"]) == (200, "1.0")
    client.rtp(10)


def test_a_pause_takes_place_at_its_time(viewer: RawRtsp) -> None:
    assert viewer.ask("PLAY", NAME).status == 200
    reply = viewer.ask("PAUSE", NAME, {"Range": "npt=1-"})
    assert (reply.status, reply["Range"]) == (200, "npt=1.000-")
    before: list[RtpPacket] = []
    while len(steps(before)) < FRAME_RATE - 1:
        before += viewer.rtp(1, channel=0)
    time.sleep(0.5)  # what this is about: after a second nothing comes any more
    assert viewer.ask("GET_PARAMETER", NAME).status == 200
    before += [RtpPacket.parse(packet.payload) for packet in viewer.packets if packet.channel == 0]
    assert len(steps(before)) == FRAME_RATE - 1
    viewer.packets.clear()
    reply = viewer.ask("PLAY", NAME)
    assert reply["Range"].startswith("npt=1.000-")
    pictures, _ = played(viewer)
    assert (pictures[0].sequence - before[-1].sequence) & 0xFFFF == 1
    assert len(steps(pictures)) == FRAMES - FRAME_RATE - 1


@pytest.mark.parametrize("wanted", ["npt=0.1-", "npt=1000-", "clock=20200101T000000Z-"])
def test_a_pause_at_a_time_that_is_not_ahead_is_457(viewer: RawRtsp, wanted: str) -> None:
    assert viewer.ask("PLAY", NAME, {"Range": "npt=1-"}).status == 200
    assert viewer.ask("PAUSE", NAME, {"Range": wanted}).status == 457
    assert len(steps(played(viewer)[0])) == FRAMES - FRAME_RATE - 1, "it plays on"


@pytest.mark.parametrize("wanted", ["npt=-5-", "npt=3.5-", "npt=10-20"])
def test_a_range_outside_of_the_file_is_457(viewer: RawRtsp, wanted: str) -> None:
    assert viewer.ask("PLAY", NAME, {"Range": wanted}).status == 457
    assert viewer.ask("PLAY", NAME, {"Range": "npt=2-"}).status == 200
    played(viewer)


# A refused PLAY leaves the session as it was (RFC 2326 appendix A)


@pytest.fixture
def half_set_up(media_server: ServerProcess) -> Iterator[RawRtsp]:
    """Pictures only, and three requests to play that were refused."""
    with RawRtsp.connect(media_server.host, media_server.port) as client:
        client.set_up(NAME, tracks=(0,))
        for wanted in ("npt=9999-", "npt=3-2", "clock=20240101T000000Z-"):
            assert client.ask("PLAY", NAME, {"Range": wanted}).status in (457, 501)
        yield client


def test_after_a_refused_play_another_track_can_be_set_up(half_set_up: RawRtsp) -> None:
    half_set_up.set_up(NAME, tracks=(1,))
    assert half_set_up.ask("PLAY", NAME, {"Range": "npt=9999-"}).status == 457
    reply = half_set_up.ask("PLAY", NAME, {"Range": "npt=0-1"})
    assert reply.status == 200
    assert reply["RTP-Info"].count("url=") == 2
    pictures, sound = played(half_set_up)
    assert len(steps(pictures)) == FRAME_RATE - 1
    assert sound


def test_after_a_refused_play_a_track_can_be_set_up_anew(half_set_up: RawRtsp) -> None:
    reply = half_set_up.ask("SETUP", f"{NAME}/trackID=0", {"Transport": "RTP/AVP/TCP;unicast;interleaved=8-9"})
    assert (reply.status, reply.session) == (200, half_set_up.session)
    assert half_set_up.ask("PLAY", NAME, {"Range": "npt=0-1"}).status == 200
    assert {packet.channel for packet in (half_set_up.packet() for _ in range(20))} <= {8, 9}


def test_after_a_refused_play_another_track_can_be_set_up_over_udp(media_server: ServerProcess) -> None:
    pairs = [udp_pair() for _ in range(2)]
    with RawRtsp.connect(media_server.host, media_server.port) as client:
        for track, (rtp, _) in enumerate(pairs):
            port = rtp.getsockname()[1]
            transport = {"Transport": f"RTP/AVP;unicast;client_port={port}-{port + 1}"}
            reply = client.ask("SETUP", f"{NAME}/trackID={track}", transport)
            assert reply.status == 200, reply
            client.session = reply.session
            assert client.ask("PLAY", NAME, {"Range": "npt=9999-"}).status == 457
        assert client.ask("PLAY", NAME).status == 200
        for rtp, _ in pairs:
            assert [RtpPacket.parse(rtp.recv(2048)) for _ in range(10)]
        assert client.ask("SETUP", f"{NAME}/trackID=1", {"Transport": "RTP/AVP;unicast;client_port=9-10"}).status == 455
        assert client.ask("PLAY", NAME, {"Range": "npt=9999-"}).status == 457
        assert [RtpPacket.parse(pairs[0][0].recv(2048)) for _ in range(10)], "it plays on"
        assert client.ask("TEARDOWN", NAME).status == 200
    for sock in (sock for pair in pairs for sock in pair):
        sock.close()
