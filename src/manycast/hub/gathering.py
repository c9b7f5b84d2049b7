"""Streams whose tracks are known only from their frames."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from manycast.hub.source import FrameSink, SourceError
from manycast.media.frame import Frame
from manycast.media.track import Codec, Track

TRACKS_WAIT_S = 2.0  # for a track that was announced, or may still come
MAX_HELD_FRAMES = 1000  # meanwhile
MAX_HELD_BYTES = 16 * 1024 * 1024


class OtherTracks(SourceError):
    """A track has come or gone, or become another one: what was published cannot go on."""


class Gathering:
    """Holds frames back until every track is known, or has not come in time; then publishes, and passes them on."""

    def __init__(self, publish: Callable[[Sequence[Track]], FrameSink]) -> None:
        """What `publish` raises comes out of `push` and `handle_timer`."""
        self._publish = publish
        self._sink: FrameSink | None = None
        self._known: dict[int, Track] = {}  # by the demuxer's index; as published, once it is
        self._indices: dict[int, int] = {}  # of the demuxer's tracks, in the stream
        self._held: list[Frame] = []
        self._held_bytes = 0
        self._first_s: float | None = None

    @property
    def published(self) -> bool:
        return self._sink is not None

    def push(
        self,
        frames: Sequence[Frame],
        tracks: Mapping[int, Track | None],
        *,
        expected: Collection[int],
        now_s: float,
    ) -> None:
        """Take frames. `tracks` are those of the demuxer so far, by their index in it; `expected` are those that it
        waits for.

        Raises OtherTracks, before it has taken any.
        """
        known = {index: track for index, track in sorted(tracks.items()) if track is not None}
        if self._sink is not None:
            self._check(known, complete=len(known) == len(tracks))
            self._pass_on(frames)
            return
        if frames and self._first_s is None:
            self._first_s = now_s
        self._known = known
        self._held += frames
        self._held_bytes += sum(frame.size_bytes for frame in frames)
        if set(expected) <= known.keys() or self._waited_enough(now_s):
            self._begin()

    def handle_timer(self, now_s: float) -> None:
        """Begin without a track that does not come."""
        if self._sink is None and self._waited_enough(now_s):
            self._begin()

    def _waited_enough(self, now_s: float) -> bool:
        if len(self._held) > MAX_HELD_FRAMES or self._held_bytes > MAX_HELD_BYTES:
            return True
        return self._first_s is not None and now_s - self._first_s > TRACKS_WAIT_S

    def _begin(self) -> None:
        if not self._known or not self._held:
            return
        self._indices = {number: index for index, number in enumerate(self._known)}
        self._sink = self._publish(list(self._known.values()))
        held, self._held, self._held_bytes = self._held, [], 0
        self._pass_on(held)

    def _check(self, known: Mapping[int, Track], *, complete: bool) -> None:
        """New pictures of the same codec bring their parameters themselves."""
        if complete and known.keys() != self._known.keys():
            raise OtherTracks("the source has changed its tracks")
        for number, before in self._known.items():
            track = known.get(number)
            if track is None or track is before:
                continue
            told_apart = track.codec in (Codec.AAC, Codec.FLAC)  # from frames, which do not bring them
            changed = told_apart and track.parameters != before.parameters
            if changed or track.codec is not before.codec:
                raise OtherTracks("the source has changed its tracks")
            self._known[number] = track

    def _pass_on(self, frames: Sequence[Frame]) -> None:
        assert self._sink is not None
        for frame in frames:
            index = self._indices.get(frame.track_index)
            if index is not None:
                frame.track_index = index
                self._sink.push(frame)
