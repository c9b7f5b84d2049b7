"""What viewers of files cost, each at a position of their own, beside the cost of the bare sends in the same run."""

from __future__ import annotations

import argparse
import random
import shutil
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from clip import SECONDS, load_clip, long_clip
from figures import NO_TIME, CpuTime, cpu_time, percentile, row, verdict
from floor import files_floor
from load import LoadGenerator, Start, raise_descriptor_limit, viewing_files
from probes import probing
from rtsp import RtspClient
from server import Server, add_server_option

SPREAD_S = 10.0  # in which the viewers start
SETTLE_S = 4.0  # from the last start to the window
PROBES = 10  # of the viewers: those who look at the clock
ON_TIME_S = 0.1  # how far a viewer's progress may be from the window's length
FLOOR_TARGET = 1.4
LATE_TARGET_MS = 25


@dataclass(frozen=True, slots=True)
class Window:
    """What was measured while all viewers played."""

    elapsed_s: float
    cpu: CpuTime
    load_cpu: CpuTime
    received_bytes: int
    gaps: int
    not_in_time: int  # viewers who have not got just as much as the window is long
    faults: Sequence[str]


def main() -> None:
    options = _options()
    raise_descriptor_limit()
    clip = load_clip()
    file = long_clip(clip, options.length)
    latest_s = options.length - SPREAD_S - SETTLE_S - options.seconds - 15.0
    if latest_s <= 0:
        raise SystemExit("the file is too short for such a window")
    print(f"{options.viewers} viewers of {options.files} files of {options.length} s, windows of {options.seconds} s")
    positions = random.Random(options.seed)  # the same ones in each round
    chosen = [
        (positions.randrange(options.files), positions.uniform(0, latest_s), positions.uniform(0, SPREAD_S))
        for _ in range(options.viewers)
    ]
    floors, windows, lateness_s = [], [], []
    dropped = growth_bytes = 0
    with Server(options.server) as server:
        for number in range(options.files):
            shutil.copy(file, server.media / f"{number}.mp4")
        time.sleep(1.0)
        idle_bytes = server.resident_bytes()
        for number in range(options.rounds):
            with files_floor(clip, [position_s for _, position_s, _ in chosen], options.length) as floor:
                starts = [Start(floor.address, 0.0, 0.0) for _ in chosen]
                with viewing_files(starts) as load:
                    load.wait_ready()
                    time.sleep(SETTLE_S)
                    floors.append(_measure(floor.pid, load, options.seconds))
            _print_window(f"round {number + 1}, floor", floors[-1])
            starts = [Start(server.address(f"{file}.mp4"), at_s, after_s) for file, at_s, after_s in chosen]
            with ExitStack() as stack:
                probes = stack.enter_context(probing(starts[:PROBES]))
                load = stack.enter_context(viewing_files(starts[PROBES:]))
                load.wait_ready()
                time.sleep(SETTLE_S)
                probes.send("begin")
                probes.recv()
                windows.append(_measure(server.pid, load, options.seconds))
                probes.send("end")
                lateness_s += probes.recv()
                growth_bytes = max(growth_bytes, server.resident_bytes() - idle_bytes)
                dropped += _dropped_frames(starts[PROBES:], load)
            _print_window(f"round {number + 1}, server", windows[-1])
            time.sleep(2.0)
    _print_result(options, floors, windows, lateness_s, dropped, growth_bytes)


