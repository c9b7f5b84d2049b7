"""Several sessions play one thing: who starts it, who may seek, when it stops."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manycast.hub.fanout import BacklogLimit
from manycast.media.track import Track
from manycast.servers.rtsp.shared_target import MemberTarget, SharedTarget
from manycast.servers.rtsp.targets import PlayInfo
from manycast.wire.rtsp.errors import InvalidRange
from manycast.wire.rtsp.headers import NptRange, Range

FROM_SEVEN = NptRange(start_s=7.0)


class FakeTarget:
    """Takes down what is asked of it."""

    def __init__(self) -> None:
        self.tracks: tuple[Track, ...] = ()
        self.senders: list[Any] = []
        self.limit = BacklogLimit()
        self.plays = False
        self.position = 0.0
        self.seeks: list[float] = []
        self.keyframes_asked = 0
        self.closed: list[bool] = []  # whether goodbye was said, each time

    async def prepare(self, viewer: Any, layout: Any, wanted: Range | None, **_pace: Any) -> PlayInfo:
        await asyncio.sleep(0)
        if isinstance(wanted, NptRange) and wanted.start_s is not None:
            if wanted.start_s > 100:
                raise InvalidRange("behind the end")
            self.position = wanted.start_s
            self.seeks.append(wanted.start_s)
        return self.playing()

    def playing(self) -> PlayInfo:
        return PlayInfo(f"npt={self.position}-", [])

    def begin(self) -> None:
        self.plays = True

    def pause(self) -> None:
        self.plays = False

    def pause_at(self, wanted: Range) -> float | None:
        raise AssertionError("what is shared is not stopped for one of its players")

    def position_s(self) -> float | None:
        return self.position

    def request_keyframe(self) -> None:
        self.keyframes_asked += 1

    def close(self, *, say_goodbye: bool) -> None:
        self.closed.append(say_goodbye and self.plays)
        self.plays = False


class Sharing:
    def __init__(self, count: int) -> None:
        self.target = FakeTarget()
        self.shared = SharedTarget()
        self.shared.target = self.target
        self.ends: list[tuple[int, str]] = []
        self.members = [self.shared.member(partial(self._ended, number)) for number in range(count)]

    def _ended(self, number: int, reason: str) -> None:
        self.ends.append((number, reason))

    async def play(self, number: int, wanted: Range | None = None) -> PlayInfo:
        info = await self.members[number].prepare(None, None, wanted)
        self.members[number].begin()
        return info


async def test_a_keyframe_that_one_session_lacks_is_asked_for_all() -> None:
    sharing = Sharing(2)
    await sharing.play(0)
    await sharing.play(1)
    sharing.members[1].request_keyframe()
    assert sharing.target.keyframes_asked == 1


async def test_it_plays_from_the_first_to_the_last() -> None:
    sharing = Sharing(2)
    await sharing.play(0)
    assert sharing.target.plays
    await sharing.play(1)
    sharing.members[0].close(say_goodbye=True)
    assert sharing.target.plays
    assert not sharing.target.closed
    sharing.members[1].close(say_goodbye=True)
    assert sharing.target.closed == [True]


async def test_it_pauses_with_the_last_player_and_goes_on_with_any() -> None:
    sharing = Sharing(3)
    await sharing.play(0)
    await sharing.play(1)
    sharing.members[0].pause()
    assert sharing.target.plays
    sharing.members[0].pause()
    sharing.members[2].pause()  # who does not play stops nothing
    assert sharing.target.plays
    sharing.members[1].pause()
    assert not sharing.target.plays
    await sharing.play(2)
    assert sharing.target.plays


async def test_a_time_to_pause_at_is_for_nobody() -> None:
    sharing = Sharing(1)
    await sharing.play(0)
    assert sharing.members[0].pause_at(FROM_SEVEN) is None
    assert sharing.target.plays


async def test_only_who_plays_alone_seeks() -> None:
    sharing = Sharing(2)
    assert (await sharing.play(0, FROM_SEVEN)).range == "npt=7.0-"
    assert (await sharing.play(1, NptRange(start_s=3.0))).range == "npt=7.0-"
    assert (await sharing.play(0, NptRange(start_s=3.0))).range == "npt=7.0-"
    sharing.members[0].pause()
    assert (await sharing.play(1, NptRange(start_s=3.0))).range == "npt=3.0-"
    assert sharing.target.seeks == [7.0, 3.0]


async def test_of_those_who_start_at_the_same_moment_one_says_where() -> None:
    sharing = Sharing(5)
    infos = await asyncio.gather(*(sharing.play(number, NptRange(start_s=float(number))) for number in range(5)))
    assert len({info.range for info in infos}) == 1
    assert len(sharing.target.seeks) == 1


async def test_a_refused_start_leaves_the_place_to_others() -> None:
    sharing = Sharing(2)
    with pytest.raises(InvalidRange):
        await sharing.play(0, NptRange(start_s=1000.0))
    sharing.members[0].begin()
    assert not sharing.target.plays
    assert (await sharing.play(1, FROM_SEVEN)).range == "npt=7.0-"


async def test_at_its_end_all_are_told_and_the_next_starts_it_anew() -> None:
    sharing = Sharing(2)
    await sharing.play(0)
    await sharing.play(1)
    sharing.target.plays = False
    sharing.shared.ended("the end")
    assert sharing.ends == [(0, "the end"), (1, "the end")]
    assert (await sharing.play(1, FROM_SEVEN)).range == "npt=7.0-"


async def test_members_may_go_when_they_are_told_of_the_end() -> None:
    shared, target = SharedTarget(), FakeTarget()
    shared.target = target
    members: list[MemberTarget] = []

    def leave(number: int, _reason: str) -> None:
        members[number].close(say_goodbye=True)

    members += [shared.member(partial(leave, number)) for number in range(3)]
    shared.ended("gone")
    assert len(target.closed) == 1
    assert not len(shared)


ACTIONS = st.lists(st.tuples(st.sampled_from(["play", "pause", "close"]), st.integers(0, 3)), max_size=40)


@given(ACTIONS)
def test_it_plays_exactly_while_somebody_plays_and_is_closed_once(actions: list[tuple[str, int]]) -> None:
    async def main() -> None:
        sharing = Sharing(4)
        players: set[int] = set()
        present = set(range(4))
        for action, number in actions:
            if action == "play" and number in present:
                await sharing.play(number)
                players.add(number)
            elif action == "pause":
                sharing.members[number].pause()
                players.discard(number)
            elif action == "close":
                sharing.members[number].close(say_goodbye=True)
                players.discard(number)
                present.discard(number)
            assert sharing.target.plays == bool(players)
            assert len(sharing.target.closed) == (not present)

    asyncio.run(main())
