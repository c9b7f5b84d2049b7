"""What is read of every kind of file: all of it, once, in order, and the same wherever reading starts."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import pytest

from manycast.decoder_packet import decoder_packet
from manycast.media.av1 import leb128
from manycast.media.frame import Frame
from manycast.media.nal import join_annex_b, split_annex_b, split_length_prefixed
from manycast.media.track import Codec, MediaKind, XiphParameters
from manycast.sources.files.cursor import Cursor
from manycast.sources.files.groups import FileGroup
from manycast.sources.files.opening import open_file
from manycast.sources.files.plan import FilePlan

from .conftest import RECIPES
from .media_making import combine, largest_units, make_file, plain_packets, remux, stamp_of

SAMPLES = (Codec.G711A, Codec.G711U, Codec.L16, Codec.G722, Codec.G726)
DECODERS = {
    Codec.H264: "h264",
    Codec.H265: "hevc",
    Codec.MPEG4: "mpeg4",
    Codec.MPEG_VIDEO: "mpeg2video",
    Codec.MJPEG: "mjpeg",
    Codec.VP8: "vp8",
    Codec.VP9: "vp9",
    Codec.AV1: "libdav1d",
    Codec.THEORA: "theora",
}
Contents = tuple[int, int, bool, bool, list[tuple[int, int, int, bool, list[bytes]]]]


def read_all(path: Path) -> tuple[FilePlan, list[FileGroup]]:
    plan, demuxer = open_file(path, stamp_of(path))
    cursor = Cursor(plan, demuxer)
    groups = []
    while (group := cursor.next_group()) is not None:
        groups.append(group)
    cursor.close()
    return plan, groups


def contents(group: FileGroup) -> Contents:
    frames = [(f.track_index, f.dts_ticks, f.pts_ticks, f.keyframe, f.units) for f in group.frames]
    return group.position_us, group.end_us, group.seekable, group.last, frames


def frames_of(groups: list[FileGroup], track_index: int) -> list[Frame]:
    return [frame for group in groups for frame in group.frames if frame.track_index == track_index]


every_file = pytest.mark.parametrize("name", RECIPES)


@every_file
def test_the_tracks_are_known_when_the_file_is_open(name: str, media_file: Callable[[str], Path]) -> None:
    path = media_file(name)
    plan, demuxer = open_file(path, stamp_of(path))
    demuxer.close()
    assert tuple(track.codec for track in plan.tracks) == RECIPES[name].codecs
    assert all(track.parameters.complete for track in plan.tracks)
    sample_rate_hz = RECIPES[name].more.get("sample_rate", 44_100)
    rates_hz = {Codec.MP3: 90_000, Codec.OPUS: 48_000, Codec.G722: 8000}
    for track in plan.tracks:
        usual_hz = 90_000 if track.kind is MediaKind.VIDEO else sample_rate_hz
        assert track.clock_rate_hz == rates_hz.get(track.codec, usual_hz)


@every_file
def test_all_packets_are_read_exactly_once(name: str, media_file: Callable[[str], Path]) -> None:
    path = media_file(name)
    plan, groups = read_all(path)
    for index, track in enumerate(plan.tracks):
        frames = frames_of(groups, index)
        packets = plain_packets(path, track.kind.value)
        if track.codec in SAMPLES:
            stored = [unit for packet in packets for unit in plan.lanes[index].carried.unpack(packet)]
            assert b"".join(frame.units[0] for frame in frames) == b"".join(stored)
        elif track.kind is MediaKind.AUDIO:
            assert len(frames) == len(packets)
            assert all(packet.endswith(frame.units[0]) for frame, packet in zip(frames, packets, strict=True))
        elif track.codec is Codec.AV1:
            assert len(frames) == len(packets)
            assert all(packet.endswith(frame.units[-1][1:]) for frame, packet in zip(frames, packets, strict=True))
        elif track.codec not in (Codec.H264, Codec.H265):
            assert len(frames) == len(packets)
            assert all(frame.units[0].endswith(packet) for frame, packet in zip(frames, packets, strict=True))
        else:
            split = split_annex_b if packets[0].startswith((b"\0\0\1", b"\0\0\0\1")) else split_length_prefixed
            assert largest_units(frames) == [max(split(packet), key=len) for packet in packets]


@every_file
def test_times_rise_and_nothing_is_shown_before_it_is_decoded(name: str, media_file: Callable[[str], Path]) -> None:
    plan, groups = read_all(media_file(name))
    for index in range(len(plan.tracks)):
        frames = frames_of(groups, index)
        dts = [frame.dts_ticks for frame in frames]
        assert dts == sorted(set(dts))
        assert all(frame.dts_ticks <= frame.pts_ticks for frame in frames)
        assert len({frame.pts_ticks for frame in frames}) == len(frames)


@every_file
def test_the_picture_has_an_even_pace_and_the_file_its_length(name: str, media_file: Callable[[str], Path]) -> None:
    plan, groups = read_all(media_file(name))
    first = min(frame.pts_ticks / plan.tracks[frame.track_index].clock_rate_hz for frame in groups[0].frames)
    assert -0.03 < first < 0.03  # the priming of an audio encoder is at most 1024 samples
    assert groups[-1].end_us == pytest.approx(6_000_000, abs=120_000)
    if plan.tracks[0].kind is MediaKind.VIDEO:
        frames = frames_of(groups, 0)
        pts = sorted(frame.pts_ticks for frame in frames)
        # FLV and Matroska round to milliseconds.
        assert all(abs(b - a - 3600) <= 90 for a, b in itertools.pairwise(pts))
        if not name.endswith("fragmented.mp4"):  # written before it is known how far dts have to be shifted
            assert all(abs(b.dts_ticks - a.dts_ticks - 3600) <= 90 for a, b in itertools.pairwise(frames))


@every_file
def test_groups_start_with_keyframes_and_follow_each_other(name: str, media_file: Callable[[str], Path]) -> None:
    plan, groups = read_all(media_file(name))
    assert groups[0].position_us == 0
    assert [group.last for group in groups] == [False] * (len(groups) - 1) + [True]
    assert all(a.end_us == b.position_us < b.end_us for a, b in itertools.pairwise(groups))
    assert all(group.seekable for group in groups)
    assert len(groups) in (6, 7)  # audio may go on a little into the seventh second
    times = [f.dts_ticks / plan.tracks[f.track_index].clock_rate_hz for group in groups for f in group.frames]
    assert times == sorted(times)
    if plan.tracks[0].kind is MediaKind.VIDEO:
        for group in groups:
            video = [frame for frame in group.frames if frame.track_index == 0]
            following = name.startswith(("mjpeg", "prores"))
            assert [frame.keyframe for frame in video] == [True] + [following] * (len(video) - 1)


@every_file
def test_reading_after_a_search_gives_the_same_groups(name: str, media_file: Callable[[str], Path]) -> None:
    path = media_file(name)
    plan, groups = read_all(path)
    cursor = Cursor(plan)
    for index in [*range(len(groups) - 1, 0, -1), 3]:
        for position_us in (groups[index].position_us, groups[index].end_us - 1):
            found = cursor.find(position_us, groups[0].end_us)
            following = cursor.next_group()
            expected = groups[index : index + 2]
            got = found + ([following] if following is not None else [])
            assert len(got) == len(expected)
            if RECIPES[name].exact:
                assert [contents(group) for group in got] == [contents(group) for group in expected]
            else:
                assert [group.position_us for group in got] == [group.position_us for group in expected]
                assert [len(group.frames) for group in got] == [len(group.frames) for group in expected]
    cursor.close()


def test_a_position_behind_the_end_finds_the_last_group(media_file: Callable[[str], Path]) -> None:
    for name in ("h264_aac.mp4", "h264_aac.mkv", "h264_aac.ts", "h264_aac.flv", "h264.264", "opus.ogg"):
        plan, groups = read_all(media_file(name))
        cursor = Cursor(plan)
        assert contents(cursor.find(60_000_000, groups[0].end_us)[0]) == contents(groups[-1])
        cursor.close()


def test_a_long_stretch_without_keyframe_is_cut(tmp_path: Path) -> None:
    path = make_file(tmp_path / "long.mp4", seconds=12, group=1000)
    plan, groups = read_all(path)
    assert [(group.position_us, group.seekable) for group in groups] == [
        (0, True),
        (4_920_000, False),  # by its dts, which is two frames ahead of what is shown
        (9_920_000, False),
    ]
    cursor = Cursor(plan)
    found = cursor.find(11_000_000, groups[0].end_us)
    assert [contents(group) for group in found] == [contents(group) for group in groups]
    cursor.close()


def test_a_large_stretch_without_keyframe_is_cut(tmp_path: Path) -> None:
    path = make_file(tmp_path / "large.mkv", seconds=4, group=1000, size="640x480", noise=True, audio=None)
    assert path.stat().st_size > 9 << 20
    plan, groups = read_all(path)
    assert len(groups) > 2
    assert all(group.size_bytes < 5 << 20 for group in groups)
    assert [group.seekable for group in groups] == [True] + [False] * (len(groups) - 1)
    assert len(frames_of(groups, 0)) == 100
    cursor = Cursor(plan)
    found = cursor.find(3_900_000, groups[0].end_us)
    assert [contents(group) for group in found] == [contents(group) for group in groups]
    cursor.close()


def test_audio_that_starts_before_the_picture_is_in_the_first_group(tmp_path: Path) -> None:
    whole = make_file(tmp_path / "whole.mp4")
    late = tmp_path / "late.mp4"
    combine(late, [(whole, "video", 1.5), (whole, "audio", 0)])
    plan, groups = read_all(late)
    assert groups[0].position_us == 0
    assert groups[0].frames[0].track_index == 1
    assert next(frame.pts_ticks for frame in groups[0].frames if frame.track_index == 0) == 135_000
    assert groups[1].position_us == 2_500_000
    assert len(frames_of(groups, 1)) == len(plain_packets(late, "audio"))
    assert plan.tracks[0].kind is MediaKind.VIDEO


def test_audio_that_ends_long_after_the_picture_is_played(tmp_path: Path) -> None:
    pictures = make_file(tmp_path / "pictures.mp4", seconds=2, audio=None)
    sound = make_file(tmp_path / "sound.m4a", seconds=30, video=None)
    path = combine(tmp_path / "joined.mp4", [(pictures, "video", 0), (sound, "audio", 0)])
    _, groups = read_all(path)
    assert len(frames_of(groups, 1)) == len(plain_packets(sound, "audio"))
    assert all(group.end_us - group.position_us < 11_000_000 for group in groups)


def test_a_constant_pace_of_audio_survives_the_rounding_of_the_container(tmp_path: Path) -> None:
    path = make_file(tmp_path / "x.mp4", seconds=20)
    for suffix in (".flv", ".mkv", ".ts"):
        _, groups = read_all(remux(path, tmp_path / f"x{suffix}"))
        pts = [frame.pts_ticks for frame in frames_of(groups, 1)]
        assert {b - a for a, b in itertools.pairwise(pts)} == {1024}


@pytest.mark.parametrize("name", [name for name in RECIPES if RECIPES[name].codecs[0].kind is MediaKind.VIDEO])
def test_what_is_read_decodes_and_is_shown_in_the_order_of_its_pts(
    name: str, media_file: Callable[[str], Path]
) -> None:
    plan, groups = read_all(media_file(name))
    codec = plan.tracks[0].codec
    decoder: Any = av.CodecContext.create(DECODERS[codec], "r")
    if isinstance(parameters := plan.tracks[0].parameters, XiphParameters):
        headers = (parameters.identification, parameters.comment, parameters.setup)
        decoder.extradata = b"".join(len(header).to_bytes(2) + header for header in headers)
    shown = []
    for frame in frames_of(groups[2:], 0):  # from a keyframe in the middle on
        packet = decoder_packet(_joined(codec, frame.units))
        packet.pts, packet.dts = frame.pts_ticks, frame.dts_ticks
        shown += decoder.decode(packet)
    shown += decoder.decode(None)
    expected = sorted(frame.pts_ticks for frame in frames_of(groups[2:], 0))
    if "open_groups" in name or codec in (
        Codec.MPEG_VIDEO,
        Codec.MPEG4,
    ):  # the first pictures refer to those before the keyframe
        expected = [pts for pts in expected if pts >= groups[2].frames[0].pts_ticks]
    assert [picture.pts for picture in shown][-len(expected) :] == expected


def _joined(codec: Codec, units: list[bytes]) -> bytes:
    """A frame as decoders take it."""
    if codec in (Codec.H264, Codec.H265):
        return join_annex_b(units)
    if codec is Codec.AV1:  # whose OBUs then need their sizes
        return b"".join(bytes([unit[0] | 2]) + leb128(len(unit) - 1) + unit[1:] for unit in units)
    return units[0]
