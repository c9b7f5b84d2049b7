"""How busy the machine's processors are, as an event: ONVIF Core, section "Processor Usage"."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from manycast.onvif.events.broker import EventBroker
from manycast.onvif.events.catalogue import PROCESSOR_USAGE

TOKEN = "Processor"
INTERVAL_S = 5.0  # which Core recommends
STEP = 5.0  # percent; smaller changes are no news

_STAT = Path("/proc/stat")


def processor_seconds() -> tuple[float, float]:
    """How long all processors have worked, and how long they could have, in any unit; zeros where nobody knows."""
    try:
        fields = _STAT.read_text(encoding="ascii").partition("\n")[0].split()
    except OSError:
        return 0.0, 0.0
    times = [float(field) for field in fields[1:9]]  # user to steal (proc(5))
    idle = sum(times[3:5])
    return sum(times) - idle, sum(times)


class ProcessorUsage:
    """Tells the average of the last seconds, where it has changed."""

    def __init__(self, broker: EventBroker, read: Callable[[], tuple[float, float]] = processor_seconds) -> None:
        self._broker = broker
        self._read = read
        self._before = read()
        self._told: float | None = None
        broker.declare(PROCESSOR_USAGE)
        self._tell(min(100.0, 100.0 * os.getloadavg()[0] / (os.cpu_count() or 1)) if hasattr(os, "getloadavg") else 0.0)

    def measure(self) -> None:
        """Call it every INTERVAL_S."""
        worked, could_have = self._read()
        passed = could_have - self._before[1]
        if passed > 0:
            percent = 100.0 * (worked - self._before[0]) / passed
            self._before = worked, could_have
            if self._told is None or abs(percent - self._told) >= STEP:
                self._tell(percent)

    def _tell(self, percent: float) -> None:
        self._told = percent
        self._broker.publish(PROCESSOR_USAGE.topic, {"Token": TOKEN}, {"Value": round(percent, 1)})
