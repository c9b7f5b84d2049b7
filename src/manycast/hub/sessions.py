"""How many sessions there are, of all protocols together."""

from __future__ import annotations

from collections.abc import Callable

from manycast.errors import ManycastError


class TooManySessions(ManycastError):
    """There is no room for one more."""


class Sessions:
    """Each server says how many it has: those that play or publish, not those who only ask."""

    def __init__(self, most: int | None = None) -> None:
        """`most` is how many there may be, None: as many as the machine can do."""
        self.most = most
        self._counters: list[Callable[[], int]] = []

    def count_by(self, counter: Callable[[], int]) -> None:
        """`counter` is called in any thread."""
        self._counters.append(counter)

    def check_room(self) -> None:
        """Before one more is opened. Raises TooManySessions."""
        if self.most is not None and sum(counter() for counter in self._counters) >= self.most:
            raise TooManySessions(f"all {self.most} sessions are in use (limits: max_sessions)")
