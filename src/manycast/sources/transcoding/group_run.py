"""Transcodes a file's groups of frames, piece by piece. Imports PyAV: import it late."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
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
from manycast.sources.encoding.audio import AudioEncoder
from manycast.sources.encoding.engines import SOFTWARE, Engines
from manycast.sources.encoding.sound_shape import settled
from manycast.sources.encoding.video import VideoEncoder
from manycast.sources.encoding.video_form import CLOCK_HZ
from manycast.sources.transcoding.decoding import AudioDecoder, VideoDecoder
from manycast.sources.transcoding.plan import Wanted, shape_of


class GroupRun:
    """One way through a file: each of its groups is begun, and then taken in pieces. What comes out for a group
    begins with a keyframe.

    Used by one thread at a time.
    """

    def __init__(
        self, tracks: Sequence[Track], wanted: Sequence[Wanted], name: str, engines: Engines = SOFTWARE
    ) -> None:
        """Raises FFmpegError."""
        self._lanes = [
            _make_lane(index, track, output, name, engines)
            for index, (track, output) in enumerate(zip(tracks, wanted, strict=True))
        ]
        self.tracks = tuple(lane.track for lane in self._lanes)

    def begin(self, group: FrameGroup) -> None:
        """Go on with a group; groups come in the order of the file, and each is taken to its end."""
        for index, lane in enumerate(self._lanes):
            lane.begin([frame for frame in group.frames if frame.track_index == index])

    def take_until(self, time_us: int) -> list[Frame]:
        """The frames of the group under way, from where the last piece has ended, to a time on the file's timeline.
        Raises FFmpegError."""
        return self._sorted([lane.take_until(lane.ticks_at(time_us)) for lane in self._lanes])

    def take_rest(self, following: FrameGroup | None) -> list[Frame]:
        """The rest of the group under way. The one behind it is needed for what its first pictures belong to; None:
        there is none. Raises FFmpegError."""
        taken = []
        for index, lane in enumerate(self._lanes):
            if following is None:
                taken.append(lane.take_last())
            else:
                taken.append(lane.take_rest([frame for frame in following.frames if frame.track_index == index]))
        return self._sorted(taken)

    def skip(self, groups: Sequence[FrameGroup], time_us: int) -> None:
        """Go to a time in the last of some groups, of which the first one can be played from."""
        for group, following in zip(groups, (*groups[1:], None), strict=True):
            self.begin(group)
            for index, lane in enumerate(self._lanes):
                ahead = [] if following is None else following.frames
                lane.skip(lane.ticks_at(time_us), [frame for frame in ahead if frame.track_index == index])

    def _sorted(self, taken: Sequence[list[Frame]]) -> list[Frame]:
        for lane, made in zip(self._lanes, taken, strict=True):
            for frame in made:
                lane.track = normalise(frame, lane.track)
        self.tracks = tuple(lane.track for lane in self._lanes)
        clocks = [track.clock_rate_hz for track in self.tracks]
        # A picture first, where there is one: playing starts there.
        frames = [frame for made in taken for frame in made]
        return sorted(frames, key=lambda frame: (frame.dts_ticks / clocks[frame.track_index], frame.track_index))


def _make_lane(index: int, track: Track, output: Wanted, name: str, engines: Engines) -> _Passed | _Video | _Audio:
    if isinstance(output, VideoOutput):
        return _Video(index, track, output, name, engines)
    return _Passed(track) if output is None else _Audio(index, track, output, name)


class _Lane:
    """One track: the frames of the group under way that were not looked at yet."""

    def __init__(self, source: Track) -> None:
        self._clock_rate_hz = source.clock_rate_hz
        self._own: deque[Frame] = deque()

    def ticks_at(self, time_us: int) -> int:
        return time_us * self._clock_rate_hz // 1_000_000

    def begin(self, frames: list[Frame]) -> None:
        self._own.extend(frames)

    def _before(self, ticks: int) -> Iterator[Frame]:
        while self._own and self._own[0].dts_ticks < ticks:
            yield self._own.popleft()

    def _all(self) -> Iterator[Frame]:
        while self._own:
            yield self._own.popleft()


class _Passed(_Lane):
    def __init__(self, track: Track) -> None:
        super().__init__(track)
        self.track = track

    def take_until(self, ticks: int) -> list[Frame]:
        return list(map(_copy, self._before(ticks)))

    def take_rest(self, _ahead: list[Frame]) -> list[Frame]:
        return list(map(_copy, self._all()))

    def take_last(self) -> list[Frame]:
        return self.take_rest([])

    def skip(self, ticks: int, _ahead: list[Frame]) -> None:
        self.take_until(ticks)


class _Video(_Lane):
    def __init__(self, index: int, track: Track, output: VideoOutput, name: str, engines: Engines) -> None:
        super().__init__(track)
        self._decoder = VideoDecoder(track, name, engines)
        self._encoder = VideoEncoder(output, index, source_rate=frame_rate(track) or 0.0, engines=engines, name=name)
        self._fed_ahead = 0  # frames of the group that has not begun
        self._held: deque[tuple[VideoFrame, int]] = deque()  # pictures of what is to be taken later
        self.track = self._encoder.track

    def begin(self, frames: list[Frame]) -> None:
        super().begin(frames[self._fed_ahead :])
        self._fed_ahead = 0
        self._encoder.force_keyframe()

    def take_until(self, ticks: int) -> list[Frame]:
        return self._encode(self._pictures_before(ticks, ()))

    def take_rest(self, ahead: list[Frame]) -> list[Frame]:
        if not ahead:
            return self._encode(self._pictures_of_all())
        return self._encode(self._pictures_before(ahead[0].pts_ticks, ahead))

    def take_last(self) -> list[Frame]:
        found = self._encode(self._pictures_of_all())
        return found + self._encode(iter(self._decoder.finish())) + self._encoder.finish()

    def skip(self, ticks: int, ahead: list[Frame]) -> None:
        for _ in self._pictures_before(min(ticks, ahead[0].pts_ticks) if ahead else ticks, ahead):
            pass

    def _pictures_before(self, ticks: int, ahead: Sequence[Frame]) -> Iterator[tuple[VideoFrame, int]]:
        """Pictures up to a time, from the group and then from the one behind it; a later one is held."""
        while self._held and self._held[0][1] < ticks:
            yield self._held.popleft()
        while not self._held and (self._own or self._fed_ahead < len(ahead)):
            if self._own:
                frame = self._own.popleft()
            else:
                frame = ahead[self._fed_ahead]
                self._fed_ahead += 1
            for picture in self._decoder.decode(frame):
                if picture[1] < ticks:
                    yield picture
                else:
                    self._held.append(picture)

    def _pictures_of_all(self) -> Iterator[tuple[VideoFrame, int]]:
        while self._held:
            yield self._held.popleft()
        for frame in self._all():
            yield from self._decoder.decode(frame)

    def _encode(self, pictures: Iterator[tuple[VideoFrame, int]]) -> list[Frame]:
        found: list[Frame] = []
        for picture, pts_ticks in pictures:
            try:
                found += self._encoder.encode(picture, rescale(pts_ticks, self._clock_rate_hz, CLOCK_HZ))
            except FFmpegError:
                continue  # one picture; the next may be better
        return found


class _Audio(_Lane):
    def __init__(self, index: int, track: Track, output: AudioOutput, name: str) -> None:
        super().__init__(track)
        self._decoder = AudioDecoder(track, name)
        self._encoder = AudioEncoder(output, settled(output, *shape_of(track)), index)
        self._begin_ticks: int | None = None
        self.track = self._encoder.track

    def take_until(self, ticks: int) -> list[Frame]:
        return self._encode(self._before(ticks))

    def take_rest(self, _ahead: list[Frame]) -> list[Frame]:
        return self._encode(self._all())

    def take_last(self) -> list[Frame]:
        return self._encode(self._all()) + self._after_begin(self._encoder.finish())

    def skip(self, ticks: int, _ahead: list[Frame]) -> None:
        for frame in self._before(ticks):
            self._decoder.decode(frame)

    def _encode(self, frames: Iterator[Frame]) -> list[Frame]:
        found: list[Frame] = []
        for frame in frames:
            if self._begin_ticks is None:
                self._begin_ticks = rescale(frame.pts_ticks, self._clock_rate_hz, self.track.clock_rate_hz)
            for sound in self._decoder.decode(frame):
                found += self._encoder.encode(*sound)
        return self._after_begin(found)

    def _after_begin(self, frames: list[Frame]) -> list[Frame]:
        """Without the encoder's priming."""
        return [frame for frame in frames if frame.pts_ticks >= (self._begin_ticks or 0)]


def _copy(frame: Frame) -> Frame:
    return replace(frame, units=list(frame.units))
