"""Streams that are published over SRT."""

from __future__ import annotations

import time
from collections.abc import Callable

from manycast.hub.gathered_stream import GatheredStream
from manycast.hub.hub import Hub
from manycast.servers.faults import AnyLog, FaultLog
from manycast.wire.mpegts.demux import TsDemuxer
from manycast.wire.mpegts.jumps import JumpMender


class Publication:
    """What one caller publishes at one path. The stream begins once its tracks are known."""

    def __init__(
        self, hub: Hub, path: str, source: str, faults: FaultLog, log: AnyLog, on_refused: Callable[[str], None]
    ) -> None:
        """`on_refused` is called when the path was taken after all, by the time the tracks were known."""
        self.path = path
        self._faults = faults
        self._log = log
        self._demuxer = TsDemuxer()
        self._mender = JumpMender()
        self._gathered = GatheredStream(hub, path, source, on_refused)
        self._left_out: list[str] = []
        self._faults_told = 0
        self.waits_since_s = self.latest_s = time.monotonic()

    @property
    def live(self) -> bool:
        return self._gathered.live

    @property
    def lost_packets(self) -> int:
        """Of the transport stream: what libsrt gave up, or the publisher had lost before."""
        return self._demuxer.lost_packets

    def push(self, data: bytes) -> None:
        """Take packets. What is broken is named in the log and left out."""
        self.latest_s = time.monotonic()
        frames = self._demuxer.receive(data)
        self._tell()
        tracks = self._demuxer.tracks
        self._mender.mend(frames, tracks)
        if self._gathered.push(frames, tracks, expected=tracks, now_s=self.latest_s):
            self.waits_since_s = self.latest_s

    def interrupt(self) -> None:
        """Packets are missing here."""
        self._demuxer.interrupt()

    def handle_timer(self, now_s: float) -> None:
        """Begin without a track that does not come."""
        self._gathered.handle_timer(now_s)

    def close(self, reason: str) -> None:
        self._gathered.close(reason)

    def what_is_missing(self) -> str:
        """Why there is no stream yet."""
        if not self._demuxer.mapped:
            return "no transport stream with its tables came"
        return "no frames came that can be carried"

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
