"""The ONVIF back channel: clients that speak to a stream."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count, pairwise
from pathlib import Path

import pytest
from support.programs import tone_level
from support.publishing import Publisher, publishing
from support.rtsp import Interleaved, RawRtsp, Reply
from support.server import ServerProcess
from support.sound_card import SoundCard
from support.speech import TONE_HZ, read_wav, spoken_tone
from support.talking import CHANNEL, TAG, Talker, open_talker, set_up_speech, speaking
from support.waiting import wait_until
from support.watching import undisturbed

from manycast.hub.backchannel import audio_track, g726_track
from manycast.media.track import Codec, Track
from manycast.wire.rtp.rtcp import Goodbye, ReceiverReport, parse_compound

CONFIG = """
rtsp:
  udp_base_port: UDP_BASE
backchannel:
  record: talks
"""
_numbers = count()
PCMU = audio_track(Codec.G711U)
TONE = spoken_tone(PCMU, 1.0)

CODECS = [
    (PCMU, 0, 160),
    (audio_track(Codec.G711A), 8, 160),
    (audio_track(Codec.G722), 9, 160),
    (g726_track(16_000), 97, 160),
    (g726_track(24_000), 98, 160),
    (g726_track(32_000), 99, 160),
    (g726_track(40_000), 100, 160),
    (audio_track(Codec.OPUS), 101, 960),
]


class House:
    """A server whose door can be spoken to."""

    def __init__(self, folder: Path) -> None:
        self.card = SoundCard(folder)
        self.server = ServerProcess(folder, config=CONFIG, environment=self.card.environment)
        self.talks = folder / "talks"

    def recording(self, name: str) -> Path:
        """The one that a talk has left; it is whole once the log tells of it."""
        wait_until(lambda: len(self.recordings(name)) == 1, "a recording")
        (file,) = self.recordings(name)
        wait_until(lambda: f"{file} recorded" in self.server.log, "the recording's end")
        return file

    def wait_recorded(self, name: str, seconds: float = 1.0, *, rate_hz: int = 8000) -> None:
        """What goes by UDP may be behind a TEARDOWN: wait until it is there."""
        size = 44 + 2 * round(0.95 * seconds * rate_hz)
        wait_until(lambda: any(file.stat().st_size >= size for file in self.recordings(name)), "all is recorded")

    def recordings(self, name: str) -> list[Path]:
        return list(self.talks.glob(f"{name}_*.wav"))


@pytest.fixture(scope="module")
def the_house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    house = House(tmp_path_factory.mktemp("house"))
    with house.server:
        yield house


@pytest.fixture
def house(the_house: House) -> Iterator[House]:
    yield the_house
    assert the_house.server.process.poll() is None, the_house.server.log
    the_house.server.check_log()


@pytest.fixture
def door(house: House) -> Iterator[str]:
    """The name of a stream that only this test speaks to."""
    name = f"door{next(_numbers)}"
    with publishing(house.server, name):
        yield name


@pytest.fixture
def visitor(house: House, door: str) -> Iterator[RawRtsp]:
    """A connection to the house."""
    with RawRtsp.connect(house.server.host, house.server.port) as rtsp:
        yield rtsp


def hears_tone(file: Path, *, rate_hz: int = 8000, seconds: float = 1.0) -> None:
    rate, channels, samples = read_wav(file)
    assert (rate, channels) == (rate_hz, 1)
    assert len(samples) == pytest.approx(rate_hz * seconds, rel=0.05)
    assert tone_level(samples[rate_hz // 10 :], TONE_HZ, rate_hz) > 0.95


def sections(reply: Reply) -> list[list[str]]:
    """The lines of the media sections."""
    found: list[list[str]] = []
    for line in reply.body.decode().split("\r\n"):
        if line.startswith("m="):
            found.append([])
        if found and line:
            found[-1].append(line)
    return found


# Without a back channel


def test_without_a_back_channel_its_tag_is_not_supported(client: RawRtsp, live: Publisher) -> None:
    for method in ("DESCRIBE", "SETUP", "PLAY", "TEARDOWN"):
        reply = client.ask(method, "live", {"Transport": "RTP/AVP/TCP;unicast;interleaved=0-1", **TAG})
        assert (reply.status, reply.reason) == (551, "Option not supported")
        assert reply["Unsupported"] == TAG["Require"]
    assert client.ask("DESCRIBE", "live").status == 200  # it may go on without
    client.play("live")
    client.rtp(1)


def test_without_a_back_channel_there_is_nothing_to_set_up(client: RawRtsp, live: Publisher) -> None:
    transport = {"Transport": "RTP/AVP/TCP;unicast;interleaved=6-7"}
    assert client.ask("SETUP", "live/audioback", transport).status == 404


# Descriptions


def test_the_description_has_one_more_section_for_who_asks(visitor: RawRtsp, door: str) -> None:
    plain, full = visitor.ask("DESCRIBE", door), visitor.ask("DESCRIBE", door, TAG)
    assert plain.status == full.status == 200
    (video,) = sections(plain)
    assert not any(line in ("a=recvonly", "a=sendonly") for line in video)
    assert "audioback" not in plain.body.decode()
    seen, spoken = sections(full)
    assert sorted(seen) == sorted([*video, "a=recvonly"])
    assert spoken == [
        "m=audio 0 RTP/AVP 0 8 9 97 98 99 100 101",
        "a=rtpmap:0 PCMU/8000",
        "a=rtpmap:8 PCMA/8000",
        "a=rtpmap:9 G722/8000",
        "a=rtpmap:97 G726-16/8000",
        "a=rtpmap:98 G726-24/8000",
        "a=rtpmap:99 G726-32/8000",
        "a=rtpmap:100 G726-40/8000",
        "a=rtpmap:101 opus/48000/2",
        "a=sendonly",
        "a=control:audioback",
    ]


def test_other_tags_are_still_refused(visitor: RawRtsp, door: str) -> None:
    reply = visitor.ask("DESCRIBE", door, {"Require": f"{TAG['Require']}, com.example.other"})
    assert reply.status == 551
    assert reply["Unsupported"] == "com.example.other"


def test_what_is_said_cannot_itself_be_spoken_to(house: House, visitor: RawRtsp, door: str) -> None:
    talker = open_talker(house.server, door)
    talker.play()
    talker.say(TONE)
    listened = f"{door}/backchannel"
    assert visitor.ask("DESCRIBE", listened).status == 200
    assert visitor.ask("DESCRIBE", listened, TAG).status == 551
    assert set_up_speech(visitor, listened).status == 404


# Talking


@pytest.mark.parametrize("udp", [False, True], ids=["tcp", "udp"])
@pytest.mark.parametrize(("track", "payload_type", "ticks"), CODECS, ids=[str(case[1]) for case in CODECS])
def test_what_is_said_is_recorded(
    house: House, door: str, track: Track, payload_type: int, ticks: int, udp: bool
) -> None:
    talker = open_talker(house.server, door, udp=udp)
    assert talker.set_up["Session"].endswith(";timeout=60")
    assert talker.play()["Session"].endswith(";timeout=60")
    talker.say(spoken_tone(track, 1.0), payload_type=payload_type, ticks=ticks)
    rate_hz = {9: 16_000, 101: 48_000}.get(payload_type, 8000)
    house.wait_recorded(door, rate_hz=rate_hz)
    talker.teardown()
    hears_tone(house.recording(door), rate_hz=rate_hz)


def test_what_is_said_is_played_and_the_device_released(house: House, door: str) -> None:
    house.card.played.unlink(missing_ok=True)
    talker = open_talker(house.server, door)
    talker.play()
    assert not house.card.played.exists()
    assert not device_is_open(house)
    talker.say(TONE)
    wait_until(lambda: device_is_open(house), "the device is opened")
    reply = talker.rtsp.ask("TEARDOWN", door, TAG)
    assert (reply.status, reply["Session"]) == (200, talker.rtsp.session)
    wait_until(lambda: not device_is_open(house), "the device is released")
    rate_hz, _channels, samples = read_wav(house.card.played)
    assert tone_level(samples[rate_hz // 5 : rate_hz], TONE_HZ, rate_hz) > 0.95


def device_is_open(house: House) -> bool:
    links = Path(f"/proc/{house.server.process.pid}/fd").iterdir()
    return any(link.exists() and link.resolve() == house.card.played for link in links)


@pytest.mark.parametrize("udp", [False, True], ids=["tcp", "udp"])
def test_what_is_said_can_be_listened_to(house: House, visitor: RawRtsp, udp: bool, door: str) -> None:
    talker = open_talker(house.server, door, udp=udp)
    talker.play()
    with speaking(talker, TONE):
        listened = f"{door}/backchannel"
        reply = visitor.ask("DESCRIBE", listened)  # it may come before the first sound
        assert reply.status == 200
        assert sections(reply)[0][0] == "m=audio 0 RTP/AVP 0"
        visitor.play(listened)
        packets = visitor.rtp(20)
        assert {packet.payload for packet in packets} <= set(TONE)
        assert {b.timestamp - a.timestamp & 0xFFFF_FFFF for a, b in pairwise(packets)} == {160}
    talker.teardown()
    while not is_goodbye(visitor.packet()):
        pass


def is_goodbye(item: Interleaved) -> bool:
    return not item.is_rtp and any(isinstance(packet, Goodbye) for packet in parse_compound(item.payload))


def test_both_directions_go_at_once(house: House, visitor: RawRtsp, door: str) -> None:
    visitor.set_up(door)
    assert set_up_speech(visitor, door).status == 200
    reply = visitor.ask("PLAY", door, TAG)
    assert reply.status == 200
    assert reply["RTP-Info"].count("url=") == 1
    talker = Talker(visitor, door, reply)
    for data in TONE:
        talker.say_packet(data)
        visitor.rtp(1, channel=0)
    talker.teardown()
    assert house.recording(door)


def test_the_ports_are_the_last_of_the_sessions_eight(house: House, visitor: RawRtsp, door: str) -> None:
    transport = {"Transport": "RTP/AVP;unicast;client_port=40000-40001"}
    reply = visitor.ask("SETUP", f"{door}/trackID=0", transport)
    visitor.session = reply.session
    first, _ = reply.pair("server_port")
    reply = visitor.ask("SETUP", f"{door}/audioback", {**transport, **TAG})
    assert reply.pair("server_port") == (first + 6, first + 7)
    assert (first - house.server.udp_base) % 8 == 0


def test_a_codec_may_change_in_mid_talk(house: House, visitor: RawRtsp, door: str) -> None:
    talker = open_talker(house.server, door)
    talker.play()
    for track, payload_type, ticks in CODECS[:4]:
        talker.say(spoken_tone(track, 0.4), payload_type=payload_type, ticks=ticks)
    wait_until(lambda: visitor.ask("DESCRIBE", f"{door}/backchannel").body.count(b"G726-16/8000"), "the last codec")
    talker.teardown()
    _rate, _channels, samples = read_wav(house.recording(door))
    assert len(samples) == pytest.approx(8000 * 1.6, rel=0.02)
    for start in range(0, 4 * 3200, 3200):
        assert tone_level(samples[start + 800 : start + 3000], TONE_HZ) > 0.95


def test_packets_out_of_order_are_put_in_order(house: House, door: str) -> None:
    talker = open_talker(house.server, door, udp=True)
    talker.play()
    start, stamp = talker.sequence, talker.timestamp
    for position in [0, *(index ^ 1 for index in range(2, 50)), 1]:
        talker.sequence, talker.timestamp = start + position, stamp + 160 * position
        if position != 1:
            talker.say_packet(TONE[position])
    recorded = 44 + 2 * 160 * 49
    wait_until(lambda: [file.stat().st_size for file in house.recordings(door)] == [recorded], "all but the lost one")
    talker.teardown()
    _rate, _channels, samples = read_wav(house.recording(door))
    assert len(samples) == 160 * 49
    assert tone_level(samples[320:], TONE_HZ) > 0.95


def test_the_talker_gets_receiver_reports(house: House, door: str) -> None:
    talker = open_talker(house.server, door)
    talker.play()
    talker.say(TONE)
    item = talker.rtsp.packet()
    assert item.channel == CHANNEL + 1
    report = parse_compound(item.payload)[0]
    assert isinstance(report, ReceiverReport)
    assert report.reports[0].ssrc == 0x5EA4
    assert report.reports[0].cumulative_lost == 0


# Who may speak, and when


def test_one_talker_at_a_time(house: House, visitor: RawRtsp, door: str) -> None:
    talker = open_talker(house.server, door)
    refused = set_up_speech(visitor, door)
    assert (refused.status, refused.reason) == (453, "Not Enough Bandwidth")
    assert f"RTSP client {talker.rtsp.sock.getsockname()[0]}" in house.server.log
    with publishing(house.server, "window"):
        other = open_talker(house.server, "window")  # another stream has a floor of its own
        other.teardown()
    talker.teardown()
    assert set_up_speech(visitor, door).status == 200


def test_who_hangs_up_leaves_the_floor(house: House, visitor: RawRtsp, door: str) -> None:
    talker = open_talker(house.server, door)
    talker.play()
    talker.close()
    wait_until(lambda: set_up_speech(visitor, door).status == 200, "the floor is free")


def test_who_is_refused_can_still_watch(house: House, visitor: RawRtsp, door: str) -> None:
    open_talker(house.server, door)
    visitor.set_up(door)
    assert set_up_speech(visitor, door).status == 453
    assert visitor.ask("PLAY", door, TAG).status == 200
    visitor.rtp(3)


def test_when_the_stream_ends_so_does_the_talk(house: House) -> None:
    with publishing(house.server, "short"):
        talker = open_talker(house.server, "short")
        talker.play()
        talker.say(TONE[:5])
    assert talker.rtsp.ask("GET_PARAMETER", "short").status == 454
    with publishing(house.server, "short"):
        open_talker(house.server, "short").teardown()


def test_nothing_is_heard_before_play_or_in_a_pause(house: House, visitor: RawRtsp, door: str) -> None:
    talker = open_talker(house.server, door)
    talker.say([b"\x00" * 160] * 200)  # a burst
    assert visitor.ask("OPTIONS", door).status == 200
    assert not house.recordings(door)
    talker.play()
    talker.say(TONE[:25])
    assert talker.rtsp.ask("PAUSE", door).status == 200
    talker.say([b"\x00" * 160] * 200)
    talker.play()
    talker.say(TONE[25:])
    talker.teardown()
    hears_tone(house.recording(door))


def test_the_names_of_what_is_said_are_taken(house: House, visitor: RawRtsp, door: str) -> None:
    listened = f"{door}/backchannel"
    assert visitor.ask("DESCRIBE", listened).status == 404  # nobody speaks
    sdp = {"Content-Type": "application/sdp"}
    assert visitor.ask("ANNOUNCE", listened, sdp, b"v=0\r\nm=audio 0 RTP/AVP 0\r\n").status == 403
    assert set_up_speech(visitor, "nothing-there").status == 404


# Bad input


def test_a_payload_type_nobody_offered_is_ignored_and_told_once(house: House, door: str) -> None:
    talker = open_talker(house.server, door)
    talker.play()
    for data in TONE:
        talker.say_packet(b"\x00" * 160, payload_type=77, ticks=0)
        talker.say_packet(data)
    talker.teardown()
    recording = house.recording(door)
    hears_tone(recording)
    assert house.server.log.count("payload type 77 is ignored, offered are 0 PCMU, 8 PCMA") == 1


@pytest.mark.parametrize("udp", [False, True], ids=["tcp", "udp"])
def test_bytes_that_are_no_packets_change_nothing(house: House, door: str, udp: bool) -> None:
    talker = open_talker(house.server, door, udp=udp)
    talker.play()
    for data in TONE:
        for junk in (b"\x00", b"\x80\x00", b"\x80\x65" + bytes(10), b"\xff" * 40, b"\x9f\x00" + bytes(30)):
            talker.send(junk)
        if not udp:
            talker.rtsp.send_interleaved(CHANNEL + 1, b"\xff" * 10)
        talker.say_packet(data)
    house.wait_recorded(door)
    talker.teardown()
    hears_tone(house.recording(door))


def test_a_flood_is_cut_to_real_time_and_disturbs_nobody(house: House, door: str) -> None:
    memory = house.server.memory_bytes
    with undisturbed(house.server, door):
        talker = open_talker(house.server, door)
        talker.play()
        for _ in range(3000):
            talker.say_packet(b"\x55" * 8000, ticks=8000)  # 50 minutes of sound
        talker.teardown()
    recording = house.recording(door)
    assert len(read_wav(recording)[2]) < 8000 * 20
    assert house.server.memory_bytes - memory < 100 * 1024 * 1024
    assert "they came faster than they can be heard" in house.server.log
