"""What one stream costs with many viewers, beside the cost of the bare sends (the floor) in the same run."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from beside_onvif import ASKERS, measure_beside_onvif
from clip import Clip, load_clip
from figures import NO_TIME, row, verdict
from floor import tcp_floor, udp_floor
from load import LoadGenerator, raise_descriptor_limit, viewing
from publisher import publishing
from server import STREAMS, Server, add_server_option
from windows import SETTLE_S, Window, dropped_frames, measure, print_window

PATH = "bench"
SEND_PER_FRAME, SEND_PER_PACKET, SEGMENTED = "a send per frame", "a send per packet", "segmented sends"
TLS_WRITE, PLAIN_TCP = "a TLS write per frame", "plain TCP"
FLOORS: dict[str, dict[str, float | None]] = {  # of each transport, with the most that the server may cost beside it
    "tcp": {SEND_PER_FRAME: 1.35},
    "http": {PLAIN_TCP: 1.1},
    "websocket": {PLAIN_TCP: 1.1},
    "rtsps": {TLS_WRITE: None, PLAIN_TCP: None},  # a target for neither: the work is OpenSSL's
    "http-flv": {SEND_PER_FRAME: 1.35},
    "rtmp": {SEND_PER_FRAME: 1.35},
    "ws-fmp4": {SEND_PER_FRAME: 1.5},
    "udp": {SEND_PER_PACKET: 0.5, SEGMENTED: 1.35},
}
VIEWER_TARGET_KB, TLS_VIEWER_TARGET_KB, IDLE_TARGET_MB = 100, 200, 80


def main() -> None:
    options = _options()
    raise_descriptor_limit()
    clip = load_clip()
    if options.onvif:
        measure_beside_onvif(options, clip)
        return
    print(
        f"{options.viewers} viewers over {options.transport}, windows of {options.seconds} s, source {options.source}"
    )
    floors: dict[str, list[Window]] = {kind: [] for kind in FLOORS[options.transport]}
    windows = []
    with Server(options.server) as server:
        time.sleep(1.0)
        idle_bytes = server.resident_bytes()
        with publishing(clip, server.address(PATH), options.source):
            before_bytes = server.resident_bytes()
            growth_bytes = 0
            for number in range(options.rounds):
                for kind, measured in floors.items():
                    with _floor(server, clip, options, kind) as (pid, load):
                        measured.append(measure(pid, load, options.seconds))
                    print_window(f"round {number + 1}, floor: {kind}", measured[-1])
                address = server.address(PATH, options.transport)
                with viewing(options.viewers, options.transport, address, merged=options.merged) as load:
                    load.wait_ready()
                    time.sleep(SETTLE_S)
                    windows.append(measure(server.pid, load, options.seconds))
                    if not number:
                        growth_bytes = server.resident_bytes() - before_bytes
                    dropped = None
                    if options.transport not in STREAMS:  # where nobody can ask
                        dropped = dropped_frames(server.address(PATH), load.figures())
                print_window(f"round {number + 1}, server", windows[-1], whole=True)
                if dropped is not None:
                    row("frames dropped since the joins", str(dropped))
                time.sleep(1.0)
    _print_result(options, floors, windows, idle_bytes, growth_bytes)


def _print_result(
    options: argparse.Namespace,
    floors: Mapping[str, Sequence[Window]],
    windows: Sequence[Window],
    idle_bytes: int,
    growth_bytes: int,
) -> None:
    viewers = options.viewers
    server_cpu, server_s = sum((w.cpu for w in windows), NO_TIME), sum(w.elapsed_s for w in windows)
    print("result")
    row("server CPU, of one core", server_cpu.of_core(server_s))
    row("server CPU per viewer", f"{1e6 * server_cpu.total_s / server_s / viewers:.0f} µs per second")
    for kind, measured in floors.items():
        floor_cpu, floor_s = sum((w.cpu for w in measured), NO_TIME), sum(w.elapsed_s for w in measured)
        row(f"floor CPU: {kind}", floor_cpu.of_core(floor_s))
    for kind, measured in floors.items():
        target = FLOORS[options.transport][kind]
        ratio = _per_byte(windows) / _per_byte(measured)
        if target is None:
            row(f"server / {kind}", f"{ratio:.2f}")
        else:
            verdict(f"server / {kind}", ratio, target)
    verdict("viewers not complete", viewers - min(w.complete for w in windows), 0)
    verdict("viewers with gaps", max(w.viewers_with_gaps for w in windows), 0)
    target_kb = TLS_VIEWER_TARGET_KB if options.transport == "rtsps" else VIEWER_TARGET_KB
    verdict("RSS per viewer", growth_bytes / viewers / 1024, target_kb, " KB")
    verdict("RSS of the idle server", idle_bytes / 1024**2, IDLE_TARGET_MB, " MB")


def _per_byte(windows: Sequence[Window]) -> float:
    """CPU time by what was delivered: a disturbed window may have delivered less."""
    return sum(w.cpu.total_s for w in windows) / sum(w.received_bytes for w in windows)


@contextmanager
def _floor(server: Server, clip: Clip, options: argparse.Namespace, kind: str) -> Iterator[tuple[int, LoadGenerator]]:
    if kind == PLAIN_TCP:
        with viewing(options.viewers, "tcp", server.address(PATH)) as load:
            load.wait_ready()
            time.sleep(SETTLE_S)
            yield server.pid, load
        return
    if kind in (SEND_PER_FRAME, TLS_WRITE):
        transport, certificate = ("tcp", None) if kind == SEND_PER_FRAME else ("rtsps", server.certificate)
        with (
            tcp_floor(clip, options.viewers, certificate) as floor,
            viewing(options.viewers, transport, floor.address) as load,
        ):
            load.wait_ready()
            time.sleep(SETTLE_S)
            yield floor.pid, load
        return
    segmentation = kind == SEGMENTED
    with (
        viewing(options.viewers, "udp", "", merged=options.merged) as load,
        udp_floor(clip, load.wait_ready(), segmentation=segmentation) as floor,
    ):
        time.sleep(SETTLE_S)
        yield floor.pid, load


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--viewers", type=int, default=500)
    parser.add_argument("--transport", choices=tuple(FLOORS), default="tcp")
    parser.add_argument("--seconds", type=float, default=20.0, help="length of each window")
    parser.add_argument("--rounds", type=int, default=2, help="how often floor and server are measured in turn")
    parser.add_argument(
        "--merged",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="UDP viewers take runs of datagrams in one piece (UDP_GRO); without, on loopback, the sender's process "
        "pays for cutting them, which on a network its interface does",
    )
    parser.add_argument(
        "--onvif",
        action="store_true",
        help=f"instead of the floor, measure without and with {ASKERS} recorders who ask ONVIF five times a second",
    )
    parser.add_argument("--source", choices=("synthetic", "ffmpeg"), default="synthetic", help="who publishes")
    add_server_option(parser)
    return parser.parse_args()


if __name__ == "__main__":
    main()
