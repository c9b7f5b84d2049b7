"""What one stream costs by multicast, with one session and with many: the data is sent once."""

from __future__ import annotations

import argparse
import select
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from clip import load_clip
from figures import CpuTime, cpu_time, row, verdict
from load import raise_descriptor_limit
from publisher import publishing
from rtsp import Reply, RtspClient
from server import HOST, Server, add_server_option

PATH = "bench"
CONFIG = "rtsp:\n  multicast: 1\n"
SETTLE_S = 2.0
RECEIVE_BYTES = 1 << 22
GROWTH_TARGET = 1.15  # from one session to the most, as a ratio of CPU time; what is above 1 is noise


@dataclass(frozen=True, slots=True)
class Window:
    """What was measured with one number of sessions."""

    elapsed_s: float
    cpu: CpuTime
    received_bytes: int
    packets: int
    gaps: int  # a packet that is sent twice is one, too


class Listener:
    """The RTP of all tracks, as the group has it."""

    def __init__(self, replies: Sequence[Reply]) -> None:
        self._expected: dict[socket.socket, int] = {}
        self.received_bytes = self.packets = self.gaps = 0
        self._poll = select.epoll()
        self._socks = {}
        for reply in replies:
            sock = _joined(reply.headers["transport"])
            self._socks[sock.fileno()] = sock
            self._poll.register(sock, select.EPOLLIN)

    def listen(self, seconds: float) -> None:
        end_s = time.monotonic() + seconds
        while (left_s := end_s - time.monotonic()) > 0:
            for descriptor, _ in self._poll.poll(left_s):
                self._read(self._socks[descriptor])

    def _read(self, sock: socket.socket) -> None:
        while True:
            try:
                data = sock.recv(65536)
            except BlockingIOError:
                return
            sequence = int.from_bytes(data[2:4])
            self.gaps += self._expected.get(sock, sequence) != sequence
            self._expected[sock] = (sequence + 1) & 0xFFFF
            self.received_bytes += len(data)
            self.packets += 1

    def close(self) -> None:
        self._poll.close()
        for sock in self._socks.values():
            sock.close()


def main() -> None:
    options = _options()
    raise_descriptor_limit()
    clip = load_clip()
    windows = {}
    with Server(options.server, config=CONFIG) as server, publishing(clip, server.address(PATH)):
        before = cpu_time(server.pid)
        time.sleep(options.seconds)
        nobody = cpu_time(server.pid) - before
        print("nobody watches")
        row("CPU", nobody.of_core(options.seconds))
        for count in options.sessions:
            with _sessions(server.address(PATH), count) as replies:
                windows[count] = _measure(server.pid, replies, options.seconds)
            _print_window(f"{count} multicast sessions", windows[count])
            time.sleep(1.0)
    fewest, most = min(windows), max(windows)
    print("result")
    growth = windows[most].cpu.total_s / windows[fewest].cpu.total_s
    verdict(f"CPU, {most} sessions / {fewest}", growth, GROWTH_TARGET)
    verdict("gaps or packets sent twice", sum(window.gaps for window in windows.values()), 0)


@contextmanager
def _sessions(address: str, count: int) -> Iterator[Sequence[Reply]]:
    """Clients who do no more than the RTSP part; the replies to the SETUPs of the last one."""
    with ExitStack() as stack:
        replies: list[Reply] = []
        for _ in range(count):
            client = RtspClient(address)
            stack.callback(client.sock.close)
            client.describe()
            replies = [client.request("SETUP", control, Transport="RTP/AVP;multicast") for control in client.controls]
            client.request("PLAY")
            stack.callback(client.request, "TEARDOWN")
        yield replies


def _measure(pid: int, replies: Sequence[Reply], seconds: float) -> Window:
    listener = Listener(replies)
    listener.listen(SETTLE_S)
    received_bytes, packets = listener.received_bytes, listener.packets
    started_s, before = time.monotonic(), cpu_time(pid)
    listener.listen(seconds)
    cpu, elapsed_s = cpu_time(pid) - before, time.monotonic() - started_s
    listener.close()
    return Window(elapsed_s, cpu, listener.received_bytes - received_bytes, listener.packets - packets, listener.gaps)


def _joined(transport: str) -> socket.socket:
    fields = dict(part.partition("=")[::2] for part in transport.split(";"))
    group, port = fields["destination"], int(fields["port"].partition("-")[0])
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setblocking(False)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)
    sock.bind((group, port))
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(group) + socket.inet_aton(HOST))
    return sock


def _print_window(title: str, window: Window) -> None:
    print(title)
    mbit_per_s = window.received_bytes * 8e-6 / window.elapsed_s
    row("sent to the group", f"{mbit_per_s:.1f} Mbit/s, {window.packets / window.elapsed_s:.0f} packets/s")
    row("CPU", window.cpu.of_core(window.elapsed_s))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, nargs="+", default=(1, 10, 50))
    parser.add_argument("--seconds", type=float, default=20.0, help="length of each window")
    add_server_option(parser)
    return parser.parse_args()


if __name__ == "__main__":
    main()
