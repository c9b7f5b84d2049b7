"""The floor: a process that makes only the sends of a fan-out, at the frames' own times, and nothing else."""

from __future__ import annotations

import gc
import multiprocessing
import socket
import ssl
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, count, islice
from multiprocessing.context import ForkProcess
from pathlib import Path

from clip import SECONDS, Clip, SentFrame, sent_frames
from load import raise_descriptor_limit
from server import HOST

from manycast.hub.tls_pipe import server_context
from manycast.hub.udp_viewer import SEGMENT_BYTES, SOL_UDP, UDP_SEGMENT, runs_of

SEND_BUFFER_BYTES = 512 * 1024  # the server's own
LISTEN_BACKLOG = 1024
TICK_S = 0.005
MAX_FILES_S = 60.0  # how long the floor of files goes on

_fork = multiprocessing.get_context("fork")


@dataclass(frozen=True, slots=True)
class Floor:
    pid: int
    address: str  # of the TCP floor; empty for UDP


@contextmanager
def tcp_floor(clip: Clip, viewers: int, certificate: tuple[Path, Path] | None = None) -> Iterator[Floor]:
    """Sends to `viewers` connections as soon as they are made: one send per frame and connection.

    With a certificate and its key, in TLS.
    """
    with _listening(_send_frames, clip, viewers, certificate) as floor:
        yield floor


@contextmanager
def files_floor(clip: Clip, positions_s: Sequence[float], length_s: int) -> Iterator[Floor]:
    """Sends to as many connections, each at a position of its own in a file of the clip several times over."""
    with _listening(_send_files, clip, positions_s, length_s) as floor:
        yield floor


@contextmanager
def udp_floor(clip: Clip, ports: Sequence[tuple[int, int]], *, segmentation: bool) -> Iterator[Floor]:
    """Sends to each viewer's video and audio port, on connected sockets: one call per RTP packet.

    With `segmentation` one call per frame, or few for a large one, which the kernel cuts into packets.
    """
    with _running(_send_packets, clip, ports, segmentation) as process:
        yield Floor(process.pid or 0, "")


@contextmanager
def _listening(send: Callable[..., None], clip: Clip, *more: object) -> Iterator[Floor]:
    """`send` is given the clip, a socket that listens, and whatever more there is."""
    listener = socket.socket()
    listener.bind((HOST, 0))
    listener.listen(LISTEN_BACKLOG)
    port = listener.getsockname()[1]
    with _running(send, clip, listener, *more) as process:
        listener.close()
        yield Floor(process.pid or 0, f"tcp://{HOST}:{port}")


@contextmanager
def _running(target: Callable[..., None], *arguments: object) -> Iterator[ForkProcess]:
    process = _fork.Process(target=target, args=arguments, daemon=True)
    process.start()
    try:
        yield process
    finally:
        process.terminate()
        process.join()


def _accept(listener: socket.socket, viewers: int, context: ssl.SSLContext | None = None) -> list[socket.socket]:
    connections = []
    for _ in range(viewers):
        sock, _ = listener.accept()
        if context is not None:
            sock = context.wrap_socket(sock, server_side=True)
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        connections.append(sock)
    return connections


def _send_files(clip: Clip, listener: socket.socket, positions_s: Sequence[float], length_s: int) -> None:
    """Every TICK_S, one send for each frame that is due till the next time; the frames are the file's, not shared."""
    raise_descriptor_limit()
    frames = list(islice(sent_frames(clip, reports=False), len(clip.frames) * length_s // SECONDS))
    datas = [frame.interleaved() for frame in frames]
    times_s = [frame.time_s for frame in frames]
    del frames
    sends = [sock.send for sock in _accept(listener, len(positions_s))]
    events = sorted(
        (times_s[index] - position_s, number, index)
        for number, position_s in enumerate(positions_s)
        for index in range(bisect_left(times_s, position_s), len(datas))
        if times_s[index] - position_s < MAX_FILES_S
    )
    started_s, position, end = time.monotonic(), 0, len(events)
    gc.freeze()
    while position < end:
        until_s = time.monotonic() - started_s + TICK_S
        while position < end and (event := events[position])[0] <= until_s:
            data = datas[event[2]]
            if sends[event[1]](data) != len(data):
                raise SystemExit("the floor's viewers do not keep up")
            position += 1
        time.sleep(max(0.0, started_s + until_s - time.monotonic()))


def _send_frames(clip: Clip, listener: socket.socket, viewers: int, certificate: tuple[Path, Path] | None) -> None:
    raise_descriptor_limit()
    context = None if certificate is None else server_context(*map(str, certificate))
    sends = [sock.send for sock in _accept(listener, viewers, context)]
    datas = [frame.interleaved() for frame in _one_loop(clip)]
    for index in _in_time(clip):
        data = datas[index]
        size = len(data)
        for send in sends:
            if send(data) != size:
                raise SystemExit("the floor's viewers do not keep up")


def _send_packets(clip: Clip, ports: Sequence[tuple[int, int]], segmentation: bool) -> None:
    raise_descriptor_limit()
    sockets = [[_connected(pair[index]) for pair in ports] for index in range(2)]
    sends = [[sock.send for sock in of_track] for of_track in sockets]
    frames = [(frame.track_index, frame.packets) for frame in _one_loop(clip)]
    if segmentation:
        frames = [(track_index, runs_of(packets)) for track_index, packets in frames]
        for sock in chain(*sockets):
            sock.setsockopt(SOL_UDP, UDP_SEGMENT, SEGMENT_BYTES)
    for index in _in_time(clip):
        track_index, datas = frames[index]
        for send in sends[track_index]:
            for data in datas:
                send(data)


def _one_loop(clip: Clip) -> Iterator[SentFrame]:
    return islice(sent_frames(clip, reports=False), len(clip.frames))


def _in_time(clip: Clip) -> Iterator[int]:
    """The position of each frame, when it is due; endless."""
    started_s = time.monotonic()
    for loop in count():
        for index, time_s in enumerate(clip.times_s):
            pause_s = started_s + loop * SECONDS + time_s - time.monotonic()
            if pause_s > 0:
                time.sleep(pause_s)
            yield index


def _connected(port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.connect((HOST, port))
    return sock
