"""What one stream costs with many viewers over SRT, beside a bare loop that sends the same datagrams; and joining."""

from __future__ import annotations

import argparse
import gc
import multiprocessing
import socket
import struct
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.sharedctypes import SynchronizedArray

from clip import SECONDS, Clip, load_clip
from figures import NO_TIME, CpuTime, cpu_time, percentile, row, spread, verdict
from publisher import publishing
from server import HOST, Server, add_server_option, free_port

from manycast.hub.fanout import BacklogLimit
from manycast.hub.ts_packager import Payloads, TsLayout, TsPackager
from manycast.libsrt.library import ERROR, MAX_PAYLOAD_BYTES, Events, Option, SrtError, SrtLibrary
from manycast.servers.srt.server import LISTEN_BACKLOG, UDP_BUFFER_BYTES
from manycast.wire.mpegts.demux import TsDemuxer

PATH = "bench"
SETTLE_S = 2.0
CPU_TARGET = 1.25  # server to floor
LATENCY_S = 0.120
JOIN_TARGET_S = LATENCY_S + 0.1
JOINS = 20
MAX_EVENTS = 1024
VIEWERS_PER_PORT = 10  # they share a UDP socket and the threads that belong to it
TSBPDMODE = 22
DISTURBED = 0.2  # more or less delivered than the stream has
SEQUENCE_MASK = 0x7FFF_FFFF
BYTES, DATAGRAMS, GAPS, LOST_VIEWERS, READY = range(5)

_fork = multiprocessing.get_context("fork")


@dataclass(frozen=True, slots=True)
class Window:
    elapsed_s: float
    cpu: CpuTime
    load_cpu: CpuTime
    received_bytes: int
    datagrams: int
    gaps: int
    lost_viewers: int


def main() -> None:
    options = _options()
    clip = load_clip()
    with Server(options.server) as server, publishing(clip, server.address(PATH), "synthetic"):
        time.sleep(SETTLE_S)
        _joins(server.ports["srt"])
        for viewers in options.viewers:
            print(f"{viewers} viewers")
            floors, windows = [], []
            for number in range(options.rounds):
                with _floor(clip, viewers) as (pid, port):
                    floors.append(_measure(pid, port, viewers, options.seconds))
                _print_window(f"round {number + 1}, floor", floors[-1])
                windows.append(_measure(server.pid, server.ports["srt"], viewers, options.seconds))
                _print_window(f"round {number + 1}, server", windows[-1])
            print("result")
            _compare(_undisturbed(windows, clip, viewers), _undisturbed(floors, clip, viewers))
            verdict("viewers lost", max(window.lost_viewers for window in windows), 0)
            verdict("datagrams missing", max(window.gaps for window in windows), 0)


def _undisturbed(windows: Sequence[Window], clip: Clip, viewers: int) -> list[Window]:
    """Those in which everything came in time: where a machine is busy, what is left of the sending costs less."""
    size = sum(len(part) for _, parts in _payloads(clip) for part in parts)
    wanted = viewers * size / SECONDS
    return [window for window in windows if abs(window.received_bytes / window.elapsed_s / wanted - 1) < DISTURBED]


def _compare(windows: Sequence[Window], floors: Sequence[Window]) -> None:
    if not windows or not floors:
        row("server / floor", "not measured: the machine was too busy for all that is sent")
        return
    verdict("server / floor", _per_byte(windows) / _per_byte(floors), CPU_TARGET)
    row("best server / best floor", f"{min(map(_per, windows)) / min(map(_per, floors)):.2f}")


def _per(window: Window) -> float:
    return window.cpu.total_s / window.received_bytes


def _per_byte(windows: Sequence[Window]) -> float:
    """CPU time by what was delivered."""
    return sum(w.cpu.total_s for w in windows) / sum(w.received_bytes for w in windows)


def _print_window(title: str, window: Window) -> None:
    print(title)
    rate = 8e-6 * window.received_bytes / window.elapsed_s
    row("delivered", f"{rate:.1f} Mbit/s, {window.datagrams / window.elapsed_s:.0f} datagrams/s")
    row("CPU", window.cpu.of_core(window.elapsed_s))
    row("CPU of the load generator", window.load_cpu.of_core(window.elapsed_s))
    row("datagrams missing", f"{window.gaps}, viewers lost {window.lost_viewers}")


