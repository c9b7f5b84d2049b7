"""Figures from /proc, and how they are printed."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class CpuTime:
    """CPU time of a process with all its threads."""

    user_s: float
    system_s: float

    @property
    def total_s(self) -> float:
        return self.user_s + self.system_s

    def __add__(self, other: CpuTime) -> CpuTime:
        return CpuTime(self.user_s + other.user_s, self.system_s + other.system_s)

    def __sub__(self, other: CpuTime) -> CpuTime:
        return CpuTime(self.user_s - other.user_s, self.system_s - other.system_s)

    def of_core(self, elapsed_s: float) -> str:
        """As a share of one core."""
        user, system = 100 * self.user_s / elapsed_s, 100 * self.system_s / elapsed_s
        return f"{user + system:6.1f} %  (user {user:5.1f}, system {system:5.1f})"


NO_TIME = CpuTime(0.0, 0.0)


def cpu_time(pid: int) -> CpuTime:
    """What /proc/PID/stat counts, in steps of 10 ms."""
    # The second field is the program's name in parentheses, and may hold spaces.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return CpuTime(int(fields[11]) / _TICKS_PER_S, int(fields[12]) / _TICKS_PER_S)


def resident_bytes(pid: int) -> int:
    """RSS. From smaps_rollup: the number in status may be off by some hundred kilobytes."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Rss:"):
            return int(line.split()[1]) * 1024
    raise ValueError(f"no Rss in smaps_rollup of {pid}")


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that `share` (0..1) of all do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * round(share * 1000) // 1000) - 1)]


def spread(values: Sequence[float], unit: str, digits: int = 1) -> str:
    median, p95, worst = percentile(values, 0.5), percentile(values, 0.95), max(values)
    return f"median {median:.{digits}f} {unit}, p95 {p95:.{digits}f} {unit}, max {worst:.{digits}f} {unit}"


def row(name: str, value: str) -> None:
    print(f"  {name:<34}{value}", flush=True)


def verdict(name: str, value: float, limit: float, unit: str = "") -> bool:
    """Print a figure beside its target; return whether it is met."""
    met = value <= limit
    row(name, f"{value:.2f}{unit}, target at most {limit:g}{unit}: {'met' if met else 'MISSED'}")
    return met
