"""The back channel: what a viewer says to a stream, and where it is heard."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from manycast.errors import ManycastError
from manycast.hub.hub import Hub, PathTaken
from manycast.hub.names import backchannel_path, spoken_path
from manycast.hub.stream import Stream
from manycast.media.frame import Frame
from manycast.media.track import AudioParameters, Codec, G726Parameters, Track

FIRST_SOUND_TIMEOUT_S = 5.0  # for those who want to hear somebody who has the floor and is still silent

log = logging.getLogger(__name__)


class Busy(ManycastError):
    """Somebody else speaks to the stream."""


class Ear(Protocol):
    """Where one talk is heard. Called on the event loop's thread; nothing here waits."""

    def hear(self, track: Track, frame: Frame) -> None:
        """Take the next sound; `track` is one of those offered, another one when the talker changes his codec."""

    def end(self) -> None:
        """The talker hung up."""


class Listener(Protocol):
    """Something that hears talks: a loudspeaker, a recorder, the camera behind a proxy."""

    def ear(self, path: str, talker: str) -> Ear | None:
        """For one talk to the stream at a path; None when this listener is not concerned."""

    async def close(self) -> None:
        """Wait until every ear that has ended is done with what it heard."""


def audio_track(codec: Codec, sample_rate_hz: int = 8000, channels: int = 1) -> Track:
    """A track of a codec that can be spoken; where the codec fixes rate or channels, its own hold."""
    match codec:
        case Codec.G726:
            return g726_track(32_000)
        case Codec.G722:
            parameters = AudioParameters(sample_rate_hz=16_000, channels=1)
            return Track(codec=codec, clock_rate_hz=8000, parameters=parameters)
        case Codec.OPUS:
            parameters = AudioParameters(sample_rate_hz=48_000, channels=channels)
            return Track(codec=codec, clock_rate_hz=48_000, parameters=parameters)
        case _:
            parameters = AudioParameters(sample_rate_hz=sample_rate_hz, channels=channels)
            return Track(codec=codec, clock_rate_hz=sample_rate_hz, parameters=parameters)


def g726_track(bit_rate: int) -> Track:
    return Track(codec=Codec.G726, clock_rate_hz=8000, parameters=G726Parameters(bit_rate=bit_rate))


def offered_tracks(first: Track) -> tuple[Track, ...]:
    """All that can be decoded, in the order it is offered: the one configured, then the rest."""
    tracks = (
        audio_track(Codec.G711U),
        audio_track(Codec.G711A),
        audio_track(Codec.G722),
        *map(g726_track, (16_000, 24_000, 32_000, 40_000)),
        audio_track(Codec.OPUS),
    )
    # Opus has one description for mono and stereo, so it is not offered twice.
    others = [track for track in tracks if track != first and not (track.codec is first.codec is Codec.OPUS)]
    return (first, *others)


class Backchannels:
    """Who speaks to which stream. All methods are for the event loop's thread."""

    def __init__(self, hub: Hub, offered: Sequence[Track], listeners: Sequence[Listener] = ()) -> None:
        """`offered` are the tracks a talker may send."""
        self.offered = tuple(offered)
        self._hub = hub
        self._listeners = tuple(listeners)
        self._talks: dict[str, Talk] = {}

    def begin(self, path: str, talker: str) -> Talk:
        """Give somebody the floor until he ends his talk. Raises Busy; `talker` is for people to read."""
        taken = self._talks.get(path)
        if taken is not None:
            raise Busy(f"{taken.talker} speaks to {path}")
        ears = [ear for listener in self._listeners if (ear := listener.ear(path, talker)) is not None]
        talk = self._talks[path] = Talk(self._hub, path, talker, self.offered, ears, self._forget)
        return talk

    async def find(self, path: str) -> Stream | None:
        """What is said, as a stream, at a name of `backchannel_path`; None while nobody has the floor.

        Waits a while for somebody's first sound.
        """
        talk = self._talks.get(spoken_path(path) or "")
        return None if talk is None else await talk.stream()

    def is_spoken_to(self, path: str) -> bool:
        return path in self._talks

    async def close(self, reason: str) -> None:
        for talk in tuple(self._talks.values()):
            talk.end(reason)
        await asyncio.gather(*(listener.close() for listener in self._listeners))

    def _forget(self, talk: Talk) -> None:
        if self._talks.get(talk.path) is talk:
            del self._talks[talk.path]


class Talk:
    """One talker who has the floor."""

    def __init__(
        self,
        hub: Hub,
        path: str,
        talker: str,
        offered: Sequence[Track],
        ears: Sequence[Ear],
        forget: Callable[[Talk], None],
    ) -> None:
        self.path = path
        self.talker = talker
        self.ended = False
        self._hub = hub
        self._offered = offered
        self._ears = ears
        self._forget = forget
        self._track: int | None = None
        self._stream: Stream | None = None
        self._heard = asyncio.Event()
        self._begun_s = time.monotonic()
        self._frames = 0

    def push(self, frame: Frame) -> None:
        """Take the next sound; its `track_index` is that of the offered track it has, and its owner is the talk."""
        if self.ended:
            return
        index = frame.track_index
        self._frames += 1
        for ear in self._ears:
            ear.hear(self._offered[index], frame)
        if index != self._track:
            self._speak_in(index)
        if self._stream is not None:
            frame.track_index = 0
            self._stream.push(frame)

    async def stream(self) -> Stream | None:
        """What is said, as a stream; None when nothing came in time."""
        try:
            await asyncio.wait_for(self._heard.wait(), FIRST_SOUND_TIMEOUT_S)
        except TimeoutError:
            return None
        return self._stream

    def end(self, reason: str) -> None:
        """Leave the floor to others."""
        if self.ended:
            return
        self.ended = True
        for ear in self._ears:
            ear.end()
        self._unpublish(reason)
        self._heard.set()
        self._forget(self)
        if self._frames:
            spoken_s = time.monotonic() - self._begun_s
            log.info("%s spoke to %s for %.1f s: %s", self.talker, self.path, spoken_s, reason)

    def _speak_in(self, index: int) -> None:
        """A stream has one codec for good: another one makes another stream."""
        self._unpublish("the talker changed his codec")
        self._track = index
        path = backchannel_path(self.path)
        try:
            self._stream = self._hub.publish(path, [self._offered[index]], f"what {self.talker} says")
        except PathTaken as error:
            log.warning("%s: what is said cannot be listened to: %s", path, error)
        self._heard.set()

    def _unpublish(self, reason: str) -> None:
        if self._stream is not None:
            self._hub.unpublish(self._stream, reason)
            self._stream = None
