"""Transport streams as one track."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import av
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from manycast.hub.source import SourceError
from manycast.media.track import Codec
from manycast.sources.files.groups import FileGroup
from manycast.sources.files.library import FileLibrary
from manycast.sources.files.metered_file import open_metered
from manycast.sources.files.reading import open_and_begin
from manycast.sources.files.ts_packets import (
    PACKET_BYTES,
    PCR_WRAP,
    TsLayout,
    TsReader,
    find_entries,
    find_pcrs,
    find_start,
    find_tables,
)
from manycast.sources.files.whole_ts import WholeCursor, WholePlan, plan_whole

from .media_making import make_file, remux, stamp_of

PAT = bytes([0x47, 0x40, 0, 0x10]) + bytes(184)
PCR_PID = 0x100
PACKET_TICKS = 27_000  # a packet a millisecond
TICKS_PER_S = 27_000_000


def clock_packet(ticks: int, pid: int = PCR_PID) -> bytes:
    base, extension = divmod(ticks % PCR_WRAP, 300)
    field = (base << 15 | 0x3F << 9 | extension).to_bytes(6)
    return bytes([0x47, pid >> 8, pid & 0xFF, 0x30, 7, 0x10]) + field + bytes(176)


def stream(seconds: float, *, start: int = 0, tables_every: int = 100, clock_every: int = 20) -> list[bytes]:
    """A packet a millisecond, each with its number in it."""
    packets = []
    for number in range(round(seconds * 1000)):
        if number % clock_every == 0:
            packet = clock_packet(start + number * PACKET_TICKS)
        elif number % tables_every == 10:
            packet = PAT
        else:
            packet = bytes([0x47, 0x01, 0x01, 0x10]) + bytes(184)
        packets.append(packet[:-4] + number.to_bytes(4))
    return packets


def written(path: Path, packets: list[bytes]) -> Path:
    path.write_bytes(b"".join(packets))
    return path


def read_all(path: Path) -> tuple[WholePlan, list[FileGroup]]:
    plan = plan_whole(path, stamp_of(path))
    cursor = WholeCursor(plan)
    groups = []
    while (group := cursor.next_group()) is not None:
        groups.append(group)
    cursor.close()
    return plan, groups


def data_of(groups: list[FileGroup]) -> bytes:
    return b"".join(unit for group in groups for frame in group.frames for unit in frame.units)


def times(groups: list[FileGroup]) -> list[int]:
    return [frame.pts_ticks for group in groups for frame in group.frames]


def contents(group: FileGroup) -> tuple[object, ...]:
    frames = [(frame.dts_ticks, frame.units) for frame in group.frames]
    return group.position_us, group.end_us, group.last, frames


@pytest.mark.parametrize("name", ["h264_aac.ts", "mpeg2.ts", "h264_opus.ts"])
def test_every_packet_is_played_at_the_time_of_the_clock(name: str, media_file: Callable[[str], Path]) -> None:
    path = media_file(name)
    plan, groups = read_all(path)
    assert [track.codec for track in plan.tracks] == [Codec.MPEG_TS]
    assert data_of(groups) == path.read_bytes()
    assert groups[-1].end_us == pytest.approx(6_000_000, abs=150_000)
    assert plan.duration_us == pytest.approx(groups[-1].end_us, abs=2000)
    assert groups[0].position_us == 0
    assert all(a.end_us == b.position_us for a, b in pairwise(groups))
    assert all(a < b for a, b in pairwise(times(groups)))


def test_packets_lie_evenly_between_clock_references(tmp_path: Path) -> None:
    _plan, groups = read_all(written(tmp_path / "x.ts", stream(3.5)))
    assert [group.position_us for group in groups] == [0, 1_010_000, 2_010_000, 3_010_000]
    assert [frame.pts_ticks for frame in groups[0].frames] == [number * 90 for number in range(0, 1010, 7)]
    assert groups[1].frames[0].units[0].startswith(PAT[:-4])
    assert [group.last for group in groups] == [False, False, False, True]
    assert groups[-1].end_us == 3_500_000


def test_reading_after_a_search_gives_the_same_groups(tmp_path: Path) -> None:
    path = written(tmp_path / "x.ts", stream(60, start=PCR_WRAP - 20 * TICKS_PER_S))  # the clock wraps on the way
    plan, groups = read_all(path)
    cursor = WholeCursor(plan)
    for index in (59, 30, 19, 20, 21, 2, 1, 0, 45):
        for position_us in (groups[index].position_us, groups[index].end_us - 1):
            (found,) = cursor.find(position_us, groups[0].end_us)
            assert contents(found) == contents(groups[index])
        following = cursor.next_group()
        if index < 59:
            assert following is not None
            assert contents(following) == contents(groups[index + 1])
        else:
            assert following is None
    assert contents(cursor.find(10**12, groups[0].end_us)[0]) == contents(groups[-1])
    cursor.close()


def test_recordings_put_together_follow_each_other(tmp_path: Path) -> None:
    packets = stream(3, start=5 * TICKS_PER_S) + stream(3, start=TICKS_PER_S)
    plan, groups = read_all(written(tmp_path / "x.ts", packets))
    assert data_of(groups) == b"".join(packets)
    assert groups[-1].end_us == pytest.approx(6_000_000, abs=25_000)
    assert max(b - a for a, b in pairwise(times(groups))) < 3000
    cursor = WholeCursor(plan)
    assert contents(cursor.find(groups[4].position_us, groups[0].end_us)[0]) == contents(groups[4])
    cursor.close()


@pytest.mark.parametrize(("stride", "lead"), [(192, 4), (204, 0)])
def test_what_stands_between_packets_is_left_out(tmp_path: Path, stride: int, lead: int) -> None:
    packets = stream(2)
    padded = [bytes(lead) + packet + bytes(stride - lead - PACKET_BYTES) for packet in packets]
    plan, groups = read_all(written(tmp_path / "x.m2ts", padded))
    assert plan.layout == TsLayout(stride, lead)
    assert data_of(groups) == b"".join(packets)


def test_packets_are_found_again_behind_damage(tmp_path: Path) -> None:
    packets = stream(3)
    broken = b"".join(packets[:1500]) + b"no packet" * 11 + b"".join(packets[1500:])
    path = tmp_path / "x.ts"
    path.write_bytes(broken + packets[0][:100])
    plan = plan_whole(path, stamp_of(path))
    cursor = WholeCursor(plan)
    groups = []
    while (group := cursor.next_group()) is not None:
        groups.append(group)
    assert data_of(groups) == b"".join(packets)
    assert cursor.damaged == 1
    cursor.close()


@pytest.mark.parametrize(
    "packets",
    [
        [],
        [PAT],
        [PAT] * 100,  # no clock
        [clock_packet(0)] * 100,  # no tables
        [clock_packet(0), PAT],  # a clock that does not go
    ],
)
def test_what_has_no_clock_or_tables_is_refused(tmp_path: Path, packets: list[bytes]) -> None:
    path = written(tmp_path / "x.ts", packets)
    with pytest.raises(SourceError):
        plan_whole(path, stamp_of(path))


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=2000), st.integers(0, 400))
def test_hostile_packets_are_looked_at_without_harm(data: bytes, count: int) -> None:
    find_start(data)
    packets = (data * (count * PACKET_BYTES // max(len(data), 1) + 1))[: count * PACKET_BYTES]
    assert all(0 <= number < count for number, _pid, _ticks in find_pcrs(packets, None))
    assert all(0 <= number < count for number in find_tables(packets) + find_entries(packets, 0x100))


@settings(max_examples=60, deadline=None)
@given(
    changes=st.lists(st.tuples(st.integers(0, 399_999), st.integers(0, 255)), max_size=40),
    cut=st.integers(0, 400_000),
)
def test_damaged_streams_are_refused_or_played(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[int, int]], cut: int
) -> None:
    data = bytearray(b"".join(stream(2.2)))
    for place, value in changes:
        data[place] = value
    path = tmp_path_factory.mktemp("damaged") / "x.ts"
    path.write_bytes(data[: cut - cut // 20] + data[cut:])
    try:
        _plan, groups = read_all(path)
    except SourceError:
        return
    assert all(a < b for a, b in pairwise(frame.dts_ticks for group in groups for frame in group.frames))
    assert all(group.end_us > group.position_us for group in groups)


def with_entries(packets: list[bytes], *numbers: int) -> list[bytes]:
    """The same, with packets that say decoding can begin there; they have to be clock references."""
    return [
        packet[:5] + bytes([packet[5] | 0x40]) + packet[6:] if number in numbers else packet
        for number, packet in enumerate(packets)
    ]


def test_groups_start_with_the_table_before_an_entry(tmp_path: Path) -> None:
    # Tables are at 10, 110, 210 and so on; an entry that comes in the same second as the one before opens nothing.
    path = written(tmp_path / "x.ts", with_entries(stream(20), 20, 1520, 1720, 3120, 3200, 4040, 17_000))
    plan, groups = read_all(path)
    starts = [(group.position_us, group.seekable) for group in groups]
    assert starts == [
        (0, True),
        (1_510_000, True),
        (3_110_000, True),
        (4_010_000, True),
        (9_010_000, False),
        (14_010_000, False),
        (16_910_000, True),
    ]
    cursor = WholeCursor(plan)
    for position_us, first, count in ((3_110_000, 2, 1), (4_500_000, 3, 1), (15_000_000, 3, 3), (19_000_000, 6, 1)):
        found = cursor.find(position_us, groups[0].end_us)
        assert [contents(group) for group in found] == [contents(group) for group in groups[first : first + count]]
    cursor.close()


def test_what_is_read_after_a_search_can_be_decoded(media_file: Callable[[str], Path]) -> None:
    path = media_file("h264_aac.ts")
    plan = plan_whole(path, stamp_of(path))
    cursor = WholeCursor(plan)
    (group,) = cursor.find(3_200_000, 0)
    data = b"".join(unit for frame in group.frames for unit in frame.units)
    cursor.close()
    with av.open(io.BytesIO(data), "r", format="mpegts") as container:
        packets = list(container.demux(video=0))
        assert packets[0].is_keyframe
        assert sum(len(packet.decode()) for packet in packets) == 25


def test_reading_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path / "x.ts", stream(3, tables_every=100_000))  # one table only: one group that never ends
    plan = plan_whole(path, stamp_of(path))
    monkeypatch.setattr("manycast.sources.files.whole_ts.MAX_READ_BYTES", 200_000)
    with pytest.raises(SourceError, match="too much to read"):
        WholeCursor(plan).next_group()


def test_a_reader_gives_whole_packets_only(tmp_path: Path) -> None:
    path = tmp_path / "x.ts"
    path.write_bytes(PAT * 3 + PAT[:50])
    reader = TsReader(open_metered(path, stamp_of(path)), TsLayout(PACKET_BYTES, 0))
    reader.allow(10_000)
    assert reader.read(2) == PAT * 2
    assert reader.read(2) == PAT
    assert reader.read(2) == b""
    reader.close()


async def test_a_stream_is_played_as_a_whole_when_asked_for(tmp_path: Path, media_file: Callable[[str], Path]) -> None:
    shutil.copy(media_file("h264_aac.ts"), tmp_path / "x.ts")
    shutil.copy(media_file("h264_aac.mp4"), tmp_path / "x.mp4")
    library = FileLibrary(tmp_path)
    parts, whole = await library.find(["x.ts"]), await library.find(["x.ts.mp2t"])
    assert parts is not None
    assert whole is not None
    assert [track.codec for track in parts.tracks] == [Codec.H264, Codec.AAC]
    assert [track.codec for track in whole.tracks] == [Codec.MPEG_TS]
    assert whole.name == "x.ts.mp2t"
    assert await library.find(["x.ts.mp2t"]) is whole
    assert await library.find(["x.ts"]) is parts
    with pytest.raises(SourceError, match="no transport stream"):
        await library.find(["x.mp4.mp2t"])
    assert await library.find(["y.ts.mp2t"]) is None
    assert await library.find([".mp2t"]) is None
    shutil.copy(media_file("h264_aac.ts"), tmp_path / "y.mp2t")  # a name like others
    named = await library.find(["y.mp2t"])
    assert named is not None
    assert [track.codec for track in named.tracks] == [Codec.H264, Codec.AAC]
    await library.close()


def test_a_stream_with_nothing_else_to_carry_is_played_as_a_whole(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sound = make_file(tmp_path / "x.wav", video=None, audio="pcm_alaw", seconds=3, sample_rate=8000)
    path = remux(sound, tmp_path / "x.ts")  # as private data: there is no type of stream for it
    with caplog.at_level("INFO", logger="manycast"):
        opened = open_and_begin(path, stamp_of(path))
    opened.cursor.close()
    assert [track.codec for track in opened.plan.tracks] == [Codec.MPEG_TS]
    assert "only neither picture nor sound; played as a whole" in caplog.text
