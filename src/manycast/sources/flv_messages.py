"""FLV messages of a source, by RTMP or in an FLV stream, to a stream of ours."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from manycast.hub.gathering import Gathering
from manycast.hub.source import FrameSink
from manycast.media.track import Track
from manycast.wire.flv.demux import FlvDemuxer
from manycast.wire.flv.message import FlvMessage, MalformedFlv


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
        """Raises OtherTracks."""
        demuxer = self._demuxer
        try:
            frames = demuxer.push(message)
        except MalformedFlv as error:
            self.broken += 1
            self.last_fault = str(error)
            return
        self._gathering.push(frames, demuxer.tracks, expected=demuxer.awaited, now_s=now_s)
