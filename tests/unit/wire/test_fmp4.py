"""Fragmented MP4: what we write, FFmpeg reads back, with every time and every byte."""

from __future__ import annotations

import io
from dataclasses import replace
from itertools import pairwise

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.movies import CLOCK_HZ, HEIGHT, WIDTH, coded_audio, coded_video, interleaved, normalised

from manycast.media.flac import StreamInfo
from manycast.media.frame import Frame
from manycast.media.track import AudioParameters, Codec, FlacParameters, PlainParameters, Track
from manycast.wire.fmp4.fragment import Sample, serialize_fragment
from manycast.wire.fmp4.mux import LEAD_S, Fmp4Muxer
from manycast.wire.fmp4.sample_entry import describe

VIDEO = (Codec.H264, Codec.H265, Codec.VP9, Codec.AV1)
AUDIO = (Codec.AAC, Codec.OPUS, Codec.MP3, Codec.AC3, Codec.FLAC)


def samples_of(muxer: Fmp4Muxer, frames: list[Frame]) -> list[Sample]:
    samples = [muxer.sample(frame) for frame in frames]
    return [sample for sample in samples if sample is not None]


def movie_of(muxer: Fmp4Muxer, samples: list[Sample], per_fragment: int) -> bytes:
    assert muxer.movie is not None
    groups = [samples[start : start + per_fragment] for start in range(0, len(samples), per_fragment)]
    fragments = [serialize_fragment(group, number) for number, group in enumerate(groups, 1)]
    return muxer.movie.init_segment + b"".join(fragments)


def read_back(data: bytes) -> tuple[list[str], list[tuple[int, int, int, bool, bytes]]]:
    """Codec names, and stream, dts, pts, keyframe and bytes of each packet."""
    with av.open(io.BytesIO(data), "r") as container:
        names = [stream.codec_context.name for stream in container.streams]
        packets = [
            (packet.stream_index, packet.dts or 0, packet.pts or 0, packet.is_keyframe, bytes(packet))
            for packet in container.demux()
            if packet.size
        ]
    return names, packets


@pytest.mark.parametrize("per_fragment", [1, 7, 10_000])
@pytest.mark.parametrize(("video", "audio"), list(zip((*VIDEO, Codec.H264), AUDIO, strict=True)))
def test_every_sample_comes_back_with_its_times(video: Codec, audio: Codec, per_fragment: int) -> None:
    picture_track, pictures = normalised(video, coded_video(video))
    sound_track, sounds = coded_audio(audio)
    frames = interleaved((CLOCK_HZ, pictures), (sound_track.clock_rate_hz, list(sounds)))
    muxer = Fmp4Muxer([picture_track, sound_track])
    samples = samples_of(muxer, frames)
    names, packets = read_back(movie_of(muxer, samples, per_fragment))
    assert len(names) == 2
    for index in range(2):
        sent = [sample for sample in samples if sample.track_id == index + 1]
        received = [packet for packet in packets if packet[0] == index]
        assert [packet[1:3] for packet in received] == [(sample.dts_ticks, sample.pts_ticks) for sample in sent]
        assert [packet[4] for packet in received] == [sample.data for sample in sent]
        if not index:
            assert [packet[3] for packet in received] == [sample.keyframe for sample in sent]
    # All tracks are moved by the same whole second.
    moved = {
        (sample.pts_ticks - frame.pts_ticks) / (CLOCK_HZ if sample.track_id == 1 else sound_track.clock_rate_hz)
        for sample, frame in zip(samples, frames, strict=True)
    }
    assert len(moved) == 1


@pytest.mark.parametrize("video", VIDEO)
def test_the_pictures_can_be_decoded(video: Codec) -> None:
    track, frames = normalised(video, coded_video(video))
    muxer = Fmp4Muxer([track])
    data = movie_of(muxer, samples_of(muxer, frames), 1)
    assert muxer.movie is not None
    assert muxer.movie.size == (WIDTH, HEIGHT)
    with av.open(io.BytesIO(data), "r") as container:
        pictures = list(container.decode(video=0))
    assert len(pictures) == len(frames)
    assert {(picture.width, picture.height) for picture in pictures} == {(WIDTH, HEIGHT)}
    assert [picture.pts for picture in pictures] == sorted(picture.pts or 0 for picture in pictures)


