"""Frames to transport stream packets, built once for all who watch a stream over SRT."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from manycast.hub.fanout import BacklogLimit
from manycast.hub.gop_packager import GopPackager, PackedFrame
from manycast.media.frame import Frame
from manycast.media.track import Track
from manycast.wire.mpegts.mux import TsMuxer
from manycast.wire.mpegts.packet import PACKET_BYTES

PAYLOAD_PACKETS = 7  # 1316 bytes: as many as fit into one datagram everywhere


class Payloads(NamedTuple):
    """One frame's packets, cut into what goes into one datagram each."""

    parts: tuple[bytes, ...]
    size_bytes: int


@dataclass(frozen=True, slots=True)
class TsLayout:
    """How many packets go into one datagram."""

    packets: int = PAYLOAD_PACKETS

    def serialize(self, data: bytes) -> Payloads:
        size = self.packets * PACKET_BYTES
        return Payloads(tuple(data[start : start + size] for start in range(0, len(data), size)), len(data))


class TsPackager(GopPackager[bytes, Payloads, TsLayout]):
    """All viewers of one live stream by what a transport stream is carried in."""

    carrier = "SRT"
    muxer: TsMuxer

    def __init__(self, tracks: Sequence[Track], cached: Sequence[Frame], limit: BacklogLimit, name: str) -> None:
        self._sound = b""  # it goes with the next picture, or once it fills a datagram
        self._tables = b""  # the latest of a stream without pictures; repeated, they begin for a new viewer
        super().__init__(TsMuxer(tracks), tracks, cached, limit, name)

    def _pack(self, frame: Frame) -> PackedFrame[bytes, Payloads] | None:
        data = self.muxer.frame(frame)
        if not data:
            return None
        if self._sound:
            data, self._sound = self._sound + data, b""
        if not self.muxer.has_video:
            if begins_with_tables(data):
                self._tables = data[: 2 * PACKET_BYTES]
        elif not self._is_video(frame) and len(data) < PAYLOAD_PACKETS * PACKET_BYTES:
            self._sound = data
            return None
        return PackedFrame(data, len(data))

    def _start(self, layout: TsLayout, preamble: bytes) -> Sequence[Payloads]:
        """Tables go before each keyframe anyway."""
        start = preamble + self._tables
        return [layout.serialize(start)] if start else []


def begins_with_tables(data: bytes) -> bool:
    """Whether the first packet is of the PAT, behind which the muxer puts the PMT, one packet each."""
    return (data[1] & 0x1F, data[2]) == (0, 0)