def _measure(pid: int, port: int, viewers: int, seconds: float) -> Window:
    with _viewing(port, viewers) as (load_pid, counts):
        time.sleep(SETTLE_S)
        before, cpu, load_cpu, started_s = counts[:], cpu_time(pid), cpu_time(load_pid), time.monotonic()
        time.sleep(seconds)
        after, elapsed_s = counts[:], time.monotonic() - started_s
        return Window(
            elapsed_s=elapsed_s,
            cpu=cpu_time(pid) - cpu if pid else NO_TIME,
            load_cpu=cpu_time(load_pid) - load_cpu,
            received_bytes=after[BYTES] - before[BYTES],
            datagrams=after[DATAGRAMS] - before[DATAGRAMS],
            gaps=after[GAPS] - before[GAPS],
            lost_viewers=after[LOST_VIEWERS],
        )


# Viewers


@contextmanager
def _viewing(port: int, viewers: int) -> Iterator[tuple[int, SynchronizedArray[int]]]:
    """So many viewers in a process of their own, once all are connected."""
    counts = _fork.Array("q", 5)
    process = _fork.Process(target=_view, args=(port, viewers, counts), daemon=True)
    process.start()
    try:
        deadline_s = time.monotonic() + 60
        while not counts[READY]:
            if time.monotonic() > deadline_s or not process.is_alive():
                raise SystemExit("the viewers did not get ready")
            time.sleep(0.05)
        yield process.pid or 0, counts
    finally:
        process.kill()
        process.join()


def _view(port: int, viewers: int, counts: SynchronizedArray[int]) -> None:
    library = SrtLibrary()
    lib, null = library.lib, library.ffi.NULL
    epoll = lib.srt_epoll_create()
    wanted = library.ffi.new("int*", Events.IN | Events.ERR)
    expected: dict[int, int] = {}
    library.ffi.cdef("int srt_bind(SRTSOCKET u, const void* name, int namelen);")
    for number in range(viewers):
        if number % VIEWERS_PER_PORT == 0:
            own_port = free_port()
        sock = _connect(library, port, own_port)
        library.set_option(sock, Option.RCVSYN, 0)
        lib.srt_epoll_add_usock(epoll, sock, wanted)
    counts[READY] = 1
    events = library.ffi.new("SRT_EPOLL_EVENT[]", MAX_EVENTS)
    message, control, receive = library.message, library.control, lib.srt_recvmsg2
    gc.freeze()
    while True:
        number = min(lib.srt_epoll_uwait(epoll, events, MAX_EVENTS, 1000), MAX_EVENTS)
        received = datagrams = gaps = 0
        for index in range(max(0, number)):
            sock = events[index].fd
            if events[index].events & Events.ERR:
                counts[LOST_VIEWERS] += 1
                lib.srt_close(sock)
                continue
            while (size := receive(sock, message, MAX_PAYLOAD_BYTES, control)) != ERROR:
                received += size
                datagrams += 1
                sequence = control.pktseq
                ahead = _ahead(sequence, expected.get(sock, sequence))
                if ahead >= 0:
                    gaps += ahead
                    expected[sock] = sequence + 1 & SEQUENCE_MASK
                else:
                    gaps -= 1  # it was sent again: without SRT's delay it comes behind what follows it
            lib.srt_getlasterror(null)
        counts[BYTES] += received
        counts[DATAGRAMS] += datagrams
        counts[GAPS] += gaps
        time.sleep(0.005)  # a player reads in larger pieces too


def _ahead(sequence: int, expected: int) -> int:
    """How many are between two numbers of 31 bits; less than 0 for one from before."""
    return (sequence - expected + (1 << 30) & SEQUENCE_MASK) - (1 << 30)


def _connect(library: SrtLibrary, port: int, own_port: int = 0) -> int:
    """With a port of its own to call from, it takes what comes as it comes: libsrt has a thread for each who waits."""
    sock = library.check(library.lib.srt_create_socket(), "making a socket")
    library.set_option(sock, Option.STREAMID, PATH.encode())
    library.set_option(sock, Option.UDP_RCVBUF, UDP_BUFFER_BYTES)
    if own_port:
        value = struct.pack("=i", 0)
        library.check(library.lib.srt_setsockflag(sock, TSBPDMODE, value, len(value)), "not waiting")
        library.check(library.lib.srt_bind(sock, _address(own_port), 16), "binding")
    library.check(library.lib.srt_connect(sock, _address(port), 16), "connecting")
    return sock


def _address(port: int) -> bytes:
    return struct.pack("=HH4s8x", socket.AF_INET, socket.htons(port), socket.inet_aton(HOST))


