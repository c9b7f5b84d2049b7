"""HLS with players of others: FFmpeg, GStreamer, VLC, and hls.js in a real browser."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import subprocess
import threading
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import pytest
from support.browser import Page, browsing, npm_file, page_with_script
from support.hls import HlsPorts, serving_hls
from support.inprocess import blocking
from support.movies import CLOCK_HZ, coded_audio, coded_video, interleaved, normalised
from support.programs import TIMEOUT_S, find, frame_digests, gst, probe
from support.waiting import until

from manycast.hub.hls_packager import HlsOptions
from manycast.media.frame import Frame
from manycast.media.track import Codec
from manycast.wire.hls.segmenter import SegmenterOptions

HLS_JS = "hls.js@1.7.4"
HLS_PARSER = "hls-parser@0.16.1"
MAX_LOW_LATENCY_S = 1.5
PLAYED_S = 4.0
CATCHING_UP_S = 40.0

PLAIN = HlsOptions(segments=SegmenterOptions(fragment_s=1, playlist=5, part_s=None))
LOW_LATENCY = HlsOptions(segments=SegmenterOptions(fragment_s=2, playlist=5, part_s=0.2))

STATE = """(() => {
  const video = document.querySelector("video"), hls = window.hls;
  return {
    time: video.currentTime, width: video.videoWidth, height: video.videoHeight, ready: video.readyState,
    latency: hls.latency, behind: hls.playingDate ? (Date.now() - hls.playingDate) / 1000 : null,
    errors: window.errors, frames: video.getVideoPlaybackQuality().totalVideoFrames,
  };
})()"""


@contextlib.asynccontextmanager
async def publishing(hls: HlsPorts, video: Codec, audio: Codec) -> AsyncIterator[None]:
    """Two seconds over and over, in real time, while the block runs."""
    track, pictures = normalised(video, coded_video(video, 50))
    sound_track, sounds = coded_audio(audio)
    heard = [frame for frame in sounds if frame.dts_ticks < 2 * sound_track.clock_rate_hz]
    frames = interleaved((CLOCK_HZ, pictures), (sound_track.clock_rate_hz, heard))
    rates = (CLOCK_HZ, sound_track.clock_rate_hz)
    stream = hls.hub.publish("live", [track, sound_track], "a test")

    async def push() -> None:
        loop = asyncio.get_running_loop()
        started_s, lap = loop.time(), 0
        while True:
            for frame in frames:
                rate_hz = rates[frame.track_index]
                due_s = started_s + frame.dts_ticks / rate_hz + 2 * lap
                await asyncio.sleep(max(0.0, due_s - loop.time()))
                shift = 2 * lap * rate_hz
                stream.push(
                    Frame(
                        track_index=frame.track_index,
                        dts_ticks=frame.dts_ticks + shift,
                        pts_ticks=frame.pts_ticks + shift,
                        keyframe=frame.keyframe,
                        units=list(frame.units),
                    )
                )
            lap += 1

    task = asyncio.create_task(push())
    try:
        yield
    finally:
        task.cancel()
        hls.hub.unpublish(stream, "the test unpublished it")


async def warm_up(hls: HlsPorts) -> None:
    """Wait for three target durations, from which players like to begin."""
    await hls.playlist_address()
    run = hls.runs.at("live")
    assert run is not None
    await until(lambda: run.segmenter.has(4, None), "three target durations")


# FFmpeg, GStreamer, VLC


@pytest.mark.parametrize("options", [PLAIN, LOW_LATENCY], ids=["plain", "low-latency"])
async def test_gstreamer_plays(options: HlsOptions) -> None:
    async with serving_hls(options) as hls, publishing(hls, Codec.H264, Codec.AAC):
        await warm_up(hls)  # hlsdemux2 of GStreamer 1.22 loses its place in a list that is shorter
        url = f"http://127.0.0.1:{hls.port}/live.m3u8"
        said = await blocking(gst, f"uridecodebin3 uri={url}", "! videoconvert ! fakesink num-buffers=100")
        assert "Got EOS" in said


async def test_gstreamer_s_older_demuxer_plays_every_picture() -> None:
    async with serving_hls(LOW_LATENCY) as hls, publishing(hls, Codec.H264, Codec.AAC):
        await warm_up(hls)
        # It goes on when its sink has enough, and so is ended.
        source = ["souphttpsrc", f"location=http://127.0.0.1:{hls.port}/live.m3u8", "!", "hlsdemux", "!", "tsdemux"]
        sink = ["!", "h264parse", "!", "avdec_h264", "!", "fakesink", "silent=false"]
        minutes = await blocking(said_by, SEEN, 80, "gst-launch-1.0", "-v", *source, *sink)
    times = [60 * int(minute) + float(second) for minute, second in minutes]
    assert max(after - before for before, after in pairwise(times)) == pytest.approx(0.04, abs=0.001)


SEEN = re.compile(r"chain .* pts: 0:(\d\d):([0-9.]+), duration")


def said_by(what: re.Pattern[str], times: int, program: str, *arguments: str) -> list[tuple[str, str]]:
    """What a program that does not end by itself has said, as soon as it has said so much."""
    command = [find(program), *arguments]
    found: list[tuple[str, str]] = []
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        limit = threading.Timer(TIMEOUT_S, process.kill)
        limit.start()
        try:
            for line in process.stdout:
                found += what.findall(line)
                if len(found) == times:
                    break
        finally:
            limit.cancel()
            process.kill()
    assert len(found) == times
    return found


async def test_vlc_plays(tmp_path: Path) -> None:
    somebody = ["/sbin/runuser", "-u", "nobody", "--"] if os.geteuid() == 0 else []  # VLC refuses to run as root
    script = "#standard{access=file,mux=ts,dst=-}"
    options = ["--intf", "dummy", "--no-video-title-show", "--run-time=8", "--sout", script]
    async with serving_hls(LOW_LATENCY) as hls, publishing(hls, Codec.H264, Codec.AAC):
        command = [*somebody, find("cvlc"), *options, f"http://127.0.0.1:{hls.port}/live.m3u8", "vlc://quit"]
        done = await blocking(
            subprocess.run, command, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False
        )
    output = tmp_path / "vlc.ts"
    output.write_bytes(done.stdout)
    frames = probe("-select_streams", "v", "-count_packets", "-show_entries", "stream=nb_read_packets", str(output))
    assert int(frames["streams"][0]["nb_read_packets"]) > 75


@pytest.mark.parametrize("options", [PLAIN, LOW_LATENCY], ids=["plain", "low-latency"])
@pytest.mark.parametrize(
    ("video", "audio"),
    [
        (Codec.H264, Codec.AAC),
        (Codec.H264, Codec.MP3),
        (Codec.H264, Codec.OPUS),
        (Codec.H265, Codec.AAC),
        (Codec.AV1, Codec.OPUS),
        (Codec.VP9, Codec.OPUS),
    ],
)
async def test_ffmpeg_plays_every_codec(options: HlsOptions, video: Codec, audio: Codec) -> None:
    names = {Codec.MP3: "mp3", Codec.OPUS: "opus", Codec.AAC: "aac"} | {
        Codec.H264: "h264",
        Codec.H265: "hevc",
        Codec.AV1: "av1",
        Codec.VP9: "vp9",
    }
    async with serving_hls(options) as hls, publishing(hls, video, audio):
        url = f"http://127.0.0.1:{hls.port}/live.m3u8"
        found = await blocking(probe, "-show_streams", url)
        assert {stream["codec_name"] for stream in found["streams"]} == {names[video], names[audio]}
        times = [digest.pts for digest in await blocking(frame_digests, "-i", url, "-t", "4")]
        assert len(times) >= 90
        assert len({after - before for before, after in pairwise(times)}) == 1


_CHECK = """
globalThis.self = globalThis;  // it is built for browsers
const HLS = require(process.argv[1]), text = require("fs").readFileSync(0, "utf8");
HLS.setOptions({ strictMode: true });
const list = HLS.parse(text);
console.log(JSON.stringify(list.isMasterPlaylist
  ? { resolution: list.variants[0].resolution }
  : { skipped: list.skip, target: list.targetDuration, control: list.lowLatencyCompatibility }));
