from __future__ import annotations

from itertools import pairwise

import pytest
from support.pictures import decoded, pictures, tone

from manycast.hub.output import AudioOutput, VideoOutput
from manycast.media.frame import Frame
from manycast.media.track import Codec
from manycast.sources.encoding.audio import AudioEncoder
from manycast.sources.encoding.sound_shape import settled, unlike_asked
from manycast.sources.encoding.video import VideoEncoder
from manycast.sources.encoding.video_form import VideoForm

VIDEO = (Codec.H264, Codec.H265, Codec.MPEG4, Codec.MJPEG)
AUDIO = (Codec.AAC, Codec.OPUS, Codec.G711A, Codec.G711U, Codec.G722, Codec.G726)


def encode(encoder: VideoEncoder, count: int, *, size: str = "320x240", rate: int = 25) -> list[Frame]:
    frames = []
    for index, picture in enumerate(pictures(count, size=size, rate=rate)):
        frames += encoder.encode(picture, index * 90_000 // rate)
    return frames


@pytest.mark.parametrize("codec", VIDEO)
def test_every_picture_comes_out_at_once_with_its_time(codec: Codec) -> None:
    frames = encode(VideoEncoder(VideoOutput(codec=codec), source_rate=25), 110)
    assert [frame.pts_ticks for frame in frames] == [index * 3600 for index in range(110)]
    assert all(frame.dts_ticks == frame.pts_ticks for frame in frames)
    keys = [index for index, frame in enumerate(frames) if frame.keyframe]
    assert keys == (list(range(110)) if codec is Codec.MJPEG else [0, 50, 100])
    shown = decoded(codec, frames)
    assert len(shown) == 110
    assert {(picture.width, picture.height) for picture in shown} == {(320, 240)}


@pytest.mark.parametrize("codec", [Codec.H264, Codec.H265, Codec.MPEG4])
def test_a_keyframe_is_made_when_it_is_asked_for_and_the_next_one_two_seconds_later(codec: Codec) -> None:
    encoder = VideoEncoder(VideoOutput(codec=codec), source_rate=25)
    frames = []
    for index, picture in enumerate(pictures(75)):
        if index == 20:
            encoder.force_keyframe()
        frames += encoder.encode(picture, index * 3600)
    assert [frame.pts_ticks // 3600 for frame in frames if frame.keyframe] == [0, 20, 70]
    assert len(decoded(codec, frames[20:])) == 55
    kinds = {Codec.H264: lambda unit: unit[0] & 0x1F == 5, Codec.H265: lambda unit: unit[0] >> 1 & 0x3F in (19, 20)}
    if codec in kinds:
        assert any(map(kinds[codec], frames[20].units)), "an IDR picture"


@pytest.mark.parametrize(
    ("width", "height", "expected"), [(160, 0, (160, 120)), (0, 121, (160, 120)), (99, 77, (98, 76))]
)
def test_sizes_are_even_and_one_side_follows_the_other(width: int, height: int, expected: tuple[int, int]) -> None:
    output = VideoOutput(codec=Codec.H264, width=width, height=height)
    shown = decoded(Codec.H264, encode(VideoEncoder(output), 2))
    assert (shown[0].width, shown[0].height) == expected


def test_another_shape_gets_bars_instead_of_being_stretched() -> None:
    output = VideoOutput(codec=Codec.H264, width=480, height=240, bit_rate_bps=4_000_000)
    shown = decoded(Codec.H264, encode(VideoEncoder(output), 3))[-1].to_ndarray(format="gray")
    assert shown[:, :70].max() < 30  # 80 pixels of black on either side of a picture of 320x240
    assert shown[:, -70:].max() < 30
    assert shown[:, 90:390].max() > 200


@pytest.mark.parametrize("rate", [10, 25, 50])
def test_the_frame_rate_is_kept_in_time(rate: int) -> None:
    frames = encode(VideoEncoder(VideoOutput(codec=Codec.H264, frame_rate=rate), source_rate=25), 51)
    times = [frame.pts_ticks for frame in frames]
    assert times == [index * 90_000 // rate for index in range(2 * rate + 1)]


def test_a_new_size_in_mid_stream_makes_a_new_encoder() -> None:
    encoder = VideoEncoder(VideoOutput(codec=Codec.H264), source_rate=25)
    frames = encode(encoder, 10)
    for index, picture in enumerate(pictures(10, size="200x100")):
        frames += encoder.encode(picture, (10 + index) * 3600)
    assert encoder.size_changes == 1
    assert frames[10].keyframe
    sizes = [(picture.width, picture.height) for picture in decoded(Codec.H264, frames)]
    assert sizes == [(320, 240)] * 10 + [(200, 100)] * 10


def test_a_window_that_changes_is_scaled_to_its_first_size() -> None:
    encoder = VideoEncoder(VideoOutput(codec=Codec.H264), source_rate=25, follow_size=False)
    frames = encode(encoder, 5)
    for index, picture in enumerate(pictures(5, size="201x99")):
        frames += encoder.encode(picture, (5 + index) * 3600)
    assert encoder.size_changes == 0
    assert {(picture.width, picture.height) for picture in decoded(Codec.H264, frames)} == {(320, 240)}


def test_jpeg_has_no_more_pixels_than_rtp_can_say() -> None:
    shown = decoded(Codec.MJPEG, encode(VideoEncoder(VideoOutput(codec=Codec.MJPEG)), 1, size="4096x2160"))
    assert (shown[0].width, shown[0].height) == (2040, 1072)


@pytest.mark.parametrize("codec", AUDIO)
def test_sound_comes_out_without_holes(codec: Codec) -> None:
    output = AudioOutput(codec=codec)
    encoder = AudioEncoder(output, settled(output, 44_100, 2))
    frames = []
    for index, sound in enumerate(tone(100)):
        frames += encoder.encode(sound, index * 1000)
    frames += encoder.finish()
    clock_hz = encoder.track.clock_rate_hz
    steps = [after.pts_ticks - before.pts_ticks for before, after in pairwise(frames)]
    assert max(steps) <= 0.024 * clock_hz
    assert min(steps) > 0
    assert abs(frames[0].pts_ticks) / clock_hz < 0.025
    assert frames[-1].pts_ticks / clock_hz == pytest.approx(100_000 / 44_100, abs=0.06)


def test_a_gap_is_filled_and_a_jump_is_followed() -> None:
    output = AudioOutput(codec=Codec.G711U)
    encoder = AudioEncoder(output, settled(output, 44_100, 2))
    frames = []
    for index, sound in enumerate(tone(100)):
        later_s = 0 if index < 40 else 1 if index < 80 else 100
        frames += encoder.encode(sound, index * 1000 + later_s * 44_100)
    steps = [after.pts_ticks - before.pts_ticks for before, after in pairwise(frames)]
    assert sum(step > 8000 for step in steps) == 1  # the jump of 99 s, and nothing where a second was missing
    silent = [frame for frame in frames if set(frame.units[0]) <= {0xFF, 0x7F}]
    assert 0.9 < len(silent) * 0.02 < 1.05


@pytest.mark.parametrize("faster", [0.002, -0.002])
def test_drift_is_followed_without_holes(faster: float) -> None:
    """A sender whose clock is 2 per mille off, for 40 s: 80 ms, were it not followed."""
    output = AudioOutput(codec=Codec.G711U)
    encoder = AudioEncoder(output, settled(output, 44_100, 2), follow_clock=True)
    frames: list[Frame] = []
    for index, sound in enumerate(tone(1764)):
        frames += encoder.encode(sound, round(index * 1000 * (1 + faster)))
    assert {after.pts_ticks - before.pts_ticks for before, after in pairwise(frames)} == {160}
    end_s = 1_764_000 / 44_100 * (1 + faster)
    assert frames[-1].pts_ticks / 8000 == pytest.approx(end_s - 0.03, abs=0.035)
    silent = [frame for frame in frames[2:] if set(frame.units[0]) <= {0xFF, 0x7F}]
    assert not silent


@pytest.mark.parametrize(
    ("codec", "asked", "expected"),
    [
        (Codec.G722, (44_100, 2), (16_000, 1)),
        (Codec.G726, (48_000, 2), (8000, 1)),
        (Codec.OPUS, (44_100, 2), (48_000, 2)),
        (Codec.OPUS, (16_000, 1), (16_000, 1)),
        (Codec.AAC, (0, 0), (22_050, 2)),
        (Codec.G711A, (0, 0), (8000, 1)),
        (Codec.G711A, (16_000, 2), (16_000, 2)),
    ],
)
def test_a_codec_gets_the_nearest_that_it_can_do(
    codec: Codec, asked: tuple[int, int], expected: tuple[int, int]
) -> None:
    output = AudioOutput(codec=codec, sample_rate_hz=asked[0], channels=asked[1])
    shape = settled(output, 22_050, 8)
    assert (shape.sample_rate_hz, shape.channels) == expected


@pytest.mark.parametrize(
    ("output", "said"),
    [
        (AudioOutput(codec=Codec.G722, sample_rate_hz=44_100), "G722 cannot do what is asked, it is 16000 Hz with 1 "),
        (AudioOutput(codec=Codec.G726, channels=2), "G726 cannot do what is asked, it is 8000 Hz with 1 "),
        (AudioOutput(codec=Codec.OPUS, sample_rate_hz=44_100), "OPUS cannot do what is asked, it is 48000 Hz with 2 "),
        (AudioOutput(codec=Codec.G722), None),
        (AudioOutput(codec=Codec.AAC, sample_rate_hz=44_100, channels=1), None),
    ],
)
def test_what_a_codec_cannot_do_is_said(output: AudioOutput, said: str | None) -> None:
    found = unlike_asked(output, settled(output, 22_050, 2))
    assert found is None if said is None else found is not None and found.startswith(said)


@pytest.mark.parametrize(("asked", "expected"), [(0, 2_764_800), (500_000, 500_000)])
def test_a_bit_rate_of_0_is_worked_out_from_size_and_rate(asked: int, expected: int) -> None:
    form = VideoForm(codec=Codec.H264, width=1280, height=720, rate=30.0, bit_rate_bps=asked)
    assert form.settled_bit_rate_bps == expected
