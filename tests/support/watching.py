"""A viewer that checks, from a thread, that its stream has no gap."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from manycast.wire.rtp.packet import RtpPacket
from manycast.wire.rtp.rtcp import Goodbye, SenderReport, parse_compound
from support.rtsp import HungUp, RawRtsp
from support.server import ServerProcess
from support.waiting import wait_until

MAX_SILENCE_S = 6.0  # of a stream of 25 pictures a second; only a server that stands still is silent that long


@dataclass
class Watcher:
    """Reads one stream over TCP until it is told to stop or the server hangs up."""

    rtsp: RawRtsp
    frames: int = 0  # markers seen on channel 0
    packets: int = 0
    gaps: int = 0
    longest_silence_s: float = 0.0
    goodbyes: int = 0
    sender_reports: int = 0
    hung_up: bool = False
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None
    _next: dict[int, int] = field(default_factory=dict)

    def start(self) -> None:
        self.rtsp.sock.settimeout(0.2)
        self._thread = threading.Thread(target=self._run, name="watcher", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def wait_for_more(self, frames: int = 25) -> None:
        """Wait until that many further frames have come."""
        wanted = self.frames + frames
        wait_until(lambda: self.frames >= wanted or self.hung_up, f"{frames} more frames for the watcher")
        assert not self.hung_up

    def check_undisturbed(self) -> None:
        assert not self.hung_up
        assert self.gaps == 0
        assert self.longest_silence_s < MAX_SILENCE_S

    def _run(self) -> None:
        last_s = time.monotonic()
        while not self._stop.is_set():
            try:
                packet = self.rtsp.packet()
            except TimeoutError:
                self.longest_silence_s = max(self.longest_silence_s, time.monotonic() - last_s)
                continue
            except (HungUp, OSError):
                self.hung_up = True
                return
            now_s = time.monotonic()
            self.longest_silence_s = max(self.longest_silence_s, now_s - last_s)
            last_s = now_s
            if packet.is_rtp:
                self._take(packet.channel, packet.payload)
            else:
                for report in parse_compound(packet.payload):
                    self.goodbyes += isinstance(report, Goodbye)
                    self.sender_reports += isinstance(report, SenderReport)

    def _take(self, channel: int, payload: bytes) -> None:
        rtp = RtpPacket.parse(payload)
        self.packets += 1
        self.gaps += self._next.get(channel, rtp.sequence) != rtp.sequence
        self._next[channel] = (rtp.sequence + 1) & 0xFFFF
        self.frames += rtp.marker and channel == 0


@contextmanager
def watching(server: ServerProcess, name: str = "live") -> Iterator[Watcher]:
    """A viewer over TCP that plays while the block runs."""
    with RawRtsp.connect(server.host, server.port) as rtsp:
        rtsp.play(name)
        watcher = Watcher(rtsp)
        watcher.start()
        try:
            watcher.wait_for_more(5)
            yield watcher
        finally:
            watcher.stop()


@contextmanager
def undisturbed(server: ServerProcess, name: str = "live") -> Iterator[Watcher]:
    """Whatever happens in the block, another viewer gets everything, in time."""
    with watching(server, name) as watcher:
        yield watcher
        watcher.wait_for_more(10)
        watcher.stop()
        watcher.check_undisturbed()
