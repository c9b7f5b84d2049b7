"""Keyframes on demand: what stands between those who need one of a stream and its source."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

MIN_INTERVAL_S = 0.5  # between two requests: every keyframe costs all viewers, in bytes or in quality
RETRY_S = 1.0  # what was asked for may be lost on its way to a camera; then whoever still waits asks again


class KeyframeRequests:
    """Asks a stream's source for keyframes, once for all who want one. Belongs to the event loop."""

    __slots__ = ("_asked_s", "_timer", "_under_way", "on_request")

    def __init__(self) -> None:
        self.on_request: Callable[[], None] | None = None  # None: the source makes them when it likes
        self._asked_s: float | None = None
        self._under_way = False
        self._timer: asyncio.TimerHandle | None = None

    @property
    def possible(self) -> bool:
        return self.on_request is not None

    def request(self) -> None:
        """Somebody cannot go on without a keyframe: have one made, now or when MIN_INTERVAL_S is over.

        Where one is on its way, or comes meanwhile, that is it.
        """
        if self.on_request is None or self._timer is not None:
            return
        loop = asyncio.get_running_loop()
        since_s = MIN_INTERVAL_S if self._asked_s is None else loop.time() - self._asked_s
        if since_s >= (RETRY_S if self._under_way else MIN_INTERVAL_S):
            self._ask()
        elif not self._under_way:
            self._timer = loop.call_later(MIN_INTERVAL_S - since_s, self._ask)

    def came(self) -> None:
        """A keyframe has come, whether or not it was asked for."""
        self._under_way = False
        self._stop_timer()

    def close(self) -> None:
        """Nothing comes any more."""
        self.on_request = None
        self._stop_timer()

    def _ask(self) -> None:
        self._timer = None
        self._asked_s = asyncio.get_running_loop().time()
        self._under_way = True
        assert self.on_request is not None
        self.on_request()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
