"""What is left out when encoding takes longer than the pictures come, and that nothing else is."""

from __future__ import annotations

import asyncio
import logging
import time

import pytest
from av.video.frame import VideoFrame
from support.pictures import pictures
from support.waiting import until

from manycast.hub.output import AudioOutput, Output, VideoOutput
from manycast.hub.source import SourceError
from manycast.media.frame import Frame
from manycast.media.track import Codec
from manycast.sources.capture.inbox import Picture, Sound
from manycast.sources.capture.pool import DevicePool
from manycast.sources.capture.source import CaptureSource, Device
from manycast.sources.encoding.video import VideoEncoder
from manycast.sources.transcoding import overload
from manycast.sources.transcoding.live import TranscodedSource
from manycast.sources.transcoding.overload import Overload, Treatment

from .test_transcoding import Replay, Sink, two_tracks

PICTURE_S = 0.2  # what encoding one takes here
RATE = 25
SLACK_S = 3.0  # of a machine that is busy: with nothing left out they would be much later in the end


def judge(overload: Overload, behind_s: float, waited_s: float, *, keyframe: bool = False) -> Treatment:
    return overload.judge(keyframe=keyframe, behind_s=behind_s, waited_s=waited_s)


def test_a_viewer_who_joins_is_no_overload(caplog: pytest.LogCaptureFixture) -> None:
    judged = Overload("live")
    assert judge(judged, 9.0, 0.5, keyframe=True) is Treatment.DECODE
    assert judge(judged, 3.0, 5.0) is Treatment.DECODE
    assert judge(judged, 0.3, 5.5) is Treatment.ENCODE
    assert judged.left_out == 0
    assert not caplog.records


def test_what_waits_too_long_is_dropped_up_to_a_keyframe(caplog: pytest.LogCaptureFixture) -> None:
    judged = Overload("live")
    assert judge(judged, 0.0, 0.0, keyframe=True) is Treatment.ENCODE
    assert judge(judged, 0.5, 0.5) is Treatment.DECODE
    assert judge(judged, 2.0, overload.MAX_WAITED_S + 0.1) is Treatment.DROP
    assert judge(judged, 0.0, 0.1) is Treatment.DROP
    assert judge(judged, 0.0, 0.1, keyframe=True) is Treatment.ENCODE
    assert judged.left_out == 3
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


def slow_down(monkeypatch: pytest.MonkeyPatch) -> None:
    encode = VideoEncoder.encode

    def slow(self: VideoEncoder, picture: VideoFrame, ticks: int) -> list[Frame]:
        time.sleep(PICTURE_S)
        return encode(self, picture, ticks)

    monkeypatch.setattr(VideoEncoder, "encode", slow)


class Timed(Sink):
    """Knows how late each picture is behind the first one."""

    def __init__(self) -> None:
        super().__init__()
        self.late_s: list[float] = []
        self._first_s = 0.0

    def push(self, frame: Frame) -> None:
        super().push(frame)
        if frame.track_index == 0:
            late_s = time.monotonic() - frame.pts_ticks / 90_000
            self._first_s = self._first_s or late_s
            self.late_s.append(late_s - self._first_s)


async def test_a_live_source_loses_pictures_and_stays_near(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    tracks, frames = two_tracks()
    slow_down(monkeypatch)
    sink = Timed()
    output = Output(video=VideoOutput(codec=Codec.MPEG4), audio=AudioOutput(codec=Codec.OPUS))
    replay = Replay(tracks, frames, wait_s=2.4 / len(frames))
    with pytest.raises(SourceError, match="has ended"):
        await TranscodedSource(replay, output, "live").run(sink.publish)
    video = [frame for frame in sink.frames if frame.track_index == 0]
    assert 2 <= len(video) < 40
    assert max(sink.late_s) < overload.MAX_WAITED_S + SLACK_S
    assert sum(frame.track_index for frame in sink.frames) > 70
    assert caplog.text.count("transcoding cannot keep up, pictures are left out") == 1
    assert "frames were left out, transcoding could not keep up" in caplog.text


class Eye:
    """A camera of RATE pictures a second."""

    def __init__(self) -> None:
        self._image = next(pictures(1))

    def read(self) -> Picture:
        time.sleep(1 / RATE)
        return Picture(self._image, time.monotonic())

    def close(self) -> None:
        pass


class Ear:
    def read(self) -> Sound:
        time.sleep(0.02)
        return Sound(bytes(640), 8000, 2, time.monotonic())

    def close(self) -> None:
        pass


async def test_a_capture_loses_pictures_and_no_sound(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    slow_down(monkeypatch)
    sink = Timed()
    camera, microphone = Device(key="eye", make_reader=Eye), Device(key="ear", make_reader=Ear)
    source = CaptureSource(
        "videodevice", DevicePool(), camera, microphone, VideoOutput(), AudioOutput(codec=Codec.G711U), frame_rate=RATE
    )
    task = asyncio.create_task(source.run(sink.publish))
    await until(lambda: len(sink.late_s) >= 45, "pictures come")
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert max(sink.late_s) < overload.LATE_S + SLACK_S
    sounds = [frame.pts_ticks for frame in sink.frames if frame.track_index == 1]
    assert len(sounds) * 160 == pytest.approx(sounds[-1] - sounds[0], rel=0.1)
    assert caplog.text.count("encoding cannot keep up, pictures are left out") == 1
    assert "pictures were left out, encoding could not keep up" in caplog.text
