"""Frames to samples of one movie's timeline, and what its init segment says at each time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from manycast.media.audio_duration import frame_ticks
from manycast.media.frame import Frame
from manycast.media.sample import SampleWriter, frame_rate
from manycast.media.track import MediaKind, Track
from manycast.wire.fmp4.fragment import Sample
from manycast.wire.fmp4.init_segment import MovieTrack, serialize_init_segment
from manycast.wire.fmp4.sample_entry import CARRIED, TOLD_BY_FRAMES, Description, describe

LEAD_S = 1  # where a movie begins: tracks need not begin together, and times are not below 0
MAX_STEP_BACK_S = 1  # further back is a sender that started anew

_DEFAULT_FRAME_RATE = 25.0
_MAX_FRAME_RATE = 120  # frames that come closer together are late ones


@dataclass(frozen=True, slots=True, eq=False)
class Movie:
    """What decoders need before samples; a new object whenever it changes."""

    init_segment: bytes
    codecs: tuple[str, ...]  # RFC 6381
    has_video: bool
    size: tuple[int, int] | None  # of the pictures, in pixels

    @property
    def mime_type(self) -> str:
        return f'{"video" if self.has_video else "audio"}/mp4; codecs="{", ".join(self.codecs)}"'


class _TrackMuxer:
    __slots__ = (
        "_described",
        "_latest",
        "_previous_ticks",
        "_usual_ticks",
        "clock_rate_hz",
        "description",
        "samples",
        "track_id",
    )

    def __init__(self, track_id: int, track: Track) -> None:
        self.track_id = track_id
        self.clock_rate_hz = track.clock_rate_hz
        self.samples = SampleWriter(track)
        self.description: Description | None = describe(track)
        self._usual_ticks = int(track.clock_rate_hz / (frame_rate(track) or _DEFAULT_FRAME_RATE))
        self._described = track
        self._latest: Sample | None = None
        self._previous_ticks = 0  # of the duration before the latest

    @property
    def is_video(self) -> bool:
        return self.samples.track.kind is MediaKind.VIDEO

    def sample(self, frame: Frame, origin_s: int) -> Sample:
        data = self.samples.sample(frame)
        track = self.samples.track
        if track is not self._described or (frame.keyframe and track.codec in TOLD_BY_FRAMES):
            self._describe(track, data)
        shift = origin_s * self.clock_rate_hz
        dts = max(0, frame.dts_ticks - shift)
        latest = self._latest
        if latest is not None:
            dts = max(dts, latest.dts_ticks + 1)
            latest.duration_ticks = dts - latest.dts_ticks
            # The shorter one of two: a gap says nothing of what follows it.
            shorter = min(latest.duration_ticks, self._previous_ticks or latest.duration_ticks)
            self._usual_ticks = max(shorter, self.clock_rate_hz // _MAX_FRAME_RATE)
            self._previous_ticks = latest.duration_ticks
        duration = None if self.is_video else frame_ticks(track, data)
        sample = Sample(
            self.track_id, dts, frame.pts_ticks - shift, duration or self._usual_ticks, frame.keyframe, data
        )
        self._latest = sample
        return sample

    def behind_s(self, frame: Frame, origin_s: int) -> int:
        """By how many seconds a frame is before where its track ends, rounded up; 0 when it need not move."""
        if self._latest is None:
            return 0
        end_ticks = self._latest.dts_ticks + self._latest.duration_ticks
        behind = end_ticks - (frame.dts_ticks - origin_s * self.clock_rate_hz)
        return -(-behind // self.clock_rate_hz) if behind > MAX_STEP_BACK_S * self.clock_rate_hz else 0

    def _describe(self, track: Track, data: bytes) -> None:
        """What cannot be read leaves the description as it was."""
        self._described = track
        description = describe(track, data)
        if description is not None and description != self.description:
            self.description = description


class Fmp4Muxer:
    """One stream as a movie: its first video and its first audio track that MP4 and players of it can carry."""

    def __init__(self, tracks: Sequence[Track], *, origin_s: int | None = None) -> None:
        """`origin_s` is the second of the frames' timeline that becomes 0; by default a little before the first."""
        self.left_out: list[Track] = []
        self.movie: Movie | None = None  # None until its pictures, or else its sound, can be described
        self._origin_s = origin_s
        self._tracks: dict[int, _TrackMuxer] = {}
        kinds: set[MediaKind] = set()
        for index, track in enumerate(tracks):
            if track.codec not in CARRIED or track.kind in kinds:
                self.left_out.append(track)
            else:
                self._tracks[index] = _TrackMuxer(index + 1, track)
                kinds.add(track.kind)
        self.has_video = MediaKind.VIDEO in kinds
        self._follow()

    @property
    def usable(self) -> bool:
        """Something is left to carry."""
        return bool(self._tracks)

    @property
    def carried(self) -> tuple[int, ...]:
        """The tracks that are not left out, by their index."""
        return tuple(self._tracks)

    def sample(self, frame: Frame) -> Sample | None:
        """The sample of a frame that has passed `normalise`; None for a track that is left out.

        `movie` is a new one, when the sample needs it. The duration of a picture is a guess, its predecessor's, until
        the next sample of its track has come: then it is set in the sample handed out before. So what is put together
        from several samples has exact durations once what follows it is there.
        """
        track = self._tracks.get(frame.track_index)
        if track is None:
            return None
        if self._origin_s is None:
            self._origin_s = frame.dts_ticks // track.clock_rate_hz - LEAD_S
        self._origin_s -= track.behind_s(frame, self._origin_s)
        known = track.description
        sample = track.sample(frame, self._origin_s)
        if track.description is not known:
            self._follow()
        return sample

    def _follow(self) -> None:
        described = [track for track in self._tracks.values() if track.description is not None]
        if not described or (self.has_video and not any(track.is_video for track in described)):
            return
        tracks = [
            MovieTrack(track_id=track.track_id, timescale_hz=track.clock_rate_hz, description=track.description)
            for track in described
            if track.description is not None
        ]
        self.movie = Movie(
            init_segment=serialize_init_segment(tracks),
            codecs=tuple(track.description.codec for track in tracks),
            has_video=self.has_video,
            size=next((track.description.size for track in tracks if track.is_video), None),
        )
