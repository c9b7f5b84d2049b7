"""A real browser: the player of our own page, and mpegts.js on a page of another server."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from functools import partial
from operator import eq
from pathlib import Path
from typing import Any

import pytest
from support.browser import Page, browsing, page_with_script
from support.http_streams import HttpStreams, serving_streams
from support.movies import CLOCK_HZ, SAMPLE_RATE_HZ, coded_audio, coded_video, interleaved, normalised
from support.server import ServerProcess

from manycast.media.frame import Frame
from manycast.media.track import Codec

MPEGTS_JS = "mpegts.js@1.8.0"
MAX_LATENCY_S = 0.5
MIN_PLAYED_S = 1.0
STATE = """(() => {
  const video = document.querySelector("video") || document.createElement("video");
  const { buffered } = video;
  return {
    time: video.currentTime, width: video.videoWidth, height: video.videoHeight, ready: video.readyState,
    lag: buffered.length ? buffered.end(buffered.length - 1) - video.currentTime : null,
    text: document.body?.textContent,
  };
})()"""


BACK_TO_WHAT_IS_GONE = """new Promise((done) => {
  const { buffer, video } = manycast.player;
  const go = () => {
    if (buffer.updating) { setTimeout(go, 1); return; }
    buffer.remove(0, video.currentTime);
    video.currentTime = 0;
    done();
  };
  go();
})"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path_factory.mktemp("browser"), http=True) as running:
        yield running


def _plays_with(width: int, state: dict[str, Any]) -> bool:
    return bool(state["width"] == width and state["ready"] >= 3)


async def check_playing(page: Page, width: int, height: int) -> None:
    """The picture has its size, and time goes on as fast as it does outside."""
    first = await page.until(STATE, lambda state: state["width"] and state["ready"] >= 3, "it plays")
    assert (first["width"], first["height"]) == (width, height)
    await page.until(STATE, lambda state: state["time"] > first["time"] + MIN_PLAYED_S, "time goes on")


async def check_at_the_live_edge(page: Page) -> None:
    """It comes there, and stays a while."""
    near = 0

    def stays(state: dict[str, Any]) -> bool:
        nonlocal near
        near = near + 1 if state["lag"] is not None and state["lag"] < MAX_LATENCY_S else 0
        return near == 5

    await page.until(STATE, stays, "it is at the live edge")


@pytest.mark.alone
async def test_the_page_plays_the_demo_at_the_live_edge(server: ServerProcess, tmp_path: Path) -> None:
    async with browsing() as page:
        await page.open(f"http://127.0.0.1:{server.http_port}/")
        names = "[...document.querySelectorAll('.name')].map((name) => name.textContent)"
        assert await page.until(names, lambda names: "demo" in names, "the demo is listed")
        await page.value("document.querySelector('#streams button').click()")
        await check_playing(page, 1280, 720)
        await check_at_the_live_edge(page)
        assert f"rtsp://127.0.0.1:{server.port}/demo" in (await page.value(STATE))["text"]
        await page.screenshot(tmp_path / "page.png")
        assert (tmp_path / "page.png").stat().st_size > 10_000
        assert not page.complaints


async def test_mpegts_js_plays_http_flv_and_websocket_flv(
    server: ServerProcess, request: pytest.FixtureRequest
) -> None:
    assert request.config.cache is not None
    async with page_with_script(MPEGTS_JS, "dist/mpegts.js", request.config.cache) as address, browsing() as page:
        for scheme in ("http", "ws"):
            await page.open(address)
            there = "typeof mpegts === 'object' && Boolean(document.querySelector('video'))"
            await page.until(there, bool, "mpegts.js is there")
            url = f"{scheme}://127.0.0.1:{server.http_port}/demo.flv"
            await page.value(
                f"""(() => {{
                  const player = mpegts.createPlayer({{ type: "flv", isLive: true, url: "{url}" }});
                  window.failure = null;
                  player.on(mpegts.Events.ERROR, (...what) => {{ window.failure = JSON.stringify(what); }});
                  player.attachMediaElement(document.querySelector("video"));
                  player.load();
                  player.play();
                }})()"""
            )
            await check_playing(page, 1280, 720)
            assert await page.value("window.failure") is None
        assert not page.complaints


@contextlib.asynccontextmanager
async def publishing(
    server: HttpStreams, video: Codec, audio: Codec, *, width: int = 320, height: int = 240
) -> AsyncIterator[None]:
    """Two seconds over and over in real time, at the path "live", while the block runs."""
    track, pictures = normalised(video, coded_video(video, 50, width=width, height=height))
    sound, sounds = coded_audio(audio)
    frames = interleaved(
        (CLOCK_HZ, pictures), (SAMPLE_RATE_HZ, [frame for frame in sounds if frame.dts_ticks < 90_000])
    )
    stream = server.hub.publish("live", [track, sound], "a test")
    task = asyncio.create_task(push_for_ever(stream.push, frames))
    try:
        yield
    finally:
        task.cancel()
        server.hub.unpublish(stream, "the test unpublished it")


