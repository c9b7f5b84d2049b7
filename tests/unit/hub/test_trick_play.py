"""A file played faster, slower and backwards, in virtual time."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest
from support.film import FRAMES_PER_GROUP, GROUP_US, Evening, Film, evening
from support.virtual_time import run

from manycast.hub.followed_groups import FollowedGroups
from manycast.hub.pace import Pace, Selection, nearest_pace
from manycast.hub.pacer import Pacer
from manycast.hub.playback import PAUSE_POINT
from manycast.hub.rtp_title import COUNTED_FROM_VIEWERS, RtpTitle
from manycast.wire.rtp.packet import RtpPacket

LONG = 20  # groups, of a second each


def signed(ticks: int) -> int:
    return (ticks + 0x8000_0000) % 0x1_0000_0000 - 0x8000_0000


def pictures(show: Evening) -> list[tuple[float, RtpPacket]]:
    return show.seat.track(0)


def place(packet: RtpPacket) -> tuple[int, int]:
    """The group and the number of the picture in a packet, as Film writes them."""
    return packet.payload[1], packet.payload[2]


def check_continuous(show: Evening, channel: int, *, longest_ticks: int = 90_000 * 10) -> None:
    for (_, before), (_, packet) in pairwise(show.seat.track(channel)):
        assert (packet.sequence - before.sequence) & 0xFFFF == 1
        assert 0 < signed(packet.timestamp - before.timestamp) <= longest_ticks


async def play(show: Evening, position_us: int, pace: Pace, stop_us: int | None = None) -> float:
    """Play to the end; how long it took."""
    await show.playback.seek(position_us, pace=pace)
    started_s = asyncio.get_running_loop().time()
    show.playback.play(stop_us)
    await show.ended
    return asyncio.get_running_loop().time() - started_s


@pytest.mark.parametrize(
    ("wanted", "given"),
    [(1, 1), (1.5, 1.5), (0.01, 0.25), (1000, 16), (-1, -1), (-0.5, -1), (-4, -4), (-1000, -16), (0.12345, 0.25)],
)
def test_the_nearest_scale_is_given(wanted: float, given: float) -> None:
    assert nearest_pace(wanted, 1.0, has_video=True) == Pace(given, 1.0)


@pytest.mark.parametrize(("wanted", "given"), [(1, 1), (2, 2), (100, 8), (0.001, 0.1)])
def test_the_nearest_speed_is_given(wanted: float, given: float) -> None:
    assert nearest_pace(1.0, wanted, has_video=True) == Pace(1.0, given)


def test_sound_alone_has_no_other_scale() -> None:
    assert nearest_pace(2.0, 3.0, has_video=False) == Pace(1.0, 3.0)


@pytest.mark.parametrize(
    ("scale", "selection"),
    [
        (1.0, Selection.ALL),
        (0.5, Selection.PICTURES),
        (2.0, Selection.PICTURES),
        (0.25, Selection.KEYFRAMES),
        (2.5, Selection.KEYFRAMES),
        (-1.0, Selection.KEYFRAMES),
    ],
)
def test_outside_half_and_double_only_keyframes_are_sent(scale: float, selection: Selection) -> None:
    assert Pace(scale).selection is selection


@pytest.mark.parametrize("scale", [0.5, 1.5, 2.0])
def test_every_picture_comes_with_times_as_they_are_seen(scale: float) -> None:
    async def main() -> None:
        show = evening()
        took_s = await play(show, 0, Pace(scale))
        assert took_s == pytest.approx(4 / scale, abs=0.1)
        row = pictures(show)
        assert [place(packet) for _, packet in row] == [(g, n) for g in range(4) for n in range(FRAMES_PER_GROUP)]
        assert not show.seat.track(2), "sound would have to be stretched"
        for (_, before), (_, packet) in pairwise(row):
            assert signed(packet.timestamp - before.timestamp) == pytest.approx(3600 / scale, abs=1)
        first_s, first = row[0]
        for now_s, packet in row:
            assert now_s - first_s == pytest.approx(signed(packet.timestamp - first.timestamp) / 90_000, abs=0.02)
        check_continuous(show, 0)
        assert show.seat.goodbyes == 2

    run(main())


@pytest.mark.parametrize("scale", [4.0, 0.25])
def test_keyframes_alone_keep_the_pace(scale: float) -> None:
    async def main() -> None:
        show = evening()
        took_s = await play(show, 0, Pace(scale))
        assert took_s == pytest.approx(4 / scale, abs=0.1)
        assert [place(packet) for _, packet in pictures(show)] == [(0, 0), (1, 0), (2, 0), (3, 0)]
        times = [packet.timestamp for _, packet in pictures(show)]
        assert {signed(b - a) for a, b in pairwise(times)} == {round(90_000 / scale)}
        check_continuous(show, 0)

    run(main())


@pytest.mark.parametrize("scale", [16.0, -16.0])
def test_keyframes_that_are_too_near_each_other_are_left_out(scale: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("manycast.hub.pace.KEYFRAME_INTERVAL_US", 150_000)

    async def main() -> None:
        show = evening(Film(groups=LONG))
        took_s = await play(show, 0 if scale > 0 else 19_000_000, Pace(scale))
        assert took_s == pytest.approx(19.5 / 16, abs=0.1)
        shown = [place(packet)[0] for _, packet in pictures(show)]
        assert shown[-1] == (LONG - 1 if scale > 0 else 0)
        assert {abs(b - a) for a, b in pairwise(shown[:-1])} == {2 if scale > 0 else 3}
        check_continuous(show, 0)

    run(main())


@pytest.mark.parametrize("scale", [-1.0, -4.0, -16.0])
def test_backwards_the_keyframes_come_in_turn_and_the_start_is_the_end(scale: float) -> None:
    async def main() -> None:
        show = evening(Film(groups=LONG))
        took_s = await play(show, 15_500_000, Pace(scale))
        assert show.ended.result() == "the start of the file"
        assert took_s == pytest.approx(15 / -scale, abs=0.1)
        assert [place(packet) for _, packet in pictures(show)] == [(group, 0) for group in range(15, -1, -1)]
        assert not show.seat.track(2)
        check_continuous(show, 0)
        assert show.seat.goodbyes == 2

    run(main())


def test_backwards_a_range_ends_where_it_says() -> None:
    async def main() -> None:
        show = evening(Film(groups=LONG))
        await play(show, 10_000_000, Pace(-2.0), stop_us=6_500_000)
        assert show.ended.result() == "the end of the range"
        assert [place(packet)[0] for _, packet in pictures(show)] == [10, 9, 8, 7]

    run(main())


def test_forwards_by_keyframes_a_range_ends_where_it_says() -> None:
    async def main() -> None:
        show = evening(Film(groups=LONG))
        took_s = await play(show, 10_000_000, Pace(5.0), stop_us=15_000_000)
        assert took_s == pytest.approx(1, abs=0.1)
        assert [place(packet)[0] for _, packet in pictures(show)] == [10, 11, 12, 13, 14]

    run(main())


@pytest.mark.parametrize("speed", [0.5, 2.0, 8.0])
def test_at_another_speed_all_comes_as_it_is_but_sooner_or_later(speed: float) -> None:
    async def main() -> None:
        plain, other = evening(), evening()
        await play(plain, 0, Pace())
        took_s = await play(other, 0, Pace(1.0, speed))
        assert took_s == pytest.approx(4 / speed, abs=0.1)
        for channel in (0, 2):
            steps = [
                [signed(b.timestamp - a.timestamp) for (_, a), (_, b) in pairwise(show.seat.track(channel))]
                for show in (plain, other)
            ]
            assert steps[0] == steps[1]
            check_continuous(other, channel)

    run(main())


@pytest.mark.parametrize("paces", [(1.0, 2.0, 1.0), (1.0, 8.0, 1.0), (1.0, -4.0, 1.0), (0.5, 1.5, -1.0, 4.0, 0.25)])
def test_through_changes_of_scale_numbers_go_on_and_times_grow(paces: tuple[float, ...]) -> None:
    async def main() -> None:
        show = evening(Film(groups=LONG))
        await show.playback.seek(8_000_000, pace=Pace(paces[0]))
        show.playback.play()
        for scale in paces[1:]:
            await asyncio.sleep(1.3)
            await show.playback.change_pace(Pace(scale))
            start = show.playback.starts()[0]
            count = len(pictures(show))
            show.playback.play()
            await asyncio.sleep(0.5)
            assert pictures(show)[count][1].sequence == start.sequence
        await show.ended
        check_continuous(show, 0)
        check_continuous(show, 2)

    run(main())


def test_between_scales_with_all_pictures_none_is_repeated_or_left_out() -> None:
    async def main() -> None:
        show = evening()
        await show.playback.seek(0)
        show.playback.play()
        for scale in (2.0, 0.5, 1.5, 1.0):
            await asyncio.sleep(0.55)
            await show.playback.change_pace(Pace(scale))
            show.playback.play()
        await show.ended
        assert [place(packet) for _, packet in pictures(show)] == [
            (group, number) for group in range(4) for number in range(FRAMES_PER_GROUP)
        ]
        check_continuous(show, 0)

    run(main())


@pytest.mark.parametrize("pace", [Pace(2.0), Pace(0.5), Pace(-2.0), Pace(1.0, 3.0), Pace(4.0, 2.0)])
def test_reports_tell_when_each_picture_is_due(pace: Pace, monkeypatch: pytest.MonkeyPatch) -> None:
    """A receiver puts timestamps on the reports' clock: its origin must be the same in each."""
    monkeypatch.setattr("manycast.hub.playback.time.time", lambda: asyncio.get_running_loop().time())

    async def main() -> None:
        show = evening(Film(groups=200))
        await show.playback.seek(60_000_000, pace=pace)
        show.playback.play()
        await asyncio.sleep(12)
        show.playback.pause()
        reports = [
            (now_s, report) for now_s, report in show.seat.reports if report.ssrc == show.seat.reports[0][1].ssrc
        ]
        assert len(reports) >= 3
        origin = {round(report.ntp / 2**32 - signed(report.rtp_timestamp) / 90_000, 2) for _, report in reports}
        assert max(origin) - min(origin) < 0.05
        report_s, report = reports[1]
        for now_s, packet in pictures(show):
            due_s = report_s + signed(packet.timestamp - report.rtp_timestamp) / 90_000 / pace.speed
            assert now_s == pytest.approx(due_s, abs=0.02)

    run(main())


