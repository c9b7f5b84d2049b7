"""What it costs to take in many streams that nobody watches."""

from __future__ import annotations

import argparse
import multiprocessing
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from heapq import heappop, heapreplace
from itertools import takewhile
from multiprocessing.connection import Connection

from clip import Clip, describe, load_clip, sent_frames
from figures import NO_TIME, cpu_time, row, verdict
from load import raise_descriptor_limit
from rtsp import RtspClient
from server import Server, add_server_option

SETTLE_S = 3.0
STAGGER_S = 2.0  # all publishers' starts are spread over it, so that keyframes do not come at once
TARGET_PERCENT = 60.0  # of one core, for 100 publishers

_fork = multiprocessing.get_context("fork")


@dataclass(frozen=True, slots=True)
class Senders:
    pid: int
    sessions: list[str]


def main() -> None:
    options = _options()
    raise_descriptor_limit()
    clip = load_clip()
    print(f"{options.publishers} publishers without viewers, {options.rounds} windows of {options.seconds} s")
    total_s = STAGGER_S + SETTLE_S + options.rounds * options.seconds + SETTLE_S
    with Server(options.server) as server:
        time.sleep(1.0)
        idle_bytes = server.resident_bytes()
        with _publishing(clip, server, options.publishers, total_s, options.packets) as (control, senders):
            time.sleep(STAGGER_S + SETTLE_S)
            cpu, elapsed_s = NO_TIME, 0.0
            before_frames = _received_frames(server, senders.sessions)
            for number in range(options.rounds):
                started_s, before, sender_before = time.monotonic(), server.cpu(), cpu_time(senders.pid)
                time.sleep(options.seconds)
                spent, sender_spent = server.cpu() - before, cpu_time(senders.pid) - sender_before
                window_s = time.monotonic() - started_s
                print(f"window {number + 1}")
                row("server CPU, of one core", spent.of_core(window_s))
                row("CPU of the senders", sender_spent.of_core(window_s))
                cpu, elapsed_s = cpu + spent, elapsed_s + window_s
            frames = _received_frames(server, senders.sessions) - before_frames
            growth_bytes = server.resident_bytes() - idle_bytes
            control.send("stop")
            late_s: float = control.recv()
    percent = 100 * cpu.total_s / elapsed_s
    print("result")
    row("server CPU, of one core", cpu.of_core(elapsed_s))
    row("frames taken", f"{frames / elapsed_s:.0f} per second, {1e6 * cpu.total_s / frames:.1f} µs each")
    row("RSS per publisher", f"{growth_bytes / options.publishers / 1024:.0f} KB, with its group of pictures")
    row("senders were late by at most", f"{1000 * late_s:.0f} ms")
    verdict("server CPU per 100 publishers", percent * 100 / options.publishers, TARGET_PERCENT, " %")


@contextmanager
def _publishing(
    clip: Clip, server: Server, publishers: int, total_s: float, packets: bool
) -> Iterator[tuple[Connection, Senders]]:
    """All publishers in one process, which starts to send as soon as they record."""
    ours, theirs = _fork.Pipe()
    addresses = [server.address(f"bench{number}") for number in range(publishers)]
    process = _fork.Process(target=_send, args=(clip, addresses, total_s, packets, theirs), daemon=True)
    process.start()
    theirs.close()
    try:
        yield ours, Senders(process.pid or 0, ours.recv())
    finally:
        process.terminate()
        process.join()


def _send(clip: Clip, addresses: list[str], total_s: float, packets: bool, control: Connection) -> None:
    """Replay the same bytes to all, each from a start of its own; report the greatest delay when asked."""
    raise_descriptor_limit()
    tape = _tape(clip, total_s, packets=packets)
    clients = []
    for address in addresses:
        client = RtspClient(address)
        client.announce(describe(clip))
        clients.append(client)
    control.send([client.session for client in clients])
    now_s = time.monotonic()
    starts_s = [now_s + number * STAGGER_S / len(clients) for number in range(len(clients))]
    sends = [client.sock.sendall for client in clients]
    due = [(start_s, number, 0) for number, start_s in enumerate(starts_s)]  # when, who, which frame
    late_s = 0.0
    while due:
        due_s, number, position = due[0]
        pause_s = due_s - time.monotonic()
        if pause_s > 0:
            if control.poll(pause_s):
                break
            continue
        late_s = max(late_s, -pause_s)
        sends[number](tape[position][1])
        position += 1
        if position < len(tape):
            heapreplace(due, (starts_s[number] + tape[position][0], number, position))
        else:
            heappop(due)
    control.send(late_s)
    control.poll(None)  # hold the connections until the end


def _tape(clip: Clip, total_s: float, *, packets: bool) -> list[tuple[float, bytes]]:
    frames = takewhile(lambda frame: frame.time_s < total_s, sent_frames(clip))
    if not packets:
        return [(frame.time_s, frame.interleaved()) for frame in frames]
    return [
        (frame.time_s, replace(frame, packets=(packet,)).interleaved()) for frame in frames for packet in frame.packets
    ]


def _received_frames(server: Server, sessions: list[str]) -> int:
    """How many frames the server says it has taken."""
    client = RtspClient(server.address("bench0"))
    frames = 0
    for session in sessions:
        client.session = session
        reply = client.request("GET_PARAMETER", body=b"frames_received\r\n", Content_Type="text/parameters")
        frames += int(reply.body.partition(b":")[2])
    client.sock.close()
    return frames


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--publishers", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=20.0, help="length of each window")
    parser.add_argument("--rounds", type=int, default=2, help="how many windows")
    parser.add_argument(
        "--packets", action="store_true", help="one send per RTP packet, as some publishers do; default: per frame"
    )
    add_server_option(parser)
    return parser.parse_args()


if __name__ == "__main__":
    main()
