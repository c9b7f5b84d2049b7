from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Sequence
from itertools import pairwise
from types import SimpleNamespace

import av
import pytest
from support.waiting import until

from manycast.decoder_packet import decoder_packet
from manycast.hub.source import SourceError
from manycast.media.frame import Frame
from manycast.media.nal import join_annex_b
from manycast.media.track import Codec, Track
from manycast.sources import demo
from manycast.sources.demo import DemoSource
from manycast.sources.demo_encoder import DemoEncoder
from manycast.sources.outlet import STOP_TIMEOUT_S


class Sink:
    def __init__(self) -> None:
        self.tracks: list[Track] = []
        self.frames: list[Frame] = []
        self.times_s: list[float] = []
        self.has_begun = asyncio.Event()

    def publish(self, tracks: Sequence[Track]) -> Sink:
        self.tracks += tracks
        return self

    def push(self, frame: Frame) -> None:
        self.frames.append(frame)
        self.times_s.append(time.monotonic())
        self.has_begun.set()

    def of(self, track_index: int) -> list[Frame]:
        return [frame for frame in self.frames if frame.track_index == track_index]


def small() -> DemoSource:
    return DemoSource(width=320, height=180, bit_rate_bps=300_000)


async def run_for(source: DemoSource, sink: Sink, seconds: float) -> float:
    """Let a source run, cancel it, and return how long that took."""
    task = asyncio.create_task(source.run(sink.publish))
    await sink.has_begun.wait()
    await asyncio.sleep(seconds)
    cancelled_s = time.monotonic()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    return time.monotonic() - cancelled_s


def no_thread_is_left() -> bool:
    return not any(thread.name == "test pattern" for thread in threading.enumerate())


async def test_the_pattern_runs_in_real_time_and_stops_at_once() -> None:
    sink = Sink()
    stopping_s = await run_for(small(), sink, 2.0)
    assert stopping_s < STOP_TIMEOUT_S
    assert no_thread_is_left()
    assert [track.codec for track in sink.tracks] == [Codec.H264, Codec.AAC]
    assert all(track.parameters.complete for track in sink.tracks)
    media_s = sink.of(0)[-1].dts_ticks / 90_000
    assert media_s == pytest.approx(sink.times_s[-1] - sink.times_s[0], abs=demo.MAX_LATE_S + 0.3)
    assert sink.of(1)[-1].dts_ticks / 44_100 == pytest.approx(media_s, abs=0.1)
    frames = len(sink.frames)
    await asyncio.sleep(0.1)
    assert len(sink.frames) == frames


async def test_the_frames_are_in_order_with_a_keyframe_every_two_seconds() -> None:
    encoder = DemoEncoder(320, 180, 25, 300_000)
    frames = [frame for slot in range(125) for frame in encoder.encode_slot(slot)]
    video = [frame for frame in frames if frame.track_index == 0]
    assert [frame.dts_ticks for frame in video] == [slot * 3600 for slot in range(125)]
    assert [index for index, frame in enumerate(video) if frame.keyframe] == [0, 50, 100]
    assert all(frame.dts_ticks == frame.pts_ticks for frame in frames)
    audio = [frame.dts_ticks for frame in frames if frame.track_index == 1]
    assert audio[0] == 0
    assert {b - a for a, b in pairwise(audio)} == {1024}
    assert audio[-1] == pytest.approx(5 * 44_100, abs=4 * 1024)


async def test_a_keyframe_comes_when_it_is_asked_for() -> None:
    sink, source = Sink(), small()
    source.request_keyframe()  # which does no harm before it runs
    task = asyncio.create_task(source.run(sink.publish))
    await until(lambda: len(sink.of(0)) >= 3, "it runs")
    source.request_keyframe()
    await until(lambda: sum(frame.keyframe for frame in sink.of(0)) >= 2, "a second keyframe")
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    keys = [frame.pts_ticks for frame in sink.of(0) if frame.keyframe]
    assert keys[1] < 1.9 * 90_000, "before its time"


async def test_the_pattern_can_be_decoded() -> None:
    encoder = DemoEncoder(320, 180, 25, 300_000)
    decoder = av.CodecContext.create("h264", "r")
    pictures = []
    for slot in range(30):
        for frame in encoder.encode_slot(slot):
            if frame.track_index == 0:
                pictures += decoder.decode(decoder_packet(join_annex_b(frame.units)))
    pictures += decoder.decode(None)
    assert len(pictures) == 30
    assert (pictures[0].width, pictures[0].height) == (320, 180)
    assert bytes(pictures[0].planes[0]) != bytes(pictures[25].planes[0])


async def test_after_a_stall_it_skips_ahead_instead_of_sending_a_burst(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock that goes on as it is asked and as pictures are encoded."""
    encode_slot = DemoEncoder.encode_slot
    slots: list[int] = []
    now_s = 0.0

    def stalling(self: DemoEncoder, slot: int) -> list[Frame]:
        nonlocal now_s
        slots.append(slot)
        now_s += 0.035 if len(slots) != 5 else demo.MAX_LATE_S + 0.5
        return encode_slot(self, slot)

    def monotonic() -> float:
        nonlocal now_s
        now_s += 0.01
        return now_s

    monkeypatch.setattr(DemoEncoder, "encode_slot", stalling)
    monkeypatch.setattr(demo, "time", SimpleNamespace(monotonic=monotonic))
    sink = Sink()
    task = asyncio.create_task(small().run(sink.publish))
    await until(lambda: len(slots) > 30, "30 pictures")
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert slots[:5] == [0, 1, 2, 3, 4]
    assert 27 <= slots[5] <= 30
    assert slots[5:] == list(range(slots[5], slots[5] + len(slots) - 5))
    for track_index in (0, 1):
        dts = [frame.dts_ticks for frame in sink.of(track_index)]
        assert dts == sorted(set(dts))
    assert sink.of(1)[-1].dts_ticks / 44_100 == pytest.approx(sink.of(0)[-1].dts_ticks / 90_000, abs=0.1)


async def test_an_encoder_that_cannot_be_opened_is_a_source_error() -> None:
    with pytest.raises(SourceError, match="test pattern"):
        await DemoSource(width=-1).run(Sink().publish)
    assert no_thread_is_left()


async def test_a_sink_that_fails_ends_the_source() -> None:
    class Broken(Sink):
        def push(self, frame: Frame) -> None:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await small().run(Broken().publish)
    assert no_thread_is_left()


async def test_it_can_be_cancelled_before_it_has_begun() -> None:
    sink = Sink()
    task = asyncio.create_task(small().run(sink.publish))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert no_thread_is_left()
    assert not sink.frames
