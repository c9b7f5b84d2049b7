"""Frames to transport stream packets, built once for all who watch a stream over SRT."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from manycast.hub.fanout import BacklogLimit, Fanout, Viewer
from manycast.hub.gop import GopCache
from manycast.media.frame import Frame
from manycast.media.track import MediaKind, Track
from manycast.wire.mpegts.mux import TsMuxer
from manycast.wire.mpegts.packet import PACKET_BYTES

PAYLOAD_PACKETS = 7  # 1316 bytes: as many as fit into one datagram everywhere

log = logging.getLogger(__name__)


class Payloads(NamedTuple):
    """One frame's packets, cut into what goes into one datagram each."""

    parts: tuple[bytes, ...]
    size_bytes: int


@dataclass(frozen=True, slots=True)
class TsLayout:
    """How many packets go into one datagram. Viewers with equal layouts get the same bytes."""

    packets: int = PAYLOAD_PACKETS

    def cut(self, data: bytes) -> Payloads:
        size = self.packets * PACKET_BYTES
        return Payloads(tuple(data[start : start + size] for start in range(0, len(data), size)), len(data))


class TsFrame:
    """The packets of one frame, and what each layout makes of them, once."""

    __slots__ = ("_forms", "data", "joinable")

    def __init__(self, data: bytes, joinable: bool) -> None:
        self.data = data
        self.joinable = joinable
        self._forms: dict[TsLayout, Payloads] = {}

    def form(self, layout: TsLayout) -> Payloads:
        payloads = self._forms.get(layout)
        if payloads is None:
            payloads = self._forms[layout] = layout.cut(self.data)
        return payloads


class TsPackager:
    """All viewers of one live stream by what a transport stream is carried in."""

    def __init__(self, tracks: Sequence[Track], cached: Sequence[Frame], limit: BacklogLimit, name: str) -> None:
        self.muxer = TsMuxer(tracks)
        self.limit = limit
        self._kinds = [track.kind for track in tracks]
        self._gop: GopCache[TsFrame] = GopCache()
        self._fanouts: dict[TsLayout, Fanout[Payloads]] = {}
        self._sound = b""  # it goes with the next picture, or once it fills a datagram
        self._tables = b""  # the latest of a stream without pictures; repeated, they begin for a new viewer
        if self.muxer.left_out:
            names = ", ".join(track.codec.value for track in self.muxer.left_out)
            log.warning("%s: SRT cannot carry %s; an output that transcodes it would help", name, names)
        for frame in cached:
            self.push(frame)

    def push(self, frame: Frame) -> None:
        data = self.muxer.frame(frame)
        if not data:
            return
        has_video = self.muxer.has_video
        is_video = self._kinds[frame.track_index] is MediaKind.VIDEO
        joinable = frame.keyframe and (is_video or not has_video)
        if self._sound:
            data, self._sound = self._sound + data, b""
        if has_video and not is_video and len(data) < PAYLOAD_PACKETS * PACKET_BYTES:
            self._sound = data
            return
        if not has_video and begins_with_tables(data):
            self._tables = data[: 2 * PACKET_BYTES]
        packed = TsFrame(data, joinable)
        if has_video:
            self._gop.add(packed, size_bytes=len(data), keyframe=joinable)
        for layout, fanout in self._fanouts.items():
            fanout.write(packed.form(layout), joinable)

    def set_clock(self, unix_at_zero_s: float) -> None:
        """A transport stream's clock is its own."""

    def join(self, viewer: Viewer[Payloads], layout: TsLayout) -> None:
        """Let a viewer in at the latest keyframe, before which the tables are."""
        cached = [frame.form(layout) for frame in self._gop]
        if self._tables:
            cached = [layout.cut(self._tables)]
        viewer.begin(cached, wait_for_keyframe=self.muxer.has_video and not cached)
        self._fanouts.setdefault(layout, Fanout()).add(viewer)

    def leave(self, viewer: Viewer[Payloads], layout: TsLayout) -> None:
        fanout = self._fanouts.get(layout)
        if fanout is None:
            return
        fanout.remove(viewer)
        if not len(fanout):
            del self._fanouts[layout]

    def handle_timer(self, *, now_s: float, unix_s: float) -> None:
        """Nothing is due."""

    def end(self) -> None:
        """How a stream ends is the protocols' own matter: their sessions are told by the stream."""


def begins_with_tables(data: bytes) -> bool:
    """Whether the first packet is of the PAT, behind which the muxer puts the PMT, one packet each."""
    return (data[1] & 0x1F, data[2]) == (0, 0)
