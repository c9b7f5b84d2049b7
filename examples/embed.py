#!/usr/bin/env python3
"""A program with a media server inside: it sends a counter as sound, and a test pattern on demand.

Run it and play one of the addresses it prints; Ctrl-C ends it.
"""

from __future__ import annotations

import asyncio
import math
import sys

from manycast.embed import Frame, Overrides, Server
from manycast.errors import ManycastError
from manycast.media.track import AudioParameters, Codec, Track
from manycast.sources.demo import DemoSource

RATE_HZ = 8000
SAMPLES = 160  # in a frame: 20 ms
TONE_HZ = 440
TRACK = Track(codec=Codec.L16, clock_rate_hz=RATE_HZ, parameters=AudioParameters(sample_rate_hz=RATE_HZ, channels=1))


def tone(number: int) -> bytes:
    """The samples of one frame, in network order."""
    return b"".join(
        round(8000 * math.sin(2 * math.pi * TONE_HZ * index / RATE_HZ)).to_bytes(2, signed=True)
        for index in range(number * SAMPLES, (number + 1) * SAMPLES)
    )


async def send_tone(server: Server, name: str) -> None:
    """Publish a stream and push a frame every 20 ms."""
    stream = server.publish(name, [TRACK], "a tone")
    loop = asyncio.get_running_loop()
    started_s, number = loop.time(), 0
    try:
        while True:
            ticks = number * SAMPLES
            stream.push(Frame(track_index=0, dts_ticks=ticks, pts_ticks=ticks, keyframe=True, units=[tone(number)]))
            number += 1
            await asyncio.sleep(started_s + number * SAMPLES / RATE_HZ - loop.time())
    finally:
        server.unpublish(stream)


async def main(host: str, rtsp_port: int) -> None:
    overrides = Overrides(host=host, rtsp_port=rtsp_port, http_port=0, https_port=0, rtmp_port=0, onvif_port=0)
    async with Server(overrides=overrides) as server:
        server.add("pattern", DemoSource, "a test pattern")
        print(f"rtsp://{host}:{rtsp_port}/pattern\nrtsp://{host}:{rtsp_port}/tone", flush=True)
        await send_tone(server, "tone")


if __name__ == "__main__":
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 8554
    try:
        asyncio.run(main("127.0.0.1", port))
    except ManycastError as error:
        sys.exit(f"cannot start: {error}")
    except KeyboardInterrupt:
        pass
