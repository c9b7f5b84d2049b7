"""Frames to FLV messages, built once for all who watch a stream by RTMP, HTTP-FLV or WebSocket-FLV."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from manycast.hub.fanout import BacklogLimit
from manycast.hub.gop_packager import GopPackager, Layout, PackedFrame
from manycast.hub.rtp_packager import Framing
from manycast.media.frame import Frame
from manycast.media.track import Track
from manycast.wire.flv.file import tag
from manycast.wire.flv.message import FlvMessage
from manycast.wire.flv.mux import FlvMuxer

FlvLayout = Layout[Sequence[FlvMessage], bytes]


@dataclass(frozen=True, slots=True)
class TagLayout:
    """Tags, as in a file, each frame's in one piece."""

    framing: Framing | None = None

    def serialize(self, messages: Sequence[FlvMessage]) -> bytes:
        data = b"".join(map(tag, messages))
        return self.framing(data) if self.framing is not None else data


class FlvPackager(GopPackager[Sequence[FlvMessage], bytes, FlvLayout]):
    """All viewers of one live stream by what FLV messages are carried in."""

    carrier = "FLV and RTMP"
    old_hevc = False
    muxer: FlvMuxer

    def __init__(self, tracks: Sequence[Track], cached: Sequence[Frame], limit: BacklogLimit, name: str) -> None:
        self._latest_ms = 0
        super().__init__(FlvMuxer(tracks, old_hevc=self.old_hevc), tracks, cached, limit, name)

    def _pack(self, frame: Frame) -> PackedFrame[Sequence[FlvMessage], bytes] | None:
        messages = self.muxer.messages(frame)
        if not messages:
            return None
        *configurations, coded = messages
        if configurations:
            self._announce(lambda layout: layout.serialize(configurations))
        self._latest_ms = coded.timestamp_ms
        return PackedFrame((coded,), len(coded.body))

    def _start(self, layout: FlvLayout, preamble: bytes) -> Sequence[bytes]:
        first = next(iter(self._gop), None)
        start_ms = self._latest_ms if first is None else first.content[0].timestamp_ms
        return [preamble + layout.serialize(self.muxer.start(start_ms))]


class OldHevcFlvPackager(FlvPackager):
    """With H.265 as players want it that do not know Enhanced RTMP."""

    old_hevc = True
