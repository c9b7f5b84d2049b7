"""Who has the floor, and where what he says is heard."""

from __future__ import annotations

import asyncio

import pytest

from manycast.hub import backchannel
from manycast.hub.backchannel import Backchannels, Busy, audio_track, g726_track, offered_tracks
from manycast.hub.catalogue import Catalogue
from manycast.hub.hub import Hub
from manycast.hub.rtp_packager import RtpPackager
from manycast.media.frame import Frame
from manycast.media.track import AudioParameters, Codec, Track

PCMU = audio_track(Codec.G711U)
OFFERED = offered_tracks(PCMU)


class Ear:
    def __init__(self) -> None:
        self.heard: list[tuple[Track, bytes]] = []
        self.ended = 0

    def hear(self, track: Track, frame: Frame) -> None:
        self.heard.append((track, frame.units[0]))

    def end(self) -> None:
        self.ended += 1


class Listener:
    """Hears the talks to some paths."""

    def __init__(self, *paths: str) -> None:
        self._paths = paths
        self.ears: list[Ear] = []
        self.closed = False

    def ear(self, path: str, talker: str) -> Ear | None:
        if path not in self._paths:
            return None
        self.ears.append(Ear())
        return self.ears[-1]

    async def close(self) -> None:
        self.closed = True


def sound(index: int = 0, data: bytes = b"\xff" * 160) -> Frame:
    return Frame(track_index=index, dts_ticks=0, pts_ticks=0, keyframe=True, units=[data])


@pytest.mark.parametrize(
    "first",
    [
        PCMU,
        audio_track(Codec.G711A),
        audio_track(Codec.G711U, 16_000, 2),
        audio_track(Codec.G722, 48_000, 2),
        audio_track(Codec.G726, 44_100, 2),
        audio_track(Codec.OPUS),
        audio_track(Codec.OPUS, 8000, 2),
    ],
)
def test_the_configured_codec_is_offered_first_and_none_twice(first: Track) -> None:
    tracks = offered_tracks(first)
    assert tracks[0] == first
    assert len(set(tracks)) == len(tracks)
    assert {track.codec for track in tracks} == {Codec.G711U, Codec.G711A, Codec.G722, Codec.G726, Codec.OPUS}
    assert sum(track.codec is Codec.OPUS for track in tracks) == 1
    assert sum(track.codec is Codec.G726 for track in tracks) == 4
    assert PCMU in tracks


def test_what_a_codec_fixes_cannot_be_configured() -> None:
    assert audio_track(Codec.G726, 48_000, 2) == g726_track(32_000)
    assert audio_track(Codec.G722, 48_000, 2).parameters == AudioParameters(sample_rate_hz=16_000, channels=1)
    assert audio_track(Codec.G722).clock_rate_hz == 8000
    assert audio_track(Codec.OPUS, 8000, 2).parameters == AudioParameters(sample_rate_hz=48_000, channels=2)


async def test_one_at_a_time_has_the_floor_of_a_path() -> None:
    floor = Backchannels(Hub(), OFFERED)
    talk = floor.begin("door", "Ann")
    with pytest.raises(Busy, match="Ann speaks to door"):
        floor.begin("door", "Bob")
    other = floor.begin("garden", "Bob")
    talk.end("over")
    talk.end("once more")  # does not take the floor from the next one
    again = floor.begin("door", "Bob")
    talk.end("and again")
    with pytest.raises(Busy, match="Bob"):
        floor.begin("door", "Cid")
    for open_talk in (other, again):
        open_talk.end("over")


async def test_what_is_said_is_heard_by_all_who_listen_there() -> None:
    door, house = Listener("door"), Listener("door", "garden")
    floor = Backchannels(Hub(), OFFERED, [door, house])
    talk = floor.begin("door", "Ann")
    talk.push(sound(0, b"one"))
    talk.push(sound(1, b"two"))
    talk.end("over")
    talk.push(sound(0, b"too late"))
    floor.begin("garden", "Ann").end("over")
    assert len(door.ears) == 1
    assert len(house.ears) == 2
    for ear in (door.ears[0], house.ears[0]):
        assert ear.heard == [(OFFERED[0], b"one"), (OFFERED[1], b"two")]
        assert ear.ended == 1


async def test_closing_ends_the_talks_and_waits_for_the_listeners() -> None:
    listener = Listener("door")
    hub = Hub()
    floor = Backchannels(hub, OFFERED, [listener])
    floor.begin("door", "Ann").push(sound())
    await floor.close("the server stops")
    assert listener.closed
    assert listener.ears[0].ended == 1
    assert hub.live("door/backchannel") is None


async def test_a_talk_is_a_stream_from_its_first_sound_on() -> None:
    hub = Hub()
    floor = Backchannels(hub, OFFERED)
    catalogue = Catalogue(hub, None, backchannels=floor)
    assert await catalogue.find("door/backchannel") is None
    talk = floor.begin("door", "Ann")
    waiting = asyncio.create_task(catalogue.find("door/backchannel"))
    await asyncio.sleep(0)
    assert not waiting.done()
    talk.push(sound())
    stream = await waiting
    assert stream is hub.live("door/backchannel")
    assert stream is not None
    assert stream.tracks == (PCMU,)
    talk.end("Ann hung up")
    assert await catalogue.find("door/backchannel") is None


async def test_who_waits_in_vain_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backchannel, "FIRST_SOUND_TIMEOUT_S", 0.02)
    floor = Backchannels(Hub(), OFFERED)
    talk = floor.begin("door", "Ann")
    assert await floor.find("door/backchannel") is None  # she is silent
    monkeypatch.setattr(backchannel, "FIRST_SOUND_TIMEOUT_S", 10.0)
    waiting = asyncio.create_task(floor.find("door/backchannel"))
    await asyncio.sleep(0)
    talk.end("Ann hung up")
    assert await waiting is None


async def test_another_codec_is_another_stream() -> None:
    hub = Hub()
    talk = Backchannels(hub, OFFERED).begin("door", "Ann")
    talk.push(sound(0))
    first = hub.live("door/backchannel")
    assert first is not None
    reasons = list[str]()
    first.watch(object(), RtpPackager, reasons.append)
    talk.push(sound(2))
    second = hub.live("door/backchannel")
    assert second is not None
    assert second.tracks == (OFFERED[2],)
    assert reasons == ["the talker changed his codec"]
    talk.end("over")


async def test_a_path_that_somebody_has_is_left_to_him() -> None:
    hub = Hub()
    taken = hub.publish("door/backchannel", [PCMU], "somebody else")
    listener = Listener("door")
    talk = Backchannels(hub, OFFERED, [listener]).begin("door", "Ann")
    talk.push(sound())
    assert hub.live("door/backchannel") is taken
    assert listener.ears[0].heard
    talk.end("over")
    assert taken.ended is None


def test_only_with_a_back_channel_are_its_names_taken() -> None:
    hub = Hub()
    without, having = Catalogue(hub, None), Catalogue(hub, None, backchannels=Backchannels(hub, OFFERED))
    assert without.taken_by("door/backchannel") is None
    assert having.taken_by("door/backchannel") == "the back channel"
    assert having.taken_by("door/backchannels") is None
    assert having.taken_by("backchannel") is None
