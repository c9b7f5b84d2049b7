"""Real clients that ask for keyframes, and that are asked."""

from __future__ import annotations

from itertools import pairwise

import pytest
from support.inprocess import HOST, InProcess, serving
from support.keyframes import SOON_S
from support.programs import gst_running
from support.waiting import until

from manycast.hub.frame_tap import FrameTap
from manycast.hub.output import AudioOutput, VideoOutput
from manycast.media.frame import Frame
from manycast.sources.capture.pool import DevicePool
from manycast.sources.capture.readers import PictureReader
from manycast.sources.capture.source import CaptureSource, Device


def make_reader() -> PictureReader:
    return PictureReader("camera", "testsrc2=size=320x240:rate=25,realtime", "lavfi", 25)


def camera() -> CaptureSource:
    """Pictures alone: where both pads of rtspsrc come at once, gst-launch 1.22 at times gets stuck as it links them."""
    device = Device(key="camera", make_reader=make_reader)
    return CaptureSource("camera", DevicePool(), device, None, VideoOutput(), AudioOutput(), frame_rate=25)


class Keyframes:
    """When those of a stream come, on its timeline."""

    def __init__(self) -> None:
        self.times_s: list[float] = []

    def push(self, frame: Frame) -> None:
        if frame.keyframe and frame.track_index == 0:
            self.times_s.append(frame.pts_ticks / 90_000)

    @property
    def soonest_s(self) -> float:
        return min((after - before for before, after in pairwise(self.times_s)), default=1e9)

    def watch(self, server: InProcess) -> None:
        stream = server.hub.live("live")
        assert stream is not None
        stream.watch(self, FrameTap, lambda _: None).join(self, {0: 0})


@pytest.mark.parametrize("protocols", ["tcp", "udp"])
async def test_gstreamer_that_loses_packets_has_a_keyframe_soon(protocols: str) -> None:
    keyframes = Keyframes()
    async with serving() as server:
        server.hub.offer("live", camera, "test")
        await server.hub.open("live")
        keyframes.watch(server)
        await until(lambda: len(keyframes.times_s) >= 3, "keyframes come")
        assert keyframes.soonest_s > 1.5, "at their usual times"
        with gst_running(
            f"rtspsrc location=rtsp://{HOST}:{server.port}/live protocols={protocols} latency=100",
            "! identity drop-probability=0.02 ! rtph264depay request-keyframe=true wait-for-keyframe=true ! fakesink",
        ):
            await until(lambda: keyframes.soonest_s < SOON_S, "a keyframe before its time")


async def test_a_publishing_gstreamer_makes_the_keyframe_it_is_asked_for() -> None:
    """It announces AVPF, and makes one by itself every 40 s."""
    keyframes = Keyframes()
    async with serving() as server:
        with gst_running(
            "videotestsrc is-live=true ! video/x-raw,width=320,height=240,framerate=25/1",
            "! x264enc tune=zerolatency speed-preset=ultrafast key-int-max=1000",
            f"! rtspclientsink location=rtsp://{HOST}:{server.port}/live profiles=avpf protocols=udp",
        ):
            await until(lambda: server.hub.live("live"), "it publishes")
            stream = server.hub.live("live")
            assert stream is not None
            assert stream.keyframes.possible
            keyframes.watch(server)
            await until(lambda: keyframes.times_s, "its first keyframe")

            def later_keyframe() -> bool:
                stream.keyframes.request()
                return keyframes.times_s[-1] > 1

            await until(later_keyframe, "another one")
            assert keyframes.times_s[-1] < 30
