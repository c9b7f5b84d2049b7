"""Frames in, frames of other codecs out. Imports PyAV: import it late, best in the thread that does it."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from av.error import FFmpegError

from manycast.hub.output import AudioOutput, VideoOutput
from manycast.media.clock import rescale
from manycast.media.frame import Frame
from manycast.media.sample import frame_rate
from manycast.media.track import Track
from manycast.sources.encoding.audio import AudioEncoder, audio_track
from manycast.sources.encoding.engines import SOFTWARE, Engines
from manycast.sources.encoding.sound_shape import settled
from manycast.sources.encoding.video import VideoEncoder
from manycast.sources.encoding.video_form import CLOCK_HZ, video_track
from manycast.sources.transcoding.decoding import AudioDecoder, VideoDecoder
from manycast.sources.transcoding.plan import Wanted, shape_of

log = logging.getLogger(__name__)


class Transcoder:
    """All tracks of one stream. Used by one thread; everything is freed with the object."""

    def __init__(
        self, tracks: Sequence[Track], wanted: Sequence[Wanted], name: str, engines: Engines = SOFTWARE
    ) -> None:
        """`wanted` is what `needed` says of the tracks. Raises FFmpegError."""
        self._tracks: list[_VideoTranscoder | _AudioTranscoder | None] = [
            _VideoTranscoder(index, track, output, name, engines)
            if isinstance(output, VideoOutput)
            else _AudioTranscoder(index, track, output, name)
            if output is not None
            else None
            for index, (track, output) in enumerate(zip(tracks, wanted, strict=True))
        ]
        self.tracks = tuple(
            track if transcoder is None else transcoder.track
            for track, transcoder in zip(tracks, self._tracks, strict=True)
        )

    def push(self, frame: Frame, *, encode: bool = True) -> list[Frame]:
        """What a frame, which has passed `normalise`, makes ready. Without `encode`, pictures are decoded only: the
        next ones need them."""
        transcoder = self._tracks[frame.track_index]
        if transcoder is None:
            return [frame]
        return transcoder.push(frame, encode=encode)

    def converts_pictures(self, track_index: int) -> bool:
        return isinstance(self._tracks[track_index], _VideoTranscoder)

    def lacks_keyframe(self, track_index: int) -> bool:
        """Nothing comes of a track's pictures before its next keyframe."""
        transcoder = self._tracks[track_index]
        return isinstance(transcoder, _VideoTranscoder) and transcoder.lacks_keyframe

    @property
    def encodes_pictures(self) -> bool:
        return any(isinstance(transcoder, _VideoTranscoder) for transcoder in self._tracks)

    def force_keyframe(self) -> None:
        """Make the next picture one. For any thread."""
        for transcoder in self._tracks:
            if isinstance(transcoder, _VideoTranscoder):
                transcoder.force_keyframe()

    def finish(self) -> list[Frame]:
        """What is still inside; no more frames may come."""
        return [frame for transcoder in self._tracks if transcoder is not None for frame in transcoder.finish()]


def tracks_after(tracks: Sequence[Track], wanted: Sequence[Wanted]) -> tuple[Track, ...]:
    """What comes out, as far as it is known before the first frame."""
    return tuple(
        video_track(output.codec)
        if isinstance(output, VideoOutput) and output.codec is not None
        else audio_track(output, settled(output, *shape_of(track)))
        if isinstance(output, AudioOutput)
        else track
        for track, output in zip(tracks, wanted, strict=True)
    )


class _VideoTranscoder:
    def __init__(self, index: int, track: Track, output: VideoOutput, name: str, engines: Engines) -> None:
        assert output.codec is not None
        self.track = video_track(output.codec)
        self._clock_rate_hz = track.clock_rate_hz
        self._decoder = VideoDecoder(track, f"{name}, {track.codec_name}", engines)
        self._encoder = VideoEncoder(output, index, source_rate=frame_rate(track) or 0.0, engines=engines, name=name)

    @property
    def lacks_keyframe(self) -> bool:
        return self._decoder.lacks_keyframe

    def force_keyframe(self) -> None:
        self._encoder.force_keyframe()

    def push(self, frame: Frame, *, encode: bool) -> list[Frame]:
        pictures = self._decoder.decode(frame)
        if not encode:
            return []
        found: list[Frame] = []
        for picture, pts_ticks in pictures:
            try:
                found += self._encoder.encode(picture, rescale(pts_ticks, self._clock_rate_hz, CLOCK_HZ))
            except FFmpegError as error:
                log.debug("a picture cannot be encoded: %s", error)
        return found

    def finish(self) -> list[Frame]:
        found: list[Frame] = []
        for picture, pts_ticks in self._decoder.finish():
            found += self._encoder.encode(picture, rescale(pts_ticks, self._clock_rate_hz, CLOCK_HZ))
        return found + self._encoder.finish()


class _AudioTranscoder:
    def __init__(self, index: int, track: Track, output: AudioOutput, name: str) -> None:
        shape = settled(output, *shape_of(track))
        self._decoder = AudioDecoder(track, f"{name}, {track.codec_name}")
        self._encoder = AudioEncoder(output, shape, index, follow_clock=True)
        self.track = self._encoder.track

    def push(self, frame: Frame, *, encode: bool) -> list[Frame]:
        found: list[Frame] = []
        for sound in self._decoder.decode(frame):
            found += self._encoder.encode(*sound)
        return found

    def finish(self) -> list[Frame]:
        return self._encoder.finish()
