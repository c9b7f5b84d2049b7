"""What cameras and files should not send, and do."""

from __future__ import annotations

import logging
from dataclasses import replace
from functools import cache

import pytest
from support.pictures import decoded, pictures

from manycast.hub.output import Output, VideoOutput
from manycast.media.clock import rescale
from manycast.media.frame import Frame
from manycast.media.normalise import normalise
from manycast.media.sample import picture_size
from manycast.media.track import Codec, Track
from manycast.sources.encoding.video import VideoEncoder
from manycast.sources.transcoding.decoding import VideoDecoder
from manycast.sources.transcoding.plan import needed
from manycast.sources.transcoding.transcoder import Transcoder

from .test_transcoding import video_of


def coded(codec: Codec, count: int, *, size: str = "320x240", rate: int = 25, first: int = 0) -> list[Frame]:
    encoder = VideoEncoder(VideoOutput(codec=codec), source_rate=rate)
    return [
        frame
        for index, picture in enumerate(pictures(count, size=size, rate=rate))
        for frame in encoder.encode(picture, (first + index) * 90_000 // rate)
    ]


def transcode(track: Track, frames: list[Frame], output: VideoOutput) -> list[Frame]:
    """As a live source does it."""
    wanted = needed([track], Output(video=output))
    transcoder = Transcoder([track], wanted, "test")
    return [made for frame in frames for made in transcoder.push(frame)] + transcoder.finish()


def told(codec: Codec, frames: list[Frame]) -> Track:
    track = VideoEncoder(VideoOutput(codec=codec)).track
    for frame in frames:
        track = normalise(frame, track)
    return track


def test_a_storm_of_broken_pictures_is_said_once_and_survived(caplog: pytest.LogCaptureFixture) -> None:
    track, frames = video_of(Codec.MPEG4, 60)
    broken = [
        replace(frames[1], dts_ticks=index, pts_ticks=index, keyframe=True, units=[bytes([index % 251]) * 40])
        for index in range(600)
    ]
    decoder = VideoDecoder(track, "cam")
    for frame in [frames[0], *broken]:
        decoder.decode(frame)
    assert decoder.faults > 100
    assert [record.levelno for record in caplog.records].count(logging.WARNING) == 1
    key = next(index for index, frame in enumerate(frames) if frame.keyframe and index)
    shown = [pts_ticks for frame in frames[key:] for _, pts_ticks in decoder.decode(frame)]
    assert shown == [frame.pts_ticks for frame in frames[key:]]


@pytest.mark.parametrize("target", [Codec.H264, Codec.H265, Codec.MPEG4, Codec.MJPEG])
def test_a_new_size_in_mid_stream_is_followed(target: Codec) -> None:
    source = Codec.H265 if target is Codec.H264 else Codec.H264
    frames = coded(source, 10) + coded(source, 10, size="640x160", first=10)
    made = transcode(told(source, frames[:1]), frames, VideoOutput(codec=target))
    assert [frame.pts_ticks for frame in made] == [frame.pts_ticks for frame in frames]
    assert made[10].keyframe
    sizes = [(picture.width, picture.height) for picture in decoded(target, made)]
    assert sizes == [(320, 240)] * 10 + [(640, 160)] * 10


def test_a_new_size_is_fitted_where_a_size_is_asked_for() -> None:
    frames = coded(Codec.H264, 10) + coded(Codec.H264, 10, size="640x160", first=10)
    made = transcode(told(Codec.H264, frames[:1]), frames, VideoOutput(codec=Codec.H264, width=160, height=120))
    shown = decoded(Codec.H264, made)
    assert {(picture.width, picture.height) for picture in shown} == {(160, 120)}
    assert shown[-1].to_ndarray(format="gray")[:30].max() < 40  # bars above and below


@pytest.mark.parametrize("target", [Codec.H264, Codec.H265, Codec.MPEG4, Codec.MJPEG])
def test_odd_sizes_are_rounded_down(target: Codec) -> None:
    encoder = VideoEncoder(VideoOutput(codec=target), source_rate=25)
    frames = [
        frame
        for index, picture in enumerate(pictures(3, size="321x243"))
        for frame in encoder.encode(picture, index * 3600)
    ]
    shown = decoded(target, frames)
    assert len(shown) == 3
    wanted = (320, 240) if target is Codec.MJPEG else (320, 242)
    assert (shown[0].width, shown[0].height) == wanted


@pytest.mark.parametrize("rate", [1, 120])
@pytest.mark.parametrize("target", [Codec.H265, Codec.MPEG4])
def test_slow_and_fast_pictures_keep_their_times(rate: int, target: Codec) -> None:
    frames = coded(Codec.H264, 2 * rate + 1, rate=rate, size="160x120")
    made = transcode(told(Codec.H264, frames[:1]), frames, VideoOutput(codec=target))
    assert [frame.pts_ticks for frame in made] == [frame.pts_ticks for frame in frames]
    assert [frame.pts_ticks // 90_000 for frame in made if frame.keyframe] == [0, 2]


@pytest.mark.parametrize(("source", "target"), [(1, 10), (120, 25), (30, 1)])
def test_another_rate_keeps_step(source: int, target: int) -> None:
    frames = coded(Codec.H264, 3 * source + 1, rate=source, size="160x120")
    made = transcode(told(Codec.H264, frames[:1]), frames, VideoOutput(codec=Codec.H264, frame_rate=target))
    assert [frame.pts_ticks for frame in made] == [rescale(slot, target, 90_000) for slot in range(3 * target + 1)]


@pytest.mark.parametrize(
    ("output", "size"),
    [(VideoOutput(codec=Codec.H264, width=640), (640, 360)), (VideoOutput(codec=Codec.MPEG4), (7680, 4320))],
)
def test_8k_is_taken_and_given(output: VideoOutput, size: tuple[int, int]) -> None:
    frames = [replace(frame, units=list(frame.units)) for frame in eight_k()]
    track = told(Codec.H264, frames)
    assert picture_size(track) == (7680, 4320)
    assert output.codec is not None
    shown = decoded(output.codec, transcode(track, frames, output))
    assert [(picture.width, picture.height) for picture in shown] == [size]


@cache
def eight_k() -> tuple[Frame, ...]:
    return tuple(coded(Codec.H264, 1, size="7680x4320"))
