"""Even times for what comes evenly but is noticed a little sooner or later."""

from __future__ import annotations

FOLLOW = 0.05  # how much of a difference is taken over each time
MAX_DIFFERENCE_S = 0.25  # then something is missing

WINDOW_S = 1.0
SOUND_FOLLOW = 0.1  # how much of a difference is taken over each window


class ArrivalClock:
    """Follows when pictures arrive, without their jitter."""

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


class SoundClock:
    """Follows a sound device by its samples; where they are slower or faster than our clock, slowly.

    What is noticed late was in a buffer, and comes at once with what follows: only what is late all through a window
    is late.
    """

    __slots__ = ("_earliest_s", "_next_s", "_window_s")

    def __init__(self) -> None:
        self._next_s: float | None = None
        self._earliest_s = 0.0  # against what was expected, in this window
        self._window_s = 0.0  # what of it has passed

    def time(self, arrived_s: float, duration_s: float) -> float:
        """When a piece of that duration begins, that began about `arrived_s`, or before."""
        if self._next_s is None:
            self._next_s = arrived_s
        difference_s = arrived_s - self._next_s
        self._earliest_s = min(self._earliest_s, difference_s) if self._window_s else difference_s
        self._window_s += duration_s
        if self._window_s >= WINDOW_S:
            jumps = abs(self._earliest_s) > MAX_DIFFERENCE_S
            self._next_s += self._earliest_s * (1.0 if jumps else SOUND_FOLLOW)
            self._window_s = 0.0
        time_s = self._next_s
        self._next_s += duration_s
        return time_s
