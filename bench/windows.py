"""What is measured while all viewers play."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from figures import CpuTime, cpu_time, row
from load import LoadGenerator
from rtsp import RtspClient
from viewers import ViewerFigures

SETTLE_S = 3.0  # from the last viewer's start to the window: what viewers get first has gone by then
ON_ITS_WAY_PACKETS = 300  # a lap of the load generator, should a keyframe fall into it


@dataclass(frozen=True, slots=True)
class Window:
    """What was measured while all viewers played."""

    elapsed_s: float
    cpu: CpuTime  # of the process that sends
    load_cpu: CpuTime
    received_bytes: int
    packets: int
    gaps: int
    viewers_with_gaps: int
    complete: int
    faults: Sequence[str]

    @property
    def mbit_per_s(self) -> float:
        return self.received_bytes * 8e-6 / self.elapsed_s


def print_window(title: str, window: Window, *, whole: bool = False) -> None:
    """`whole`: with how many of the viewers have all of it."""
    print(title)
    row("delivered", f"{window.mbit_per_s:.1f} Mbit/s, {window.packets / window.elapsed_s:.0f} packets/s")
    row("CPU", window.cpu.of_core(window.elapsed_s))
    row("CPU of the load generator", window.load_cpu.of_core(window.elapsed_s))
    if whole:
        row("viewers complete", str(window.complete))
        row("gaps between frames", f"{window.gaps}, at {window.viewers_with_gaps} viewers")
    for fault in sorted(set(window.faults)):
        row("viewers lost", f"{window.faults.count(fault)}: {fault}")


def measure(pid: int, load: LoadGenerator, seconds: float) -> Window:
    started_s, before = time.monotonic(), load.figures()
    cpu_before, load_cpu_before = cpu_time(pid), cpu_time(load.pid)
    time.sleep(seconds)
    cpu, load_cpu = cpu_time(pid) - cpu_before, cpu_time(load.pid) - load_cpu_before
    elapsed_s, after = time.monotonic() - started_s, load.figures()
    gaps = [b.gaps - a.gaps for a, b in zip(before, after, strict=True)]
    return Window(
        elapsed_s=elapsed_s,
        cpu=cpu,
        load_cpu=load_cpu,
        received_bytes=sum(b.received_bytes - a.received_bytes for a, b in zip(before, after, strict=True)),
        packets=sum(b.packets - a.packets for a, b in zip(before, after, strict=True)),
        gaps=sum(gaps),
        viewers_with_gaps=sum(map(bool, gaps)),
        complete=_complete(before, after),
        faults=[figures.fault for figures in after if figures.fault],
    )


def _complete(before: Sequence[ViewerFigures], after: Sequence[ViewerFigures]) -> int:
    """How many have every packet up to the newest one that anybody has, but for what may still be on its way."""
    newest = [_newest([figures.last[index] for figures in after]) for index in range(2)]
    return sum(
        not b.fault
        and b.gaps == a.gaps
        and b.packets > a.packets
        and all((new - own) & 0xFFFF <= ON_ITS_WAY_PACKETS for new, own in zip(newest, b.last, strict=True))
        for a, b in zip(before, after, strict=True)
    )


def _newest(sequences: Sequence[int]) -> int:
    """Sequence numbers wrap, and all of these are near each other."""
    first = sequences[0]
    return first + max((sequence - first + 0x8000) % 0x10000 - 0x8000 for sequence in sequences)


def dropped_frames(address: str, figures: Sequence[ViewerFigures]) -> int:
    """What the server says it has dropped for these viewers, since they began."""
    client = RtspClient(address)
    dropped = 0
    for viewer in figures:
        client.session = viewer.session
        reply = client.request("GET_PARAMETER", body=b"frames_dropped\r\n", Content_Type="text/parameters")
        dropped += int(reply.body.partition(b":")[2])
    client.sock.close()
    return dropped
