"""What a viewer says to a proxy, on its way to the camera behind it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace

from manycast.errors import ManycastError
from manycast.hub.output import AudioOutput, Output
from manycast.hub.source import FrameSink, Source, SourceDenied, SourceError
from manycast.hub.transcoding import Transcoding
from manycast.media.frame import Frame
from manycast.media.track import AacParameters, AudioParameters, Codec, G726Parameters, Track
from manycast.sources.dialling import DialOptions, check_redirect
from manycast.sources.path_log import AnyLog
from manycast.sources.proxy import Pauses
from manycast.sources.rtsp.dialogue import MovedElsewhere, OtherTransport
from manycast.sources.rtsp.source import MAX_REDIRECTS
from manycast.sources.rtsp.speech import SpeechSession
from manycast.wire.address import SourceAddress
from manycast.wire.rtsp.described import CarriedMedia

MAX_WAITING = 25  # sounds, half a second as they usually are: what is heard later is worse than a gap

_ENCODED = frozenset({Codec.G711U, Codec.G711A, Codec.G722, Codec.G726, Codec.AAC, Codec.OPUS})


class CameraEar:
    """Where one talk is heard: an `Ear` of the hub. The camera is connected from the talk's beginning to its end."""

    def __init__(
        self,
        address: SourceAddress,
        *,
        udp: bool,
        options: DialOptions,
        transcoding: Transcoding,
        talker: str,
        log: AnyLog,
    ) -> None:
        """`udp` says how packets are to go, as far as the camera lets them."""
        self._address = address
        self._udp = udp
        self._options = options
        self._transcoding = transcoding
        self._talker = talker
        self._log = log
        self._speech = _Speech()
        self.task = asyncio.create_task(self._run(), name=f"talk to {address}")

    def hear(self, track: Track, frame: Frame) -> None:
        self._speech.push(track, frame)

    def end(self) -> None:
        self._speech.end()

    async def _run(self) -> None:
        pauses = Pauses()
        while not self._speech.ended:
            try:
                await self._speak()
            except SourceDenied as error:
                self._log.warning("the camera does not hear %s: %s", self._talker, error)
                return
            except ManycastError as error:
                pause_s = pauses.next_s()
                self._log.warning(
                    "the camera does not hear %s: %s; trying again in %.0f s", self._talker, error, pause_s
                )
                await self._speech.wait_ended(pause_s)

    async def _speak(self) -> None:
        """One session, up to the talk's end. Raises ManycastError."""
        session, offers = await self._connect()
        try:
            while (track := await self._first(session)) is not None:
                offer = choose(offers, track)
                self._log.info("%s speaks to the camera in %s", self._talker, offer.track.codec.value)
                await self._send(session, offer, track)
        finally:
            session.close()

    async def _connect(self) -> tuple[SpeechSession, tuple[CarriedMedia, ...]]:
        address, ways, redirects = self._address, [self._udp, not self._udp], 0
        first_peer: str | None = None

        def connected(_local: tuple[str, int], peer: tuple[str, int]) -> None:
            nonlocal first_peer
            first_peer = first_peer or peer[0]
            check_redirect(first_peer, peer[0], self._options)

        while True:
            session = SpeechSession(address, udp=ways[0], options=self._options, connected=connected, log=self._log)
            try:
                return session, await session.open()
            except MovedElsewhere as moved:
                session.close()
                redirects += 1
                if redirects > MAX_REDIRECTS:
                    raise SourceError(f"redirected more than {MAX_REDIRECTS} times") from None
                address = moved.address
            except OtherTransport:
                session.close()
                del ways[0]
                if not ways or "+" in address.scheme:
                    raise
            except BaseException:
                session.close()
                raise

    async def _first(self, session: SpeechSession) -> Track | None:
        """The track of the next sound; None at the end of the talk. Raises as the session does when it ends."""
        ended = asyncio.create_task(session.ended())
        heard = asyncio.create_task(self._speech.next_track())
        try:
            await asyncio.wait({ended, heard}, return_when=asyncio.FIRST_COMPLETED)
            if ended.done():
                ended.result()
            return heard.result()
        finally:
            for task in (ended, heard):
                task.cancel()
            await asyncio.gather(ended, heard, return_exceptions=True)

    async def _send(self, session: SpeechSession, offer: CarriedMedia, track: Track) -> None:
        """All that is said in one codec. Raises ManycastError."""
        talk = _TalkSource(self._speech, track)
        source: Source = talk
        if (track.codec, track.parameters) != (offer.track.codec, offer.track.parameters):
            source = self._transcoding.source(talk, _output_of(offer.track), f"what {self._talker} says")
        ended = asyncio.create_task(session.ended())
        sent = asyncio.create_task(source.run(lambda _tracks: session.sink(offer)))
        try:
            await asyncio.wait({ended, sent}, return_when=asyncio.FIRST_COMPLETED)
            if ended.done():
                ended.result()
            if not talk.done:
                sent.result()
        finally:
            for task in (ended, sent):
                task.cancel()
            await asyncio.gather(ended, sent, return_exceptions=True)


def choose(offers: Sequence[CarriedMedia], track: Track) -> CarriedMedia:
    """In which of a camera's codecs to send: as it is said, else the camera's favourite that can be made.

    Raises SourceDenied.
    """
    for offer in offers:
        if (offer.track.codec, offer.track.parameters) == (track.codec, track.parameters):
            return offer
    for offer in offers:
        if offer.track.codec in _ENCODED:
            return offer
    names = ", ".join(offer.track.codec.value for offer in offers)
    raise SourceDenied(f"it wants {names}, which {track.codec.value} cannot be made into")


def _output_of(track: Track) -> Output:
    rate_hz, channels, bit_rate_bps = 0, 0, 0
    match track.parameters:
        case AudioParameters() | AacParameters() as parameters:
            rate_hz, channels = parameters.sample_rate_hz, parameters.channels
        case G726Parameters() as parameters:
            bit_rate_bps = parameters.bit_rate
    audio = AudioOutput(codec=track.codec, sample_rate_hz=rate_hz, channels=channels, bit_rate_bps=bit_rate_bps)
    return Output(audio=audio)


class _Speech:
    """What was said and not yet sent."""

    def __init__(self) -> None:
        self.ended = False
        self._waiting: deque[tuple[Track, Frame]] = deque(maxlen=MAX_WAITING)
        self._changed = asyncio.Event()
        self._over = asyncio.Event()

    def push(self, track: Track, frame: Frame) -> None:
        if not self.ended:
            self._waiting.append((track, replace(frame, track_index=0, units=list(frame.units))))
            self._changed.set()

    def end(self) -> None:
        self.ended = True
        self._changed.set()
        self._over.set()

    async def next_track(self) -> Track | None:
        """That of the next sound, which stays; None at the end."""
        while not self._waiting:
            if self.ended:
                return None
            self._changed.clear()
            await self._changed.wait()
        return self._waiting[0][0]

    async def take(self, track: Track) -> Frame | None:
        """The next sound, as long as it is of this track."""
        return self._waiting.popleft()[1] if await self.next_track() == track else None

    async def wait_ended(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._over.wait(), seconds)
        except TimeoutError:
            pass


class _TalkSource:
    """Speech as a source, up to its end or the next codec."""

    def __init__(self, speech: _Speech, track: Track) -> None:
        self.done = False
        self._speech = speech
        self._track = track

    async def run(self, publish: Callable[[Sequence[Track]], FrameSink]) -> None:
        sink = publish([self._track])
        while (frame := await self._speech.take(self._track)) is not None:
            sink.push(frame)
        self.done = True
