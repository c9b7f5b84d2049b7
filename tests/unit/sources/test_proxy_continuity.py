"""One stream out of several connections."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

import pytest
from support.clips import make_clip
from support.taking import Taken
from support.waiting import until

from manycast.hub.source import FrameSink, SourceDenied, SourceError
from manycast.media.frame import Frame
from manycast.media.track import AudioParameters, Codec, JpegParameters, Track
from manycast.sources.continuity import Continuity, TracksChanged
from manycast.sources.loops import OwnStreams
from manycast.sources.path_log import PathLog
from manycast.sources.proxy import FIRST_PAUSE_S, LONGEST_PAUSE_S, Pauses, ProxySource
from manycast.wire.address import SourceAddress

CLIP = make_clip()
VECTORS = Path(__file__).parents[2] / "vectors" / "jpeg"
LOG = PathLog(logging.getLogger("test"), "proxy", "x")
SOUND = Track(codec=Codec.G711A, clock_rate_hz=8000, parameters=AudioParameters(sample_rate_hz=8000, channels=1))


def picture(number: int, shift_ticks: int = 0) -> Frame:
    frame = CLIP.frame(number)
    frame.dts_ticks += shift_ticks
    frame.pts_ticks += shift_ticks
    return frame


def sound(ticks: int) -> Frame:
    return Frame(track_index=1, dts_ticks=ticks, pts_ticks=ticks, keyframe=True, units=[bytes(160)])


@pytest.mark.parametrize("shift_ticks", [-10_000_000, 0, 999_000_000])
def test_times_never_go_back(shift_ticks: int) -> None:
    taken = Taken()
    flow = Continuity(taken.publish)
    sink = flow.open([CLIP.track, SOUND])
    for number in range(20):
        sink.push(picture(number))
        sink.push(sound(number * 320))
    sink = flow.open([CLIP.track, SOUND])
    for number in range(3, 40):
        sink.push(sound(number * 320 + shift_ticks * 8000 // 90_000))
        sink.push(picture(number, shift_ticks))
    for index, rate in ((0, 90_000), (1, 8000)):
        times = [frame.dts_ticks for frame in taken.frames if frame.track_index == index]
        assert all(a < b for a, b in pairwise(times))
        assert times[-1] < 10 * rate


def test_it_goes_on_at_a_keyframe_and_sound_not_before() -> None:
    taken = Taken()
    flow = Continuity(taken.publish)
    flow.open([CLIP.track, SOUND]).push(picture(0))
    flowed: list[int] = []
    flow.on_flow = lambda: flowed.append(len(taken.frames))
    sink = flow.open([CLIP.track, SOUND])
    for number in range(5, 12):
        sink.push(sound(number * 320))
        sink.push(picture(number))
    assert flowed == [1]
    assert [frame.track_index for frame in taken.frames] == [0, 0, 1, 0]
    assert taken.frames[1].keyframe


async def test_a_source_that_comes_back_between_keyframes_is_asked_for_one() -> None:
    class Camera:
        """Hangs up behind its first picture, and begins with the sixth when it is called again."""

        makes_keyframes = True

        def __init__(self) -> None:
            self.calls = 0
            self.asked = asyncio.Event()

        async def run(self, publish: Callable[[Sequence[Track]], FrameSink]) -> None:
            sink = publish([CLIP.track])
            self.calls += 1
            if self.calls == 1:
                sink.push(picture(0))
                raise SourceError("hung up")
            sink.push(picture(5))
            await self.asked.wait()
            sink.push(picture(10))
            await asyncio.Event().wait()

        def request_keyframe(self) -> None:
            self.asked.set()

    taken, camera = Taken(), Camera()
    task = asyncio.create_task(ProxySource(camera, hold_s=60, log=LOG).run(taken.publish))
    await until(lambda: len(taken.frames) > 1, "it goes on")
    assert taken.frames[1].keyframe
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def test_other_tracks_are_another_stream() -> None:
    flow = Continuity(Taken().publish)
    flow.open([CLIP.track, SOUND])
    stereo = Track(codec=Codec.G711A, clock_rate_hz=8000, parameters=AudioParameters(sample_rate_hz=8000, channels=2))
    for tracks in ([CLIP.track], [SOUND, CLIP.track], [CLIP.track, stereo]):
        with pytest.raises(TracksChanged):
            flow.open(tracks)


def test_jpeg_goes_on_whatever_it_was_found_to_be() -> None:
    taken = Taken()
    flow = Continuity(taken.publish)
    track = Track(codec=Codec.MJPEG, clock_rate_hz=90_000, parameters=JpegParameters())
    for connection in range(3):
        sink = flow.open([track])
        for image in ("plain", "full"):
            data = (VECTORS / f"{image}.jpg").read_bytes()
            sink.push(Frame(track_index=0, dts_ticks=0, pts_ticks=0, keyframe=True, units=[data]))
        assert len(taken.frames) > connection
    assert len(taken.tracks) == 1


def test_pauses_grow_and_differ() -> None:
    pauses = Pauses()
    found = [pauses.next_s() for _ in range(12)]
    assert 0.75 <= found[0] <= 1.25 * FIRST_PAUSE_S
    assert all(22 <= pause <= 1.25 * LONGEST_PAUSE_S for pause in found[5:])
    assert len(set(found[5:])) > 1
    pauses.reset()
    assert pauses.next_s() <= 1.25 * FIRST_PAUSE_S


class Flaky:
    """Gives a few frames, then fails; the last time it fails at once."""

    def __init__(self, runs: int) -> None:
        self.left = runs

    async def run(self, publish: Callable[[Sequence[Track]], FrameSink]) -> None:
        self.left -= 1
        if self.left < 0:
            raise SourceError("gone for good")
        sink = publish([CLIP.track])
        for number in range(10):
            sink.push(picture(number))
        raise SourceError("gone for a while")


async def test_outages_are_mended_up_to_a_length(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("manycast.sources.proxy.FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr("manycast.sources.proxy.LONGEST_PAUSE_S", 0.02)
    taken = Taken()
    with pytest.raises(SourceError, match="gone for good"):
        await asyncio.wait_for(ProxySource(Flaky(3), hold_s=0.3, log=LOG).run(taken.publish), 10)
    assert len(taken.frames) == 30
    assert all(a.dts_ticks < b.dts_ticks for a, b in pairwise(taken.frames))
    with pytest.raises(SourceError, match="gone for good"):
        await ProxySource(Flaky(0), hold_s=10, log=LOG).run(Taken().publish)
    with pytest.raises(SourceError, match="gone for a while"):
        await ProxySource(Flaky(3), hold_s=0, log=LOG).run(Taken().publish)


class Coming:
    """Is refused some times before it gives anything."""

    def __init__(self, refusals: int, error: type[SourceError] = SourceError) -> None:
        self.left = refusals
        self.error = error

    async def run(self, publish: Callable[[Sequence[Track]], FrameSink]) -> None:
        self.left -= 1
        if self.left >= 0:
            raise self.error("not yet")
        publish([CLIP.track]).push(picture(0))
        raise SourceError("the end")


async def test_the_first_connection_is_tried_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("manycast.sources.proxy.FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr("manycast.sources.proxy.LONGEST_PAUSE_S", 0.02)
    taken = Taken()
    with pytest.raises(SourceError, match="the end"):
        await ProxySource(Coming(3), hold_s=0, patience_s=20, log=LOG).run(taken.publish)
    assert taken.frames
    with pytest.raises(SourceError, match="not yet"):
        await ProxySource(Coming(3), hold_s=0, log=LOG).run(Taken().publish)
    with pytest.raises(SourceDenied, match="not yet"):
        await ProxySource(Coming(3, SourceDenied), hold_s=0, patience_s=20, log=LOG).run(Taken().publish)


def test_loops() -> None:
    own = OwnStreams(lambda name: name)
    own.ports = {554}
    here, there = ("10.0.0.1", 40_000), ("10.0.0.2", 554)

    def check(path: str, url: str, peer: tuple[str, int] = ("10.0.0.1", 554)) -> None:
        own.guard(path).check(SourceAddress.parse(url), here, peer)

    check("a", "rtsp://x/a", there)  # another machine
    check("a", "rtsp://x/a", ("10.0.0.1", 1935))  # another server
    with pytest.raises(SourceError, match="a loop: a from a"):
        check("a", "rtsp://x/a")
    check("a", "rtsp://x/b")
    check("b", "rtsp://x/c.flv")
    with pytest.raises(SourceError, match="a loop: c from a from b from c"):
        check("c", "rtsp://x/a")
    check("b", "rtsp://x/other", there)
    check("c", "rtsp://x/a")
