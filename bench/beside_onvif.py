"""The fan-out without and with recorders that ask ONVIF, and what these cost alone, in turns within one run."""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection

from clip import Clip
from figures import NO_TIME, CpuTime, cpu_time, percentile, row, verdict
from load import LoadGenerator, Start, viewing
from onvif import REQUESTS, Recorder, configured, first_reply
from probes import probing
from publisher import publishing
from server import STREAMS, Server, free_port
from windows import SETTLE_S, Window, dropped_frames, measure, print_window

ASKERS = 16
PAUSE_S = 0.2  # from one question of a recorder to its next
PATH = "bench"
PROBES = 2  # viewers beside the others, who look at the clock
MORE_TARGET = 1.15  # of the CPU with ONVIF, by the sum of what both take alone: noise is about a tenth
LATER_TARGET_MS = 10.0  # of the frames' p99

_fork = multiprocessing.get_context("fork")


@dataclass(slots=True)
class Turns:
    """All windows of one kind."""

    windows: list[Window] = field(default_factory=list)
    lateness_s: list[float] = field(default_factory=list)
    dropped: int = 0

    @property
    def percent(self) -> float:
        """Of one core."""
        return 100 * sum((w.cpu for w in self.windows), NO_TIME).total_s / sum(w.elapsed_s for w in self.windows)


def measure_beside_onvif(options: argparse.Namespace, clip: Clip) -> None:
    print(f"{options.viewers} viewers over {options.transport}, without and with {ASKERS} recorders that ask ONVIF")
    port = free_port()
    without, beside = Turns(), Turns()
    alone: list[tuple[CpuTime, float]] = []
    latencies_ms: dict[str, list[float]] = {"alone": [], "beside the viewers": []}
    with Server(options.server, config=configured(port, 2 * ASKERS)) as server:
        asyncio.run(first_reply(port, server))  # which loads it
        with publishing(clip, server.address(PATH), options.source):
            address = server.address(PATH, options.transport)
            for number in range(options.rounds):
                with (
                    viewing(options.viewers, options.transport, address, merged=options.merged) as load,
                    probing([Start(server.address(PATH), 0.0, 0.0)] * PROBES) as probes,
                ):
                    load.wait_ready()
                    time.sleep(SETTLE_S)
                    _turn(f"round {number + 1}, without ONVIF", without, server, load, probes, options)
                    with asking(port) as recorders:
                        _turn(f"round {number + 1}, with ONVIF", beside, server, load, probes, options)
                        latencies_ms["beside the viewers"] += _answers(recorders)
                time.sleep(1.0)
                with asking(port) as recorders:
                    alone.append(_alone(server, options.seconds))
                    latencies_ms["alone"] += _answers(recorders)
    _print_result(without, beside, alone, latencies_ms)


def _turn(
    title: str,
    turns: Turns,
    server: Server,
    load: LoadGenerator,
    probes: Connection,
    options: argparse.Namespace,
) -> None:
    asks = options.transport not in STREAMS
    dropped = dropped_frames(server.address(PATH), load.figures()) if asks else 0
    probes.send("begin")
    probes.recv()
    window = measure(server.pid, load, options.seconds)
    probes.send("end")
    turns.lateness_s += probes.recv()
    turns.windows.append(window)
    if asks:
        turns.dropped += dropped_frames(server.address(PATH), load.figures()) - dropped
    print_window(title, window, whole=True)


def _alone(server: Server, seconds: float) -> tuple[CpuTime, float]:
    before, started_s = cpu_time(server.pid), time.monotonic()
    time.sleep(seconds)
    return cpu_time(server.pid) - before, time.monotonic() - started_s


@contextmanager
def asking(port: int) -> Iterator[Connection]:
    """A process of recorders. What is sent to it gets how long the replies took, in ms."""
    ours, theirs = _fork.Pipe()
    process = _fork.Process(target=_ask, args=(port, theirs), daemon=True)
    process.start()
    theirs.close()
    try:
        ours.recv()
        yield ours
    finally:
        process.terminate()
        process.join()


def _answers(recorders: Connection) -> list[float]:
    recorders.send("enough")
    answers: list[float] = recorders.recv()
    return answers


def _ask(port: int, control: Connection) -> None:
    asyncio.run(_ask_on(port, control))


async def _ask_on(port: int, control: Connection) -> None:
    latencies_ms: list[float] = []
    recorders = [await Recorder.connect(port) for _ in range(ASKERS)]
    asked = [asyncio.create_task(_ask_in_turn(each, number, latencies_ms)) for number, each in enumerate(recorders)]
    control.send("asking")
    await asyncio.to_thread(control.recv)
    for task in asked:
        task.cancel()
    await asyncio.gather(*asked, return_exceptions=True)
    control.send(latencies_ms)


async def _ask_in_turn(recorder: Recorder, number: int, latencies_ms: list[float]) -> None:
    await asyncio.sleep(PAUSE_S * number / ASKERS)
    bodies = list(REQUESTS.values())
    while True:
        for body in bodies:
            took_ms = await recorder.ask(body)
            latencies_ms.append(took_ms)
            await asyncio.sleep(max(0.0, PAUSE_S - took_ms / 1000))


def _print_result(
    without: Turns, beside: Turns, alone: Sequence[tuple[CpuTime, float]], latencies_ms: dict[str, list[float]]
) -> None:
    own_s = sum(elapsed_s for _, elapsed_s in alone)
    own = 100 * sum((cpu for cpu, _ in alone), NO_TIME).total_s / own_s
    print("result")
    row("CPU without ONVIF, of one core", f"{without.percent:.1f} %")
    row("CPU of ONVIF alone", f"{own:.1f} %, {len(latencies_ms['alone']) / own_s:.0f} requests/s")
    row("CPU with ONVIF", f"{beside.percent:.1f} %, of which the fan-out {beside.percent - own:.1f} %")
    verdict("with / (without + ONVIF alone)", beside.percent / (without.percent + own), MORE_TARGET)
    for name, turns in (("without", without), ("with", beside)):
        late_ms = _lateness_ms(turns)
        row(
            f"{name} ONVIF",
            f"{sum(w.gaps for w in turns.windows)} gaps, {turns.dropped} frames dropped, frames late by: median "
            f"{percentile(late_ms, 0.5):.1f} ms, p99 {percentile(late_ms, 0.99):.1f} ms, max {max(late_ms):.1f} ms",
        )
    later_ms = percentile(_lateness_ms(beside), 0.99) - percentile(_lateness_ms(without), 0.99)
    verdict("frames later with ONVIF, p99", later_ms, LATER_TARGET_MS, " ms")
    verdict("gaps and drops with ONVIF", sum(w.gaps for w in beside.windows) + beside.dropped, 0)
    for name, took_ms in latencies_ms.items():
        row(f"replies {name}", f"median {percentile(took_ms, 0.5):.1f} ms, p99 {percentile(took_ms, 0.99):.1f} ms")


def _lateness_ms(turns: Turns) -> list[float]:
    """By the earliest frame: what the clocks of publisher and server differ in is in all of them."""
    first_s = min(turns.lateness_s)
    return [1000 * (late_s - first_s) for late_s in turns.lateness_s]
