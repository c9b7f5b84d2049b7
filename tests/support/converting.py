"""HTTP ports inside the test's own event loop, with every form of streams on them and with conversions."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import cache

from manycast.hub.catalogue import Catalogue
from manycast.hub.conversions import ConversionOptions
from manycast.hub.hls_packager import HlsOptions
from manycast.hub.hls_runs import HlsRuns
from manycast.hub.hub import Hub
from manycast.hub.output import AudioOutput, VideoOutput
from manycast.hub.stream import Stream
from manycast.media.frame import Frame
from manycast.media.track import Codec, Track
from manycast.servers.faults import FaultLog
from manycast.servers.http.front import HttpFront
from manycast.servers.http.hls.options import HlsServerOptions
from manycast.servers.http.hls.server import HlsServer
from manycast.servers.http.pages import Pages
from manycast.servers.http.stream.options import StreamOptions
from manycast.servers.http.stream.server import StreamServer
from manycast.sources.encoding.audio import AudioEncoder
from manycast.sources.encoding.sound_shape import settled
from manycast.sources.encoding.video import VideoEncoder
from manycast.sources.transcoding.service import TranscodingService
from manycast.wire.hls.segmenter import SegmenterOptions
from support.http_streams import Reply
from support.pictures import pictures, tone

HOST = "127.0.0.1"
LINGER_S = 0.5
LAP_S = 2
TONE_HZ = 440
RATE = 25
QUICK = SegmenterOptions(fragment_s=1, playlist=3, part_s=0.2)


@cache
def jpeg_and_law() -> tuple[tuple[Track, Track], tuple[Frame, ...]]:
    """What old cameras send: JPEG and G.711, for two seconds."""
    video = VideoEncoder(VideoOutput(codec=Codec.MJPEG), source_rate=RATE)
    frames = []
    for index, picture in enumerate(pictures(LAP_S * RATE, rate=RATE)):
        frames += video.encode(picture, index * 90_000 // RATE)
    output = AudioOutput(codec=Codec.G711A)
    audio = AudioEncoder(output, settled(output, 8000, 1), 1)
    for index, sound in enumerate(tone(LAP_S * 10, rate_hz=8000, hz=TONE_HZ, samples=800)):
        frames += audio.encode(sound, index * 800)
    clocks = video.track.clock_rate_hz, audio.track.clock_rate_hz
    frames.sort(key=lambda frame: frame.dts_ticks / clocks[frame.track_index])
    return (video.track, audio.track), tuple(frames)


@dataclass
class Converting:
    hub: Hub
    hls: HlsServer
    port: int

    async def ask(self, target: str, more: str = "") -> Reply:
        return await asyncio.to_thread(Reply.ask, self.port, f"GET {target} HTTP/1.1", more, False)

    @asynccontextmanager
    async def publishing(self, name: str = "live") -> AsyncIterator[Stream]:
        """JPEG and G.711 in real time, while the block runs."""
        tracks, frames = jpeg_and_law()
        stream = self.hub.publish(name, tracks, "a test")
        task = asyncio.create_task(_push(stream, tracks, frames))
        try:
            yield stream
        finally:
            task.cancel()
            self.hub.unpublish(stream, "the test unpublished it")


async def _push(stream: Stream, tracks: tuple[Track, Track], frames: tuple[Frame, ...]) -> None:
    loop = asyncio.get_running_loop()
    started_s, lap = loop.time(), 0
    while True:
        for frame in frames:
            rate_hz = tracks[frame.track_index].clock_rate_hz
            dts, pts = frame.dts_ticks + lap * LAP_S * rate_hz, frame.pts_ticks + lap * LAP_S * rate_hz
            await asyncio.sleep(started_s + dts / rate_hz - loop.time())
            stream.push(replace(frame, dts_ticks=dts, pts_ticks=pts, units=list(frame.units)))
        lap += 1


@asynccontextmanager
async def converting(*, video: bool = True, audio: bool = True) -> AsyncIterator[Converting]:
    """`video` and `audio` are the settings."""
    hub, faults, transcoding = Hub(), FaultLog(), TranscodingService()
    timer = asyncio.create_task(hub.run_timer())
    options = ConversionOptions(video=video, audio=audio, linger_s=LINGER_S)
    catalogue = Catalogue(hub, None, transcoding=transcoding, conversions=options)
    streams = StreamServer(catalogue, StreamOptions(), faults)
    runs = HlsRuns(hub, HlsOptions(segments=QUICK), catalogue.form_for)
    hls = HlsServer(catalogue, runs, HlsServerOptions(), faults)
    streams.start()
    hls.start()
    front = HttpFront(Pages(lambda: "how to play"))
    listener = socket.create_server((HOST, 0))
    front.listen([listener], [hls, streams])
    front.start()
    try:
        yield Converting(hub, hls, listener.getsockname()[1])
    finally:
        timer.cancel()
        await hub.close("the test is over")
        streams.close("the test is over")
        hls.close()
        await front.close()
        await catalogue.close()
        transcoding.close()
