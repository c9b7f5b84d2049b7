"""What a protocol cannot carry, converted for all its viewers."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple
from weakref import WeakKeyDictionary, ref

from manycast.hub.frame_tap import FrameTap, StreamSource
from manycast.hub.limits import ViewerLimits
from manycast.hub.on_demand import LINGER_S, OnDemand
from manycast.hub.output import AudioOutput, Output, VideoOutput
from manycast.hub.source import Source, SourceEnded
from manycast.hub.stored import StoredMedia
from manycast.hub.stream import Stream, StreamEnded
from manycast.hub.transcoding import Transcoding
from manycast.media.track import Codec, JpegParameters, MediaKind, Track

_NEVER = frozenset({Codec.MPEG_TS, Codec.UNKNOWN, Codec.METADATA})  # nobody can decode them
# In this order: a picture in H.264, which costs most, is made once for those who need only that, and those who need
# the sound in AAC beside it.
_TARGETS = {
    MediaKind.VIDEO: Output(video=VideoOutput(codec=Codec.H264)),
    MediaKind.AUDIO: Output(audio=AudioOutput(codec=Codec.AAC)),
}
# RTP carries some kinds of JPEG only. What is of another one stays JPEG there: that costs the least, and each picture
# can still be had by itself.
_JPEG = Output(video=VideoOutput(codec=Codec.MJPEG))

TIMER_INTERVAL_S = 1.0
COMPLETE_TIMEOUT_S = 5.0  # for tracks that tell only in band what they are
FIRST_FRAME_TIMEOUT_S = 10.0  # of what is converted: it tells with its first keyframe what it is

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversionOptions:
    video: bool = True  # to H.264
    audio: bool = True  # to AAC
    linger_s: float = LINGER_S  # it goes on for so long after its last viewer


class _Wanted(NamedTuple):
    """What is to be made of which tracks of a stream."""

    output: Output
    track_indices: tuple[int, ...]


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
        options = options or ConversionOptions()
        on = {MediaKind.VIDEO: options.video, MediaKind.AUDIO: options.audio}
        self._targets = {kind: output for kind, output in _TARGETS.items() if on[kind]}
        self._limits = limits
        self._linger_s = options.linger_s
        self._live: set[Stream] = set()
        self._running: WeakKeyDictionary[Stream, dict[_Wanted, OnDemand]] = WeakKeyDictionary()
        self._told: WeakKeyDictionary[Stream, set[Codec]] = WeakKeyDictionary()

    async def stream_for(self, stream: Stream, carried: Collection[Codec]) -> Stream:
        """A live stream, or, where its video or audio is of codecs that are not carried, one that has the same with
        H.264 and AAC instead. Raises SourceError when that does not start."""
        converted = stream
        for kind in self._targets:
            index = _lacking(converted.tracks, kind, carried)
            if index is not None:
                track = converted.tracks[index]
                output = self._target(track, carried)
                self._tell(stream, track, output)
                others = (number for number, track in enumerate(converted.tracks) if track.kind is _OTHER[kind])
                converted = await self._open(converted, _Wanted(output, tuple(sorted((index, *others)))))
        if not converted.complete and converted is not stream:
            await _first_keyframe(converted)
        return converted

    async def stream_as(self, stream: Stream, output: Output) -> Stream:
        """A live stream as an output asks for it, or itself where it is so already. Raises SourceError."""
        await stream.wait_complete(COMPLETE_TIMEOUT_S)
        if not self._transcoding.changes(stream.tracks, output):
            return stream
        return await self._open(stream, _Wanted(output, tuple(range(len(stream.tracks)))))

    async def stream_of(self, stream: Stream, track_indices: Sequence[int]) -> Stream:
        """Some tracks of a live stream. Raises SourceError."""
        return await self._open(stream, _Wanted(Output(), tuple(track_indices)))

    async def media_for(self, media: StoredMedia, carried: Collection[Codec]) -> StoredMedia:
        """The same of a file as `stream_for` of a stream. Raises SourceError."""
        output = Output()
        for kind in self._targets:
            index = _lacking(media.tracks, kind, carried)
            if index is not None:
                target = self._target(media.tracks[index], carried)
                output = (
                    replace(output, video=target.video)
                    if kind is MediaKind.VIDEO
                    else replace(output, audio=target.audio)
                )
        return media if output == Output() else await self._transcoding.media(media, output)

    async def close(self) -> None:
        """Stop everything."""
        running = [on_demand for kinds in self._running.values() for on_demand in kinds.values()]
        await asyncio.gather(*(on_demand.close() for on_demand in running))

    def _target(self, track: Track, carried: Collection[Codec]) -> Output:
        return _JPEG if track.codec in carried else self._targets[track.kind]

    def _tell(self, stream: Stream, track: Track, output: Output) -> None:
        told = self._told.setdefault(stream, set())
        target = output.video.codec or output.audio.codec
        if target is not None and target not in told:
            told.add(target)
            fault = f" ({track.parameters.fault})" if isinstance(track.parameters, JpegParameters) else ""
            log.info(
                "%s: %s%s goes as %s to those who cannot have it as it is",
                stream,
                track.codec_name,
                fault,
                target.value if target is not track.codec else "one that RTP carries",
            )

    async def _open(self, stream: Stream, wanted: _Wanted) -> Stream:
        kinds = self._running.setdefault(stream, {})
        on_demand = kinds.get(wanted)
        if on_demand is None:
            on_demand = kinds[wanted] = self._make(stream, wanted)
        return await on_demand.open()

    def _make(self, stream: Stream, wanted: _Wanted) -> OnDemand:
        path, source = stream.path, stream.source
        known = ref(stream)  # which must be able to go when it has ended, though this is kept for it

        def make_source() -> Source:
            found = known()
            if found is None:
                raise SourceEnded(f"{path} has ended")
            tapped = StreamSource(found, wanted.track_indices)
            return self._transcoding.source(tapped, wanted.output, f"{path}, converted")

        def publish(tracks: Sequence[Track]) -> Stream:
            converted = Stream(path, tracks, f"converted from {source}", self._limits)
            self._live.add(converted)
            if len(self._live) == 1:
                asyncio.get_running_loop().call_later(TIMER_INTERVAL_S, self._handle_timer)
            return converted

        def unpublish(converted: Stream, reason: str) -> None:
            self._live.discard(converted)
            converted.end(reason)

        return OnDemand(
            make_source, publish=publish, unpublish=unpublish, name=f"{path}, converted", linger_s=self._linger_s
        )

    def _handle_timer(self) -> None:
        now_s, unix_s = time.monotonic(), time.time()
        for converted in self._live:
            converted.handle_timer(now_s=now_s, unix_s=unix_s)
        if self._live:
            asyncio.get_running_loop().call_later(TIMER_INTERVAL_S, self._handle_timer)


_OTHER = {MediaKind.VIDEO: MediaKind.AUDIO, MediaKind.AUDIO: MediaKind.VIDEO}


async def _first_keyframe(converted: Stream) -> None:
    """Wait for it, watching, so that it does not stop meanwhile. Raises SourceEnded."""
    watcher = object()
    try:
        converted.watch(watcher, FrameTap, lambda _: None)
    except StreamEnded as error:
        raise SourceEnded(str(error)) from error
    try:
        await converted.wait_complete(FIRST_FRAME_TIMEOUT_S)
    finally:
        converted.unwatch(watcher)


def _lacking(tracks: Sequence[Track], kind: MediaKind, carried: Collection[Codec]) -> int | None:
    """The track that is to be converted, by its index; None where one is carried, or none can be decoded."""
    own = [(index, track) for index, track in enumerate(tracks) if track.kind is kind and track.codec not in _NEVER]
    if not own or any(is_carried(track, carried) for _, track in own):
        return None
    return own[0][0]


def is_carried(track: Track, carried: Collection[Codec]) -> bool:
    """Whether a protocol that carries some codecs has a form for a track; JPEG of any kind none has."""
    is_odd_jpeg = isinstance(track.parameters, JpegParameters) and bool(track.parameters.fault)
    return track.codec in carried and not is_odd_jpeg