def test_a_pause_point_pauses_without_a_goodbye_and_playing_goes_on_from_there() -> None:
    async def main() -> None:
        show = evening()
        await show.playback.seek(0)
        show.playback.play()
        await asyncio.sleep(0.5)
        show.playback.pause_at(2_000_000)
        assert await show.ended == PAUSE_POINT
        assert not show.playback.playing
        assert not show.playback.at_end
        assert show.seat.goodbyes == 0
        assert show.playback.position_us == 2_000_000
        assert len(pictures(show)) == 2 * FRAMES_PER_GROUP
        show.playback.play()
        await asyncio.sleep(3)
        assert show.playback.at_end
        assert len(pictures(show)) == 4 * FRAMES_PER_GROUP
        check_continuous(show, 0, longest_ticks=3600)
        check_continuous(show, 2, longest_ticks=960)

    run(main())


def test_an_end_can_be_set_while_playing() -> None:
    async def main() -> None:
        show = evening()
        await show.playback.seek(0)
        show.playback.play()
        await asyncio.sleep(0.5)
        show.playback.stop_at(1_500_000)
        assert await show.ended == "the end of the range"
        assert len(pictures(show)) == FRAMES_PER_GROUP * 3 // 2 + 1

    run(main())


def test_viewers_at_other_scales_and_places_share_the_packets_in_memory() -> None:
    async def main() -> None:
        film = Film(groups=LONG)
        title = RtpTitle(film, Pacer(), FollowedGroups())
        shows = [evening(film, title=title) for _ in range(4)]
        for show, position_us, pace in zip(
            shows, (0, 10_000_000, 12_000_000, 0), (Pace(), Pace(2.0), Pace(-1.0), Pace(4.0)), strict=True
        ):
            await show.playback.seek(position_us, pace=pace)
        for show in shows:
            show.playback.play()
        await asyncio.gather(*(show.ended for show in shows))
        for show in shows:
            check_continuous(show, 0)
            for _, packet in pictures(show):
                group, number = place(packet)
                assert packet.payload == bytes((0x41 if number else 0x65, group, number)) * 10

    run(main())


