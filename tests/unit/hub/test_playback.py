"""A file played to one viewer, in virtual time: pace, seek, pause, range, loops, the end."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

import pytest
from support.film import FRAMES_PER_GROUP, GROUPS, PRIMING_TICKS, Film, evening
from support.virtual_time import VirtualLoop, run

from manycast.hub.followed_groups import FollowedGroups
from manycast.hub.pacer import Pacer
from manycast.hub.playback import ENDLESS, MAX_BACKLOG_BYTES
from manycast.hub.rtp_title import RtpTitle
from manycast.hub.source import SourceError
from manycast.wire.rtp.packet import RtpPacket


def distance(start: int, timestamp: int) -> int:
    """From one RTP timestamp to another, which may be the earlier one."""
    return (timestamp - start + 0x8000_0000) % 0x1_0000_0000 - 0x8000_0000


def check_row(packets: Sequence[tuple[float, RtpPacket]], *, longest_ticks: int) -> None:
    """No gap in the numbers, and times that only grow."""
    for (_, before), (_, packet) in pairwise(packets):
        assert (packet.sequence - before.sequence) & 0xFFFF == 1
        assert (packet.timestamp - before.timestamp) & 0xFFFFFFFF <= longest_ticks


def test_every_frame_comes_in_its_time_and_the_end_is_said() -> None:
    async def main() -> None:
        show = evening()
        await show.playback.seek(0)
        started_s = asyncio.get_running_loop().time()
        show.playback.play()
        assert await show.ended == "the end of the file"
        ended_s = asyncio.get_running_loop().time()
        assert 3.9 < ended_s - started_s < 4.1
        pictures = show.seat.track(0)
        assert len({packet.timestamp for _, packet in pictures}) == GROUPS * FRAMES_PER_GROUP
        assert len(show.seat.track(2)) == GROUPS * 50
        for now_s, packet in pictures:
            due_s = ((packet.timestamp - pictures[0][1].timestamp) & 0xFFFFFFFF) / 90_000
            assert abs(now_s - started_s - due_s) < 0.06
        check_row(pictures, longest_ticks=3600)
        check_row(show.seat.track(2), longest_ticks=960)
        assert show.seat.goodbyes == 2
        assert not show.playback.playing

    run(main())


def test_the_start_that_is_announced_is_the_next_packet_and_the_time_of_the_position() -> None:
    async def main() -> None:
        show = evening()
        await show.playback.seek(2_500_000)
        assert show.playback.position_us == 2_000_000, "the keyframe before"
        assert show.seat.cleared == 1, "what was still to be sent is of the place left"
        starts = show.playback.starts()
        show.playback.play()
        await show.ended
        for start, channel in zip(starts, (0, 2), strict=True):
            _, first = show.seat.track(channel)[0]
            assert first.sequence == start.sequence
        (_, picture), (_, sound) = show.seat.track(0)[0], show.seat.track(2)[0]
        assert picture.timestamp == starts[0].rtp_timestamp, "a group starts with its keyframe"
        # RTP-Info tells where the position itself stands on the sound's clock; its packets start a little ahead.
        assert (starts[1].rtp_timestamp - sound.timestamp) % 2**32 == PRIMING_TICKS
        assert len({packet.timestamp for _, packet in show.seat.track(0)}) == 2 * FRAMES_PER_GROUP

    run(main())


def test_a_pause_stops_and_playing_goes_on_without_a_gap() -> None:
    async def main() -> None:
        show = evening()
        await show.playback.seek(0)
        show.playback.play()
        await asyncio.sleep(1.3)
        show.playback.pause()
        count = len(show.seat.packets)
        position_us = show.playback.position_us
        assert 1_250_000 < position_us < 1_400_000
        await asyncio.sleep(100)
        assert len(show.seat.packets) == count
        assert show.playback.position_us == position_us
        resumed_s = asyncio.get_running_loop().time()
        show.playback.play()
        await show.ended
        assert 2.6 < asyncio.get_running_loop().time() - resumed_s < 2.8
        check_row(show.seat.track(0), longest_ticks=3600)
        check_row(show.seat.track(2), longest_ticks=960)
        assert len({packet.timestamp for _, packet in show.seat.track(0)}) == GROUPS * FRAMES_PER_GROUP

    run(main())


def test_a_range_ends_where_it_says() -> None:
    async def main() -> None:
        show = evening()
        await show.playback.seek(1_000_000)
        show.playback.play(stop_us=2_000_000)
        assert await show.ended == "the end of the range"
        assert len({packet.timestamp for _, packet in show.seat.track(0)}) == FRAMES_PER_GROUP

    run(main())


def test_a_range_that_ends_after_a_picture_ends_there_for_the_sound_too() -> None:
    async def main() -> None:
        show = evening()
        await show.playback.seek(0)
        stop_us = 525_000
        show.playback.play(stop_us=stop_us)
        assert await show.ended == "the end of the range"
        assert len({packet.timestamp for _, packet in show.seat.track(0)}) == 14  # every 40 ms
        sounds = [index * 20_000 - PRIMING_TICKS * 1_000_000 // 48_000 for index in range(50)]
        assert len(show.seat.track(2)) == sum(due_us < stop_us for due_us in sounds) == 28

    run(main())


@pytest.mark.parametrize("loops", [2, 3])
def test_loops_follow_each_other_without_a_gap_and_without_going_back(loops: int) -> None:
    async def main() -> None:
        show = evening(loops=loops)
        await show.playback.seek(0)
        started_s = asyncio.get_running_loop().time()
        show.playback.play()
        await show.ended
        assert loops * 4 - 0.1 < asyncio.get_running_loop().time() - started_s < loops * 4.1 + 0.1
        pictures = show.seat.track(0)
        assert len({packet.timestamp for _, packet in pictures}) == loops * GROUPS * FRAMES_PER_GROUP
        check_row(pictures, longest_ticks=3600 + 2000)
        check_row(show.seat.track(2), longest_ticks=960 + PRIMING_TICKS)
        assert show.seat.goodbyes == 2

    run(main())


def test_an_endless_file_goes_on_and_on() -> None:
    async def main() -> None:
        show = evening(loops=ENDLESS)
        await show.playback.seek(0)
        show.playback.play()
        for _ in range(10):
            await asyncio.sleep(10)
            assert show.playback.playing
        check_row(show.seat.track(0), longest_ticks=3600 + 2000)
        check_row(show.seat.track(2), longest_ticks=960 + PRIMING_TICKS)
        assert len({packet.timestamp for _, packet in show.seat.track(0)}) > 2400
        show.playback.pause()
        assert not show.ended.done()

    run(main())


@pytest.mark.parametrize("position_us", [3_000_000, 1_000_000, 0])
def test_after_a_seek_numbers_and_times_go_on(position_us: int) -> None:
    """Some players drop packets whose numbers or times go back, or jump far."""

    async def main() -> None:
        show = evening()
        await show.playback.seek(0)
        show.playback.play()
        await asyncio.sleep(1.5)
        await show.playback.seek(position_us)
        show.playback.play()
        await show.ended
        for channel in (0, 2):
            times = [packet.timestamp for _, packet in show.seat.track(channel)]
            assert all(0 <= (b - a) % 2**32 < 90_000 for a, b in pairwise(times))
            sequences = [packet.sequence for _, packet in show.seat.track(channel)]
            assert all((b - a) & 0xFFFF == 1 for a, b in pairwise(sequences))

    run(main())


def test_viewers_who_start_at_the_same_place_get_the_same_packets() -> None:
    async def main() -> None:
        film = Film()
        title = RtpTitle(film, Pacer(), FollowedGroups())
        first, second = evening(film, title=title), evening(film, title=title)
        await first.playback.seek(0)
        first.playback.play()
        await asyncio.sleep(0.7)
        await second.playback.seek(0)
        second.playback.play()
        await asyncio.gather(first.ended, second.ended)
        assert [packet for _, _, packet in first.seat.packets] == [packet for _, _, packet in second.seat.packets]

    run(main())


def test_who_is_too_slow_is_waited_for() -> None:
    async def main() -> None:
        show = evening()
        await show.playback.seek(0)
        show.playback.play()
        await asyncio.sleep(0.5)
        show.seat.backlog_bytes = MAX_BACKLOG_BYTES + 1
        count = len(show.seat.packets)
        await asyncio.sleep(5)
        assert len(show.seat.packets) <= count + 1
        show.seat.backlog_bytes = 0
        await show.ended
        check_row(show.seat.track(0), longest_ticks=3600)
        times = [now_s for now_s, _ in show.seat.track(0)]
        late = [packet for now_s, packet in show.seat.track(0) if now_s - times[0] > 5.4]
        assert len(late) > 60, "what was missed is not sent in a burst"

    run(main())


def test_a_server_that_is_late_sends_all_frames_late_and_in_no_heap() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        show = evening()
        await show.playback.seek(0)
        show.playback.play()
        for _ in range(10):
            await asyncio.sleep(0.1)
            loop.stand_still(1.0)
        assert await show.ended == "the end of the file"
        pictures = show.seat.track(0)
        assert len({packet.timestamp for _, packet in pictures}) == GROUPS * FRAMES_PER_GROUP
        check_row(pictures, longest_ticks=3600)
        check_row(show.seat.track(2), longest_ticks=960)
        at_once = Counter(now_s for now_s, _ in pictures)
        assert max(at_once.values()) < FRAMES_PER_GROUP, "what a second had missed"

    run(main())


def test_reports_say_where_all_tracks_stand_at_one_moment() -> None:
    async def main() -> None:
        show = evening(loops=ENDLESS)
        await show.playback.seek(0)
        show.playback.play()
        await asyncio.sleep(11)
        show.playback.pause()
        assert len(show.seat.reports) >= 6
        for (_, video), (_, audio) in zip(show.seat.reports[::2], show.seat.reports[1::2], strict=True):
            assert video.ntp == audio.ntp
            video_ticks = distance(show.seat.track(0)[0][1].timestamp, video.rtp_timestamp)
            audio_ticks = distance(show.seat.track(2)[0][1].timestamp, audio.rtp_timestamp) - PRIMING_TICKS
            assert abs(video_ticks / 90_000 - audio_ticks / 48_000) < 0.001

    run(main())


def test_reports_put_no_gap_where_a_viewer_was_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is missing there; ffmpeg would write one into its recording all the same."""
    monkeypatch.setattr("manycast.hub.playback.time.time", lambda: asyncio.get_running_loop().time())

    async def main() -> None:
        show = evening(loops=ENDLESS)
        await show.playback.seek(0)
        show.playback.play()
        await asyncio.sleep(1)
        show.seat.backlog_bytes = MAX_BACKLOG_BYTES + 1
        await asyncio.sleep(3)
        show.seat.backlog_bytes = 0
        await asyncio.sleep(7)
        show.playback.pause()
        (_, first), *later = [each for each in show.seat.reports if each[1].ssrc == show.seat.reports[0][1].ssrc]
        assert later
        for _, report in later:
            real_s = (report.ntp - first.ntp) / 2**32
            assert real_s == pytest.approx(distance(first.rtp_timestamp, report.rtp_timestamp) / 90_000, abs=0.001)

    run(main())


def test_a_file_that_breaks_ends_with_the_reason() -> None:
    async def main() -> None:
        show = evening(Film(broken_at=2))
        await show.playback.seek(0)
        show.playback.play()
        assert await show.ended == "the disk is gone"
        assert show.seat.goodbyes == 2
        with pytest.raises(SourceError):
            await show.playback.seek(2_000_000)

    run(main())


def test_who_leaves_leaves_nothing_running() -> None:
    async def main() -> None:
        show = evening()
        await show.playback.seek(0)
        show.playback.play()
        await asyncio.sleep(0.999)
        show.playback.pause()
        await asyncio.sleep(10)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run(main())
