"""Sources that run while they are watched."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence

import pytest
from support.waiting import until

from manycast.hub.hub import Hub
from manycast.hub.on_demand import OnDemand
from manycast.hub.packager import Packager
from manycast.hub.rtp_packager import RtpPackager
from manycast.hub.source import FrameSink, SourceError
from manycast.hub.stream import Stream
from manycast.media.track import AudioParameters, Codec, Track

AUDIO = Track(codec=Codec.G711A, clock_rate_hz=8000, parameters=AudioParameters(sample_rate_hz=8000, channels=1))
PACKAGER: type[RtpPackager] = RtpPackager


class FakeSource:
    """Opens when it is let, and writes down what happens to it."""

    def __init__(self, events: list[str], opening: asyncio.Event, ending: asyncio.Event) -> None:
        self._events = events
        self._opening = opening
        self._ending = ending

    async def run(self, publish: Callable[[Sequence[Track]], FrameSink]) -> None:
        self._events.append("started")
        try:
            await self._opening.wait()
            publish([AUDIO])
            await self._ending.wait()
            self._events.append("ended")
        finally:
            self._events.append("released")


class Stage:
    def __init__(self) -> None:
        self.events: list[str] = []
        self.opening = asyncio.Event()
        self.ending = asyncio.Event()
        self.hub = Hub()
        self.on_demand = OnDemand(
            lambda: FakeSource(self.events, self.opening, self.ending),
            publish=lambda tracks: self.hub.publish("demo", tracks, "test"),
            unpublish=self.hub.unpublish,
            name="demo",
            linger_s=0.05,
        )


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    stage = Stage()
    yield stage
    await stage.on_demand.close()


def watch(stream: Stream, watcher: object) -> Packager:
    return stream.watch(watcher, PACKAGER, lambda reason: None)


async def test_the_first_viewer_starts_it_and_others_share_it(stage: Stage) -> None:
    stage.opening.set()
    streams = await asyncio.gather(*(stage.on_demand.open() for _ in range(5)))
    assert stage.events == ["started"]
    assert all(stream is streams[0] for stream in streams)


async def test_it_stops_some_time_after_the_last_viewer(stage: Stage) -> None:
    stage.opening.set()
    stream = await stage.on_demand.open()
    watch(stream, "viewer")
    await asyncio.sleep(0.1)
    assert stage.events == ["started"]
    stream.unwatch("viewer")
    assert stage.events == ["started"]
    await until(lambda: stage.events == ["started", "released"], "it is stopped")
    assert stage.hub.live("demo") is None
    assert stream.ended == "nobody watches"


async def test_it_stops_when_who_opened_it_never_watches(stage: Stage) -> None:
    stage.opening.set()
    await stage.on_demand.open()
    await until(lambda: "released" in stage.events, "it is stopped")


async def test_it_stops_when_who_wanted_it_left_while_it_started(stage: Stage) -> None:
    waiting = asyncio.create_task(stage.on_demand.open())
    await until(lambda: stage.events, "it is started")
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    stage.opening.set()
    await until(lambda: "released" in stage.events, "it is stopped")


async def test_who_comes_back_in_time_finds_it_running(stage: Stage) -> None:
    stage.opening.set()
    stream = await stage.on_demand.open()
    watch(stream, "first")
    stream.unwatch("first")
    again = await stage.on_demand.open()
    watch(again, "second")
    await asyncio.sleep(0.1)
    assert again is stream
    assert stage.events == ["started"]


async def test_after_it_stopped_it_starts_anew(stage: Stage) -> None:
    stage.opening.set()
    first = await stage.on_demand.open()
    await until(lambda: "released" in stage.events, "it is stopped")
    second = await stage.on_demand.open()
    assert second is not first
    assert stage.events == ["started", "released", "started"]


async def test_a_source_that_comes_to_its_end_ends_the_stream(stage: Stage) -> None:
    stage.opening.set()
    stream = await stage.on_demand.open()
    reasons: list[str] = []
    stream.watch("viewer", PACKAGER, reasons.append)
    stage.ending.set()
    await until(lambda: reasons, "the viewer is told")
    assert reasons == ["the source has ended"]


async def test_a_source_that_fails_to_start_says_why_and_may_be_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    tries = 0

    class Failing:
        async def run(self, publish: Callable[[Sequence[Track]], FrameSink]) -> None:
            nonlocal tries
            tries += 1
            raise SourceError("no camera")

    hub = Hub()
    hub.offer("camera", Failing, "camera")
    for _ in range(2):
        with pytest.raises(SourceError, match="no camera"):
            await hub.open("camera")
    assert tries == 2
    assert caplog.messages == ["source of camera failed: no camera"] * 2
    await hub.close("over")


async def test_a_source_that_never_opens_gives_up_waiting(monkeypatch: pytest.MonkeyPatch, stage: Stage) -> None:
    monkeypatch.setattr("manycast.hub.on_demand.START_TIMEOUT_S", 0.05)
    with pytest.raises(SourceError, match="did not start"):
        await stage.on_demand.open()


async def test_closing_stops_it_at_once(stage: Stage) -> None:
    stage.opening.set()
    stream = await stage.on_demand.open()
    watch(stream, "viewer")
    await stage.on_demand.close()
    assert stage.events[-1] == "released"
    assert stream.ended is not None
