"""FLV messages of a source, by RTMP or in an FLV stream, to a stream of ours."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from manycast.hub.source import FrameSink
from manycast.media.track import MediaKind, Track
from manycast.sources.gathering import Gathering
from manycast.wire.flv.demux import FlvDemuxer
from manycast.wire.flv.message import FlvMessage, MalformedFlv

VIDEO, AUDIO = 0, 1  # the demuxer's indices


class FlvIntake:
    """Demuxes; what is broken is counted and left out."""

    def __init__(self, publish: Callable[[Sequence[Track]], FrameSink]) -> None:
        self.broken = 0
        self.last_fault = ""
        self._demuxer = FlvDemuxer()
        self._gathering = Gathering(publish)

    @property
    def published(self) -> bool:
        return self._gathering.published

    def push(self, message: FlvMessage, *, now_s: float) -> None:
        """Raises SourceError when a track has become another one."""
        demuxer = self._demuxer
        try:
            frames = demuxer.push(message)
        except MalformedFlv as error:
            self.broken += 1
            self.last_fault = str(error)
            return
        said = {VIDEO: MediaKind.VIDEO, AUDIO: MediaKind.AUDIO}
        expected = [index for index, kind in said.items() if not demuxer.expected or kind in demuxer.expected]
        tracks = {VIDEO: demuxer.video, AUDIO: demuxer.audio}
        self._gathering.push(frames, tracks, expected=expected, now_s=now_s)
