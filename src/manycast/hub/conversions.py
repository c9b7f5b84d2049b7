"""What a protocol cannot carry, converted for all its viewers."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from weakref import WeakKeyDictionary, ref

from manycast.hub.frame_tap import StreamSource
from manycast.hub.limits import ViewerLimits
from manycast.hub.on_demand import OnDemand
from manycast.hub.output import AudioOutput, Output, VideoOutput
from manycast.hub.source import Source, SourceError
from manycast.hub.stored import StoredMedia
from manycast.hub.stream import Stream
from manycast.hub.transcoding import Transcoding
from manycast.media.track import Codec, MediaKind, Track

_NEVER = frozenset({Codec.MPEG_TS, Codec.UNKNOWN, Codec.METADATA})  # nobody can decode them

TIMER_INTERVAL_S = 1.0
COMPLETE_TIMEOUT_S = 5.0  # for tracks that tell only in band what they are

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversionOptions:
    video: bool = True  # to H.264
    audio: bool = True  # to AAC


class Conversions:
    """Streams and files in forms that a protocol can carry. One for all that ask for the same of a stream; it runs
    from its first viewer to some seconds after its last. Belongs to the event loop."""

    def __init__(
        self,
        transcoding: Transcoding,
        options: ConversionOptions | None = None,
        limits: ViewerLimits | None = None,
    ) -> None:
        self._transcoding = transcoding
        self._options = options or ConversionOptions()
        self._limits = limits
        self._live: set[Stream] = set()
        self._running: WeakKeyDictionary[Stream, dict[Output, OnDemand]] = WeakKeyDictionary()

    async def stream_for(self, stream: Stream, carried: Collection[Codec]) -> Stream:
        """A live stream, or, where its first video or audio is of a codec that is not carried, one that has the same
        with H.264 and AAC instead. Raises SourceError when that does not start."""
        output = self._output(stream.tracks, carried)
        if output is None:
            return stream
        if output not in self._running.get(stream, {}):
            log.info("%s: converted to %s for those who cannot have it as it is", stream, _said(output))
        return await self._open(stream, output)

    async def stream_as(self, stream: Stream, output: Output) -> Stream:
        """A live stream as an output asks for it, or itself where it is so already. Raises SourceError."""
        await stream.wait_complete(COMPLETE_TIMEOUT_S)
        return await self._open(stream, output) if self._transcoding.changes(stream.tracks, output) else stream

    def running_as(self, stream: Stream, output: Output) -> Stream | None:
        """The same where it runs already, else None."""
        if stream.complete and not self._transcoding.changes(stream.tracks, output):
            return stream
        on_demand = self._running.get(stream, {}).get(output)
        return None if on_demand is None else on_demand.stream

    async def close(self) -> None:
        """Stop everything."""
        running = [on_demand for kinds in self._running.values() for on_demand in kinds.values()]
        await asyncio.gather(*(on_demand.close() for on_demand in running))

    async def media_for(self, media: StoredMedia, carried: Collection[Codec]) -> StoredMedia:
        """The same of a file. Raises SourceError."""
        output = self._output(media.tracks, carried)
        return media if output is None else await self._transcoding.media(media, output)

    async def _open(self, stream: Stream, output: Output) -> Stream:
        kinds = self._running.setdefault(stream, {})
        on_demand = kinds.get(output)
        if on_demand is None:
            on_demand = kinds[output] = self._make(stream, output)
        return await on_demand.open()

    def _make(self, stream: Stream, output: Output) -> OnDemand:
        path, source = stream.path, stream.source
        known = ref(stream)  # which must be able to go when it has ended, though this is kept for it

        def make_source() -> Source:
            found = known()
            if found is None:
                raise SourceError(f"{path} has ended")
            return self._transcoding.source(StreamSource(found), output, f"{path}, converted")

        def publish(tracks: Sequence[Track]) -> Stream:
            converted = Stream(path, tracks, f"converted from {source}", self._limits)
            self._live.add(converted)
            if len(self._live) == 1:
                asyncio.get_running_loop().call_later(TIMER_INTERVAL_S, self._handle_timer)
            return converted

        def unpublish(converted: Stream, reason: str) -> None:
            self._live.discard(converted)
            converted.end(reason)

        return OnDemand(make_source, publish=publish, unpublish=unpublish)

    def _handle_timer(self) -> None:
        now_s, unix_s = time.monotonic(), time.time()
        for converted in self._live:
            converted.handle_timer(now_s=now_s, unix_s=unix_s)
        if self._live:
            asyncio.get_running_loop().call_later(TIMER_INTERVAL_S, self._handle_timer)

    def _output(self, tracks: Sequence[Track], carried: Collection[Codec]) -> Output | None:
        """What is to be converted; None where there is nothing, or it is switched off."""
        video = self._options.video and _lacks(tracks, MediaKind.VIDEO, carried)
        audio = self._options.audio and _lacks(tracks, MediaKind.AUDIO, carried)
        if not video and not audio:
            return None
        return Output(
            video=VideoOutput(codec=Codec.H264) if video else VideoOutput(),
            audio=AudioOutput(codec=Codec.AAC) if audio else AudioOutput(),
        )


def _lacks(tracks: Sequence[Track], kind: MediaKind, carried: Collection[Codec]) -> bool:
    codecs = [track.codec for track in tracks if track.kind is kind and track.codec not in _NEVER]
    return bool(codecs) and not any(codec in carried for codec in codecs)


def _said(output: Output) -> str:
    return " and ".join(codec.value for codec in (output.video.codec, output.audio.codec) if codec is not None)
