"""Keyframes on demand: how often a source is asked, and by whose need."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import pytest
from support.clips import make_clip
from support.virtual_time import run
from support.waiting import until

from manycast.hub.fanout import BacklogLimit
from manycast.hub.frame_tap import StreamSource
from manycast.hub.hls_packager import HlsOptions, HlsRun
from manycast.hub.hub import Hub
from manycast.hub.keyframes import MIN_INTERVAL_S, RETRY_S, KeyframeRequests
from manycast.hub.source import FrameSink, Source, keyframe_request_of
from manycast.hub.stream import Stream
from manycast.media.frame import Frame
from manycast.media.track import Track


class Asked:
    """When a source was asked, in seconds since the beginning."""

    def __init__(self, requests: KeyframeRequests) -> None:
        self._loop = asyncio.get_running_loop()
        self._begun_s = self._loop.time()
        self.at_s: list[float] = []
        requests.on_request = lambda: self.at_s.append(round(self._loop.time() - self._begun_s, 3))


def test_many_who_need_one_at_once_make_one_request() -> None:
    async def main() -> list[float]:
        requests = KeyframeRequests()
        asked = Asked(requests)
        for _ in range(100):
            requests.request()
        requests.came()
        return asked.at_s

    assert run(main()) == [0.0]


def test_requests_are_half_a_second_apart_and_none_is_forgotten() -> None:
    async def main() -> list[float]:
        requests = KeyframeRequests()
        asked = Asked(requests)
        for _ in range(21):
            requests.request()
            await asyncio.sleep(0.04)
            requests.came()
            await asyncio.sleep(0.06)
            requests.request()  # after what has come, for another loss
        await asyncio.sleep(5)
        return asked.at_s

    assert run(main()) == [0.0, 0.5, 1.0, 1.5, 2.0, 2.5]


def test_a_keyframe_that_comes_by_itself_is_as_good() -> None:
    async def main() -> list[float]:
        requests = KeyframeRequests()
        asked = Asked(requests)
        requests.request()
        requests.came()
        requests.request()
        await asyncio.sleep(MIN_INTERVAL_S / 2)
        requests.came()
        await asyncio.sleep(10)
        return asked.at_s

    assert run(main()) == [0.0]


def test_who_still_waits_asks_again_later() -> None:
    async def main() -> list[float]:
        requests = KeyframeRequests()
        asked = Asked(requests)
        for _ in range(25):
            requests.request()
            await asyncio.sleep(0.1)
        return asked.at_s

    assert run(main()) == [0.0, RETRY_S, 2 * RETRY_S]


def test_after_the_end_nobody_is_asked() -> None:
    async def main() -> list[float]:
        requests = KeyframeRequests()
        asked = Asked(requests)
        requests.request()
        requests.came()
        requests.request()
        requests.close()
        requests.request()
        await asyncio.sleep(10)
        return asked.at_s

    assert run(main()) == [0.0]


def test_a_source_that_cannot_is_left_alone() -> None:
    requests = KeyframeRequests()
    assert not requests.possible
    requests.request()  # without any event loop


VIDEO = make_clip().track


def frame(ticks: int, *, keyframe: bool) -> Frame:
    return Frame(
        track_index=0,
        dts_ticks=ticks,
        pts_ticks=ticks,
        keyframe=keyframe,
        units=[b"\x65\x88" if keyframe else b"\x41\x9a"],
    )


class Maker:
    """A source that counts how often it is asked."""

    makes_keyframes = True

    def __init__(self) -> None:
        self.sink: FrameSink | None = None
        self.asked = 0

    async def run(self, publish: Callable[[Sequence[Track]], FrameSink]) -> None:
        self.sink = publish([VIDEO])
        await asyncio.Event().wait()

    def request_keyframe(self) -> None:
        self.asked += 1


class Plain:
    async def run(self, publish: Callable[[Sequence[Track]], FrameSink]) -> None:
        publish([VIDEO])
        await asyncio.Event().wait()


@pytest.mark.parametrize(("source", "possible"), [(Maker(), True), (Plain(), False)])
async def test_a_source_on_demand_is_asked_if_it_can_be(source: Source, possible: bool) -> None:
    hub = Hub()
    hub.offer("camera", lambda: source, "test")
    stream = await hub.open("camera")
    assert stream is not None
    assert stream.keyframes.possible == possible
    stream.keyframes.request()
    assert getattr(source, "asked", 0) == possible
    await hub.close("the test is over")


async def test_a_stream_made_of_another_one_passes_the_wish_on() -> None:
    stream = Stream("live", [VIDEO], "test")
    asked = Asked(stream.keyframes)
    request = keyframe_request_of(StreamSource(stream))
    assert request is not None
    request()
    assert len(asked.at_s) == 1


async def test_the_frames_tell_that_a_keyframe_has_come() -> None:
    stream = Stream("live", [VIDEO], "test")
    asked = Asked(stream.keyframes)
    stream.keyframes.request()
    stream.push(frame(0, keyframe=False))
    stream.push(frame(3600, keyframe=True))
    stream.keyframes.request()
    await until(lambda: len(asked.at_s) == 2, "the second request is made when its time has come")
    assert asked.at_s[1] - asked.at_s[0] < RETRY_S
    stream.end("over")
    stream.keyframes.request()
    assert len(asked.at_s) == 2


@pytest.mark.parametrize("kept", [True, False])
async def test_hls_that_begins_without_a_keyframe_asks_for_one(kept: bool) -> None:
    stream = Stream("live", [VIDEO], "test")
    asked = Asked(stream.keyframes)
    stream.push(frame(0, keyframe=kept))
    run_of_segments = HlsRun("live", HlsOptions())
    run_of_segments.attach(stream)
    assert len(asked.at_s) == (0 if kept else 1)
    run_of_segments.forget()


def test_a_limit_of_its_own_has_nobody_to_ask() -> None:
    assert not BacklogLimit().keyframes.possible
