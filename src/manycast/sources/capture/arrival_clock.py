"""Even times for what comes evenly but is noticed a little sooner or later."""

from __future__ import annotations

FOLLOW = 0.05  # how much of a difference is taken over each time
MAX_DIFFERENCE_S = 0.25  # then something is missing


class ArrivalClock:
    """Follows when items arrive, without their jitter."""

    __slots__ = ("_next_s",)

    def __init__(self) -> None:
        self._next_s: float | None = None

    def time(self, arrived_s: float, duration_s: float) -> float:
        """When an item of that duration begins, that began about `arrived_s`. Never goes back by more than it."""
        expected_s = self._next_s
        if expected_s is None or abs(arrived_s - expected_s) > MAX_DIFFERENCE_S:
            time_s = arrived_s
        else:
            time_s = expected_s + FOLLOW * (arrived_s - expected_s)
        self._next_s = time_s + duration_s
        return time_s
