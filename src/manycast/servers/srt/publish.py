"""Streams that are published over SRT."""

from __future__ import annotations

import time
from collections.abc import Callable

from manycast.hub.hub import Hub, PathTaken
from manycast.hub.stream import Stream
from manycast.media.frame import Frame
from manycast.media.track import Codec, Track
from manycast.servers.faults import AnyLog, FaultLog
from manycast.wire.mpegts.demux import TsDemuxer
from manycast.wire.mpegts.jumps import JumpMender

TRACKS_WAIT_S = 2.0  # for a track that the program's map names, behind the first frame
MAX_HELD_FRAMES = 1000  # meanwhile
MAX_HELD_BYTES = 16 * 1024 * 1024


class Publication:
    """What one caller publishes at one path. The stream begins once its tracks are known."""

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
        self._demuxer = TsDemuxer()
        self._mender = JumpMender()
        self._stream: Stream | None = None
        self._tracks: dict[int, Track] = {}  # the demuxer's, those of the stream, in its order
        self._indices: dict[int, int] = {}
        self._held: list[Frame] = []
        self._held_bytes = 0
        self._first_s: float | None = None
        self._left_out: list[str] = []
        self._faults_told = 0
        self.waits_since_s = self.latest_s = time.monotonic()

    @property
    def live(self) -> bool:
        return self._stream is not None

    @property
    def lost_packets(self) -> int:
        """Of the transport stream: what libsrt gave up, or the publisher had lost before."""
        return self._demuxer.lost_packets

    def push(self, data: bytes) -> None:
        """Take packets. What is broken is named in the log and left out."""
        self.latest_s = time.monotonic()
        frames = self._demuxer.receive(data)
        self._tell()
        if self._stream is not None and self._changed():
            self.close("the publisher changed its tracks")
            self.waits_since_s = self.latest_s
        if self._stream is not None:
            self._pass_on(frames)
            return
        for frame in frames:
            self._first_s = self._first_s or self.latest_s
            self._held.append(frame)
            self._held_bytes += frame.size_bytes
        if frames and self._ready():
            self._begin()

    def interrupt(self) -> None:
        """Packets are missing here."""
        self._demuxer.interrupt()

    def handle_timer(self, now_s: float) -> None:
        """Begin without a track that does not come."""
        if self._stream is None and self._first_s is not None and now_s - self._first_s > TRACKS_WAIT_S:
            self._begin()

    def close(self, reason: str) -> None:
        if self._stream is not None:
            self._hub.unpublish(self._stream, reason)
            self._stream = None
        self._first_s = None
        self._held.clear()
        self._held_bytes = 0

    def what_is_missing(self) -> str:
        """Why there is no stream yet."""
        if not self._demuxer.mapped:
            return "no transport stream with its tables came"
        return "no frames came that can be carried"

    def _ready(self) -> bool:
        return (
            all(track is not None for track in self._demuxer.tracks.values())
            or len(self._held) > MAX_HELD_FRAMES
            or self._held_bytes > MAX_HELD_BYTES
        )

    def _changed(self) -> bool:
        """Whether a track has come, gone or become another; new pictures bring their parameters themselves."""
        found = self._demuxer.tracks
        if found.keys() != self._tracks.keys() and not any(track is None for track in found.values()):
            return True
        for index, known in self._tracks.items():
            track = found.get(index)
            if track is None or track is known:
                continue
            if track.codec is not known.codec or (track.codec is Codec.AAC and track.parameters != known.parameters):
                return True
        return False

    def _begin(self) -> None:
        self._tracks = {index: track for index, track in sorted(self._demuxer.tracks.items()) if track is not None}
        if not self._tracks:
            return
        self._indices = {number: index for index, number in enumerate(self._tracks)}
        try:
            self._stream = self._hub.publish(self.path, tuple(self._tracks.values()), self._source)
        except PathTaken as error:
            self._on_refused(str(error))
            return
        held, self._held, self._held_bytes = self._held, [], 0
        self._pass_on(held)

    def _pass_on(self, frames: list[Frame]) -> None:
        assert self._stream is not None
        for frame in frames:
            index = self._indices.get(frame.track_index)
            if index is None:
                continue
            frame.track_index = index
            shift = self._mender.shift(index, frame.dts_ticks, self._stream.tracks[index].clock_rate_hz)
            frame.dts_ticks += shift
            frame.pts_ticks += shift
            self._stream.push(frame)

    def _tell(self) -> None:
        """Say in the log what cannot be carried, and what was broken."""
        demuxer = self._demuxer
        if demuxer.left_out != self._left_out:
            self._left_out = demuxer.left_out
            if self._left_out:
                self._log.warning("%s: passed over: %s", self.path, ", ".join(self._left_out))
        faults = demuxer.broken + demuxer.lost_packets + bool(demuxer.skipped_bytes)
        if faults != self._faults_told:
            self._faults_told = faults
            said = (
                f"{demuxer.lost_packets} packets lost, {demuxer.broken} broken, {demuxer.skipped_bytes} bytes skipped"
            )
            last = f"; {demuxer.last_fault}" if demuxer.last_fault else ""
            self._faults.note(self._log, f"{self.path}: {said}{last}")