def _print_result(
    options: argparse.Namespace,
    floors: Sequence[Window],
    windows: Sequence[Window],
    lateness_s: Sequence[float],
    dropped: int,
    growth_bytes: int,
) -> None:
    cpu, elapsed_s = sum((w.cpu for w in windows), NO_TIME), sum(w.elapsed_s for w in windows)
    floor_cpu, floor_s = sum((w.cpu for w in floors), NO_TIME), sum(w.elapsed_s for w in floors)
    print("result")
    row("server CPU, of one core", cpu.of_core(elapsed_s))
    row("floor CPU", floor_cpu.of_core(floor_s))
    # Of all bytes that were sent, the load generator got those that did not go to the probes.
    share = (options.viewers - PROBES) / options.viewers
    per_byte = cpu.total_s * share / sum(w.received_bytes for w in windows)
    floor_per_byte = floor_cpu.total_s / sum(w.received_bytes for w in floors)
    if options.files == 1:
        verdict("server / floor", per_byte / floor_per_byte, FLOOR_TARGET)
    else:
        row("server / floor", f"{per_byte / floor_per_byte:.2f}")
    late_ms = [1000 * late_s for late_s in lateness_s]
    row("frames looked at", str(len(late_ms)))
    row("lateness, negative is early", f"p1 {percentile(late_ms, 0.01):.1f}, median {percentile(late_ms, 0.5):.1f} ms")
    row("", f"p99 {percentile(late_ms, 0.99):.1f}, max {max(late_ms):.1f} ms")
    verdict("p99 of the lateness", percentile(late_ms, 0.99), LATE_TARGET_MS, " ms")
    verdict("viewers not in time", max(w.not_in_time for w in windows), 0)
    verdict("gaps in RTP sequence numbers", sum(w.gaps for w in windows), 0)
    verdict("viewers lost", max(len(w.faults) for w in windows), 0)
    verdict("frames dropped", dropped, 0)
    row(
        "RSS, from idle to all viewers",
        f"{growth_bytes / 1024**2:.1f} MB, {growth_bytes / options.viewers / 1024:.0f} KB each",
    )


def _print_window(title: str, window: Window) -> None:
    print(title)
    row("delivered", f"{window.received_bytes * 8e-6 / window.elapsed_s:.1f} Mbit/s")
    row("CPU", window.cpu.of_core(window.elapsed_s))
    row("CPU of the load generator", window.load_cpu.of_core(window.elapsed_s))
    for fault in sorted(set(window.faults)):
        row("viewers lost", f"{window.faults.count(fault)}: {fault}")


def _measure(pid: int, load: LoadGenerator, seconds: float) -> Window:
    started_s, before = time.monotonic(), load.figures()
    cpu_before, load_cpu_before = cpu_time(pid), cpu_time(load.pid)
    time.sleep(seconds)
    cpu, load_cpu = cpu_time(pid) - cpu_before, cpu_time(load.pid) - load_cpu_before
    elapsed_s, after = time.monotonic() - started_s, load.figures()
    progress_s = [
        ((b.video_timestamp - a.video_timestamp) & 0xFFFFFFFF) / 90_000 for a, b in zip(before, after, strict=True)
    ]
    return Window(
        elapsed_s=elapsed_s,
        cpu=cpu,
        load_cpu=load_cpu,
        received_bytes=sum(b.received_bytes - a.received_bytes for a, b in zip(before, after, strict=True)),
        gaps=sum(b.gaps - a.gaps for a, b in zip(before, after, strict=True)),
        not_in_time=sum(abs(got_s - elapsed_s) > ON_TIME_S for got_s in progress_s),
        faults=[figures.fault for figures in after if figures.fault],
    )


def _dropped_frames(starts: Sequence[Start], load: LoadGenerator) -> int:
    """What the server says it has dropped for these viewers, since they began."""
    client = RtspClient(starts[0].address)
    dropped = 0
    in_order = sorted(starts, key=lambda start: start.after_s)
    for start, viewer in zip(in_order, load.figures(), strict=True):
        client.address, client.session = start.address, viewer.session
        reply = client.request("GET_PARAMETER", body=b"frames_dropped\r\n", Content_Type="text/parameters")
        dropped += int(reply.body.partition(b":")[2])
    client.sock.close()
    return dropped


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--viewers", type=int, default=200)
    parser.add_argument("--files", type=int, default=1, help="how many different ones they watch")
    parser.add_argument("--length", type=int, default=120, help=f"of each file, in s, a multiple of {SECONDS}")
    parser.add_argument("--seconds", type=float, default=20.0, help="length of each window")
    parser.add_argument("--rounds", type=int, default=2, help="how often floor and server are measured in turn")
    parser.add_argument("--seed", type=int, default=1, help="of the positions and moments")
    add_server_option(parser)
    options = parser.parse_args()
    if options.viewers <= PROBES:
        parser.error(f"--viewers: more than {PROBES}, which only look at the clock")
    return options


if __name__ == "__main__":
    main()