@pytest.mark.parametrize("audio", AUDIO)
def test_the_sound_can_be_decoded(audio: Codec) -> None:
    track, frames = coded_audio(audio)
    muxer = Fmp4Muxer([track])
    samples = samples_of(muxer, [replace(frame, track_index=0) for frame in frames])
    data = movie_of(muxer, samples, 1)
    assert muxer.movie is not None
    assert muxer.movie.mime_type.startswith("audio/mp4; ")
    with av.open(io.BytesIO(data), "r") as container:
        decoded = list(container.decode(audio=0))
    assert decoded[0].rate == 48_000
    assert decoded[0].layout.name == "stereo"
    assert sum(frame.samples for frame in decoded) >= 90_000
    assert {sample.duration_ticks for sample in samples[:-1]} == {samples[1].dts_ticks - samples[0].dts_ticks}


def test_a_duration_is_set_once_the_next_frame_is_there() -> None:
    track, frames = normalised(Codec.H264, coded_video(Codec.H264))
    muxer = Fmp4Muxer([track])
    samples = samples_of(muxer, [replace(frame, dts_ticks=2 * frame.dts_ticks) for frame in frames])
    assert all(sample.duration_ticks == 2 * CLOCK_HZ // 25 for sample in samples)


def test_mime_types_name_profiles_and_levels() -> None:
    wanted = {
        (Codec.H264, Codec.AAC): ("avc1.64000d", "mp4a.40.2"),
        (Codec.H265, Codec.OPUS): ("hvc1.1.6.L60.90", "opus"),
        (Codec.VP9, Codec.MP3): ("vp09.00.20.08", "mp4a.6B"),
        (Codec.AV1, Codec.AC3): ("av01.0.00M.08", "ac-3"),
        (Codec.H264, Codec.FLAC): ("avc1.64000d", "flac"),
    }
    for (video, audio), codecs in wanted.items():
        picture_track, pictures = normalised(video, coded_video(video))
        sound_track, sounds = coded_audio(audio)
        muxer = Fmp4Muxer([picture_track, sound_track])
        samples_of(muxer, [*pictures[:1], *sounds[:1]])
        assert muxer.movie is not None
        assert muxer.movie.codecs == codecs
        assert muxer.movie.mime_type == f'video/mp4; codecs="{codecs[0]}, {codecs[1]}"'


def test_new_parameters_make_a_new_movie_and_the_same_ones_do_not() -> None:
    track, frames = normalised(Codec.H264, coded_video(Codec.H264))
    _, others = normalised(Codec.H264, coded_video(Codec.H264, 30, width=160, height=120))
    muxer = Fmp4Muxer([track])
    first = muxer.movie
    assert first is not None
    samples_of(muxer, frames)
    assert muxer.movie is first
    later = [replace(frame, dts_ticks=frame.dts_ticks + 300_000) for frame in others]
    samples_of(muxer, later)
    assert muxer.movie is not first
    assert muxer.movie is not None
    assert muxer.movie.size == (160, 120)


@pytest.mark.parametrize(
    ("rate_hz", "written_hz"),
    [(44_100, 44_100), (96_000, 48_000), (176_400, 44_100), (192_000, 48_000), (655_350, 65_535), (95_999, 65_535)],
)
def test_flac_is_described_by_its_streaminfo(rate_hz: int, written_hz: int) -> None:
    """Encapsulation of FLAC in ISO Base Media File Format section 3.3: entry, rate field and FLAC specific box."""
    info = StreamInfo(
        least_block_samples=4096,
        most_block_samples=4096,
        least_frame_bytes=0,
        most_frame_bytes=0,
        sample_rate_hz=rate_hz,
        channels=6,
        bits_per_sample=24,
    ).serialize()
    parameters = FlacParameters(streaminfo=info, sample_rate_hz=rate_hz, channels=6)
    described = describe(Track(codec=Codec.FLAC, clock_rate_hz=rate_hz, parameters=parameters))
    assert described is not None
    entry = described.entry
    assert entry[4:8] == b"fLaC"
    assert (entry[24:26], entry[26:28]) == ((6).to_bytes(2), (24).to_bytes(2))
    assert entry[32:36] == written_hz.to_bytes(2) + bytes(2)
    assert entry[36:] == (50).to_bytes(4) + b"dfLa" + bytes(4) + b"\x80\0\0\x22" + info


def test_a_movie_waits_for_its_pictures_but_not_for_its_sound() -> None:
    _, pictures = normalised(Codec.VP9, coded_video(Codec.VP9))
    video = Track(codec=Codec.VP9, clock_rate_hz=CLOCK_HZ, parameters=PlainParameters())
    audio = Track(codec=Codec.MP3, clock_rate_hz=CLOCK_HZ, parameters=AudioParameters())
    muxer = Fmp4Muxer([video, audio])
    assert muxer.movie is None
    muxer.sample(pictures[0])
    assert muxer.movie is not None
    assert muxer.movie.codecs == ("vp09.00.20.08",)


def test_what_mp4_cannot_carry_is_left_out() -> None:
    video, _ = normalised(Codec.H264, coded_video(Codec.H264))
    law = Track(codec=Codec.G711A, clock_rate_hz=8000, parameters=AudioParameters(sample_rate_hz=8000, channels=1))
    muxer = Fmp4Muxer([law, video, video])
    assert muxer.left_out == [law, video]
    assert muxer.usable
    assert muxer.sample(Frame(track_index=0, dts_ticks=0, pts_ticks=0, keyframe=True, units=[b"x"])) is None
    assert not Fmp4Muxer([law]).usable


def test_a_timeline_that_jumps_back_goes_on() -> None:
    track, frames = normalised(Codec.H264, coded_video(Codec.H264, 10))
    late = [replace(frame, dts_ticks=frame.dts_ticks + 10**9, pts_ticks=frame.pts_ticks + 10**9) for frame in frames]
    muxer = Fmp4Muxer([track])
    samples = samples_of(muxer, [*late, *frames])
    steps = [after.dts_ticks - before.dts_ticks for before, after in pairwise(samples)]
    assert all(0 < step <= 2 * CLOCK_HZ for step in steps)
    assert all(abs(sample.pts_ticks - sample.dts_ticks) < CLOCK_HZ for sample in samples)


@given(st.lists(st.tuples(st.integers(-(2**40), 2**40), st.integers(-(2**33), 2**33)), min_size=1, max_size=20))
def test_times_of_all_kinds_can_be_written_and_never_run_backwards(times: list[tuple[int, int]]) -> None:
    track, frames = normalised(Codec.H264, coded_video(Codec.H264))
    muxer = Fmp4Muxer([track])
    samples = samples_of(muxer, [replace(frames[0], dts_ticks=dts, pts_ticks=dts + offset) for dts, offset in times])
    assert [sample.dts_ticks for sample in samples] == sorted({sample.dts_ticks for sample in samples})
    assert samples[0].dts_ticks // CLOCK_HZ == LEAD_S
    for number, sample in enumerate(samples):
        assert len(serialize_fragment([sample], number)) > len(sample.data)


@given(st.binary(max_size=64), st.sampled_from([*VIDEO, *AUDIO]), st.booleans())
def test_broken_frames_break_nothing(data: bytes, codec: Codec, keyframe: bool) -> None:
    if codec in VIDEO:
        track, _ = normalised(codec, coded_video(codec))
    else:
        track, _ = coded_audio(codec)
    muxer = Fmp4Muxer([track])
    unit = data or b"\0"
    sample = muxer.sample(Frame(track_index=0, dts_ticks=0, pts_ticks=0, keyframe=keyframe, units=[unit]))
    assert sample is not None
    assert sample.duration_ticks > 0
