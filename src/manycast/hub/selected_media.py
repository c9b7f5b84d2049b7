"""Some tracks of stored media, where a protocol cannot have all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from manycast.hub.stored import FrameGroup, StoredMedia
from manycast.media.track import Track


class SelectedMedia:
    """The groups are those of the other media, with the frames of the chosen tracks."""

    def __init__(self, media: StoredMedia, track_indices: Sequence[int]) -> None:
        self._media = media
        self._numbers = {index: number for number, index in enumerate(track_indices)}

    @property
    def name(self) -> str:
        return self._media.name

    @property
    def costly(self) -> bool:
        return self._media.costly

    @property
    def tracks(self) -> tuple[Track, ...]:
        return tuple(self._media.tracks[index] for index in self._numbers)

    @property
    def duration_us(self) -> int | None:
        return self._media.duration_us

    async def group_at(self, position_us: int) -> FrameGroup:
        return self._cut(await self._media.group_at(position_us))

    def held(self, position_us: int) -> FrameGroup | None:
        group = self._media.held(position_us)
        return None if group is None else self._cut(group)

    async def group_after(self, group: FrameGroup) -> FrameGroup | None:
        following = await self._media.group_after(group)  # which goes by the place where the group ends
        return None if following is None else self._cut(following)

    def _cut(self, group: FrameGroup) -> FrameGroup:
        frames = (
            replace(frame, track_index=self._numbers[frame.track_index])
            for frame in group.frames
            if frame.track_index in self._numbers
        )
        return FrameGroup(
            position_us=group.position_us,
            end_us=group.end_us,
            frames=tuple(frames),
            seekable=group.seekable,
            last=group.last,
        )
