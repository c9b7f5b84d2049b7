"""Streams that are published by RTMP."""

from __future__ import annotations

import time
from collections.abc import Callable

from manycast.hub.hub import Hub, PathTaken
from manycast.hub.stream import Stream
from manycast.media.frame import Frame
from manycast.media.track import Codec, MediaKind, Track
from manycast.servers.faults import AnyLog, FaultLog
from manycast.wire.flv.demux import FlvDemuxer
from manycast.wire.flv.message import FlvMessage, MalformedFlv
from manycast.wire.rtmp.aggregate import MEDIA_KINDS, split_aggregate
from manycast.wire.rtmp.chunk import RtmpMessage, RtmpType

TRACKS_WAIT_S = 2.0  # for a track that was announced, or may still come
MAX_HELD_FRAMES = 1000  # meanwhile
MAX_HELD_BYTES = 16 * 1024 * 1024


class Publication:
    """What one client publishes at one path. The stream begins once its tracks are known."""

    def __init__(
        self, hub: Hub, path: str, source: str, faults: FaultLog, log: AnyLog, on_refused: Callable[[str], None]
    ) -> None:
        """`on_refused` is called when the path was taken after all, by the time the tracks were known."""
        self.path = path
        self._hub = hub
        self._source = source
        self._faults = faults
        self._log = log
        self._on_refused = on_refused
        self._demuxer = FlvDemuxer()
        self._stream: Stream | None = None
        self._indices: dict[int, int] = {}  # of the demuxer's tracks, in the stream
        self._tracks: tuple[Track, ...] = ()
        self._held: list[Frame] = []
        self._held_bytes = 0
        self._first_s: float | None = None
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
        except MalformedFlv as error:
            self._faults.note(self._log, f"{self.path}: {error}")

    def handle_timer(self, now_s: float) -> None:
        """Begin without a track that does not come."""
        if self._stream is None and self._first_s is not None and now_s - self._first_s > TRACKS_WAIT_S:
            self._begin()

    def close(self, reason: str) -> None:
        if self._stream is not None:
            self._hub.unpublish(self._stream, reason)
            self._stream = None
        self._held.clear()

    def _push(self, message: FlvMessage) -> None:
        frames = self._demuxer.push(message)
        if self._stream is not None and self._changed():
            self.close("the publisher changed its tracks")
            self._first_s = None
        if self._stream is not None:
            self._pass_on(frames)
            return
        for frame in frames:
            self._first_s = self._first_s or time.monotonic()
            self._held.append(frame)
            self._held_bytes += frame.size_bytes
        if frames and self._ready():
            self._begin()

    def _ready(self) -> bool:
        kinds = {track.kind for track in (self._demuxer.video, self._demuxer.audio) if track is not None}
        wanted = self._demuxer.expected or {MediaKind.VIDEO, MediaKind.AUDIO}
        return wanted <= kinds or len(self._held) > MAX_HELD_FRAMES or self._held_bytes > MAX_HELD_BYTES

    def _changed(self) -> bool:
        """Whether a track is another one now; new pictures of the same codec bring their parameters themselves."""
        video, audio = self._demuxer.video, self._demuxer.audio
        found = [(0, video)] if video is not None else []
        found += [(1, audio)] if audio is not None else []
        for number, track in found:
            index = self._indices.get(number)
            if index is None:
                continue  # it came too late for this stream: only a new one could have it
            known = self._tracks[index]
            if known is not track and (known.codec is not track.codec or track.codec is Codec.AAC):
                return known.parameters != track.parameters or known.codec is not track.codec
        return False

    def _begin(self) -> None:
        found = [(0, self._demuxer.video), (1, self._demuxer.audio)]
        known = [(number, track) for number, track in found if track is not None]
        if not known:
            return
        self._indices = {number: index for index, (number, _) in enumerate(known)}
        self._tracks = tuple(track for _, track in known)
        try:
            self._stream = self._hub.publish(self.path, self._tracks, self._source)
        except PathTaken as error:
            self._on_refused(str(error))
            return
        held, self._held, self._held_bytes = self._held, [], 0
        self._pass_on(held)

    def _pass_on(self, frames: list[Frame]) -> None:
        assert self._stream is not None
        for frame in frames:
            index = self._indices.get(frame.track_index)
            if index is not None:
                frame.track_index = index
                self._stream.push(frame)
