"""Files transcoded in pieces: nothing is lost or doubled at their seams, wherever somebody comes in."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise

import pytest
from support.hearing import loudest_hz
from support.movies import coded_video
from support.pictures import decoded
from support.waiting import until

from manycast.hub.output import AudioOutput, Output, VideoOutput
from manycast.hub.source import SourceError
from manycast.hub.stored import FrameGroup
from manycast.media.frame import Frame
from manycast.media.normalise import normalise
from manycast.media.track import Codec, H265Parameters, Track
from manycast.sources.transcoding.decoding import AudioDecoder
from manycast.sources.transcoding.plan import needed
from manycast.sources.transcoding.stored import PIECE_US, TranscodedMedia

from .test_transcoding import audio_of

GROUP_US = 2_400_000  # 60 pictures
GROUPS = 3
PICTURE_TICKS = 3600


class Film:
    """H.265 with B-frames and a tone, in groups that begin with a keyframe."""

    name = "film"
    costly = False

    def __init__(self, *, broken_from: int = GROUPS) -> None:
        video = Track(codec=Codec.H265, clock_rate_hz=90_000, parameters=H265Parameters())
        audio, sounds = audio_of(Codec.G711U, 330)
        self.groups = []
        self._broken_from = broken_from
        for number in range(GROUPS):
            position_us = number * GROUP_US
            frames = [_later(frame, position_us * 9 // 100) for frame in coded_video(Codec.H265)]
            for frame in frames:
                video = normalise(frame, video)
            frames += [
                replace(sound, track_index=1)
                for sound in sounds
                if position_us <= sound.pts_ticks * 125 < position_us + GROUP_US
            ]
            frames.sort(key=lambda frame: frame.dts_ticks / (90_000, 8000)[frame.track_index])
            self.groups.append(
                FrameGroup(
                    position_us=position_us,
                    end_us=position_us + GROUP_US,
                    frames=tuple(frames),
                    seekable=True,
                    last=number == GROUPS - 1,
                )
            )
        self.tracks = (video, audio)
        self.duration_us = GROUPS * GROUP_US

    async def group_at(self, position_us: int) -> FrameGroup:
        return self.groups[min(GROUPS - 1, max(0, position_us // GROUP_US))]

    def held(self, position_us: int) -> FrameGroup | None:
        return None

    async def group_after(self, group: FrameGroup) -> FrameGroup | None:
        number = group.end_us // GROUP_US
        if number >= self._broken_from:
            raise SourceError("the film is torn")
        return self.groups[number] if number < GROUPS else None


def _later(frame: Frame, ticks: int) -> Frame:
    return replace(frame, dts_ticks=frame.dts_ticks + ticks, pts_ticks=frame.pts_ticks + ticks, units=list(frame.units))


@pytest.fixture(name="executor")
def executor_fixture() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as executor:
        yield executor


def transcoded(film: Film, executor: ThreadPoolExecutor, output: Output | None = None) -> TranscodedMedia:
    output = output or Output(
        video=VideoOutput(codec=Codec.H264, width=160), audio=AudioOutput(codec=Codec.OPUS, sample_rate_hz=48_000)
    )
    return TranscodedMedia(film, needed(film.tracks, output), executor)


async def walk(media: TranscodedMedia, piece: FrameGroup) -> AsyncIterator[FrameGroup]:
    following: FrameGroup | None = piece
    while following is not None:
        yield following
        following = await media.group_after(following)


async def test_the_pieces_of_a_file_are_all_of_it(executor: ThreadPoolExecutor) -> None:
    media = transcoded(Film(), executor)
    pieces = [piece async for piece in walk(media, await media.group_at(0))]
    assert [piece.position_us for piece in pieces][:7] == [*range(0, GROUP_US, PIECE_US), GROUP_US]
    assert all(before.end_us == after.position_us for before, after in pairwise(pieces))
    assert [piece.position_us for piece in pieces if piece.seekable] == [0, GROUP_US, 2 * GROUP_US]
    assert [piece.last for piece in pieces] == [False] * (len(pieces) - 1) + [True]
    video = [frame for piece in pieces for frame in piece.frames if frame.track_index == 0]
    assert [frame.pts_ticks - video[0].pts_ticks for frame in video] == [n * PICTURE_TICKS for n in range(180)]
    assert len(decoded(Codec.H264, video)) == 180
    for piece in pieces:
        assert not piece.seekable or next(frame for frame in piece.frames if frame.track_index == 0).keyframe
    audio = [frame for piece in pieces for frame in piece.frames if frame.track_index == 1]
    steps = {after.pts_ticks - before.pts_ticks for before, after in pairwise(audio)}
    assert steps == {960}
    decoder = AudioDecoder(media.tracks[1], "test")
    assert loudest_hz([sound for frame in audio for sound, _ in decoder.decode(frame)]) == pytest.approx(440, abs=8)


async def test_a_piece_that_was_forgotten_is_made_again_from_a_keyframe(executor: ThreadPoolExecutor) -> None:
    media = transcoded(Film(), executor)
    pieces = [piece async for piece in walk(media, await media.group_at(0))]
    anew = transcoded(Film(), executor)
    for number in (8, 3):
        again = await anew.group_after(pieces[number - 1])
        assert again is not None
        assert (again.position_us, again.end_us) == (pieces[number].position_us, pieces[number].end_us)
        pictures = [frame for frame in again.frames if frame.track_index == 0]
        assert [frame.pts_ticks for frame in pictures] == [
            frame.pts_ticks for frame in pieces[number].frames if frame.track_index == 0
        ]
        assert pictures[0].keyframe
        assert len(decoded(Codec.H264, pictures)) == len(pictures)
        assert min(frame.pts_ticks for frame in again.frames if frame.track_index == 1) * 125 // 6 >= again.position_us


async def test_what_passes_is_cut_into_the_same_pieces(executor: ThreadPoolExecutor) -> None:
    film = Film()
    media = transcoded(film, executor, Output(audio=AudioOutput(codec=Codec.AAC)))
    pieces = [piece async for piece in walk(media, await media.group_at(0))]
    assert len(pieces) == 18
    passed = [frame.units for piece in pieces for frame in piece.frames if frame.track_index == 0]
    assert passed == [frame.units for group in film.groups for frame in group.frames if frame.track_index == 0]


async def test_all_who_ask_at_once_get_the_same_and_one_piece_is_made_ahead(executor: ThreadPoolExecutor) -> None:
    media = transcoded(Film(), executor)
    first = await media.group_at(0)
    assert media.held(first.end_us) is None  # nobody plays yet
    second = await media.group_after(first)
    assert second is not None
    assert await media.group_after(first) is second
    await until(lambda: media.held(second.end_us), "the third piece is made")


async def test_a_file_that_ends_in_a_fault_says_so_where_it_is_played(executor: ThreadPoolExecutor) -> None:
    media = transcoded(Film(broken_from=2), executor)
    with pytest.raises(SourceError, match="torn"):
        async for _ in walk(media, await media.group_at(GROUP_US)):
            pass
