"""What is kept of a file for who comes next."""

from __future__ import annotations

import asyncio
import gc
import weakref

from support.film import Film, evening
from support.virtual_time import run

from manycast.hub.followed_groups import MAX_WAIT_S, SLACK_S, FollowedGroups
from manycast.hub.pacer import Pacer
from manycast.hub.rtp_title import RtpTitle


class Group:
    pass


def kept(groups: FollowedGroups, wait_s: float, size_bytes: int = 10) -> weakref.ref[Group]:
    group = Group()
    groups.keep(group, size_bytes, wait_s)
    return weakref.ref(group)


def test_a_group_is_kept_until_its_follower_needs_it() -> None:
    async def main() -> None:
        groups = FollowedGroups()
        late, soon = kept(groups, 20.0), kept(groups, 5.0)
        await asyncio.sleep(5.0)
        assert soon() is not None
        await asyncio.sleep(SLACK_S + 10.0)
        assert soon() is None
        assert late() is not None
        await asyncio.sleep(10.0)
        assert late() is None
        assert groups.size_bytes == 0

    run(main())


def test_without_room_what_is_needed_last_goes_first() -> None:
    async def main() -> None:
        groups = FollowedGroups(limit_bytes=25)
        far, near, nearest = kept(groups, 9.0), kept(groups, 8.0), kept(groups, 7.0)
        assert far() is None
        assert near() is not None
        assert nearest() is not None
        assert kept(groups, 8.5)() is None, "others have better uses for the memory"
        assert near() is not None
        assert kept(groups, 1.0, size_bytes=30)() is None, "larger than all there is room for"

    run(main())


def test_a_group_whose_follower_is_far_away_is_not_kept() -> None:
    async def main() -> None:
        assert kept(FollowedGroups(), MAX_WAIT_S + 1)() is None

    run(main())


def test_who_leaves_a_group_again_says_anew_when_it_is_needed() -> None:
    async def main() -> None:
        groups = FollowedGroups()
        group = Group()
        groups.keep(group, 10, 1.0)
        groups.keep(group, 10, 30.0)
        assert groups.size_bytes == 10
        seen = weakref.ref(group)
        del group
        await asyncio.sleep(20)
        assert seen() is not None
        await asyncio.sleep(20)
        assert seen() is None

    run(main())


def test_who_comes_behind_does_not_read_again_what_was_read() -> None:
    async def main() -> None:
        film = Film(groups=30)
        title = RtpTitle(film, Pacer(), FollowedGroups())
        leader, follower = evening(film, title=title), evening(film, title=title)
        await leader.playback.seek(12_000_000)
        await follower.playback.seek(0)
        leader.playback.play()
        follower.playback.play()
        await asyncio.gather(leader.ended, follower.ended)
        assert sorted(film.reads) == list(range(30)), "each second once"
        assert not title.places

    run(main())


def test_nothing_is_kept_where_nobody_follows() -> None:
    async def main() -> None:
        film, followed = Film(groups=10), FollowedGroups()
        title = RtpTitle(film, Pacer(), followed)
        leader, ahead = evening(film, title=title), evening(film, title=title)
        await leader.playback.seek(0)
        await ahead.playback.seek(4_000_000)
        leader.playback.play()
        await asyncio.sleep(2.5)
        assert followed.size_bytes == 0
        gc.collect()
        assert title.packed_at(0) is None
        leader.playback.pause()

    run(main())
