"""What packagers have in common that send viewers one piece for each frame, and new viewers those since the latest
keyframe."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from manycast.hub.fanout import BacklogLimit, Fanout, Viewer
from manycast.hub.gop import GopCache
from manycast.media.frame import Frame
from manycast.media.track import MediaKind, Track

ContentT = TypeVar("ContentT")
ContentT_contra = TypeVar("ContentT_contra", contravariant=True)
ChunkT = TypeVar("ChunkT")
ChunkT_co = TypeVar("ChunkT_co", covariant=True)

log = logging.getLogger(__name__)


class Layout(Protocol[ContentT_contra, ChunkT_co]):
    """How one transport sends what a format makes of a frame. Viewers with equal layouts get the same bytes; it is
    hashable for that."""

    def serialize(self, content: ContentT_contra, /) -> ChunkT_co: ...


LayoutT = TypeVar("LayoutT", bound=Layout[Any, Any])


class Muxer(Protocol):
    """What puts a stream's frames into a format."""

    left_out: list[Track]  # what the format cannot carry
    has_video: bool

    @property
    def usable(self) -> bool:
        """Something is left to carry."""


class PackedFrame(Generic[ContentT, ChunkT]):
    """One frame in a format, and what each layout makes of it, once."""

    __slots__ = ("_forms", "content", "size_bytes")

    def __init__(self, content: ContentT, size_bytes: int) -> None:
        self.content = content
        self.size_bytes = size_bytes
        self._forms: dict[Layout[ContentT, ChunkT], ChunkT] = {}

    def form(self, layout: Layout[ContentT, ChunkT]) -> ChunkT:
        chunk = self._forms.get(layout)
        if chunk is None:
            chunk = self._forms[layout] = layout.serialize(self.content)
        return chunk


class GopPackager(ABC, Generic[ContentT, ChunkT, LayoutT]):
    """All viewers of one live stream in one format."""

    carrier: ClassVar[str]  # what the format is called in the log

    def __init__(
        self, muxer: Muxer, tracks: Sequence[Track], cached: Sequence[Frame], limit: BacklogLimit, name: str
    ) -> None:
        """A subclass has all that `_pack` needs before it calls this."""
        self.muxer = muxer
        self.limit = limit
        self._kinds = [track.kind for track in tracks]
        self._gop: GopCache[PackedFrame[ContentT, ChunkT]] = GopCache()
        self._fanouts: dict[LayoutT, Fanout[ChunkT]] = {}
        warn_left_out(name, self.carrier, muxer.left_out)
        for frame in cached:
            self.push(frame)

    def push(self, frame: Frame) -> None:
        packed = self._pack(frame)
        if packed is None:
            return
        has_video = self.muxer.has_video
        joinable = frame.keyframe and (not has_video or self._is_video(frame))
        if has_video:
            self._gop.add(packed, size_bytes=packed.size_bytes, keyframe=joinable)
        for layout, fanout in self._fanouts.items():
            fanout.write(packed.form(layout), joinable)

    def join(self, viewer: Viewer[ChunkT], layout: LayoutT, *, preamble: bytes = b"") -> None:
        """Let a viewer in at the latest keyframe; `preamble` is sent before all else."""
        cached = [packed.form(layout) for packed in self._gop]
        waiting = self.muxer.has_video and not cached
        viewer.begin([*self._start(layout, preamble), *cached], wait_for_keyframe=waiting)
        self._fanouts.setdefault(layout, Fanout()).add(viewer)

    def leave(self, viewer: Viewer[ChunkT], layout: LayoutT) -> None:
        fanout = self._fanouts.get(layout)
        if fanout is None:
            return
        fanout.remove(viewer)
        if not len(fanout):
            del self._fanouts[layout]

    def set_clock(self, unix_at_zero_s: float) -> None:
        """These formats have no wall clock."""

    def handle_timer(self, *, now_s: float, unix_s: float) -> None:
        """Nothing is due."""

    def end(self) -> None:
        """How a stream ends is the protocols' own matter: their viewers are told by the stream."""

    def close(self) -> None:
        self._gop.clear()

    @abstractmethod
    def _pack(self, frame: Frame) -> PackedFrame[ContentT, ChunkT] | None:
        """A frame in the format; None where nothing is to be sent now."""

    @abstractmethod
    def _start(self, layout: LayoutT, preamble: bytes) -> Sequence[ChunkT]:
        """What a viewer gets before the first frame."""

    def _announce(self, told: Callable[[LayoutT], ChunkT]) -> None:
        """Tell all viewers what the next frame cannot be decoded without: whatever frames are dropped, in its place."""
        for layout, fanout in self._fanouts.items():
            fanout.write_control(told(layout))

    def _is_video(self, frame: Frame) -> bool:
        return self._kinds[frame.track_index] is MediaKind.VIDEO


def warn_left_out(name: str, carrier: str, left_out: Sequence[Track]) -> None:
    """Say of a stream what its viewers in a format do not get."""
    if left_out:
        codecs = ", ".join(track.codec_name for track in left_out)
        remedy = "it is converted where `convert` is not switched off"
        log.warning("%s: %s cannot carry %s, which is left out; %s", name, carrier, codecs, remedy)
