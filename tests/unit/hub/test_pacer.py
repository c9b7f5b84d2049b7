"""Turns at their times, for many, with one timer."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from support.virtual_time import run

from manycast.hub.pacer import NO_TURN, TICK_S, Pacer


@dataclass(eq=False)
class Player:
    pacer: Pacer
    log: list[str]
    name: str = "player"
    interval_s: float | None = None
    turn: int = NO_TURN
    taken_s: list[float] = field(default_factory=list)

    def take_turn(self, now_s: float) -> None:
        self.taken_s.append(now_s)
        self.log.append(f"{self.name} takes")
        if self.interval_s is not None:
            self.pacer.ask(self, now_s + self.interval_s)

    def send_taken(self) -> None:
        self.log.append(f"{self.name} sends")


def test_a_turn_comes_at_its_time_or_a_little_early() -> None:
    async def main() -> None:
        pacer = Pacer()
        start_s = asyncio.get_running_loop().time()
        players = [Player(pacer, []) for _ in range(50)]
        for number, player in enumerate(players):
            pacer.ask(player, start_s + 0.0137 * (50 - number))
        await asyncio.sleep(1)
        for number, player in enumerate(players):
            (taken_s,) = player.taken_s
            assert -TICK_S <= taken_s - start_s - 0.0137 * (50 - number) < 0.002

    run(main())


def test_all_take_before_any_sends() -> None:
    async def main() -> None:
        pacer, log = Pacer(), list[str]()
        now_s = asyncio.get_running_loop().time()
        for name in ("a", "b"):
            pacer.ask(Player(pacer, log, name), now_s + 0.1)
        await asyncio.sleep(1)
        assert log == ["a takes", "b takes", "a sends", "b sends"]

    run(main())


def test_a_turn_that_is_given_up_does_not_come_and_one_asked_for_anew_comes_once() -> None:
    async def main() -> None:
        pacer = Pacer()
        now_s = asyncio.get_running_loop().time()
        gone, moved, twice = (Player(pacer, []) for _ in range(3))
        pacer.ask(gone, now_s + 0.1)
        gone.turn = NO_TURN
        pacer.ask(moved, now_s + 0.1)
        pacer.ask(moved, now_s + 0.3)
        pacer.ask(twice, now_s + 0.1)
        pacer.ask(twice, now_s + 0.1)
        await asyncio.sleep(0.2)
        assert not gone.taken_s
        assert not moved.taken_s
        assert len(twice.taken_s) == 1
        await asyncio.sleep(1)
        assert len(moved.taken_s) == 1

    run(main())


def test_who_asks_for_the_past_gets_the_next_turn_and_holds_nobody_up() -> None:
    async def main() -> None:
        pacer = Pacer()
        now_s = asyncio.get_running_loop().time()
        hasty = Player(pacer, [], interval_s=-1.0)
        other = Player(pacer, [], interval_s=0.1)
        pacer.ask(hasty, now_s - 5)
        pacer.ask(other, now_s)
        await asyncio.sleep(1.04)
        assert 100 <= len(hasty.taken_s) <= 1.1 / TICK_S
        assert 9 <= len(other.taken_s) <= 12
        hasty.turn = other.turn = NO_TURN

    run(main())
