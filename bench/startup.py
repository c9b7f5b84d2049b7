"""How soon the server takes connections, and how much memory it has when nobody uses it."""

from __future__ import annotations

import argparse
import time

from figures import percentile, row, spread, verdict
from server import Server, add_server_option

TARGET_S, TARGET_MB = 1.5, 80.0


def main() -> None:
    options = _options()
    print(f"{options.runs} starts, after one that warms the file cache")
    starts_s, cpus_s, resident_mb = [], [], []
    for run in range(options.runs + 1):
        with Server(options.server) as server:
            time.sleep(1.0)
            if run:
                starts_s.append(server.ready_s)
                cpus_s.append(server.cpu().total_s)
                resident_mb.append(server.resident_bytes() / 1024**2)
    print("result")
    row("until the port takes connections", spread(starts_s, "s", 2))
    row("CPU time of a start", spread(cpus_s, "s", 2))
    row("RSS of the idle server", spread(resident_mb, "MB"))
    verdict("start, median", percentile(starts_s, 0.5), TARGET_S, " s")
    verdict("RSS, max", max(resident_mb), TARGET_MB, " MB")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=7)
    add_server_option(parser)
    return parser.parse_args()


if __name__ == "__main__":
    main()