async def push_for_ever(push: Callable[[Frame], None], frames: list[Frame], *, lap_s: float = 2.0) -> None:
    loop = asyncio.get_running_loop()
    started_s, shift_s = loop.time(), 0.0
    while True:
        for frame in frames:
            rate_hz = SAMPLE_RATE_HZ if frame.track_index else CLOCK_HZ
            shift = int(shift_s * rate_hz)
            await asyncio.sleep(started_s + shift_s + frame.dts_ticks / rate_hz - loop.time())
            push(
                replace(
                    frame,
                    dts_ticks=frame.dts_ticks + shift,
                    pts_ticks=frame.pts_ticks + shift,
                    units=list(frame.units),
                )
            )
        shift_s += lap_s


@pytest.mark.alone
async def test_the_player_takes_every_codec_a_browser_knows_and_follows_a_stream_that_restarts() -> None:
    async with serving_streams() as server, browsing() as page:
        await page.open(f"http://127.0.0.1:{server.port}/#live")
        for video, audio, width, height in (
            (Codec.H264, Codec.OPUS, 320, 240),  # with B-frames, and pieces of sound missing
            (Codec.VP9, Codec.AAC, 160, 120),
            (Codec.AV1, Codec.OPUS, 320, 180),
        ):
            async with publishing(server, video, audio, width=width, height=height):
                await page.until("document.querySelector('video')?.videoWidth", partial(eq, width), f"{video} is there")
                await check_playing(page, width, height)
                await check_at_the_live_edge(page)
        assert not page.complaints


async def test_the_player_follows_pictures_that_change_their_size() -> None:
    """From the first size to the second only parameter sets change, to the third also the level, and with it the MIME
    type."""
    sizes = ((320, 240), (336, 240), (160, 120))
    frames = []
    for number, (width, height) in enumerate(sizes):
        track, pictures = normalised(Codec.H264, coded_video(Codec.H264, 50, width=width, height=height))
        shift = 2 * number * CLOCK_HZ
        frames += [
            replace(frame, dts_ticks=frame.dts_ticks + shift, pts_ticks=frame.pts_ticks + shift) for frame in pictures
        ]
    async with serving_streams() as server, browsing() as page:
        stream = server.hub.publish("live", [track], "a test")
        task = asyncio.create_task(push_for_ever(stream.push, frames, lap_s=2.0 * len(sizes)))
        await page.open(f"http://127.0.0.1:{server.port}/#live")
        for width, height in (*sizes, *sizes):
            state = await page.until(STATE, partial(_plays_with, width), f"it plays, {width} wide")
            assert state["height"] == height
        assert not page.complaints
        task.cancel()


async def test_the_player_does_not_wait_for_a_keyframe_after_a_gap() -> None:
    track, frames = normalised(Codec.H264, coded_video(Codec.H264, 150, gop=1000))
    gap = CLOCK_HZ
    frames[40:] = [
        replace(frame, dts_ticks=frame.dts_ticks + gap, pts_ticks=frame.pts_ticks + gap) for frame in frames[40:]
    ]
    async with serving_streams() as server, browsing() as page:
        stream = server.hub.publish("live", [track], "a test")
        await page.open(f"http://127.0.0.1:{server.port}/#live")
        task = asyncio.create_task(push_for_ever(stream.push, frames, lap_s=1000.0))
        first = await page.until(STATE, lambda state: state["ready"] >= 3, "it plays")
        # No other keyframe comes.
        behind = await page.until(STATE, lambda state: state["time"] > first["time"] + 3.5, "time goes on")
        assert behind["lag"] < MAX_LATENCY_S + 1.0
        task.cancel()


async def test_what_the_browser_cannot_play_is_said() -> None:
    async with serving_streams() as server, browsing() as page, publishing(server, Codec.H264, Codec.AC3):
        await page.open(f"http://127.0.0.1:{server.port}/#live")
        said = "document.getElementById('state')?.textContent || ''"
        await page.until(said, lambda text: "cannot play" in text, "it is said")


@pytest.mark.parametrize("where", ["query", "digest"])
async def test_the_page_after_a_login(where: str) -> None:
    serving = serving_streams(users={"anna": "s3cret"})
    async with serving as server, browsing() as page, publishing(server, Codec.H264, Codec.AAC):
        place = f"127.0.0.1:{server.port}/"
        login, query = ("", "?user=anna&pass=s3cret") if where == "query" else ("anna:s3cret@", "")
        await page.open(f"http://{login}{place}{query}#live")
        await check_playing(page, 320, 240)
        names = "[...document.querySelectorAll('#streams .name')].map((name) => name.textContent)"
        await page.until(names, lambda names: names == ["live"], "it is listed")


async def test_who_goes_where_nothing_is_comes_back_to_the_live_edge() -> None:
    async with serving_streams() as server, browsing() as page, publishing(server, Codec.H264, Codec.AAC):
        await page.open(f"http://127.0.0.1:{server.port}/#live")
        await check_playing(page, 320, 240)
        await page.value(BACK_TO_WHAT_IS_GONE)
        await check_playing(page, 320, 240)
        await check_at_the_live_edge(page)


async def test_names_of_streams_do_nothing_to_the_page() -> None:
    name = "<img src=x onerror='window.broken=1'>"
    async with serving_streams(names=[name]) as server, browsing() as page, server.publishing(name):
        await page.open(f"http://127.0.0.1:{server.port}/#{name}")
        names = "[...document.querySelectorAll('.name')].map((name) => name.textContent)"
        await page.until(names, lambda names: names == [name, name], "both are listed")
        await check_playing(page, 320, 240)
        assert await page.value("document.images.length") == 0
        assert await page.value("window.broken") is None
