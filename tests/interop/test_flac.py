"""FLAC, from files and by Enhanced RTMP: as it is where it can be carried, else converted, and always to be heard."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from fractions import Fraction
from itertools import product
from pathlib import Path

import av
import numpy as np
import pytest
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.video.stream import VideoStream
from support.browser import browsing, page_with_script
from support.hearing import check_tone, samples_of
from support.listening import listen
from support.media import H264, TONE_HZ, WITH_B_FRAMES
from support.programs import ffmpeg, from_server, make, mono_samples, probe
from support.rtsp import RawRtsp
from support.server import ServerProcess
from support.waiting import wait_until

SECONDS = 4
RATE_HZ = 48_000
PUBLISHED = "live/published"
ENHANCED = {"rtmp_enhanced_codecs": "fLaC"}
HLS_JS = "hls.js@1.7.4"
PICTURES = ["-f", "lavfi", "-i", f"testsrc2=size=320x240:rate=25:duration={SECONDS}"]
TONE = ["-f", "lavfi", "-i", f"sine=frequency={TONE_HZ}:sample_rate={RATE_HZ}:duration={SECONDS}"]
FLAC = ["-c:a", "flac", "-ac", "2", "-strict", "-2"]  # ffmpeg 5.1 calls it experimental in MP4
FILES = {
    "film.mkv": [*PICTURES, *TONE, *H264, *WITH_B_FRAMES, *FLAC],
    "film.mp4": [*PICTURES, *TONE, *H264, *WITH_B_FRAMES, *FLAC],
    "tone.flac": [*TONE, *FLAC],
    "tone.oga": [*TONE, *FLAC],
}
# What is loudest in the sound that is played, in Hz, by a page's own means.
HEARD = """(async () => {
  const video = document.querySelector("video");
  if (!video || video.readyState < 3) return 0;
  if (!window.analyser) {
    const context = new AudioContext();
    window.analyser = context.createAnalyser();
    window.analyser.fftSize = 4096;
    video.muted = false;
    context.createMediaElementSource(video).connect(window.analyser);
    window.analyser.connect(context.destination);
    await context.resume();
  }
  const levels = new Float32Array(window.analyser.frequencyBinCount);
  window.analyser.getFloatFrequencyData(levels);
  const best = levels.indexOf(Math.max(...levels));
  return levels[best] > -60 ? best * window.analyser.context.sampleRate / window.analyser.fftSize : 0;
})()"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    media = tmp_path_factory.mktemp("flac-media")
    for name, arguments in FILES.items():
        make(media / name, *arguments)
    config = "hls: {fragment: 1}\nrtsp: {udp_base_port: UDP_BASE}\n"
    folder = tmp_path_factory.mktemp("flac")
    with ServerProcess(folder, media=media, config=config, http=True, rtmp=True, srt=True) as running:
        yield running
        running.check_log()


def rtmp(server: ServerProcess, name: str) -> str:
    return f"rtmp://{server.host}:{server.rtmp_port}/{name}"


def http(server: ServerProcess, name: str, scheme: str = "http") -> str:
    return f"{scheme}://{server.host}:{server.http_port}/{name}"


@pytest.fixture(scope="module")
def published(server: ServerProcess) -> Iterator[str]:
    """A picture and the tone, by FFmpeg 8, which is in PyAV and speaks Enhanced RTMP; Debian's does not yet."""
    stop = threading.Event()
    thread = threading.Thread(target=_publish, args=(rtmp(server, PUBLISHED), stop), daemon=True)
    thread.start()
    try:
        with RawRtsp.connect(server.host, server.port) as client:
            wait_until(lambda: client.ask("DESCRIBE", PUBLISHED).status == 200, "it is published")
        yield PUBLISHED
    finally:
        stop.set()
        thread.join(timeout=20)


