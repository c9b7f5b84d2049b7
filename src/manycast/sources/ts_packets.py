"""Transport stream packets of a source to a stream of ours."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from manycast.errors import ProtocolError
from manycast.hub.gathering import Gathering
from manycast.hub.source import FrameSink
from manycast.media.track import Track
from manycast.wire.mpegts.demux import TsDemuxer
from manycast.wire.mpegts.jumps import JumpMender
from manycast.wire.rtp.packet import RtpPacket

SYNC_BYTE = 0x47


class TsIntake:
    """Demuxes; what is broken is counted by the demuxer and left out."""

    def __init__(self, publish: Callable[[Sequence[Track]], FrameSink]) -> None:
        self._demuxer = TsDemuxer()
        self._mender = JumpMender()
        self._gathering = Gathering(publish)

    @property
    def published(self) -> bool:
        return self._gathering.published

    @property
    def last_fault(self) -> str:
        return self._demuxer.last_fault or (
            f"nothing in it can be carried: {', '.join(self._demuxer.left_out)}" if self._demuxer.left_out else ""
        )

    def push(self, data: bytes, *, now_s: float) -> None:
        """Take bytes. Raises OtherTracks."""
        demuxer = self._demuxer
        frames = demuxer.receive(data)
        tracks = demuxer.tracks
        self._mender.mend(frames, tracks)
        self._gathering.push(frames, tracks, expected=tracks, now_s=now_s)

    def interrupt(self) -> None:
        """Packets are missing here."""
        self._demuxer.interrupt()

    def push_datagram(self, data: bytes, *, now_s: float) -> None:
        """Take a datagram of packets, perhaps with RTP around them (RFC 2250)."""
        if data[:1] and data[0] != SYNC_BYTE:
            try:
                data = RtpPacket.parse(data).payload
            except ProtocolError:
                return
        self.push(data, now_s=now_s)
