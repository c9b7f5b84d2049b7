"""Streams that are published by RTMP."""

from __future__ import annotations

import time
from collections.abc import Callable

from manycast.hub.gathered_stream import GatheredStream
from manycast.hub.hub import Hub
from manycast.hub.pipe import told_to_viewers
from manycast.servers.faults import AnyLog, FaultLog
from manycast.wire.flv.demux import FlvDemuxer
from manycast.wire.flv.message import FlvMessage, MalformedFlv, NotCarried
from manycast.wire.rtmp.aggregate import MEDIA_KINDS, split_aggregate
from manycast.wire.rtmp.chunk import RtmpMessage, RtmpType

MAX_LEFT_OUT = 8


class Publication:
    """What one client publishes at one path. The stream begins once its tracks are known."""

    def __init__(
        self, hub: Hub, path: str, source: str, faults: FaultLog, log: AnyLog, on_refused: Callable[[str], None]
    ) -> None:
        """`on_refused` is called when the path was taken after all, by the time the tracks were known."""
        self.path = path
        self._faults = faults
        self._log = log
        self._demuxer = FlvDemuxer()
        self._left_out: set[str] = set()  # what was said of tracks that cannot be taken
        self._gathered = GatheredStream(hub, path, source, on_refused)
        self.latest_s = time.monotonic()

    def push(self, message: RtmpMessage) -> None:
        """Take sound, pictures or data. What is broken is named in the log and left out."""
        self.latest_s = time.monotonic()
        try:
            if message.kind == RtmpType.AGGREGATE:
                for part in split_aggregate(message):
                    self._push(part)
            else:
                kind = MEDIA_KINDS[RtmpType(message.kind)]
                self._push(FlvMessage(kind, message.timestamp_ms, message.body))
        except NotCarried as error:
            if str(error) not in self._left_out and len(self._left_out) < MAX_LEFT_OUT:
                self._left_out.add(str(error))
                self._log.warning("%s: left out: %s", self.path, error)
        except MalformedFlv as error:
            self._faults.note(self._log, f"{self.path}: {error}")

    def handle_timer(self, now_s: float) -> None:
        """Begin without a track that does not come."""
        self._gathered.handle_timer(now_s)

    def close(self, reason: str) -> None:
        self._gathered.close(told_to_viewers(reason))

    def _push(self, message: FlvMessage) -> None:
        frames, demuxer = self._demuxer.push(message), self._demuxer
        self._gathered.push(frames, demuxer.tracks, expected=demuxer.awaited, now_s=self.latest_s)
