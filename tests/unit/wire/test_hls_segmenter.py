"""Frames to segments and parts."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.clips import Clip, make_clip
from support.movies import coded_audio, coded_video, interleaved, normalised

from manycast.media.aac import AudioSpecificConfig, parameters_from_config
from manycast.media.frame import Frame
from manycast.media.normalise import normalise
from manycast.media.track import AudioParameters, Codec, PlainParameters, Track
from manycast.wire.hls.segmenter import Cut, Segmenter, SegmenterOptions
from manycast.wire.mpegts.demux import TsDemuxer

CLIP = make_clip(gop=25)  # a keyframe each second
AAC = Track(
    codec=Codec.AAC,
    clock_rate_hz=48_000,
    parameters=parameters_from_config(AudioSpecificConfig.simple(48_000, 2).serialize()),
)
G711 = Track(codec=Codec.G711A, clock_rate_hz=8000, parameters=AudioParameters(sample_rate_hz=8000, channels=1))
MJPEG = Track(codec=Codec.MJPEG, clock_rate_hz=90_000, parameters=PlainParameters())

PLAIN = SegmenterOptions(fragment_s=4, playlist=5, part_s=None)
LOW_LATENCY = SegmenterOptions(fragment_s=4, playlist=5, part_s=0.25)


def pictures(seconds: float, *, start_s: float = 0.0, clip: Clip = CLIP) -> Iterator[Frame]:
    for number in range(int(seconds * clip.frame_rate)):
        frame = clip.frame(number)
        normalise(frame, clip.track)
        frame.dts_ticks += int(start_s * 90_000)
        frame.pts_ticks = frame.dts_ticks
        yield frame


def sound(seconds: float, index: int = 0) -> Iterator[Frame]:
    for number in range(int(seconds * 48_000 / 1024)):
        ticks = number * 1024
        yield Frame(track_index=index, dts_ticks=ticks, pts_ticks=ticks, keyframe=True, units=[b"\x21\x10\x04"])


def begun(options: SegmenterOptions, *tracks: Track) -> Segmenter:
    segmenter = Segmenter(options)
    assert segmenter.accepts(tracks)
    segmenter.begin(tracks)
    return segmenter


def push(segmenter: Segmenter, frames: Iterator[Frame]) -> list[Cut]:
    return [cut for frame in frames if (cut := segmenter.push(frame)) is not None]


def listed(text: bytes) -> list[str]:
    return [line for line in text.decode().splitlines() if not line.startswith("#")]


def durations(text: bytes) -> list[float]:
    return [float(value) for value in re.findall(r"#EXTINF:([0-9.]+),", text.decode())]


def tag(text: bytes, name: str) -> str:
    found = re.search(rf"#{name}:(.*)", text.decode())
    assert found is not None, (name, text)
    return found[1]


# What is cut where


def test_segments_begin_with_keyframes_and_hold_every_picture_once() -> None:
    segmenter = begun(PLAIN, CLIP.track)
    frames = list(pictures(30))
    cuts = push(segmenter, iter(frames))
    made = [cut.segment for cut in cuts if cut.segment is not None]
    pushed = iter(frames)
    for segment in made:
        demuxer = TsDemuxer()
        received = demuxer.receive(bytes(segment.file.data)) + demuxer.flush()
        assert received[0].keyframe
        assert not demuxer.broken
        for frame in received:
            assert frame.units[1:] == next(pushed).units  # behind the delimiter
    assert [segment.sequence for segment in made] == list(range(len(made)))


def test_the_first_segments_are_short_and_the_others_as_long_as_asked() -> None:
    segmenter = begun(PLAIN, CLIP.track)
    cuts = push(segmenter, pictures(30))
    lengths = [cut.segment.entry.duration_s for cut in cuts if cut.segment is not None]
    assert lengths == pytest.approx([1, 1, 4, 4, 4, 4, 4, 4])
    assert tag(segmenter.playlist(), "EXT-X-TARGETDURATION") == "4"


def test_with_a_list_of_three_only_one_is_short_so_that_three_target_durations_stay() -> None:
    segmenter = begun(replace(PLAIN, playlist=3), CLIP.track)
    for frame in pictures(60):
        before = segmenter.playlist()
        if segmenter.push(frame) is not None and int(tag(before, "EXT-X-MEDIA-SEQUENCE")) > 0:
            assert sum(durations(segmenter.playlist())) >= 3 * 4


def test_a_segment_does_not_outgrow_its_length_where_keyframes_do_not_fit_in() -> None:
    slow = make_clip(gop=50, count=50)  # two seconds
    segmenter = begun(replace(PLAIN, fragment_s=5), slow.track)
    push(segmenter, pictures(40, clip=slow))
    assert durations(segmenter.playlist()) == pytest.approx([4] * 5)
    assert tag(segmenter.playlist(), "EXT-X-TARGETDURATION") == "5"


def test_where_keyframes_are_rare_the_target_duration_is_theirs() -> None:
    slow = make_clip(gop=50, count=50)
    segmenter = begun(replace(PLAIN, fragment_s=1), slow.track)
    push(segmenter, pictures(40, clip=slow))
    assert durations(segmenter.playlist()) == pytest.approx([2] * 5)
    assert tag(segmenter.playlist(), "EXT-X-TARGETDURATION") == "2"


def test_sound_alone_is_cut_anywhere() -> None:
    segmenter = begun(LOW_LATENCY, AAC)
    push(segmenter, sound(40))
    lengths = durations(segmenter.playlist())
    assert lengths == pytest.approx([4] * 5, abs=0.5)
    assert max(map(round, lengths)) <= 4
    assert segmenter.variant("x").codecs == ("mp4a.40.2",)
    assert segmenter.variant("x").frame_rate is None


def test_parts_keep_their_target_and_add_up_to_segments() -> None:
    segmenter = begun(LOW_LATENCY, CLIP.track, AAC)
    frames = sorted(
        [*pictures(30), *sound(30, 1)], key=lambda frame: frame.dts_ticks / (48_000 if frame.track_index else 90_000)
    )
    cuts = push(segmenter, iter(frames))
    target_s = float(tag(segmenter.playlist(), "EXT-X-PART-INF").removeprefix("PART-TARGET="))
    for cut in cuts:
        segment = cut.segment
        if segment is None:
            continue
        lengths = [part.duration_s for part in segment.entry.parts]
        assert sum(lengths) == pytest.approx(segment.entry.duration_s)
        assert all(0.85 * target_s <= length <= target_s for length in lengths[:-1])
        assert 0 < lengths[-1] <= target_s
        assert segment.entry.parts[0].independent
        assert b"".join(bytes(part.data) for part in segment.parts) == segment.file.data
    assert 0.2 < target_s <= 0.26


def test_every_part_is_listed_the_moment_it_can_be_had_and_what_is_hinted_comes() -> None:
    segmenter = begun(LOW_LATENCY, CLIP.track)
    hints: set[str] = set()
    for frame in pictures(20):
        hint = segmenter.hint
        assert hint is not None
        if segmenter.push(frame) is not None:
            assert hint in segmenter.files
            hints.add(hint)
            if not segmenter.ready:
                continue  # nothing is told yet
            text = segmenter.playlist().decode()
            for name in re.findall(r'#EXT-X-PART:.*URI="([^"]*)"', text):
                assert name in segmenter.files
            assert f'URI="{segmenter.hint}"' in text
    assert len(hints) > 70


def test_every_part_of_a_transport_stream_begins_with_its_tables() -> None:
    segmenter = begun(LOW_LATENCY, CLIP.track, AAC)
    push(segmenter, pictures(10))
    for file in segmenter.files.values():
        assert bytes(file.data[:3]) == b"\x47\x40\x00"


# The list


def test_the_list_moves_on_and_what_has_left_it_stays_for_a_while() -> None:
    segmenter = begun(PLAIN, CLIP.track)
    removed = [name for cut in push(segmenter, pictures(200)) for name in cut.removed]
    text = segmenter.playlist()
    names = listed(text)
    assert len(names) == 5
    assert tag(text, "EXT-X-MEDIA-SEQUENCE") == names[0].removesuffix(".ts")
    numbers = [int(name.removesuffix(".ts")) for name in names]
    kept = [int(name.removesuffix(".ts")) for name in segmenter.files]
    assert kept == list(range(numbers[0] - 6, numbers[-1] + 1))
    assert removed == [f"{number}.ts" for number in range(kept[0])]


def test_hours_of_a_stream_do_not_make_it_grow() -> None:
    segmenter = begun(replace(LOW_LATENCY, fragment_s=2), CLIP.track)
    frames = list(pictures(2))
    highest = 0
    for hour in range(2 * 60 * 60 // 2):
        for frame in frames[::5]:  # five pictures a second are enough for this
            shifted = replace(frame, dts_ticks=frame.dts_ticks + hour * 180_000, units=frame.units)
            shifted.pts_ticks = shifted.dts_ticks
            segmenter.push(shifted)
        if hour == 60:
            highest = len(segmenter.files)
        if hour > 60:
            assert len(segmenter.files) <= highest + 12
    assert int(tag(segmenter.playlist(), "EXT-X-MEDIA-SEQUENCE")) > 3500
    assert len(listed(segmenter.playlist())) == 5


def test_times_of_the_wall_clock_are_those_of_the_first_pictures() -> None:
    segmenter = begun(PLAIN, CLIP.track)
    segmenter.set_clock(1_700_000_000.0)
    push(segmenter, pictures(10))
    found = re.findall(r"#EXT-X-PROGRAM-DATE-TIME:(\S+)", segmenter.playlist().decode())
    assert found == ["2023-11-14T22:13:20.000Z", "2023-11-14T22:13:21.000Z", "2023-11-14T22:13:22.000Z"]


def test_what_a_player_may_wait_for() -> None:
    segmenter = begun(LOW_LATENCY, CLIP.track)
    push(segmenter, pictures(7.9))  # segments 0 and 1 of a second, 2 of four, and most of 3
    assert segmenter.has(1, None)
    assert segmenter.has(2, None)
    assert not segmenter.has(3, None)
    assert segmenter.has(3, 0)
    assert not segmenter.has(3, 60)
    # A part behind the last one of a segment is the first one of the next (section 6.2.5.2).
    assert segmenter.has(2, 1000)
    assert segmenter.has(0, 1000)
    assert not segmenter.has(4, 0)
    assert segmenter.is_near(4)
    assert not segmenter.is_near(5)


# Changes


def test_new_parameters_are_a_discontinuity_at_their_keyframe() -> None:
    large = make_clip(width=640, height=480, gop=25)
    segmenter = begun(PLAIN, CLIP.track)
    push(segmenter, pictures(5))
    assert segmenter.variant("x").size == (320, 240)
    push(segmenter, pictures(9, start_s=5, clip=large))
    text = segmenter.playlist().decode()
    assert text.count("#EXT-X-DISCONTINUITY\n") == 1
    assert segmenter.variant("x").size == (640, 480)
    assert durations(text.encode())[:3] == pytest.approx([1, 1, 3])


def test_a_publisher_who_returns_goes_on_behind_a_discontinuity() -> None:
    segmenter = begun(LOW_LATENCY, CLIP.track)
    push(segmenter, pictures(6.5))
    cut = segmenter.end_stream()
    assert cut is not None
    assert cut.segment is not None
    assert cut.segment.entry.duration_s == pytest.approx(0.48)
    assert "ENDLIST" not in segmenter.playlist().decode()
    hint = segmenter.hint
    segmenter.begin([CLIP.track, AAC])
    assert segmenter.hint == hint
    push(segmenter, pictures(20))  # its time begins anew
    assert hint in segmenter.files
    text = segmenter.playlist()
    assert text.count(b"#EXT-X-DISCONTINUITY\n") == 1
    push(segmenter, pictures(30, start_s=20))
    assert tag(segmenter.playlist(), "EXT-X-DISCONTINUITY-SEQUENCE") == "1"


@pytest.mark.parametrize("jump_s", [-100.0, 500.0])
def test_a_jump_of_the_timeline_is_a_discontinuity(jump_s: float) -> None:
    segmenter = begun(LOW_LATENCY, CLIP.track)
    push(segmenter, pictures(6.5, start_s=1000))
    push(segmenter, pictures(3.5, start_s=1000 + jump_s))
    text = segmenter.playlist()
    assert text.count(b"#EXT-X-DISCONTINUITY\n") == 1
    assert max(durations(text)) <= 4
    assert min(durations(text)) > 0


def test_small_steps_back_do_no_harm() -> None:
    segmenter = begun(LOW_LATENCY, CLIP.track)
    frames = list(pictures(10))
    for before, after in list(pairwise(frames))[::7]:
        before.dts_ticks, after.dts_ticks = after.dts_ticks, before.dts_ticks
    push(segmenter, iter(frames))
    text = segmenter.playlist()
    assert b"DISCONTINUITY" not in text
    assert all(float(value) >= 0 for value in re.findall(r"DURATION=([0-9.]+)", text.decode()))


def test_the_end_is_said_once_and_for_all() -> None:
    segmenter = begun(LOW_LATENCY, CLIP.track)
    push(segmenter, pictures(3))
    segmenter.end_stream()
    segmenter.ended = True
    assert segmenter.playlist().endswith(b"#EXT-X-ENDLIST\n")
    assert segmenter.hint is None
    assert segmenter.end_stream() is None


def test_a_segment_without_end_is_cut_and_the_next_begins_with_a_keyframe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("manycast.wire.hls.segmenter.MAX_SEGMENT_BYTES", 100_000)
    segmenter = begun(replace(PLAIN, fragment_s=300), CLIP.track)
    frames = [frame for frame in pictures(51) if not frame.keyframe or frame.dts_ticks in (0, 50 * 90_000)]
    cuts = push(segmenter, iter(frames))
    assert [cut.overflowed for cut in cuts] == [True]
    assert cuts[0].segment is not None
    assert len(cuts[0].segment.file.data) < 130_000
    segmenter.end_stream()
    assert segmenter.playlist().count(b"#EXT-X-DISCONTINUITY\n") == 1


def test_what_is_kept_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("manycast.wire.hls.segmenter.MAX_KEPT_BYTES", 2_000_000)
    segmenter = begun(replace(PLAIN, playlist=5), CLIP.track)
    push(segmenter, pictures(200))
    size = sum(len(file.data) for file in segmenter.files.values())
    assert size < 2_500_000
    assert all(name in segmenter.files for name in listed(segmenter.playlist()))


# Tracks


def test_what_cannot_be_carried_is_left_out_and_nothing_left_is_refused() -> None:
    segmenter = Segmenter(PLAIN)
    assert segmenter.begin([CLIP.track, G711]) == [G711]
    assert not Segmenter.can_carry([MJPEG, G711])
    assert Segmenter.can_carry([MJPEG, AAC])


@pytest.mark.parametrize("video", [Codec.H264, Codec.H265, Codec.VP9, Codec.AV1])
@pytest.mark.parametrize("audio", [Codec.AAC, Codec.OPUS, Codec.MP3, Codec.FLAC])
def test_each_codec_is_in_the_form_that_hls_has_for_it_and_decodes(video: Codec, audio: Codec) -> None:
    track, seen = normalised(video, coded_video(video))
    heard_track, sounds = coded_audio(audio)
    heard = list(sounds)
    segmenter = begun(LOW_LATENCY, track, heard_track)
    push(segmenter, iter(interleaved((90_000, seen), (heard_track.clock_rate_hz, heard))))
    segmenter.end_stream()
    text = segmenter.playlist()
    names = listed(text)
    fragmented = video is not Codec.H264 or audio in (Codec.OPUS, Codec.FLAC)
    assert names[0].endswith(".m4s" if fragmented else ".ts")
    variant = segmenter.variant("x")
    prefix = {Codec.H264: "avc1.", Codec.H265: "hvc1.", Codec.VP9: "vp09.", Codec.AV1: "av01."}[video]
    assert variant.codecs[0].startswith(prefix)
    names_of_sound = {Codec.AAC: "mp4a.40.2", Codec.OPUS: "opus", Codec.MP3: "mp4a.40.34", Codec.FLAC: "fLaC"}
    assert variant.codecs[1] == names_of_sound[audio]
    assert variant.size == (320, 240)
    assert variant.frame_rate == 25
    data = b"".join(bytes(segmenter.files[name].data) for name in names)
    if fragmented:
        data = bytes(segmenter.files["init0.mp4"].data) + data
        assert text.count(b'#EXT-X-MAP:URI="init0.mp4"\n') == 1
    with av.open(io.BytesIO(data), "r") as container:
        decoded = len(list(container.decode(video=0)))
    assert decoded == len(coded_video(video))
    with av.open(io.BytesIO(data), "r") as container:
        first: dict[str, float] = {}  # by the kind, the earliest time shown
        for packet in container.demux():
            if packet.pts is not None:
                time_s = float(packet.pts * packet.time_base)
                first[packet.stream.type] = min(time_s, first.get(packet.stream.type, time_s))
    heard = [frame for frame in heard if frame.dts_ticks / heard_track.clock_rate_hz >= seen[0].dts_ticks / 90_000]
    apart_s = heard[0].pts_ticks / heard_track.clock_rate_hz - min(frame.pts_ticks for frame in seen) / 90_000
    assert first["audio"] - first["video"] == pytest.approx(apart_s, abs=0.002)


def test_a_stream_in_other_packaging_is_not_accepted() -> None:
    segmenter = begun(PLAIN, CLIP.track)
    assert segmenter.accepts([CLIP.track, AAC])
    assert not segmenter.accepts([normalised(Codec.H265, coded_video(Codec.H265))[0]])
    assert not segmenter.accepts([MJPEG])


@given(st.lists(st.tuples(st.integers(-20_000, 200_000), st.booleans(), st.booleans()), max_size=300))
def test_whatever_times_come_lists_stay_lists(steps: list[tuple[int, bool, bool]]) -> None:
    segmenter = begun(LOW_LATENCY, CLIP.track, AAC)
    ticks = 0
    for step, is_sound, keyframe in steps:
        ticks += step
        frame = next(pictures(1)) if keyframe else list(pictures(1))[1]
        frame.dts_ticks = frame.pts_ticks = ticks
        if is_sound:
            frame = next(sound(1, 1))
            frame.dts_ticks = frame.pts_ticks = ticks * 48 // 90
        segmenter.push(frame)
    segmenter.end_stream()
    text = segmenter.playlist()
    assert all(name in segmenter.files for name in listed(text))
    assert all(float(value) >= 0 for value in re.findall(r"DURATION=([0-9.]+)", text.decode()))
    target = int(tag(text, "EXT-X-TARGETDURATION"))
    assert all(int(duration + 0.5) <= target for duration in durations(text))
