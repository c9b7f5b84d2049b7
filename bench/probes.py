"""Viewers who look at the clock: how late each frame is, by what the server's own reports say of its time."""

from __future__ import annotations

import multiprocessing
import select
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection

from load import Start
from rtsp import RtspClient

RATES_HZ = {0: 90_000, 2: 44_100}  # by channel
NTP_TO_UNIX_S = 2_208_988_800
SENDER_REPORT = 200

_fork = multiprocessing.get_context("fork")


class Probe:
    """Over TCP, read as soon as something comes."""

    def __init__(self, start: Start) -> None:
        client = RtspClient(start.address)
        client.describe()
        client.set_up_interleaved()
        client.request("PLAY", Range=f"npt={start.position_s:.3f}-")
        self.sock = client.sock
        self.lateness_s: list[float] = []
        self._held = client.rest
        self._zeros: dict[
            int, tuple[float, int]
        ] = {}  # by RTP channel: a Unix time, and the timestamp that is due then

    def read(self) -> None:
        data = self._held + self.sock.recv(1 << 20)
        now_s = time.time()
        position = 0
        while position + 4 <= len(data):
            end = position + 4 + int.from_bytes(data[position + 2 : position + 4])
            if end > len(data):
                break
            self._take(data[position + 1], data[position + 4 : end], now_s)
            position = end
        self._held = data[position:]

    def _take(self, channel: int, packet: bytes, now_s: float) -> None:
        if channel & 1:
            if packet[1] == SENDER_REPORT:
                seconds = int.from_bytes(packet[8:16]) / 2**32 - NTP_TO_UNIX_S
                self._zeros[channel - 1] = seconds, int.from_bytes(packet[16:20])
        elif packet[1] & 0x80 and channel in self._zeros:  # with its marker, a frame is whole
            unix_s, timestamp = self._zeros[channel]
            after = (int.from_bytes(packet[4:8]) - timestamp + 2**31) % 2**32 - 2**31
            self.lateness_s.append(now_s - unix_s - after / RATES_HZ[channel])


@contextmanager
def probing(starts: Sequence[Start]) -> Iterator[Connection]:
    """A process of probes. What is sent to it gets the lateness, in s, of all frames since the last time."""
    ours, theirs = _fork.Pipe()
    process = _fork.Process(target=_run, args=(starts, theirs), daemon=True)
    process.start()
    theirs.close()
    try:
        yield ours
    finally:
        ours.close()
        process.join(10.0)
        if process.is_alive():
            process.terminate()


def _run(starts: Sequence[Start], control: Connection) -> None:
    started_s = time.monotonic()
    waiting = sorted(starts, key=lambda start: start.after_s)
    probes: dict[socket.socket | Connection, Probe] = {}
    while True:
        if waiting and time.monotonic() >= started_s + waiting[0].after_s:
            probe = Probe(waiting.pop(0))
            probes[probe.sock] = probe
        readable, _, _ = select.select([control, *probes], [], [], 0.1 if waiting else None)
        for sock in readable:
            if sock is not control:
                probes[sock].read()
        if control in readable:
            try:
                control.recv()
            except EOFError:
                return
            control.send([late_s for probe in probes.values() for late_s in probe.lateness_s])
            for probe in probes.values():
                probe.lateness_s.clear()
