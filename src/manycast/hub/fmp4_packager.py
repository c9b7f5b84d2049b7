"""Frames to fragments of MP4, built once for all who watch a stream by WebSocket or HTTP in that form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from manycast.hub.fanout import BacklogLimit
from manycast.hub.gop_packager import GopPackager, PackedFrame
from manycast.media.frame import Frame
from manycast.media.track import Track
from manycast.wire.fmp4.fragment import Sample, serialize_fragment
from manycast.wire.fmp4.mux import Fmp4Muxer, Movie


class Fmp4Layout(Protocol):
    """How one transport carries a movie."""

    def start(self, movie: Movie) -> bytes:
        """The init segment, at the start and at each change."""

    def serialize(self, fragment: bytes, /) -> bytes: ...


class Fmp4Packager(GopPackager[bytes, bytes, Fmp4Layout]):
    """All viewers of one live stream who get a fragment for each frame."""

    carrier = "MP4 for browsers"
    muxer: Fmp4Muxer

    def __init__(self, tracks: Sequence[Track], cached: Sequence[Frame], limit: BacklogLimit, name: str) -> None:
        muxer = Fmp4Muxer(tracks)
        self._movie = muxer.movie  # what viewers were told
        self._written: dict[int, tuple[int, int]] = {}  # by the track: dts and duration of its latest sample, as told
        self._sequence = 0
        super().__init__(muxer, tracks, cached, limit, name)

    def _pack(self, frame: Frame) -> PackedFrame[bytes, bytes] | None:
        sample = self.muxer.sample(frame)
        movie = self.muxer.movie
        if sample is None or movie is None:
            return None
        if movie is not self._movie:
            self._movie = movie
            self._announce(lambda layout: layout.start(movie))
        if not sample.data:
            return None
        fragment = self._fragment_of(sample)
        return PackedFrame(fragment, len(fragment))

    def _start(self, layout: Fmp4Layout, preamble: bytes) -> Sequence[bytes]:
        return [preamble if self._movie is None else preamble + layout.start(self._movie)]

    def _fragment_of(self, sample: Sample) -> bytes:
        """A step of more than two durations makes a browser wait for the next keyframe (Media Source Extensions,
        coded frame processing, step 6): after a gap the time of decoding catches up little by little. What is shown
        when stays as it is."""
        before = self._written.get(sample.track_id)
        if before is not None and not sample.keyframe and sample.dts_ticks > before[0] + 2 * before[1]:
            sample = replace(sample, dts_ticks=before[0] + 2 * before[1])
        self._written[sample.track_id] = sample.dts_ticks, sample.duration_ticks
        self._sequence += 1
        return serialize_fragment([sample], self._sequence)
