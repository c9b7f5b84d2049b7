from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manycast.media.dts import MAX_JUMP_S, MAX_REORDER_DEPTH, DtsEstimator
from manycast.media.track import AudioParameters, Codec, H264Parameters, H265Parameters, PlainParameters, Track

STEP = 3600  # 25 frames a second


def decoding_order(mini_gops: list[list[int]]) -> list[int]:
    """pts in decoding order: each mini GOP a permutation of 0..n-1 in presentation order."""
    pts, start = [0], 1  # a stream begins with a picture that is shown first
    for gop in mini_gops:
        pts += [(start + index) * STEP for index in gop]
        start += len(gop)
    return pts


def reorder_depth(pts: list[int]) -> int:
    return max(sum(earlier > later for earlier in pts[:index]) for index, later in enumerate(pts))


mini_gops = st.lists(st.integers(1, 8).flatmap(lambda n: st.permutations(range(n))), min_size=1, max_size=8)


@given(mini_gops)
def test_dts_increase_and_stay_below_pts_when_the_depth_is_known(gops: list[list[int]]) -> None:
    pts = decoding_order(gops)
    estimator = DtsEstimator(reorder_depth(pts), frame_ticks=STEP)
    dts = [estimator.push(value) for value in pts]
    assert all(early < late for early, late in pairwise(dts))
    assert all(decoded <= shown for decoded, shown in zip(dts, pts, strict=True))
    assert estimator.reorder_depth == reorder_depth(pts)
    depth = estimator.reorder_depth
    assert dts[depth:] == sorted(pts)[: len(pts) - depth]


@given(mini_gops)
def test_dts_increase_while_the_depth_is_learned_and_are_exact_once_it_is(gops: list[list[int]]) -> None:
    pts = decoding_order(gops)
    estimator = DtsEstimator()
    dts = [estimator.push(value) for value in pts]
    assert all(early < late for early, late in pairwise(dts))
    # The same again at a later time: all is learned, and after as many frames as it takes to catch up, exact.
    later = [value + len(pts) * STEP for value in pts]
    depth = estimator.reorder_depth
    again = [estimator.push(value) for value in later]
    assert estimator.reorder_depth == depth
    assert all(early < late for early, late in pairwise(dts + again))
    expected = sorted(pts + later)[len(pts) - depth : 2 * len(pts) - depth]
    assert again[depth:] == expected[depth:]
    assert all(decoded <= shown for decoded, shown in zip(again[depth:], later[depth:], strict=True))


def test_without_b_frames_dts_are_pts() -> None:
    estimator = DtsEstimator()
    assert [estimator.push(value) for value in (0, 3000, 6001, 9000)] == [0, 3000, 6001, 9000]


def test_an_ibbp_stream_of_known_depth_starts_before_its_pts() -> None:
    estimator = DtsEstimator(1, frame_ticks=STEP)
    pts = [0, 3, 1, 2, 6, 4, 5]
    assert [estimator.push(value * STEP) // STEP for value in pts] == [-1, 0, 1, 2, 3, 4, 5]


def test_equal_pts_get_increasing_dts() -> None:
    estimator = DtsEstimator()
    assert [estimator.push(value) for value in (100, 100, 100, 5000)] == [100, 101, 102, 5000]
    assert estimator.reorder_depth == 0


@pytest.mark.parametrize("jump", [1_000_000, -1_000_000, 2**40, -(2**40)])
def test_dts_follow_a_jump(jump: int) -> None:
    estimator = DtsEstimator()
    for value in (0, 9000, 3000, 6000, 18000, 12000, 15000):
        estimator.push(value)
    dts = [estimator.push(value + jump) for value in (0, 9000, 3000, 6000)]
    assert dts == [jump - 3000, jump, jump + 3000, jump + 6000]


def test_a_hole_of_some_seconds_is_no_jump() -> None:
    estimator = DtsEstimator()
    ticks = int(MAX_JUMP_S * 90_000)
    assert [estimator.push(value) for value in (0, ticks, 2 * ticks)] == [0, ticks, 2 * ticks]


@given(st.lists(st.integers(-(2**33), 2**33) | st.integers(0, 10), max_size=100))
def test_any_pts_are_taken_in_bounded_memory(values: list[int]) -> None:
    estimator = DtsEstimator()
    previous_dts, greatest = None, None
    for value in values:
        dts = estimator.push(value)
        jumped = greatest is None or abs(value - greatest) > MAX_JUMP_S * 90_000
        greatest = value if jumped or greatest is None else max(value, greatest)
        assert jumped or previous_dts is None or dts > previous_dts
        previous_dts = dts
    assert estimator.reorder_depth <= MAX_REORDER_DEPTH
    assert len(estimator._recent) <= MAX_REORDER_DEPTH + 1


def test_a_long_stream_is_not_remembered() -> None:
    estimator = DtsEstimator(2)
    for index in range(1000):
        estimator.push(index * STEP)
    assert len(estimator._recent) == MAX_REORDER_DEPTH + 1


def test_the_depth_comes_from_the_parameter_sets() -> None:
    x264 = bytes.fromhex("67640028acd94078044fdffe0006000820000003002000000643e2c5b2c0")
    x265 = bytes.fromhex("420101016000000300900000030000030078a003c08010e596566924cafff00030004680800001f480003a9804")
    h264 = Track(codec=Codec.H264, clock_rate_hz=90_000, parameters=H264Parameters(sps=(x264,)))
    estimator = DtsEstimator.for_track(h264)
    assert estimator.reorder_depth == 2
    assert estimator.push(0) == -2 * 3600
    h265 = Track(codec=Codec.H265, clock_rate_hz=90_000, parameters=H265Parameters(sps=(x265,)))
    assert DtsEstimator.for_track(h265).reorder_depth == 2
    bare = Track(codec=Codec.H264, clock_rate_hz=90_000, parameters=H264Parameters())
    assert DtsEstimator.for_track(bare).reorder_depth == 0
    broken = Track(codec=Codec.H264, clock_rate_hz=90_000, parameters=H264Parameters(sps=(b"\x67",)))
    assert DtsEstimator.for_track(broken).reorder_depth == 0
    audio = Track(
        codec=Codec.OPUS,
        clock_rate_hz=48_000,
        parameters=AudioParameters(sample_rate_hz=48_000, channels=2),
    )
    assert DtsEstimator.for_track(audio).reorder_depth == 0


@pytest.mark.parametrize(("codec", "depth"), [(Codec.MPEG_VIDEO, 1), (Codec.VP9, 0), (Codec.MJPEG, 0)])
def test_mpeg_video_holds_a_picture_back(codec: Codec, depth: int) -> None:
    track = Track(codec=codec, clock_rate_hz=90_000, parameters=PlainParameters())
    assert DtsEstimator.for_track(track).reorder_depth == depth
