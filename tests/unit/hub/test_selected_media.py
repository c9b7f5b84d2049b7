"""Some tracks of a file, with the groups of all of them."""

from __future__ import annotations

from manycast.hub.selected_media import SelectedMedia
from manycast.hub.stored import FrameGroup
from manycast.media.frame import Frame
from manycast.media.track import AudioParameters, Codec, PlainParameters, Track

VIDEO = Track(codec=Codec.MJPEG, clock_rate_hz=90_000, parameters=PlainParameters())
SOUND = Track(codec=Codec.G711A, clock_rate_hz=8000, parameters=AudioParameters(sample_rate_hz=8000, channels=1))


class Film:
    """Two groups, with one frame of each track in each."""

    name, costly, tracks, duration_us = "film", True, (VIDEO, SOUND), 2_000_000

    def __init__(self) -> None:
        self.groups = [
            FrameGroup(
                position_us=number * 1_000_000,
                end_us=(number + 1) * 1_000_000,
                frames=tuple(
                    Frame(
                        track_index=index,
                        dts_ticks=number * track.clock_rate_hz,
                        pts_ticks=number * track.clock_rate_hz,
                        keyframe=True,
                        units=[bytes((number, index))],
                    )
                    for index, track in enumerate(self.tracks)
                ),
                seekable=True,
                last=number == 1,
            )
            for number in range(2)
        ]

    async def group_at(self, position_us: int) -> FrameGroup:
        return self.groups[position_us >= 1_000_000]

    def held(self, position_us: int) -> FrameGroup | None:
        return self.groups[0] if not position_us else None

    async def group_after(self, group: FrameGroup) -> FrameGroup | None:
        return None if group.last else self.groups[1]


async def test_the_frames_of_the_chosen_track_are_those_of_track_0() -> None:
    selected = SelectedMedia(Film(), [1])
    assert (selected.name, selected.costly, selected.duration_us) == ("film", True, 2_000_000)
    assert selected.tracks == (SOUND,)
    first = await selected.group_at(0)
    held = selected.held(0)
    second = await selected.group_after(first)
    assert held is not None
    assert second is not None
    for number, group in enumerate((first, second)):
        (frame,) = group.frames
        assert (frame.track_index, frame.units, frame.pts_ticks) == (0, [bytes((number, 1))], number * 8000)
        assert (group.position_us, group.end_us) == (number * 1_000_000, (number + 1) * 1_000_000)
    assert held.frames == first.frames
    assert second.last
    assert await selected.group_after(second) is None
    assert selected.held(1_000_000) is None


async def test_the_other_media_keeps_its_frames() -> None:
    film = Film()
    await SelectedMedia(film, [1]).group_at(0)
    assert [frame.track_index for frame in film.groups[0].frames] == [0, 1]
