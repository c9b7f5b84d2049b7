"""Publishes the clip in real time, over RTSP with interleaved data."""

from __future__ import annotations

import multiprocessing
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection

from clip import Clip, describe, sent_frames
from rtsp import RtspClient

_fork = multiprocessing.get_context("fork")
SETTLE_S = 1.0


@contextmanager
def publishing(clip: Clip, address: str, source: str = "synthetic") -> Iterator[int]:
    """Publish in a process of its own, and give its id; what it sends has arrived for a second by then."""
    if source == "ffmpeg":
        command = ["ffmpeg", "-v", "error", "-re", "-stream_loop", "-1", "-i", str(clip.file), "-c", "copy"]
        program = subprocess.Popen(
            [*command, "-f", "rtsp", "-rtsp_transport", "tcp", address], stdin=subprocess.DEVNULL
        )
        try:
            time.sleep(3 * SETTLE_S)
            yield program.pid
        finally:
            program.terminate()
            program.wait()
        return
    ours, theirs = _fork.Pipe()
    process = _fork.Process(target=_publish, args=(clip, address, theirs), daemon=True)
    process.start()
    theirs.close()
    try:
        ours.recv()
        time.sleep(SETTLE_S)
        yield process.pid or 0
    finally:
        process.terminate()
        process.join()


def _publish(clip: Clip, address: str, control: Connection) -> None:
    client = RtspClient(address)
    client.announce(describe(clip))
    sock = client.sock
    started_s = time.monotonic()
    next_drain_s = 0.0
    control.send("recording")
    for frame in sent_frames(clip):
        pause_s = started_s + frame.time_s - time.monotonic()
        if pause_s > 0:
            time.sleep(pause_s)
        sock.sendall(frame.interleaved())
        if frame.time_s > next_drain_s:
            next_drain_s = frame.time_s + 1.0
            sock.setblocking(False)
            try:
                sock.recv(65536)  # the server's receiver reports
            except BlockingIOError:
                pass
            sock.settimeout(20.0)
