"""Cutting frames into groups, and their times, without any file."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from manycast.media.frame import Frame
from manycast.media.track import AudioParameters, Codec, CodecParameters, H264Parameters, H265Parameters, Track
from manycast.sources.files.cache import KEPT_ROUNDS, GroupCache
from manycast.sources.files.groups import FileGroup, VideoGrouper
from manycast.sources.files.picture_order import PictureOrder, PictureSlots
from manycast.sources.files.timing import (
    FrameGrid,
    GivenTimes,
    PcmTimes,
    Sample,
    SortedTimes,
    TimeScale,
    TrackTimes,
    reorder_delay,
)

VIDEO = Track(codec=Codec.H264, clock_rate_hz=90_000, parameters=H264Parameters())
AUDIO = Track(codec=Codec.OPUS, clock_rate_hz=48_000, parameters=AudioParameters(sample_rate_hz=48_000, channels=2))


def picture(dts_ticks: int, *, keyframe: bool = False, size: int = 100) -> Frame:
    return Frame(track_index=0, dts_ticks=dts_ticks, pts_ticks=dts_ticks + 3600, keyframe=keyframe, units=[bytes(size)])


def sound(dts_ticks: int) -> Frame:
    return Frame(track_index=1, dts_ticks=dts_ticks, pts_ticks=dts_ticks, keyframe=True, units=[b"sound"])


def movie(seconds: int, group: int = 25) -> tuple[list[Frame], list[Frame]]:
    """25 pictures and 50 pieces of sound a second."""
    video = [picture(index * 3600, keyframe=index % group == 0) for index in range(25 * seconds)]
    return video, [sound(index * 960) for index in range(50 * seconds)]


def grouped(
    frames: list[Frame], *, at_start: bool = True, tracks: tuple[Track, ...] = (VIDEO, AUDIO)
) -> list[FileGroup]:
    grouper = VideoGrouper(tracks)
    grouper.restart(at_start=at_start)
    return [group for frame in frames for group in grouper.push(frame)] + grouper.finish(1_000_000_000)


def times(group: FileGroup) -> list[tuple[int, int]]:
    return [(frame.track_index, frame.dts_ticks) for frame in group.frames]


@given(st.randoms(use_true_random=False), st.integers(0, 40))
def test_groups_do_not_depend_on_how_audio_and_video_are_interleaved(random: object, lag: int) -> None:
    video, audio = movie(6)
    expected = grouped(sorted(video + audio, key=lambda frame: frame.dts_ticks / (90_000, 48_000)[frame.track_index]))
    # Each picture comes up to `lag` pictures' time before or after its sound.
    shifts = {0: 0.0, 1: random.uniform(-lag, lag) * 0.04}  # type: ignore[attr-defined]
    mixed = sorted(
        video + audio,
        key=lambda frame: frame.dts_ticks / (90_000, 48_000)[frame.track_index] + shifts[frame.track_index],
    )
    assert [times(group) for group in grouped(mixed)] == [times(group) for group in expected]


def test_a_group_is_complete_only_with_its_audio() -> None:
    video, audio = movie(2)
    grouper = VideoGrouper((VIDEO, AUDIO))
    assert not [group for frame in video[:30] for group in grouper.push(frame)]
    assert not [group for frame in audio[:50] for group in grouper.push(frame)]
    (group,) = grouper.push(audio[50])
    assert times(group)[-3:] == [(0, 24 * 3600), (1, 48 * 960), (1, 49 * 960)]


def test_audio_that_never_comes_is_waited_for_only_so_long() -> None:
    video, _ = movie(10)
    grouper = VideoGrouper((VIDEO, AUDIO))
    groups = [group for frame in video for group in grouper.push(frame)]
    assert [len(group.frames) for group in groups] == [25] * 7
    late = sound(0)
    groups = grouper.push(late) + grouper.finish(10_000_000)
    assert [frame for group in groups for frame in group.frames if frame.track_index == 1] == [late]


def test_after_a_start_in_the_middle_only_what_belongs_to_the_keyframe_is_given() -> None:
    video, audio = movie(4)
    frames = sorted(video[20:] + audio[45:], key=lambda frame: frame.dts_ticks / (90_000, 48_000)[frame.track_index])
    grouper = VideoGrouper((VIDEO, AUDIO))
    grouper.restart(at_start=False)
    groups = [group for frame in frames for group in grouper.push(frame)]
    assert times(groups[0])[:2] == [(0, 25 * 3600), (1, 50 * 960)]
    assert groups[0].position_us == 1_040_000
    assert grouper.complete


def test_a_start_that_misses_audio_is_known_for_it() -> None:
    video, audio = movie(4)
    grouper = VideoGrouper((VIDEO, AUDIO))
    grouper.restart(at_start=False)
    for frame in video[25:40] + audio[60:80]:
        grouper.push(frame)
    assert not grouper.complete


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 2_000_000), st.booleans()), max_size=200))
def test_whatever_the_times_groups_are_whole_and_in_order(steps: list[tuple[bool, int, bool]]) -> None:
    clocks = [0, 0]  # of video and audio, which need not agree at all
    frames = []
    for is_audio, step, flag in steps:
        clocks[is_audio] += step
        frames.append(sound(clocks[1]) if is_audio else picture(clocks[0], keyframe=flag))
    groups = grouped(frames)
    shown = [frame.track_index == 0 and frame.keyframe for frame in frames]
    first = shown.index(True) if any(shown) else len(frames)
    expected = [frame for index, frame in enumerate(frames) if frame.track_index == 1 or index >= first]
    got = [frame for group in groups for frame in group.frames]
    assert sorted(map(id, got)) == sorted(map(id, expected if groups else []))
    assert bool(groups) == any(shown)
    for track_index in (0, 1):
        dts = [frame.dts_ticks for frame in got if frame.track_index == track_index]
        assert dts == sorted(dts)
    assert all(group.frames for group in groups)
    assert all(a.end_us == b.position_us < b.end_us for a, b in pairwise(groups))


def sample(pts: int | None, dts: int | None = None, *, keyframe: bool = False, duration: int = 40) -> Sample:
    return Sample(track_index=0, dts=dts, pts=pts, duration=duration, keyframe=keyframe, units=[b"x"])


def timed(timing: TrackTimes, samples: list[Sample]) -> list[tuple[int, int]]:
    frames = [frame for each in samples for frame in timing.push(each)] + timing.flush()
    return [(frame.dts_ticks, frame.pts_ticks) for frame in frames]


def test_times_are_rescaled_to_the_nearest_tick() -> None:
    scale = TimeScale(Fraction(1, 12800), Fraction(0), 90_000)
    assert [scale.ticks(time) for time in (-512, 0, 1, 512)] == [-3600, 0, 7, 3600]
    late = TimeScale(Fraction(1, 90_000), Fraction(131_110, 90_000), 44_100)
    assert [late.ticks(time) for time in (131_110, 133_200, 135_290)] == [0, 1024, 2048]


def test_missing_times_follow_from_the_frame_before() -> None:
    scale = TimeScale(Fraction(1, 1000), Fraction(0), 90_000)
    samples = [sample(0, 0), sample(None), sample(None), sample(120, 120), sample(100, 100)]
    assert timed(GivenTimes(scale), samples) == [(0, 0), (3600, 3600), (7200, 7200), (10800, 10800), (10801, 10801)]


@given(st.lists(st.integers(0, 3), min_size=1, max_size=30), st.integers(0, 5), st.booleans())
def test_dts_made_from_pts_are_the_pts_in_order_and_earlier(b_frames: list[int], start: int, open_groups: bool) -> None:
    samples = _reordered(b_frames, open_groups)
    scale = TimeScale(Fraction(1, 1000), Fraction(0), 90_000)
    delay = reorder_delay(samples)
    expected = timed(SortedTimes(scale, delay * 90, 4), _reordered(b_frames, open_groups))
    dts = [dts for dts, _ in expected]
    assert dts == sorted(set(dts))
    assert all(dts <= pts for dts, pts in expected)
    assert [pts for _, pts in expected] == [sample.pts * 90 for sample in samples if sample.pts is not None]
    # The same from any keyframe on.
    keyframes = [index for index, sample in enumerate(samples) if sample.keyframe]
    first = keyframes[start % len(keyframes)]
    again = _reordered(b_frames, open_groups)[first:]
    assert timed(SortedTimes(scale, delay * 90, 4), again) == expected[first:]


def _reordered(b_frames: list[int], open_groups: bool) -> list[Sample]:
    """Frames in decoding order, a keyframe before every third run of B-frames; each run is shown before its anchor."""
    samples = []
    slot = 0
    for index, count in enumerate(b_frames):
        keyframe = index % 3 == 0
        count = 0 if keyframe and not open_groups else count
        samples.append(sample((slot + count) * 40, keyframe=keyframe))
        samples += [sample((slot + number) * 40) for number in range(count)]
        slot += count + 1
    return samples


def test_rounded_times_of_audio_become_steady_unless_there_is_a_gap() -> None:
    scale = TimeScale(Fraction(1, 1000), Fraction(0), 44_100)
    rounded = [round(index * 1024 / 44.1) for index in range(100)]
    timing = GivenTimes(scale, FrameGrid(Fraction(1024), 0, scale.unit_ticks))
    assert [pts for _, pts in timed(timing, [sample(time) for time in rounded])] == [
        index * 1024 for index in range(100)
    ]
    gap = timed(GivenTimes(scale, FrameGrid(Fraction(1024), 0, scale.unit_ticks)), [sample(0), sample(23), sample(500)])
    assert gap == [(0, 0), (1024, 1024), (22050, 22050)]


@given(st.lists(st.integers(1, 700), min_size=1, max_size=30), st.integers(0, 20))
def test_telephone_sound_is_cut_alike_wherever_it_starts(packs: list[int], start: int) -> None:
    data = bytes(index % 251 for index in range(sum(packs)))
    scale = TimeScale(Fraction(1, 8000), Fraction(0), 8000)
    offsets = [sum(packs[:index]) for index in range(len(packs))]

    def cut(first: int) -> list[Frame]:
        timing = PcmTimes(scale, 8)
        frames = []
        for offset, size in list(zip(offsets, packs, strict=True))[first:]:
            pack = sample(offset, duration=size)
            pack.units = [data[offset : offset + size]]
            frames += timing.push(pack)
        return frames + timing.flush()

    whole = cut(0)
    assert b"".join(frame.units[0] for frame in whole) == data
    assert all(frame.pts_ticks % 160 == 0 and len(frame.units[0]) <= 160 for frame in whole)
    first = start % len(packs)
    later = {frame.pts_ticks: frame.units for frame in cut(first) if frame.pts_ticks % 160 == 0}
    assert later == {frame.pts_ticks: frame.units for frame in whole if frame.pts_ticks >= offsets[first]}


def test_the_cache_keeps_what_was_used_last() -> None:
    cache = GroupCache(limit_bytes=250)
    groups = [
        FileGroup(position_us=index, end_us=index + 1, frames=(picture(0),), seekable=True, last=False)
        for index in range(4)
    ]
    for index in range(2):
        cache.put((1, index), groups[index])
    cache.get((1, 0))
    cache.put((2, 2), groups[2])
    del groups[1]
    assert cache.get((1, 0)) is not None
    assert cache.get((1, 1)) is None
    assert cache.size_bytes == 200
    other = FileGroup(position_us=0, end_us=1, frames=(picture(0),), seekable=True, last=False)
    assert cache.put((1, 0), other) is groups[0]
    cache.forget_file(1)
    assert cache.size_bytes == 100


def test_the_cache_drops_what_nobody_asks_for() -> None:
    cache = GroupCache()
    for index in range(2):
        group = FileGroup(position_us=index, end_us=index + 1, frames=(picture(0),), seekable=True, last=False)
        cache.put((1, index), group)
    del group
    for _ in range(KEPT_ROUNDS):
        cache.tidy()
    assert cache.size_bytes == 200
    assert cache.get((1, 0)) is not None
    cache.tidy()
    assert cache.size_bytes == 100
    assert cache.get((1, 1)) is None
    assert cache.get((1, 0)) is not None


def test_recordings_put_together_without_regard_to_their_clocks_follow_each_other() -> None:
    scale = TimeScale(Fraction(1, 1000), Fraction(0), 90_000)
    samples = [sample(time, time) for time in (9_000, 9_040, 9_080, 0, 40, 80, 60, 120)]
    dts = [dts for dts, _ in timed(GivenTimes(scale), samples)]
    assert dts == [90 * time for time in (9_000, 9_040, 9_080, 9_120, 9_160, 9_200)] + [90 * 9_200 + 1, 90 * 9_240]


@given(st.lists(st.integers(0, 3), min_size=1, max_size=30), st.booleans())
def test_pictures_are_shown_in_the_times_in_which_they_are_decoded(b_frames: list[int], open_groups: bool) -> None:
    samples = _reordered(b_frames, open_groups)
    slots = PictureSlots()
    done = []
    for index, each in enumerate(samples):
        count, each.pts, each.dts = each.pts or 0, None, index * 40
        done += slots.push(each, count)
    done += slots.flush()
    assert done == samples
    expected = [each.pts for each in _reordered(b_frames, open_groups)]
    assert [each.pts for each in done] == expected


units = st.binary(min_size=2, max_size=60)


@given(
    st.sampled_from([H264Parameters, H265Parameters]), st.lists(units), st.lists(units), st.lists(units, max_size=20)
)
def test_whatever_the_bytes_each_frame_gets_a_place_in_the_order(
    parameters: type[H264Parameters | H265Parameters], sps: list[bytes], pps: list[bytes], frames: list[bytes]
) -> None:
    made: CodecParameters = parameters(sps=tuple(sps), pps=tuple(pps))
    order = PictureOrder()
    for frame in frames:
        assert isinstance(order.count([frame], made, keyframe=False), int)


def test_a_frame_whose_count_cannot_be_read_is_shown_after_those_before() -> None:
    order = PictureOrder()
    counts = [order.count([b"\x65\x88"], H264Parameters(), keyframe=index == 0) for index in range(5)]
    assert counts == sorted(set(counts))
