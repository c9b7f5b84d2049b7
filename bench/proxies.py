"""What it costs to fetch many streams from another server, how soon one on demand is there, and what a hop adds."""

from __future__ import annotations

import argparse
import json
import selectors
import time
from collections.abc import Iterator, Mapping, Sequence

from clip import load_clip
from figures import NO_TIME, percentile, row, spread, verdict
from join import join
from publisher import publishing
from rtsp import RtspClient
from server import Server, add_server_option

PATH = "live"
SETTLE_S = 6.0
GOP_S = 2.0
TARGET_PERCENT = 60.0  # of one core, for 100 proxies
TARGET_MB = 6.0  # of memory for each
TARGET_START_MS = 150.0  # beyond what the source itself takes
TARGET_HOP_MS = 45.0  # a frame of 40 ms, and 5
ON_DEMAND = 20


def main() -> None:
    options = _options()
    clip = load_clip()
    with Server(options.server) as origin, publishing(clip, origin.address(PATH)):
        kept = [{"suffix": f"p{number}", "url": origin.address(PATH)} for number in range(options.proxies)]
        with _edge(options, []) as empty:
            time.sleep(1.0)
            idle_bytes = empty.resident_bytes()
        with _edge(options, kept) as edge:
            time.sleep(SETTLE_S)
            _cost(edge, options, idle_bytes)
            _hop(origin, edge)
        asked = [{"suffix": f"d{number}", "url": origin.address(PATH), "ondemand": 1} for number in range(ON_DEMAND)]
        with _edge(options, asked) as edge:
            _on_demand(origin, edge)


def _edge(options: argparse.Namespace, proxies: Sequence[Mapping[str, object]]) -> Server:
    return Server(options.server, config=json.dumps({"applications": [{"proxies": list(proxies)}]}))


def _cost(edge: Server, options: argparse.Namespace, idle_bytes: int) -> None:
    print(f"{options.proxies} RTSP proxies by TCP without viewers, {options.rounds} windows of {options.seconds} s")
    cpu, elapsed_s = NO_TIME, 0.0
    for _ in range(options.rounds):
        started_s, before = time.monotonic(), edge.cpu()
        time.sleep(options.seconds)
        spent, window_s = edge.cpu() - before, time.monotonic() - started_s
        row("server CPU, of one core", spent.of_core(window_s))
        cpu, elapsed_s = cpu + spent, elapsed_s + window_s
    percent = 100 * cpu.total_s / elapsed_s
    each_mb = (edge.resident_bytes() - idle_bytes) / options.proxies / 1e6
    verdict("server CPU per 100 proxies", percent * 100 / options.proxies, TARGET_PERCENT, " %")
    verdict("memory per proxy, with its group of pictures", each_mb, TARGET_MB, " MB")


def _on_demand(origin: Server, edge: Server) -> None:
    print(f"{ON_DEMAND} first viewers of proxies on demand: connecting to the first packet of a keyframe")
    direct = [join(origin.address(PATH)).from_connect_ms for _ in range(ON_DEMAND)]
    through = [join(edge.address(f"d{number}")).from_connect_ms for number in range(ON_DEMAND)]
    row("from the source itself", spread(direct, "ms"))
    row("through the proxy", spread(through, "ms"))
    verdict("added, median", percentile(through, 0.5) - percentile(direct, 0.5), TARGET_START_MS, " ms")


def _hop(origin: Server, edge: Server) -> None:
    """Watch both servers at once, and compare when the same payloads come."""
    arrivals: tuple[dict[int, float], dict[int, float]] = ({}, {})
    with selectors.DefaultSelector() as selector:
        for number, address in enumerate((origin.address(PATH), edge.address("p0"))):
            client = RtspClient(address)
            client.describe()
            client.set_up_interleaved()
            client.sock.sendall(client.serialize("PLAY", Range="npt=0.000-"))
            selector.register(client.sock, selectors.EVENT_READ, (arrivals[number], bytearray(), client))
        end_s = time.monotonic() + 5 * GOP_S
        while time.monotonic() < end_s:
            for key, _ in selector.select(1.0):
                seen, buffer, client = key.data
                buffer += client.sock.recv(65536)
                now_s = time.monotonic()
                for payload in _payloads(buffer):
                    seen.setdefault(hash(payload), now_s)
    first_s = end_s - 3 * GOP_S  # before, groups of pictures so far came at once
    both = [(at_s, arrivals[1][one]) for one, at_s in arrivals[0].items() if at_s > first_s and one in arrivals[1]]
    added = [1000 * (through_s - direct_s) for direct_s, through_s in both]
    print(f"latency that a hop adds, RTSP to RTSP, {len(added)} packets")
    if not added:
        print("  nothing has come through in time: the machine is too busy with other work")
        return
    row("added", spread(added, "ms"))
    verdict("added, 95th percentile", percentile(added, 0.95), TARGET_HOP_MS, " ms")


def _payloads(buffer: bytearray) -> Iterator[bytes]:
    """Take what is whole off the buffer: replies and reports are passed over."""
    while buffer:
        if buffer[0] != 0x24:
            end = buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            del buffer[: end + 4]
            continue
        end = 4 + int.from_bytes(buffer[2:4])
        if len(buffer) < 4 or len(buffer) < end:
            return
        if buffer[1] == 0:
            yield bytes(buffer[16:end])
        del buffer[:end]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--proxies", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=10.0)
    add_server_option(parser)
    return parser.parse_args()


if __name__ == "__main__":
    main()
