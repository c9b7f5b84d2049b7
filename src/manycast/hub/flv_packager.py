"""Frames to FLV messages, built once for all who watch a stream by RTMP, HTTP-FLV or WebSocket-FLV."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from manycast.hub.fanout import BacklogLimit, Fanout, Viewer
from manycast.hub.gop import GopCache
from manycast.hub.rtp_packager import Framing
from manycast.media.frame import Frame
from manycast.media.track import MediaKind, Track
from manycast.wire.flv.file import tag
from manycast.wire.flv.message import FlvMessage
from manycast.wire.flv.mux import FlvMuxer

log = logging.getLogger(__name__)


class FlvFrame:
    """The messages of one frame, and the bytes each layout makes of them, once."""

    __slots__ = ("_forms", "joinable", "messages")

    def __init__(self, messages: Sequence[FlvMessage], joinable: bool) -> None:
        self.messages = messages
        self.joinable = joinable
        self._forms: dict[FlvLayout, bytes] = {}

    @property
    def size_bytes(self) -> int:
        return sum(len(message.body) for message in self.messages)

    def form(self, layout: FlvLayout) -> bytes:
        data = self._forms.get(layout)
        if data is None:
            data = self._forms[layout] = layout.serialize(self.messages)
        return data


class FlvLayout(Protocol):
    """How one protocol writes messages. Viewers with equal layouts get the same bytes; it is hashable for that."""

    def serialize(self, messages: Sequence[FlvMessage]) -> bytes: ...


@dataclass(frozen=True, slots=True)
class TagLayout:
    """Tags, as in a file, each frame's in one piece."""

    framing: Framing | None = None

    def serialize(self, messages: Sequence[FlvMessage]) -> bytes:
        data = b"".join(map(tag, messages))
        return self.framing(data) if self.framing is not None else data


class FlvPackager:
    """All viewers of one live stream by what FLV messages are carried in."""

    old_hevc = False

    def __init__(self, tracks: Sequence[Track], cached: Sequence[Frame], limit: BacklogLimit, name: str) -> None:
        self.muxer = FlvMuxer(tracks, old_hevc=self.old_hevc)
        self.limit = limit
        self._kinds = [track.kind for track in tracks]
        self._gop: GopCache[FlvFrame] = GopCache()
        self._fanouts: dict[FlvLayout, Fanout[bytes]] = {}
        self._latest_ms = 0
        if self.muxer.left_out:
            names = ", ".join(track.codec.value for track in self.muxer.left_out)
            log.warning("%s: FLV and RTMP cannot carry %s; an output that transcodes it would help", name, names)
        for frame in cached:
            self.push(frame)

    def push(self, frame: Frame) -> None:
        messages = self.muxer.messages(frame)
        if not messages:
            return
        has_video = self.muxer.has_video
        joinable = frame.keyframe and (not has_video or self._kinds[frame.track_index] is MediaKind.VIDEO)
        *configurations, coded = messages
        if configurations:
            # In their place whatever frames are dropped: what comes after cannot be decoded without.
            for layout, fanout in self._fanouts.items():
                fanout.write_control(layout.serialize(configurations))
        packed = FlvFrame([coded], joinable)
        self._latest_ms = coded.timestamp_ms
        if has_video:
            self._gop.add(packed, size_bytes=packed.size_bytes, keyframe=joinable)
        for layout, fanout in self._fanouts.items():
            fanout.write(packed.form(layout), joinable)

    def set_clock(self, unix_at_zero_s: float) -> None:
        """FLV has no wall clock."""

    def join(self, viewer: Viewer[bytes], layout: FlvLayout, *, preamble: bytes = b"") -> None:
        """Let a viewer in at the latest keyframe; `preamble` is sent before all else."""
        cached = list(self._gop)
        start_ms = cached[0].messages[0].timestamp_ms if cached else self._latest_ms
        start = preamble + layout.serialize(self.muxer.start(start_ms))
        waiting = self.muxer.has_video and not cached
        viewer.begin([start, *(frame.form(layout) for frame in cached)], wait_for_keyframe=waiting)
        self._fanouts.setdefault(layout, Fanout()).add(viewer)

    def leave(self, viewer: Viewer[bytes], layout: FlvLayout) -> None:
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


class OldHevcFlvPackager(FlvPackager):
    """With H.265 as players want it that do not know Enhanced RTMP."""

    old_hevc = True
