"""Hardware that is asked for and is not there, or fails later: the pictures come out all the same."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, cast

import pytest
from av.error import ExternalError
from av.video.codeccontext import VideoCodecContext
from support.pictures import decoded, pictures

from manycast.hub.output import VideoOutput
from manycast.media.frame import Frame
from manycast.media.track import Codec
from manycast.sources.encoding import engines as engines_module
from manycast.sources.encoding import video_codec
from manycast.sources.encoding.engines import Engines, Hardware, HardwareCodec
from manycast.sources.encoding.video import VideoEncoder
from manycast.sources.encoding.video_form import VideoForm
from manycast.sources.transcoding.decoding import VideoDecoder

from .test_transcoding import video_of

WORKS = HardwareCodec(name="libx264", options={"preset": "ultrafast", "tune": "zerolatency", "forced-idr": "1"})


@pytest.fixture(autouse=True)
def no_graphics_card(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")


def encode(engines: Engines, codec: Codec, count: int = 10) -> list[Frame]:
    encoder = VideoEncoder(VideoOutput(codec=codec), source_rate=25, engines=engines, name="film")
    return [frame for index, picture in enumerate(pictures(count)) for frame in encoder.encode(picture, index * 3600)]


@pytest.mark.parametrize("hardware", list(Hardware))
@pytest.mark.parametrize("codec", [Codec.H264, Codec.H265, Codec.MJPEG])
def test_pictures_are_encoded_whether_or_not_the_hardware_is_there(hardware: Hardware, codec: Codec) -> None:
    frames = encode(Engines(encoders=[hardware]), codec)
    assert [frame.pts_ticks for frame in frames] == [index * 3600 for index in range(10)]
    assert frames[0].keyframe
    assert len(decoded(codec, frames)) == 10


def test_an_encoder_that_does_not_open_is_tried_and_named_once(caplog: pytest.LogCaptureFixture) -> None:
    engines = Engines(encoders=[Hardware.NVIDIA])
    assert [codec.name for codec in engines.encoders(Codec.H264)] == ["h264_nvenc"]
    for _ in range(2):
        encode(engines, Codec.H264, 2)
    warnings = [record.message for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 1
    assert "encoder h264_nvenc does not work here" in warnings[0]
    assert list(engines.encoders(Codec.H264)) == []
    assert [codec.name for codec in engines.encoders(Codec.H265)] == ["hevc_nvenc"]


def use(monkeypatch: pytest.MonkeyPatch, encoders: Mapping[tuple[Hardware, Codec], HardwareCodec]) -> None:
    monkeypatch.setattr(engines_module, "_ENCODERS", encoders)


def test_an_encoder_that_opens_is_used_with_pictures_as_it_wants_them(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    missing = HardwareCodec(name="h264_of_tomorrow")
    use(monkeypatch, {(Hardware.QSV, Codec.H264): missing, (Hardware.VAAPI, Codec.H264): WORKS})
    frames = encode(Engines(encoders=[Hardware.NVIDIA, Hardware.QSV, Hardware.VAAPI]), Codec.H264)
    shown = decoded(Codec.H264, frames)
    assert len(shown) == 10
    assert shown[5].to_ndarray(format="gray").max() > 200
    assert "h264_of_tomorrow does not work here" in caplog.text
    assert "film: encoded by libx264" in caplog.text


class Overheats:
    """An encoder that fails after some pictures."""

    def __init__(self, encoder: VideoCodecContext) -> None:
        self._encoder = encoder
        self._left = 5

    def encode(self, picture: Any) -> list[Any]:
        self._left -= 1
        if self._left < 0:
            raise ExternalError(1, "too hot")
        return self._encoder.encode(picture)


def test_an_encoder_that_fails_later_is_followed_by_a_keyframe(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    use(monkeypatch, {(Hardware.QSV, Codec.H264): WORKS})
    real = video_codec._open_hardware

    def opens(form: VideoForm, hardware: HardwareCodec) -> VideoCodecContext:
        return cast(VideoCodecContext, Overheats(real(form, hardware)))

    monkeypatch.setattr(video_codec, "_open_hardware", opens)
    frames = encode(Engines(encoders=[Hardware.QSV]), Codec.H264)
    assert [frame.pts_ticks // 3600 for frame in frames] == list(range(10))
    assert [index for index, frame in enumerate(frames) if frame.keyframe] == [0, 5]
    assert len(decoded(Codec.H264, frames)) == 10
    assert "too hot" in caplog.text


@pytest.mark.parametrize("hardware", list(Hardware))
@pytest.mark.parametrize("codec", [Codec.H264, Codec.H265, Codec.MPEG4])
def test_pictures_are_decoded_whether_or_not_the_hardware_is_there(hardware: Hardware, codec: Codec) -> None:
    track, frames = video_of(codec, 20)
    decoder = VideoDecoder(track, "film", Engines(decoders=[hardware]))
    shown = [time for frame in frames for _, time in decoder.decode(frame)]
    shown += [time for _, time in decoder.finish()]
    assert shown == [index * 3600 for index in range(20)]
    assert not decoder.faults


def test_a_decoder_that_does_not_work_is_named_once(caplog: pytest.LogCaptureFixture) -> None:
    engines = Engines(decoders=[Hardware.NVIDIA])
    track, frames = video_of(Codec.H264, 3)
    for _ in range(2):
        assert VideoDecoder(track, "film", engines).decode(frames[0])
    assert caplog.text.count("decoder h264 (cuda) does not work here") == 1