"""


async def test_a_strict_parser_has_nothing_to_complain_about(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    assert request.config.cache is not None
    parser = tmp_path / "hls-parser.js"
    parser.write_bytes(npm_file(HLS_PARSER, "dist/hls-parser.js", request.config.cache))
    node = find("node")

    async def parsed(text: bytes) -> dict[str, object]:
        done = await blocking(
            subprocess.run, [node, "-e", _CHECK, str(parser)], input=text, capture_output=True, timeout=60, check=False
        )
        assert done.returncode == 0, (done.stderr.decode(), text.decode())
        found: dict[str, object] = json.loads(done.stdout)
        return found

    options = HlsOptions(segments=SegmenterOptions(fragment_s=1, playlist=12, part_s=0.2))
    async with serving_hls(options) as hls:
        async with hls.publishing(speed=8):
            multivariant = await hls.ask("/live.m3u8")
            address = f"/{multivariant.names[0]}"
            run = hls.runs.at("live")
            assert run is not None
            await until(lambda: run.segmenter.has(14, None), "a long list")
            assert (await parsed(multivariant.body))["resolution"] == {"width": 320, "height": 240}
        async with hls.publishing(speed=8):
            await until(lambda: b"DISCONTINUITY\n" in run.playlist(skip=False), "another publisher")
            whole = await parsed((await hls.ask(address)).body)
            assert whole["control"] == {
                "canBlockReload": True,
                "canSkipUntil": 6,
                "partHoldBack": pytest.approx(0.63, abs=0.1),
            }
            delta = await parsed((await hls.ask(f"{address}?_HLS_skip=YES")).body)
            assert isinstance(delta["skipped"], int)
            assert delta["skipped"] > 0
        run.end()
        assert (await parsed((await hls.ask(address)).body))["target"] == 1


# hls.js


async def play(page: Page, address: str, url: str, **config: object) -> None:
    await page.open(address)
    await page.until("typeof Hls", lambda kind: kind == "function", "hls.js is there")
    await page.value(
        f"""(() => {{
          const hls = window.hls = new Hls({json.dumps(config)}), video = document.querySelector("video");
          window.errors = [];
          hls.on(Hls.Events.ERROR, (_, what) => window.errors.push(`${{what.details}} ${{what.error || ""}}`));
          hls.loadSource("{url}");
          hls.attachMedia(video);
          hls.on(Hls.Events.MANIFEST_PARSED, () => video.play());
        }})()"""
    )


async def check_playing(page: Page, most_behind_s: float | None = None) -> list[dict[str, Any]]:
    """It comes to play some seconds on end as it should, and returns what was seen in them."""
    await page.until(STATE, lambda state: state["ready"] >= 3 and state["time"] > 0, "it plays")
    loop = asyncio.get_running_loop()
    end_s = loop.time() + CATCHING_UP_S
    while True:
        await page.value("window.errors = []")
        started_s, states = loop.time(), [await page.value(STATE)]
        while loop.time() < started_s + PLAYED_S:
            await asyncio.sleep(0.25)
            states.append(await page.value(STATE))
        fault = _fault(states, loop.time() - started_s, most_behind_s)
        if not fault:
            return states
        assert loop.time() < end_s, fault


def _fault(states: list[dict[str, Any]], seconds: float, most_behind_s: float | None) -> str:
    """Time must go on as fast as it does outside, and pictures with it."""
    first, last = states[0], states[-1]
    if abs(last["time"] - first["time"] - seconds) > 0.15 * seconds:
        return f"{last['time'] - first['time']:.2f} s in {seconds:.2f} s"
    if last["frames"] - first["frames"] < 15 * PLAYED_S:
        return f"{last['frames'] - first['frames']} pictures in {seconds:.2f} s"
    if last["errors"]:
        return str(last["errors"])
    behind = [state["behind"] for state in states]
    if most_behind_s is not None and (None in behind or median(behind) > most_behind_s):
        return f"behind: {behind}"
    return ""


@pytest.mark.alone
@pytest.mark.parametrize(
    ("video", "audio"), [(Codec.H264, Codec.AAC), (Codec.VP9, Codec.OPUS), (Codec.AV1, Codec.OPUS)], ids=str
)
async def test_hls_js_plays_about_a_second_behind(
    video: Codec, audio: Codec, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    assert request.config.cache is not None
    async with (
        serving_hls(LOW_LATENCY) as hls,
        publishing(hls, video, audio),
        page_with_script(HLS_JS, "dist/hls.js", request.config.cache) as address,
        browsing() as page,
    ):
        await play(
            page, address, f"http://127.0.0.1:{hls.port}/live.m3u8", lowLatencyMode=True, maxLiveSyncPlaybackRate=1.5
        )
        states = await check_playing(page, MAX_LOW_LATENCY_S)
        assert (states[0]["width"], states[0]["height"]) == (320, 240)
        behind_s = sorted(state["behind"] for state in states)
        with capsys.disabled():
            print(f"\n{video.value}: {behind_s[len(behind_s) // 2]:.2f} s behind, at most {behind_s[-1]:.2f} s")
        assert not page.complaints


@pytest.mark.alone
async def test_hls_js_plays_without_low_latency(request: pytest.FixtureRequest) -> None:
    assert request.config.cache is not None
    async with (
        serving_hls(PLAIN) as hls,
        publishing(hls, Codec.H264, Codec.AAC),
        page_with_script(HLS_JS, "dist/hls.js", request.config.cache) as address,
        browsing() as page,
    ):
        await warm_up(hls)
        await play(page, address, f"http://127.0.0.1:{hls.port}/live.m3u8", lowLatencyMode=False)
        await check_playing(page)


async def test_hls_js_goes_on_when_the_publisher_comes_back(request: pytest.FixtureRequest) -> None:
    assert request.config.cache is not None
    async with (
        serving_hls(LOW_LATENCY) as hls,
        page_with_script(HLS_JS, "dist/hls.js", request.config.cache) as address,
        browsing() as page,
    ):
        async with publishing(hls, Codec.H264, Codec.AAC):
            await play(page, address, f"http://127.0.0.1:{hls.port}/live.m3u8", lowLatencyMode=True)
            before = await page.until(STATE, lambda state: state["time"] > 1, "it plays")
        await asyncio.sleep(0.5)
        async with publishing(hls, Codec.H264, Codec.AAC):
            await page.until(STATE, lambda state: state["time"] > before["time"] + 6, "it goes on")
