"""Stored media, seen from the hub: groups of frames at positions, the same for every viewer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from manycast.media.frame import Frame
from manycast.media.track import Track


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FrameGroup:
    """The frames from one place where playing can start to the next one, in the order of their dts.

    A group starts with a video keyframe. Files without video, and stretches without a keyframe for very long,
    are cut by duration; `seekable` tells whether playing may start here.
    The object is shared by all viewers of the file: nobody changes it or its frames.
    """

    position_us: int  # on the file's timeline, 0 at its start; together with the file, the group's identity
    end_us: int  # where the next group begins; the file's end for the last one
    frames: tuple[Frame, ...]  # timestamps on the file's timeline; a B-frame's or priming dts may be below 0
    seekable: bool
    last: bool
    size_bytes: int = field(init=False)  # of all frames

    def __post_init__(self) -> None:
        object.__setattr__(self, "size_bytes", sum([frame.size_bytes for frame in self.frames]))


class StoredMedia(Protocol):
    """A file that is open for playing. One object serves all its viewers."""

    @property
    def name(self) -> str:
        """What to call it in logs: its path below the media folder."""

    @property
    def costly(self) -> bool:
        """Groups take much work: nobody should ask for more of them than are played."""

    @property
    def tracks(self) -> tuple[Track, ...]:
        """The first video and the first audio track that can be carried; at least one."""

    @property
    def duration_us(self) -> int | None:
        """Length of the timeline; None where the container does not tell and nobody has played to the end yet."""

    async def group_at(self, position_us: int) -> FrameGroup:
        """The last seekable group that starts at or before a position; the first one for positions before it."""

    def held(self, position_us: int) -> FrameGroup | None:
        """The group that starts at a position, where it is in memory."""

    async def group_after(self, group: FrameGroup) -> FrameGroup | None:
        """The group that follows, None after the last. Raises SourceError when the file has gone or is broken."""
