"""A screen, 1280x720 at 30 pictures/s: how late a viewer sees it, and what that costs beside the ffmpeg program."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

import av
from av.container.input import InputContainer
from figures import CpuTime, cpu_time, percentile, row, spread, verdict
from server import Server, add_server_option
from support.desktop import Desktop, pattern_time_ms
from support.ports import free_udp_port

WIDTH, HEIGHT, RATE = 1280, 720, 30
BIT_RATE_BPS = 2_764_800  # 0.1 bit for each pixel
TARGET_MS = 150
SETTLE_S = 3.0
CONFIG = f"""
applications:
  - name: app
    outputs: [{{url: screenlive, video: {{codec: H264, framerate: {RATE}, bitrate: {BIT_RATE_BPS // 1000}}}}}]
"""
ENCODED = (
    "-c:v", "libx264", "-preset", "superfast", "-tune", "zerolatency", "-b:v", str(BIT_RATE_BPS),
    "-maxrate", str(BIT_RATE_BPS), "-bufsize", str(BIT_RATE_BPS), "-g", str(2 * RATE), "-pix_fmt", "yuv420p",
    "-threads", "2", "-thread_type", "slice",
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0, help="length of each window")
    parser.add_argument("--rounds", type=int, default=3, help="how often both sides are measured in turn")
    add_server_option(parser)
    options = parser.parse_args()
    with Desktop(WIDTH, HEIGHT) as desktop:
        os.environ.update(desktop.environment)
        desktop.show("Clock", size=f"{WIDTH}x{HEIGHT}")
        late_ms: list[int] = []
        ours: list[CpuTime] = []
        theirs: list[CpuTime] = []
        for _ in range(options.rounds):
            with Server(options.server, config=CONFIG) as server:
                ours.append(_watch(server, options.seconds, late_ms))
            theirs.append(_ffmpeg(desktop.display, options.seconds))
    print(f"{WIDTH}x{HEIGHT} at {RATE} pictures/s, {len(late_ms)} of them")
    row("screen to decoded picture", spread(late_ms, "ms"))
    verdict("95th percentile", percentile(late_ms, 0.95), TARGET_MS, " ms")
    best, beside = (min(both, key=lambda cpu: cpu.total_s) for both in (ours, theirs))
    row("server", best.of_core(options.seconds))
    row("ffmpeg, to RTP", beside.of_core(options.seconds))
    row("server beside ffmpeg", f"{best.total_s / beside.total_s:.2f}")


def _watch(server: Server, seconds: float, late_ms: list[int]) -> CpuTime:
    """One viewer over RTSP, who reads the time off every picture; what the server needs for that."""
    options = {"rtsp_transport": "tcp", "fflags": "nobuffer", "flags": "low_delay", "analyzeduration": "500000"}
    container = av.open(server.address("app/screenlive"), options=options, timeout=20)
    assert isinstance(container, InputContainer)
    with container:
        container.streams.video[0].thread_type = "SLICE"
        began_s, before = time.monotonic(), None
        for picture in container.decode(video=0):
            now_s = time.monotonic()
            if now_s < began_s + SETTLE_S:
                continue
            if before is None:
                before = server.cpu()
            shown_ms = pattern_time_ms(picture)
            if shown_ms is not None:
                late_ms.append((int(now_s * 1000) - shown_ms) % 65536)
            if now_s > began_s + SETTLE_S + seconds:
                return server.cpu() - before
    raise SystemExit("the stream has ended")


def _ffmpeg(display: str, seconds: float) -> CpuTime:
    grab = ["-f", "x11grab", "-framerate", str(RATE), "-video_size", f"{WIDTH}x{HEIGHT}", "-draw_mouse", "1"]
    target = ["-f", "rtp", f"rtp://127.0.0.1:{free_udp_port('127.0.0.1')}"]
    with subprocess.Popen(
        ["ffmpeg", "-nostdin", "-loglevel", "error", *grab, "-i", display, *ENCODED, *target],
        stdout=subprocess.DEVNULL,
    ) as process:
        time.sleep(SETTLE_S)
        before = cpu_time(process.pid)
        time.sleep(seconds)
        spent = cpu_time(process.pid) - before
        process.terminate()
    return spent


if __name__ == "__main__":
    main()
