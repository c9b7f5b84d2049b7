"""One timer for all who play files: those whose frames are due within the same few milliseconds get them in turn."""

from __future__ import annotations

import asyncio
from heapq import heappop, heappush
from typing import Protocol

TICK_S = 0.005  # a turn comes at most so much early


class Paced(Protocol):
    turn: int  # the tick of the turn it waits for, NO_TURN while it waits for none; set here, and by who gives it up

    def take_turn(self, now_s: float) -> None:
        """Take what is due, and ask for the next turn."""

    def send_taken(self) -> None:
        """Send it. First all take, then all send: each of the two goes quicker when it is not mixed with the other."""


NO_TURN = -1


class Pacer:
    """Used within one event loop, whose clock the times are of."""

    def __init__(self) -> None:
        self._waiting: dict[int, list[Paced]] = {}  # by tick
        self._ticks: list[int] = []  # a heap of its keys
        self._latest = NO_TURN  # up to which turns were taken
        self._timer: asyncio.TimerHandle | None = None
        self._timer_tick = NO_TURN

    def ask(self, paced: Paced, when_s: float) -> None:
        """Give a turn at a time, or up to TICK_S before it; it replaces the one asked for before."""
        tick = int(when_s / TICK_S)
        if tick <= self._latest:
            tick = self._latest + 1
        paced.turn = tick
        row = self._waiting.get(tick)
        if row is not None:
            row.append(paced)
            return
        self._waiting[tick] = [paced]
        heappush(self._ticks, tick)
        if self._timer is None or tick < self._timer_tick:
            self._set_timer()

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_tick = self._ticks[0]
        self._timer = asyncio.get_running_loop().call_at(self._timer_tick * TICK_S, self._give_turns)

    def _give_turns(self) -> None:
        self._timer = None
        now_s = asyncio.get_running_loop().time()
        now_tick = self._latest = max(int(now_s / TICK_S), self._timer_tick)
        taken: list[Paced] = []
        while self._ticks and self._ticks[0] <= now_tick:
            tick = heappop(self._ticks)
            for paced in self._waiting.pop(tick):
                if paced.turn == tick:  # else it was given up, or asked for anew
                    paced.turn = NO_TURN
                    paced.take_turn(now_s)
                    taken.append(paced)
        for paced in taken:
            paced.send_taken()
        if self._ticks and self._timer is None:
            self._set_timer()