def test_who_comes_in_anywhere_gets_the_same_packets_once_they_are_counted() -> None:
    async def main() -> None:
        film = Film(groups=LONG)
        title = RtpTitle(film, Pacer(), FollowedGroups())
        early, other, late = (evening(film, title=title) for _ in range(3))
        await early.playback.seek(7_000_000)
        early.playback.play()
        for _ in range(COUNTED_FROM_VIEWERS - 1):
            await evening(film, title=title).playback.seek(0)
        await asyncio.sleep(1)  # by then all are counted
        await other.playback.seek(0)
        await late.playback.seek(12_000_000)
        for show in (other, late):
            show.playback.play()
        await asyncio.gather(early.ended, other.ended, late.ended)
        for channel in (0, 2):
            all_packets = [packet for _, packet in other.seat.track(channel)]
            tail = [packet for _, packet in late.seat.track(channel)]
            assert tail == all_packets[-len(tail) :]
            own = [packet for _, packet in early.seat.track(channel)]
            assert [packet.payload for packet in own] == [packet.payload for packet in all_packets[-len(own) :]]
            check_continuous(early, channel)

    run(main())


def test_for_a_few_viewers_the_film_is_not_read_to_count_its_packets() -> None:
    async def main() -> None:
        film = Film(groups=LONG)
        title = RtpTitle(film, Pacer(), FollowedGroups())
        for _ in range(COUNTED_FROM_VIEWERS - 1):
            await evening(film, title=title).playback.seek(0)
        await asyncio.sleep(1)
        assert set(film.reads) == {0}

    run(main())


def test_the_scale_is_no_matter_of_the_film_s_length() -> None:
    """The last group is at or before any position, however far behind the end."""

    async def main() -> None:
        show = evening()
        await play(show, 100 * GROUP_US, Pace(-16.0))
        assert [place(packet)[0] for _, packet in pictures(show)] == [3, 2, 1, 0]

    run(main())
