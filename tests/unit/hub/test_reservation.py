"""Paths kept for sources that run all the time."""

from __future__ import annotations

import asyncio

import pytest
from support.waiting import until

from manycast.hub.hub import Hub, PathTaken
from manycast.hub.source import SourceError
from manycast.media.track import AudioParameters, Codec, Track

AUDIO = Track(codec=Codec.G711A, clock_rate_hz=8000, parameters=AudioParameters(sample_rate_hz=8000, channels=1))


async def test_nobody_else_has_the_path() -> None:
    hub = Hub()
    reservation = hub.reserve("camera", "the camera")
    assert hub.owner("camera") == "the camera"
    assert hub.owner("other") is None
    with pytest.raises(PathTaken, match="the camera"):
        hub.publish("camera", [AUDIO], "somebody")
    with pytest.raises(PathTaken):
        hub.reserve("camera", "another one")
    stream = reservation.publish([AUDIO])
    assert hub.live("camera") is stream
    assert await hub.open("camera") is stream


async def test_a_viewer_waits_and_ends_the_pause() -> None:
    hub = Hub()
    reservation = hub.reserve("camera", "the camera")
    pause = asyncio.create_task(reservation.pause(60))
    await asyncio.sleep(0)
    viewer = asyncio.create_task(hub.open("camera"))
    await asyncio.wait_for(pause, 5)
    reservation.end("a try that failed")  # the viewer goes on waiting
    await reservation.pause(60)  # and nothing pauses while he does
    stream = reservation.publish([AUDIO])
    assert await viewer is stream
    reservation.end("gone")
    assert stream.ended == "gone"
    assert hub.live("camera") is None


async def test_who_waited_in_vain_is_told_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("manycast.hub.reservation.START_TIMEOUT_S", 0.05)
    hub = Hub()
    reservation = hub.reserve("camera", "the camera")
    with pytest.raises(SourceError, match="nothing comes from the camera"):
        await hub.open("camera")
    reservation.end("no cable")
    with pytest.raises(SourceError, match="no cable"):
        await hub.open("camera")


async def test_who_waits_when_the_server_stops() -> None:
    hub = Hub()
    hub.reserve("camera", "the camera")
    viewer = asyncio.create_task(hub.open("camera"))
    await until(lambda: not viewer.done(), "he waits")
    await asyncio.sleep(0)
    await hub.close("the server stops")
    with pytest.raises(SourceError, match="the server stops"):
        await viewer


async def test_what_is_denied_is_not_waited_for() -> None:
    hub = Hub()
    reservation = hub.reserve("camera", "the camera")
    viewer = asyncio.create_task(hub.open("camera"))
    await asyncio.sleep(0)
    reservation.deny("a wrong password")
    for waiting in (viewer, hub.open("camera")):
        with pytest.raises(SourceError, match="a wrong password"):
            await waiting
    stream = reservation.publish([AUDIO])
    reservation.end("gone")
    viewer = asyncio.create_task(hub.open("camera"))
    await asyncio.sleep(0)
    stream = reservation.publish([AUDIO])
    assert await viewer is stream
