"""One stream made of several connections to the same source."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from manycast.hub.source import FrameSink, SourceError
from manycast.media.frame import Frame
from manycast.media.normalise import normalise
from manycast.media.track import H264Parameters, H265Parameters, JpegParameters, MediaKind, Track


class TracksChanged(SourceError):
    """The source has come back as another stream, which the old one's viewers cannot go on with."""


class Continuity:
    """Frames go through to a stream; after a break they go on where it would be now, from a keyframe.

    Whatever times the source comes back with, those of the stream never go back.
    """

    def __init__(self, publish: Callable[[Sequence[Track]], FrameSink]) -> None:
        self.tracks: list[Track] = []  # empty before the first connection has published
        self.last_frame_s = 0.0  # monotonic
        self.on_flow: Callable[[], None] | None = None  # called once with the first frame of each connection
        self.on_wait: Callable[[], None] | None = None  # called with each frame that is left out for want of a keyframe
        self._publish = publish
        self._sink: FrameSink | None = None
        self._last_ticks: list[int] = []
        self._passes: list[bool] = []  # by track: whether its frames have caught up
        self._shift_s: float | None = 0.0  # None: the first frame of a new connection tells

    def open(self, tracks: Sequence[Track]) -> FrameSink:
        """What a source calls with its tracks. Raises TracksChanged."""
        if self._sink is None:
            self.tracks = list(tracks)
            self._sink = self._publish(tracks)
            self._last_ticks = [0] * len(tracks)
            self._passes = [True] * len(tracks)
            self.last_frame_s = time.monotonic()
            self._flows()
            return self
        if len(tracks) != len(self.tracks) or not all(map(_goes_on, self.tracks, tracks)):
            raise TracksChanged("the source has other tracks now")
        self.tracks = list(tracks)
        self._passes = [False] * len(tracks)
        self._shift_s = None
        return self

    def push(self, frame: Frame) -> None:
        assert self._sink is not None
        index = frame.track_index
        if not self._passes[index] or self._shift_s:
            if self._shift_s is None:
                self._resume(frame)
            if not self._shift(frame) or not (self._passes[index] or self._catches_up(frame)):
                if self.on_wait is not None:
                    self.on_wait()
                return
        self._last_ticks[index] = frame.dts_ticks
        self.last_frame_s = time.monotonic()
        self._sink.push(frame)

    def _flows(self) -> None:
        if self.on_flow is not None:
            self.on_flow()

    def _resume(self, frame: Frame) -> None:
        """Place the first frame after a break: as much later than the last one as it came later."""
        reached_s = max(ticks / track.clock_rate_hz for ticks, track in zip(self._last_ticks, self.tracks, strict=True))
        wanted_s = reached_s + max(0.001, time.monotonic() - self.last_frame_s)
        self._shift_s = wanted_s - frame.dts_ticks / self.tracks[frame.track_index].clock_rate_hz

    def _shift(self, frame: Frame) -> bool:
        index = frame.track_index
        shift_ticks = round((self._shift_s or 0.0) * self.tracks[index].clock_rate_hz)
        frame.dts_ticks += shift_ticks
        frame.pts_ticks += shift_ticks
        return frame.dts_ticks > self._last_ticks[index]

    def _catches_up(self, frame: Frame) -> bool:
        """Whether a track can go on with this frame: pictures with a keyframe, and sound not before them."""
        index = frame.track_index
        track = self.tracks[index]
        if track.kind is MediaKind.VIDEO:
            self.tracks[index] = normalise(frame, track)  # tells keyframes
            if not frame.keyframe:
                return False
        elif not all(
            passes for passes, other in zip(self._passes, self.tracks, strict=True) if other.kind is MediaKind.VIDEO
        ):
            return False
        if not any(self._passes):
            self._flows()
        self._passes[index] = True
        return True


def _goes_on(before: Track, after: Track) -> bool:
    """Whether viewers of one can go on with the other; parameter sets come with the pictures, and JPEG tells by itself
    what it is."""
    if before.codec is not after.codec or before.clock_rate_hz != after.clock_rate_hz:
        return False
    in_pictures = isinstance(before.parameters, H264Parameters | H265Parameters | JpegParameters)
    return in_pictures or before.parameters == after.parameters
