"""The viewers who get the very same bytes, and the loop that hands them over."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, Protocol, TypeVar

from manycast.hub.keyframes import KeyframeRequests

ChunkT = TypeVar("ChunkT")
ChunkT_contra = TypeVar("ChunkT_contra", contravariant=True)


class Viewer(Protocol[ChunkT_contra]):
    """One reader. Knows nothing of codecs; a chunk is what its transport sends for one frame."""

    def begin(self, chunks: Sequence[ChunkT_contra], *, wait_for_keyframe: bool) -> None:
        """Send what a new viewer gets first; `wait_for_keyframe` when no keyframe is among it."""

    def offer(self, chunk: ChunkT_contra, joinable: bool) -> None:
        """Send one frame, keep it in the backlog, or drop it. Never waits.

        `joinable` says that decoding can start with this frame, so that dropping may end here.
        """

    def control(self, chunk: ChunkT_contra) -> None:
        """Send what is no frame (RTCP): in its place, whatever frames are dropped."""

    def clear(self) -> None:
        """Forget the frames that wait: the viewer has paused or gone elsewhere."""


class BacklogLimit:
    """How much may wait for one viewer, kept to some seconds of the stream, and whom to ask for a keyframe when more
    was dropped. Shared by all viewers of a stream."""

    __slots__ = ("_seconds", "bytes_per_s", "keyframes", "size_bytes")

    MIN_BYTES = 512 * 1024  # a 4K keyframe must fit, however low the average bit rate is
    MAX_BYTES = 16 * 1024 * 1024

    def __init__(self, seconds: float = 2.0, keyframes: KeyframeRequests | None = None) -> None:
        """Without `keyframes`, nobody can make any."""
        self._seconds = seconds
        self.keyframes = keyframes or KeyframeRequests()
        self.bytes_per_s = 0.0  # of the stream, as far as it is known
        self.size_bytes = self.MIN_BYTES

    def follow(self, bytes_per_s: float) -> None:
        self.bytes_per_s = bytes_per_s
        self.size_bytes = int(min(max(bytes_per_s * self._seconds, self.MIN_BYTES), self.MAX_BYTES))


class Fanout(Generic[ChunkT]):
    """A set of viewers who all get the same chunks."""

    __slots__ = ("_viewers",)

    def __init__(self) -> None:
        # A tuple made anew at each change: nothing that happens during a write disturbs the loop.
        self._viewers: tuple[Viewer[ChunkT], ...] = ()

    def __len__(self) -> int:
        return len(self._viewers)

    def add(self, viewer: Viewer[ChunkT]) -> None:
        self._viewers = (*self._viewers, viewer)

    def remove(self, viewer: Viewer[ChunkT]) -> None:
        self._viewers = tuple(other for other in self._viewers if other is not viewer)

    def write(self, chunk: ChunkT, joinable: bool) -> None:
        for viewer in self._viewers:
            viewer.offer(chunk, joinable)

    def write_control(self, chunk: ChunkT) -> None:
        for viewer in self._viewers:
            viewer.control(chunk)
