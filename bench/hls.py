"""What HLS costs: segments of one stream that nobody watches, and many players, beside bare sends of frames."""

from __future__ import annotations

import argparse
import http.client
import multiprocessing
import selectors
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from urllib.parse import urljoin, urlsplit

from clip import load_clip
from figures import CpuTime, cpu_time, percentile, row, spread, verdict
from floor import tcp_floor
from load import raise_descriptor_limit, viewing
from publisher import publishing
from server import HOST, Server, add_server_option

PATH = "bench"
SETTLE_S = 3.0
SEGMENTS_FIRST_S = 20.0  # of a playlist as it is all the time
PROBE_INTERVAL_S = 0.01
MUXING_TARGET, PLAYLIST_TARGET_MS, FLOOR_TARGET = 1.5, 40.0, 0.8
RECEIVE_BYTES = 1 << 20

_fork = multiprocessing.get_context("fork")
_buffer = memoryview(bytearray(1 << 20))


def main() -> None:
    options = _options()
    raise_descriptor_limit()
    clip = load_clip()
    print(f"{options.players} players, windows of {options.seconds} s")
    with Server(options.server) as server, publishing(clip, server.address(PATH)):
        alone = _idle_cost(server, options.seconds)
        playlist = _begin(server)
        with_segments = _idle_cost(server, options.seconds, playlist)
        with tcp_floor(clip, options.players) as floor, viewing(options.players, "tcp", floor.address) as load:
            load.wait_ready()
            time.sleep(SETTLE_S)
            before, cpu_before = sum(figures.received_bytes for figures in load.figures()), cpu_time(floor.pid)
            time.sleep(options.seconds)
            floor_bytes = sum(figures.received_bytes for figures in load.figures()) - before
            floor_cpu = cpu_time(floor.pid) - cpu_before
        with _playing(playlist, options.players) as players:
            time.sleep(SEGMENTS_FIRST_S)
            first, cpu_before, load_before = players.count(), server.cpu(), cpu_time(players.pid)
            started_s = time.monotonic()
            delays_ms = _probe(playlist, options.seconds)
            last, cpu = players.count(), server.cpu() - cpu_before
            load_cpu, elapsed_s = cpu_time(players.pid) - load_before, time.monotonic() - started_s
    muxing = 100 * (with_segments.total_s - alone.total_s) / options.seconds
    received = last.received_bytes - first.received_bytes
    row("CPU of the publisher's stream alone", alone.of_core(options.seconds))
    row("with segments made of it", with_segments.of_core(options.seconds))
    row("delivered", f"{received * 8e-6 / elapsed_s:.1f} Mbit/s")
    row("playlists and segments", f"{last.playlists - first.playlists}, {last.segments - first.segments}")
    row("CPU of the server", cpu.of_core(elapsed_s))
    row("CPU of the load generator", load_cpu.of_core(elapsed_s))
    row(
        "floor: a send per frame",
        f"{floor_bytes * 8e-6 / options.seconds:.1f} Mbit/s, {floor_cpu.of_core(options.seconds)}",
    )
    row("playlist, asked for by one more", spread(delays_ms, "ms"))
    verdict("muxing, of one core", muxing, MUXING_TARGET, " %")
    verdict("p99 of the playlist", percentile(delays_ms, 0.99), PLAYLIST_TARGET_MS, " ms")
    verdict("server / floor, per byte", (cpu.total_s / received) / (floor_cpu.total_s / floor_bytes), FLOOR_TARGET)
    verdict("players that missed a segment", last.late - first.late, 0)
    verdict("players lost", last.lost, 0)


def _idle_cost(server: Server, seconds: float, playlist: str | None = None) -> CpuTime:
    """CPU of the server without players; with a playlist, so that segments are made."""
    if playlist is not None:
        _get(playlist)
    before = server.cpu()
    time.sleep(seconds)
    return server.cpu() - before


def _begin(server: Server) -> str:
    """Ask for the multivariant playlist, and return the address of the media playlist."""
    address = f"http://{HOST}:{server.ports['http']}/{PATH}.m3u8"
    return urljoin(address, _get(address).decode().splitlines()[-1])


def _get(url: str) -> bytes:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or HOST, parts.port, timeout=30.0)
    connection.request("GET", parts.path)
    body = connection.getresponse().read()
    connection.close()
    return body