# The floor


@contextmanager
def _floor(clip: Clip, viewers: int) -> Iterator[tuple[int, int]]:
    """A process that makes only the sends, at the frames' own times."""
    port = free_port()
    ready = _fork.Event()
    process = _fork.Process(target=_send, args=(clip, port, viewers, ready), daemon=True)
    process.start()
    try:
        if not ready.wait(20):
            raise SystemExit("the floor did not get ready")
        yield process.pid or 0, port
    finally:
        process.kill()
        process.join()


class _Kept:
    """A viewer who keeps what each frame becomes."""

    def __init__(self) -> None:
        self.chunk: Payloads | None = None

    def begin(self, chunks: Sequence[Payloads], *, wait_for_keyframe: bool) -> None: ...

    def offer(self, chunk: Payloads, joinable: bool) -> None:
        self.chunk = chunk

    def control(self, chunk: Payloads) -> None: ...

    def clear(self) -> None: ...


def _payloads(clip: Clip) -> list[tuple[float, tuple[bytes, ...]]]:
    """What is sent when, for one round of the clip."""
    packager, kept = TsPackager(clip.tracks, [], BacklogLimit(), PATH), _Kept()
    packager.join(kept, TsLayout())
    found: list[tuple[float, tuple[bytes, ...]]] = []
    for frame, time_s in zip(clip.frames, clip.times_s, strict=True):
        kept.chunk = None
        packager.push(frame)
        if kept.chunk is not None:
            found.append((time_s, kept.chunk.parts))
    return found


def _send(clip: Clip, port: int, viewers: int, ready: multiprocessing.synchronize.Event) -> None:
    rounds = _payloads(clip)
    library = SrtLibrary()
    lib, null, send = library.lib, library.ffi.NULL, library.lib.srt_sendmsg2
    listener = lib.srt_create_socket()
    for option, value in (
        (Option.SNDSYN, 0),
        (Option.PAYLOADSIZE, MAX_PAYLOAD_BYTES),
        (Option.UDP_SNDBUF, UDP_BUFFER_BYTES),
        (Option.UDP_RCVBUF, UDP_BUFFER_BYTES),
    ):
        library.set_option(listener, option, value)
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((HOST, port))
    library.check(lib.srt_bind_acquire(listener, sock.detach()), "taking over a UDP socket")
    library.check(lib.srt_listen(listener, LISTEN_BACKLOG), "listening")
    ready.set()
    length = library.ffi.new("int*", 128)
    address = library.ffi.new("char[]", 128)
    callers = [library.check(lib.srt_accept(listener, address, length), "accepting") for _ in range(viewers)]
    gc.freeze()
    started_s, loop = time.monotonic(), 0
    while True:
        for time_s, parts in rounds:
            pause_s = started_s + loop * SECONDS + time_s - time.monotonic()
            if pause_s > 0:
                time.sleep(pause_s)
            for caller in callers:
                for part in parts:
                    send(caller, part, len(part), null)
        loop += 1


# Joining


def _joins(port: int) -> None:
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        times_s = pool.apply(_join_times, (port,))
    print("joining, from the call to the first whole picture, a keyframe")
    row("time", spread([1000 * time_s for time_s in times_s], "ms"))
    verdict("median", percentile(times_s, 0.5), JOIN_TARGET_S, " s")


def _join_times(port: int) -> list[float]:
    times_s = []
    library = SrtLibrary()
    for _ in range(JOINS):
        asked_s = time.monotonic()
        sock = _connect(library, port)
        demuxer = TsDemuxer()
        while not any(frame.track_index == 0 for frame in demuxer.receive(_received(library, sock))):
            pass
        times_s.append(time.monotonic() - asked_s)
        library.lib.srt_close(sock)
        time.sleep(0.13)  # anywhere in the group of pictures
    return times_s


def _received(library: SrtLibrary, sock: int) -> bytes:
    size = library.lib.srt_recvmsg2(sock, library.message, MAX_PAYLOAD_BYTES, library.control)
    if size == ERROR:
        raise SrtError("receiving", "the server hung up", 0)
    return bytes(library.ffi.buffer(library.message, size))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--viewers", type=int, nargs="+", default=[50, 200])
    parser.add_argument("--seconds", type=float, default=10.0, help="length of each window")
    parser.add_argument("--rounds", type=int, default=2, help="how often floor and server are measured in turn")
    add_server_option(parser)
    return parser.parse_args()


if __name__ == "__main__":
    main()
