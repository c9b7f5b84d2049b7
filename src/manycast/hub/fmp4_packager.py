"""Frames to fragments of MP4, built once for all who watch a stream by WebSocket or HTTP in that form."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from manycast.hub.fanout import BacklogLimit, Fanout, Viewer
from manycast.hub.gop import GopCache
from manycast.media.frame import Frame
from manycast.media.track import MediaKind, Track
from manycast.wire.fmp4.fragment import Sample, serialize_fragment
from manycast.wire.fmp4.mux import Fmp4Muxer, Movie

log = logging.getLogger(__name__)


class Fmp4Layout(Protocol):
    """How one transport carries a movie. Viewers with equal layouts get the same bytes; it is hashable for that."""

    def start(self, movie: Movie) -> bytes:
        """The init segment, at the start and at each change."""

    def fragment(self, data: bytes) -> bytes: ...


class _Fragment:
    """A frame's fragment, and the bytes each layout makes of it, once."""

    __slots__ = ("_forms", "data")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self._forms: dict[Fmp4Layout, bytes] = {}

    def form(self, layout: Fmp4Layout) -> bytes:
        data = self._forms.get(layout)
        if data is None:
            data = self._forms[layout] = layout.fragment(self.data)
        return data


class Fmp4Packager:
    """All viewers of one live stream who get a fragment for each frame."""

    def __init__(self, tracks: Sequence[Track], cached: Sequence[Frame], limit: BacklogLimit, name: str) -> None:
        self.muxer = Fmp4Muxer(tracks)
        self.limit = limit
        self._kinds = [track.kind for track in tracks]
        self._gop: GopCache[_Fragment] = GopCache()
        self._fanouts: dict[Fmp4Layout, Fanout[bytes]] = {}
        self._movie = self.muxer.movie  # what viewers were told
        self._written: dict[int, tuple[int, int]] = {}  # by the track: dts and duration of its latest sample, as told
        self._sequence = 0
        if self.muxer.left_out:
            names = ", ".join(track.codec.value for track in self.muxer.left_out)
            log.warning("%s: MP4 for browsers cannot carry %s; an output that transcodes it would help", name, names)
        for frame in cached:
            self.push(frame)

    def push(self, frame: Frame) -> None:
        sample = self.muxer.sample(frame)
        movie = self.muxer.movie
        if sample is None or movie is None:
            return
        if movie is not self._movie:
            self._movie = movie
            for layout, fanout in self._fanouts.items():
                # In its place whatever frames are dropped: what comes after cannot be decoded without.
                fanout.write_control(layout.start(movie))
        if not sample.data:
            return
        joinable = frame.keyframe and (not movie.has_video or self._kinds[frame.track_index] is MediaKind.VIDEO)
        fragment = self._fragment_of(sample)
        if movie.has_video:
            self._gop.add(fragment, size_bytes=len(fragment.data), keyframe=joinable)
        for layout, fanout in self._fanouts.items():
            fanout.write(fragment.form(layout), joinable)

    def set_clock(self, unix_at_zero_s: float) -> None:
        """Fragments have no wall clock."""

    def join(self, viewer: Viewer[bytes], layout: Fmp4Layout, *, preamble: bytes = b"") -> None:
        """Let a viewer in at the latest keyframe; `preamble` is sent before all else."""
        start = preamble if self._movie is None else preamble + layout.start(self._movie)
        viewer.begin(
            [start, *(fragment.form(layout) for fragment in self._gop)],
            wait_for_keyframe=self.muxer.has_video and not self._gop,
        )
        self._fanouts.setdefault(layout, Fanout()).add(viewer)

    def leave(self, viewer: Viewer[bytes], layout: Fmp4Layout) -> None:
        fanout = self._fanouts.get(layout)
        if fanout is None:
            return
        fanout.remove(viewer)
        if not len(fanout):
            del self._fanouts[layout]

    def handle_timer(self, *, now_s: float, unix_s: float) -> None:
        """Nothing is due."""

    def end(self) -> None:
        """How a stream ends is the transports' own matter: their viewers are told by the stream."""

    def _fragment_of(self, sample: Sample) -> _Fragment:
        """A step of more than two durations makes a browser wait for the next keyframe (Media Source Extensions,
        coded frame processing, step 6): after a gap the time of decoding catches up little by little. What is shown
        when stays as it is."""
        before = self._written.get(sample.track_id)
        if before is not None and not sample.keyframe and sample.dts_ticks > before[0] + 2 * before[1]:
            sample = replace(sample, dts_ticks=before[0] + 2 * before[1])
        self._written[sample.track_id] = sample.dts_ticks, sample.duration_ticks
        self._sequence += 1
        return _Fragment(serialize_fragment([sample], self._sequence))