def _probe(url: str, seconds: float) -> list[float]:
    """How long one connection waits for each playlist, in ms."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or HOST, parts.port, timeout=30.0)
    delays_ms = []
    end_s = time.monotonic() + seconds
    while (now_s := time.monotonic()) < end_s:
        connection.request("GET", parts.path)
        connection.getresponse().read()
        delays_ms.append(1000 * (time.monotonic() - now_s))
        time.sleep(PROBE_INTERVAL_S)
    connection.close()
    return delays_ms


@dataclass(slots=True)
class _Count:
    received_bytes: int = 0
    playlists: int = 0
    segments: int = 0
    late: int = 0  # segments that had left the list before they were seen in it
    lost: int = 0


class _Player:
    """Asks for the playlist and for each new segment, on one connection, as a player does (RFC 8216 section 6.3.4)."""

    def __init__(self, url: str, count: _Count, first_due_s: float) -> None:
        parts = urlsplit(url)
        self.sock = socket.socket()
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)
        self.sock.connect((parts.hostname, parts.port))
        self.sock.setblocking(False)
        self.due_s: float | None = first_due_s  # when the playlist is asked for again; None: an answer is on its way
        self._path = parts.path
        self._folder = parts.path.rpartition("/")[0]
        self._count = count
        self._head = b""
        self._left = 0
        self._playlist: bytearray | None = None
        self._last = -1
        self._wanted: list[int] = []
        self._suffix = ""
        self._target_s = 5.0
        self._next_due_s = 0.0

    def ask(self) -> None:
        self.due_s, self._playlist = None, bytearray()
        self._count.playlists += 1
        self._send(self._path)

    def read(self) -> None:
        size = self.sock.recv_into(_buffer)
        if not size:
            raise ConnectionError("hung up")
        self._count.received_bytes += size
        data = _buffer[:size]
        if not self._left:
            self._head += bytes(data)
            end = self._head.find(b"\r\n\r\n")
            if end < 0:
                return
            head, body = self._head[:end], self._head[end + 4 :]
            self._head = b""
            if not head.startswith(b"HTTP/1.1 200"):
                raise ConnectionError(head[:40].decode())
            self._left = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
            data = memoryview(body)
        self._left -= len(data)
        if self._playlist is not None:
            self._playlist += data
        if not self._left:
            self._take()

    def _take(self) -> None:
        """An answer is whole."""
        now_s = time.monotonic()
        if self._playlist is not None:
            lines = self._playlist.decode().splitlines()
            names = [line for line in lines if not line.startswith("#")]
            numbers = [int(name.partition(".")[0]) for name in names]
            self._suffix = names[-1].partition(".")[2]
            if self._last < 0:
                self._last = numbers[-1] - 1
            self._count.late += max(0, numbers[0] - self._last - 1)
            self._wanted = [number for number in numbers if number > self._last]
            self.due_s = now_s + self._target_s * (1.0 if self._wanted else 0.5)
            self._next_due_s = self.due_s
            self._playlist = None
        if self._wanted:
            self._last = self._wanted.pop(0)
            self._count.segments += 1
            self._next_due_s = now_s + self._target_s if self.due_s is None else self.due_s
            self.due_s = None
            self._send(f"{self._folder}/{self._last}.{self._suffix}")
        elif self.due_s is None:
            self.due_s = max(now_s, self._next_due_s)

    def _send(self, path: str) -> None:
        self.sock.send(f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())


@dataclass(frozen=True, slots=True)
class _Players:
    pid: int
    _control: Connection

    def count(self) -> _Count:
        self._control.send(None)
        count: _Count = self._control.recv()
        return count


@contextmanager
def _playing(url: str, players: int) -> Iterator[_Players]:
    ours, theirs = _fork.Pipe()
    process = _fork.Process(target=_play, args=(url, players, theirs), daemon=True)
    process.start()
    try:
        yield _Players(process.pid or 0, ours)
    finally:
        process.terminate()
        process.join()


def _play(url: str, count: int, control: Connection) -> None:
    raise_descriptor_limit()
    counted = _Count()
    selector = selectors.DefaultSelector()
    started_s = time.monotonic()
    players = [_Player(url, counted, started_s + 5.0 * number / count) for number in range(count)]
    for player in players:
        selector.register(player.sock, selectors.EVENT_READ, player)
    while True:
        now_s = time.monotonic()
        for player in players:
            if player.due_s is not None and now_s >= player.due_s:
                player.ask()
        for key, _ in selector.select(0.01):
            try:
                key.data.read()
            except OSError as error:
                print(f"  a player was lost: {error}", flush=True)
                counted.lost += 1
                selector.unregister(key.fileobj)
                players.remove(key.data)
        while control.poll():
            control.recv()
            control.send(counted)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--players", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=20.0, help="length of each window")
    add_server_option(parser)
    return parser.parse_args()


if __name__ == "__main__":
    main()