def _publish(url: str, stop: threading.Event) -> None:
    with av.open(url, "w", format="flv") as output:
        video = output.add_stream("libx264", rate=25, options={"preset": "ultrafast", "g": "25", "bf": "0"})
        audio = output.add_stream("flac", rate=RATE_HZ)
        assert isinstance(video, VideoStream)
        assert isinstance(audio, AudioStream)
        video.width, video.height, video.pix_fmt = 320, 240, "yuv420p"
        audio.layout, audio.format = "stereo", "s16"
        block = RATE_HZ // 25
        started_s = time.monotonic()
        number = 0
        while not stop.is_set():
            picture = av.VideoFrame(320, 240, "yuv420p")
            for plane in picture.planes:
                plane.update(bytes((number * 7 % 256,)) * plane.buffer_size)
            picture.pts, picture.time_base = number, Fraction(1, 25)
            tone = np.sin(2 * np.pi * TONE_HZ / RATE_HZ * np.arange(number * block, (number + 1) * block))
            sound = AudioFrame.from_ndarray(np.repeat(tone * 8000, 2).astype(np.int16)[None], "s16", "stereo")
            sound.sample_rate, sound.pts, sound.time_base = RATE_HZ, number * block, Fraction(1, RATE_HZ)
            output.mux(video.encode(picture))
            output.mux(audio.encode(sound))
            number += 1
            time.sleep(max(0.0, started_s + number / 25 - time.monotonic()))


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory, server: ServerProcess, published: str) -> Iterator[ServerProcess]:
    """Another server, which pulls the stream, and converts no sound."""
    sources = {
        "rtmp": rtmp(server, published),
        "flv": http(server, f"{published}.flv"),
        "hls": http(server, f"{published}.m3u8"),
    }
    proxies = [{"suffix": name, "url": url, "ondemand": 1} for name, url in sources.items()]
    config = {"convert": {"audio": 0}, "hls": {"fragment": 1}, "applications": [{"proxies": proxies}]}
    with ServerProcess(tmp_path_factory.mktemp("edge"), config=json.dumps(config), http=True) as running:
        yield running
        running.check_log()


def check_heard(reading: list[str], codec: str, folder: Path) -> None:
    """What Debian's ffmpeg hears."""
    kept = folder / "heard.mkv"
    ffmpeg("-y", *reading, "-map", "0:a", "-c", "copy", "-t", "1.5", str(kept))
    (stream,) = probe("-show_streams", str(kept))["streams"]
    assert stream["codec_name"] == codec
    check_tone(mono_samples("-i", str(kept), seconds=1)[1000:], TONE_HZ, seconds=0.6)


def check_heard_as_flac(url: str, options: dict[str, str]) -> None:
    """What FFmpeg 8 hears."""
    blocks: list[AudioFrame] = []
    with av.open(url, options=options, timeout=60) as container:
        assert isinstance(container, InputContainer)
        stream = container.streams.audio[0]
        assert stream.codec_context.name == "flac"
        assert (stream.codec_context.sample_rate, stream.codec_context.channels) == (RATE_HZ, 2)
        for block in container.decode(stream):
            blocks.append(block)
            if sum(block.samples for block in blocks) > 1.5 * RATE_HZ:
                break
    samples = (samples_of(blocks) * 32_767).astype(int).tolist()
    check_tone(samples[1000:], TONE_HZ, seconds=0.6)


CONVERTED = {  # what has no FLAC, or to whom nobody said that it has
    "rtsp": lambda server, name: from_server(server.url(name), "tcp"),
    "rtmp": lambda server, name: ["-i", rtmp(server, name)],
    "srt": lambda server, name: ["-i", f"srt://{server.host}:{server.srt_port}?streamid={name}"],
    "http-flv": lambda server, name: ["-i", http(server, f"{name}.flv")],
}


@pytest.mark.parametrize(
    ("name", "player"), [*product(("film.mkv", PUBLISHED), CONVERTED), ("tone.flac", "rtsp"), ("tone.oga", "rtmp")]
)
def test_who_cannot_have_it_hears_it_as_aac(
    server: ServerProcess, published: str, name: str, player: str, tmp_path: Path
) -> None:
    check_heard(CONVERTED[player](server, name), "aac", tmp_path)


