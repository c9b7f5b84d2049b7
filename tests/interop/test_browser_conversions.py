"""What an old camera sends, JPEG and G.711, in a real browser: the page's own player, mpegts.js and hls.js."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.browser import Page, browsing, page_with_script
from support.programs import make, publishing_with_ffmpeg
from support.rtsp import RawRtsp
from support.server import ServerProcess
from support.waiting import wait_until

WIDTH, HEIGHT = 320, 240
MIN_PLAYED_S = 1.5
SCRIPTS = {"mpegts.js": ("mpegts.js@1.8.0", "dist/mpegts.js"), "hls.js": ("hls.js@1.7.4", "dist/hls.js")}
PLAYERS = {
    "mpegts.js": """
      const player = mpegts.createPlayer({ type: "flv", isLive: true, url: "URL.flv" });
      player.on(mpegts.Events.ERROR, (...what) => window.failures.push(JSON.stringify(what)));
      player.attachMediaElement(video);
      player.load();
      player.play();""",
    "hls.js": """
      const hls = new Hls();
      hls.on(Hls.Events.ERROR, (_, what) => { if (what.fatal) window.failures.push(what.details); });
      hls.loadSource("URL.m3u8");
      hls.attachMedia(video);
      hls.on(Hls.Events.MANIFEST_PARSED, () => video.play());""",
}
STATE = """(() => {
  const video = document.querySelector("video") || document.createElement("video");
  return {
    time: video.currentTime, ready: video.readyState, width: video.videoWidth, height: video.videoHeight,
    pictures: video.webkitDecodedFrameCount, sound: video.webkitAudioDecodedByteCount,
    failures: window.failures || [],
  };
})()"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    folder = tmp_path_factory.mktemp("old-camera")
    film = make(
        folder / "film.mkv",
        *("-f", "lavfi", "-i", f"testsrc2=size={WIDTH}x{HEIGHT}:rate=25", "-f", "lavfi", "-i", "sine=440", "-t", "60"),
        *("-c:v", "mjpeg", "-q:v", "4", "-pix_fmt", "yuvj420p", "-huffman", "default"),
        *("-c:a", "pcm_alaw", "-ar", "8000", "-ac", "1"),
    )
    config = "hls: {fragment: 1}\nrtsp: {udp_base_port: UDP_BASE}\n"
    with (
        ServerProcess(folder, media=tmp_path_factory.mktemp("empty"), config=config, http=True) as server,
        publishing_with_ffmpeg(film, server.url("camera"), "tcp"),
        RawRtsp.connect(server.host, server.port) as client,
    ):
        wait_until(lambda: client.ask("DESCRIBE", "camera").status == 200, "it is published")
        yield server


async def check_playing(page: Page) -> None:
    """Time goes on, with new pictures and new sound."""
    first = await page.until(STATE, lambda state: state["width"] and state["ready"] >= 3, "it plays", deadline_s=40)
    assert (first["width"], first["height"]) == (WIDTH, HEIGHT)
    then = await page.until(STATE, lambda state: state["time"] > first["time"] + MIN_PLAYED_S, "time goes on")
    assert then["pictures"] > first["pictures"]
    assert then["sound"] > first["sound"]
    assert not then["failures"]
    assert not page.complaints


async def test_the_page_plays_it(server: ServerProcess) -> None:
    async with browsing() as page:
        await page.open(f"http://127.0.0.1:{server.http_port}/#camera")
        await check_playing(page)


@pytest.mark.parametrize(("player", "scheme"), [("mpegts.js", "http"), ("mpegts.js", "ws"), ("hls.js", "http")])
async def test_players_on_pages_of_others_play_it(
    server: ServerProcess, request: pytest.FixtureRequest, player: str, scheme: str
) -> None:
    assert request.config.cache is not None
    script, file = SCRIPTS[player]
    url = f"{scheme}://127.0.0.1:{server.http_port}/camera"
    async with page_with_script(script, file, request.config.cache) as address, browsing() as page:
        await page.open(address)
        await page.until("typeof mpegts + typeof Hls", lambda kinds: kinds != "undefined" * 2, "the script is there")
        await page.until("Boolean(document.querySelector('video'))", bool, "the page is there")
        start = PLAYERS[player].replace("URL", url)
        await page.value(f'(() => {{ const video = document.querySelector("video"); window.failures = [];{start} }})()')
        await check_playing(page)
