"""Transcodes a file's groups of frames, one after the other. Imports PyAV: import it late."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import replace

from av.error import FFmpegError
from av.video.frame import VideoFrame

from manycast.hub.output import AudioOutput, VideoOutput
from manycast.hub.stored import FrameGroup
from manycast.media.clock import rescale
from manycast.media.frame import Frame
from manycast.media.normalise import normalise
from manycast.media.sample import frame_rate
from manycast.media.track import Track
from manycast.sources.encoding.audio import AudioEncoder, settled
from manycast.sources.encoding.video import CLOCK_HZ, VideoEncoder
from manycast.sources.transcoding.decoding import AudioDecoder, VideoDecoder
from manycast.sources.transcoding.plan import shape_of
from manycast.sources.transcoding.transcoder import Wanted


class GroupRun:
    """One way through a file. Its groups are as long as the file's own, and begin at the same positions.

    Used by one thread at a time.
    """

    def __init__(self, tracks: Sequence[Track], wanted: Sequence[Wanted], name: str) -> None:
        """Raises FFmpegError."""
        self._lanes = [_make_lane(index, *both, name) for index, both in enumerate(zip(tracks, wanted, strict=True))]
        self.tracks = tuple(lane.track for lane in self._lanes)

    def transcode(self, group: FrameGroup, following: FrameGroup | None) -> FrameGroup:
        """The frames of one group. The one behind it is needed for what its first pictures belong to; None: there is
        none. Groups come in the order of the file. Raises FFmpegError."""
        frames: list[Frame] = []
        for index, lane in enumerate(self._lanes):
            own = [frame for frame in group.frames if frame.track_index == index]
            ahead = [] if following is None else [frame for frame in following.frames if frame.track_index == index]
            made = lane.take(own, ahead, last=following is None)
            for frame in made:
                lane.track = normalise(frame, lane.track)
            frames += made
        self.tracks = tuple(lane.track for lane in self._lanes)
        clocks = [track.clock_rate_hz for track in self.tracks]
        # A picture first, where there is one: playing starts there.
        frames.sort(key=lambda frame: (frame.dts_ticks / clocks[frame.track_index], frame.track_index))
        return replace(group, frames=tuple(frames))


def _make_lane(index: int, track: Track, output: Wanted, name: str) -> _Passed | _Video | _Audio:
    if isinstance(output, VideoOutput):
        return _Video(index, track, output, name)
    return _Passed(track) if output is None else _Audio(index, track, output, name)


class _Passed:
    def __init__(self, track: Track) -> None:
        self.track = track

    def take(self, own: list[Frame], _ahead: list[Frame], *, last: bool) -> list[Frame]:
        return [replace(frame, units=list(frame.units)) for frame in own]


class _Video:
    def __init__(self, index: int, track: Track, output: VideoOutput, name: str) -> None:
        self._clock_rate_hz = track.clock_rate_hz
        self._decoder = VideoDecoder(track, name)
        self._encoder = VideoEncoder(output, index, source_rate=frame_rate(track) or 0.0, name=name)
        self._fed_ahead = 0  # frames of the group that has not begun
        self._held: deque[tuple[VideoFrame, int]] = deque()  # its pictures that came out with them
        self.track = self._encoder.track

    def take(self, own: list[Frame], ahead: list[Frame], *, last: bool) -> list[Frame]:
        self._encoder.force_keyframe()
        found = [frame for picture in self._drain_held() for frame in self._encode(*picture)]
        for frame in own[self._fed_ahead :]:
            for picture in self._decoder.decode(frame):
                found += self._encode(*picture)
        self._fed_ahead = 0
        if last or not ahead:
            for picture in self._decoder.finish():
                found += self._encode(*picture)
            return found
        boundary = ahead[0].pts_ticks
        while not self._held and self._fed_ahead < len(ahead):
            for picture in self._decoder.decode(ahead[self._fed_ahead]):
                if picture[1] < boundary:
                    found += self._encode(*picture)
                else:
                    self._held.append(picture)
            self._fed_ahead += 1
        return found

    def _drain_held(self) -> list[tuple[VideoFrame, int]]:
        held = list(self._held)
        self._held.clear()
        return held

    def _encode(self, picture: VideoFrame, pts_ticks: int) -> list[Frame]:
        try:
            return self._encoder.encode(picture, rescale(pts_ticks, self._clock_rate_hz, CLOCK_HZ))
        except FFmpegError:
            return []  # one picture; the next may be better


class _Audio:
    def __init__(self, index: int, track: Track, output: AudioOutput, name: str) -> None:
        self._source = track
        self._decoder = AudioDecoder(track, name)
        self._encoder = AudioEncoder(output, settled(output, *shape_of(track)), index)
        self._begin_ticks: int | None = None
        self.track = self._encoder.track

    def take(self, own: list[Frame], _ahead: list[Frame], *, last: bool) -> list[Frame]:
        if self._begin_ticks is None and own:
            self._begin_ticks = rescale(own[0].pts_ticks, self._source.clock_rate_hz, self.track.clock_rate_hz)
        found = []
        for frame in own:
            for sound in self._decoder.decode(frame):
                found += self._encoder.encode(*sound)
        if last:
            found += self._encoder.finish()
        begin_ticks = self._begin_ticks or 0
        return [frame for frame in found if frame.pts_ticks >= begin_ticks]  # without the encoder's priming