@pytest.mark.parametrize("name", ["film.mp4", "tone.oga", PUBLISHED])
def test_mp4_by_http_has_it_as_it_is(server: ServerProcess, published: str, name: str, tmp_path: Path) -> None:
    check_heard(["-i", http(server, f"{name}.mp4")], "flac", tmp_path)
    heard = tmp_path / "websocket.mp4"
    heard.write_bytes(asyncio.run(listen(http(server, f"{name}.mp4", "ws"), 3.0)))
    check_heard(["-i", str(heard)], "flac", tmp_path)


@pytest.mark.parametrize("name", ["film.mkv", "tone.oga", PUBLISHED])
def test_enhanced_rtmp_has_it_as_it_is(server: ServerProcess, published: str, name: str) -> None:
    check_heard_as_flac(rtmp(server, name), ENHANCED)


@pytest.mark.parametrize("name", ["tone.flac", PUBLISHED])
def test_flv_has_it_as_it_is_for_other_servers(server: ServerProcess, published: str, name: str) -> None:
    check_heard_as_flac(http(server, f"{name}.flv"), {"user_agent": "Manycast/1"})


@pytest.mark.parametrize("source", ["rtmp", "flv", "hls"])
def test_other_servers_pull_it_as_it_is(edge: ServerProcess, source: str, tmp_path: Path) -> None:
    check_heard(["-i", http(edge, f"{source}.mp4")], "flac", tmp_path)


def test_where_sound_is_not_converted_rtsp_has_the_picture(edge: ServerProcess) -> None:
    streams = probe("-show_streams", *from_server(edge.url("rtmp"), "tcp"))["streams"]
    assert [stream["codec_name"] for stream in streams] == ["h264"]
    assert "RTP cannot carry FLAC" in edge.log


@pytest.mark.parametrize("name", FILES)
def test_not_a_sample_is_lost(server: ServerProcess, name: str) -> None:
    def samples(*reading: str) -> bytes:
        return ffmpeg("-y", *reading, "-map", "0:a", "-c:a", "pcm_s16le", "-f", "md5", "-")

    original = samples("-i", str(server.media / name))
    assert samples("-i", http(server, f"{name}.mp4")) == original


def test_hls_names_it_as_apple_does(server: ServerProcess, published: str, tmp_path: Path) -> None:
    url = http(server, f"{published}.m3u8")
    check_heard(["-i", url], "flac", tmp_path)
    assert b'fLaC"' in _fetched(url)


def _fetched(url: str) -> bytes:
    import urllib.request

    with urllib.request.urlopen(url, timeout=60) as reply:
        data: bytes = reply.read()
    return data


async def test_the_page_plays_it(server: ServerProcess, published: str) -> None:
    async with browsing() as page:
        await page.open(http(server, f"#{published}"))
        await page.until(HEARD, lambda found: abs(found - TONE_HZ) < 30, "the tone is heard")
        assert not page.complaints


async def test_hls_js_plays_it(server: ServerProcess, published: str, request: pytest.FixtureRequest) -> None:
    assert request.config.cache is not None
    async with page_with_script(HLS_JS, "dist/hls.js", request.config.cache) as address, browsing() as page:
        await page.open(address)
        await page.until("typeof Hls", lambda kind: kind != "undefined", "the script is there")
        await page.value(
            f"""(() => {{
              const hls = new Hls();
              hls.loadSource("{http(server, f"{published}.m3u8")}");
              hls.attachMedia(document.querySelector("video"));
              hls.on(Hls.Events.MANIFEST_PARSED, () => document.querySelector("video").play());
            }})()"""
        )
        await page.until(HEARD, lambda found: abs(found - TONE_HZ) < 30, "the tone is heard")
        assert not page.complaints
