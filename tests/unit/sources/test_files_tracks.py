"""What streams of containers become, and how their packets are unpacked."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import pytest
from av.container import InputContainer
from hypothesis import given
from hypothesis import strategies as st
from support.programs import gst, make

from manycast.media.bits import MalformedBitstream
from manycast.media.frame import Frame
from manycast.media.mpeg4 import VopType, vop_type
from manycast.media.track import Codec, G726Parameters, JpegParameters, XiphParameters
from manycast.sources.files.anchors import AnchorOrder, VopUnpacker
from manycast.sources.files.audio_tracks import AudioFacts, describe_audio
from manycast.sources.files.pcm import is_plain, l16_converter
from manycast.sources.files.picture_order import PictureSlots
from manycast.sources.files.reading import open_and_begin
from manycast.sources.files.timing import AnchorTimes, Sample, TimeScale
from manycast.sources.files.tracks import codec_of, describe_video
from manycast.sources.files.xiph import parameters_from_extradata

from .media_making import make_file, plain_packets, stamp_of
from .test_files_reading import frames_of, read_all

VOP = b"\0\0\1\xb6"
INTRA, PREDICTED, BOTH = VOP + b"\x10i", VOP + b"\x50p", VOP + b"\x90b"
N_VOP = VOP + b"\x50\0"

SAMPLES = [0, 1, -1, 1000, -1000, 32767, -32768]


@pytest.mark.parametrize(
    ("name", "format", "factor"),
    [
        ("pcm_s16le", "<h", 1),
        ("pcm_s16be", ">h", 1),
        ("pcm_s32le", "<i", 1 << 16),
        ("pcm_s32be", ">i", 1 << 16),
        ("pcm_f32le", "<f", 1 / 32768),
        ("pcm_f64be", ">d", 1 / 32768),
    ],
)
def test_samples_become_16_bits_in_network_order(name: str, format: str, factor: float) -> None:
    number = float if "f" in name else int
    stored = b"".join(struct.pack(format, number(sample * factor)) for sample in SAMPLES)
    assert l16_converter(name)(stored) == struct.pack(f">{len(SAMPLES)}h", *SAMPLES)


def test_samples_of_other_widths_keep_their_upper_bits() -> None:
    assert l16_converter("pcm_u8")(b"\x80\x81\x00\xff") == struct.pack(">4h", 0, 256, -32768, 32512)
    assert l16_converter("pcm_s8")(b"\x00\x01\x80") == struct.pack(">3h", 0, 256, -32768)
    assert l16_converter("pcm_s24le")(b"\x99\x34\x12\x00\x00\x80") == b"\x12\x34\x80\x00"
    assert l16_converter("pcm_s24be")(b"\x12\x34\x99") == b"\x12\x34"
    assert l16_converter("pcm_u16le")(b"\x00\x80\xff\xff") == struct.pack(">2h", 0, 32767)
    out_of_range = struct.pack("<5f", 2.0, -2.0, float("inf"), float("-inf"), float("nan"))
    assert l16_converter("pcm_f32le")(out_of_range) == struct.pack(">5h", 32767, -32768, 32767, -32768, 32767)


@given(
    st.sampled_from(["pcm_u8", "pcm_s16le", "pcm_s24be", "pcm_u24le", "pcm_s32le", "pcm_f32be", "pcm_f64le"]),
    st.binary(max_size=100),
)
def test_whatever_the_samples_there_are_as_many(name: str, data: bytes) -> None:
    width = int("".join(filter(str.isdigit, name))) // 8
    try:
        assert len(l16_converter(name)(data)) == 2 * len(data) // width
    except MalformedBitstream:
        assert len(data) % width


def test_codecs_are_known_by_name() -> None:
    assert codec_of("pcm_s24le") is Codec.L16
    assert codec_of("pcm_alaw") is Codec.G711A
    assert codec_of("mp2") is Codec.MP3
    assert not any(map(is_plain, ("pcm_dvd", "pcm_s16le_planar", "pcm_vidc", "adpcm_ms", "pcm_s16lex")))
    assert {codec_of(name) for name in ("eac3", "dts", "dvvideo", "prores", "gsm", "unknown")} == {None}


@given(st.sampled_from([Codec.THEORA, Codec.VORBIS]), st.binary(max_size=80), st.booleans())
def test_hostile_headers_raise_malformed_bitstream_only(codec: Codec, data: bytes, sized: bool) -> None:
    lead = (b"\0\x2a" if codec is Codec.THEORA else b"\0\x1e") if sized else b"\2"
    try:
        parameters = parameters_from_extradata(codec, lead + data)
    except MalformedBitstream:
        return
    assert parameters.identification


@pytest.mark.parametrize("name", ["theora_vorbis.ogv", "mpeg4_vorbis.mkv"])
def test_xiph_headers_are_found_in_either_form(name: str, media_file: Callable[[str], Path]) -> None:
    opened = open_and_begin(media_file(name), stamp_of(media_file(name)))
    opened.cursor.close()
    for track in opened.plan.tracks:
        if isinstance(parameters := track.parameters, XiphParameters):
            headers = (parameters.identification, parameters.comment, parameters.setup)
            assert [header[1:7] for header in headers] == [track.codec.value.lower().encode()] * 3


@pytest.mark.parametrize("bit_rate", [16_000, 24_000, 32_000, 40_000])
def test_g726_is_repacked(tmp_path: Path, bit_rate: int) -> None:
    path = tmp_path / "x.wav"
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("g726", rate=8000)
        stream.layout, stream.bit_rate = "mono", bit_rate
        for number in range(100):
            frame: Any = av.AudioFrame("s16", "mono", 160)
            frame.planes[0].update(
                struct.pack("<160h", *[(number * 160 + i) * 37 % 20_000 - 10_000 for i in range(160)])
            )
            frame.sample_rate, frame.pts = 8000, number * 160
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    plan, groups = read_all(path)
    assert plan.tracks[0].parameters == G726Parameters(bit_rate=bit_rate)
    frames = frames_of(groups, 0)
    assert all(len(frame.units[0]) * 8 == 160 * bit_rate // 8000 for frame in frames[:-1])
    assert _decoded(bit_rate, b"".join(frame.units[0] for frame in frames)) == _as_stored(path)


def _as_stored(path: Path) -> bytes:
    with av.open(str(path)) as container:
        return _sound(container)


def _decoded(bit_rate: int, data: bytes) -> bytes:
    options = {"code_size": str(bit_rate // 8000)}
    with av.open(io.BytesIO(data), "r", format="g726le", container_options=options) as container:
        return _sound(container)


def _sound(container: InputContainer) -> bytes:
    return b"".join(bytes(frame.planes[0])[: 2 * frame.samples] for frame in container.decode(audio=0))


@pytest.mark.parametrize(
    ("codec", "facts"),
    [
        (Codec.MP3, {"first_packet": b"RIFF"}),
        (Codec.AC3, {"first_packet": b"\x0b\x77"}),
        (Codec.AAC, {"first_packet": b""}),
        (Codec.VORBIS, {"extradata": b"\2\xff\xff"}),
        (Codec.G726, {"bit_rate_bps": 32_000, "sample_rate_hz": 16_000}),
        (Codec.G726, {"bit_rate_bps": 31_000, "sample_rate_hz": 8000}),
        (Codec.L16, {"codec_name": "pcm_s16le", "channels": 0}),
        (Codec.G711A, {"sample_rate_hz": 0}),
    ],
)
def test_what_makes_no_sense_is_malformed(codec: Codec, facts: dict[str, Any]) -> None:
    made: dict[str, Any] = {
        "codec_name": "x",
        "sample_rate_hz": 8000,
        "channels": 1,
        "bit_rate_bps": 0,
        "extradata": b"",
        "first_packet": b"",
    } | facts
    with pytest.raises(MalformedBitstream):
        describe_audio(codec, AudioFacts(**made))


def test_broken_packets_are_malformed() -> None:
    jpeg = describe_video(Codec.MJPEG, b"").unpack
    assert jpeg(b"\xff\xd8\xff\xdb") == [b"\xff\xd8\xff\xdb"]
    with pytest.raises(MalformedBitstream):
        jpeg(b"\0\xff\xd8")


def test_packed_bitstreams_are_taken_apart() -> None:
    chunks = [INTRA, PREDICTED + BOTH, N_VOP, PREDICTED + BOTH, N_VOP, PREDICTED]
    unpacker = VopUnpacker()
    assert [unpacker.push(chunk) for chunk in chunks] == [INTRA, PREDICTED, BOTH, PREDICTED, BOTH, PREDICTED]
    unpacker.push(PREDICTED + BOTH)
    unpacker.reset()
    assert unpacker.push(N_VOP) == N_VOP
    unpacker.push(PREDICTED + BOTH)
    assert unpacker.push(long := INTRA + bytes(30)) == long  # the place-holder was left out


def test_pictures_of_a_packed_bitstream_get_their_order_from_their_types() -> None:
    order, slots, unpacker = AnchorOrder(is_mpeg4=True), PictureSlots(), VopUnpacker()
    described = describe_video(Codec.MPEG4, b"")
    done: list[Sample] = []
    for index, chunk in enumerate([INTRA, PREDICTED + BOTH, N_VOP, PREDICTED + BOTH, N_VOP, PREDICTED]):
        units = [unpacker.push(chunk)]
        sample = _sample(index, None, keyframe=index == 0)
        done += slots.push(sample, order.count(units, described.track.parameters, keyframe=sample.keyframe))
    done += slots.flush()
    assert [(sample.dts, sample.pts) for sample in done] == [(0, 0), (1, 2), (2, 1), (3, 4), (4, 3), (5, 5)]


def test_a_film_with_a_packed_bitstream_is_shown_in_order(tmp_path: Path) -> None:
    plain = make_file(tmp_path / "plain.avi", video="mpeg4", audio=None, b_frames=1, seconds=2)
    packets = plain_packets(plain, "video")
    chunks: list[bytes] = []
    for index, packet in enumerate(packets):
        if vop_type(packet) is VopType.B:
            chunks[-1] += packet
            chunks.append(N_VOP)
        else:
            chunks.append(packet)
        assert len(chunks) == index + 1
    path = tmp_path / "packed.avi"
    with av.open(str(plain)) as reading, av.open(str(path), "w") as writing:
        stream: Any = writing.add_stream_from_template(reading.streams[0])
        for index, chunk in enumerate(chunks):
            packed = av.Packet(chunk)
            packed.stream, packed.pts, packed.dts = stream, index, index
            packed.is_keyframe = index % 25 == 0
            writing.mux(packed)
    expected, got = (frames_of(read_all(each)[1], 0) for each in (plain, path))
    assert [frame.units for frame in got] == [frame.units for frame in expected]
    assert [frame.pts_ticks for frame in got] == [frame.pts_ticks for frame in expected]


def test_matroska_with_the_times_of_avi_is_shown_in_order(tmp_path: Path) -> None:
    plain = make_file(tmp_path / "plain.avi", video="mpeg4", audio=None, seconds=2)
    path = tmp_path / "x.mkv"
    caps = "video/x-divx,divxversion=(int)5,width=160,height=120,framerate=25/1"
    setter = f"capssetter join=false replace=true caps={caps}"
    gst(f"filesrc location={plain} ! avidemux ! {setter} ! matroskamux ! filesink location={path}")
    assert b"V_MS/VFW/FOURCC" in path.read_bytes()
    plan, expected = read_all(plain)
    _plan, got = read_all(path)
    assert [frame.pts_ticks for frame in frames_of(got, 0)] == [frame.pts_ticks for frame in frames_of(expected, 0)]
    assert [group.position_us for group in got] == [group.position_us for group in expected]
    assert plan.tracks[0].codec is Codec.MPEG4


def _sample(dts: int, pts: int | None, *, keyframe: bool = False) -> Sample:
    return Sample(track_index=0, dts=dts, pts=pts, duration=1, keyframe=keyframe, units=[b"x"])


def _timed(timing: AnchorTimes, samples: list[Sample]) -> list[tuple[int, int]]:
    frames: list[Frame] = [frame for sample in samples for frame in timing.push(sample)] + timing.flush()
    return [(frame.dts_ticks, frame.pts_ticks) for frame in frames]


# I2 B0 B1 P5 B3 B4 P8 B6 B7, decoded one after the other; anchors tell no pts but the first.
SPARSE = [(0, 3), (1, 1), (2, 2), (3, None), (4, 4), (5, 5), (6, None), (7, 7), (8, 8)]


def test_an_anchor_without_pts_is_shown_when_the_next_one_is_decoded() -> None:
    timing = AnchorTimes(TimeScale(Fraction(1, 1000), Fraction(0), 1000))
    samples = [_sample(dts, pts, keyframe=index == 0) for index, (dts, pts) in enumerate(SPARSE)]
    assert _timed(timing, samples) == [
        (0, 3), (1, 1), (2, 2), (3, 6), (4, 4), (5, 5), (6, 9), (7, 7), (8, 8)
    ]  # fmt: skip


def test_after_a_search_times_are_believed_from_a_given_pts_on() -> None:
    timing = AnchorTimes(TimeScale(Fraction(1, 1000), Fraction(0), 1000))
    timing.reset()
    samples = [_sample(dts, pts) for dts, pts in [(50, 50), (51, None), (52, 52), (6, 9), (7, 7), (8, 8)]]
    assert _timed(timing, samples) == [(6, 9), (7, 7), (8, 8)]
    timing.reset()
    assert _timed(timing, [_sample(6, 6, keyframe=True), _sample(7, 7)]) == [(6, 6), (7, 7)]  # no B pictures


def test_b_pictures_without_an_anchor_are_not_held_back_for_ever() -> None:
    timing = AnchorTimes(TimeScale(Fraction(1, 1000), Fraction(0), 1000))
    given = [frame for index in range(200) for frame in timing.push(_sample(index, None if index == 0 else index))]
    assert len(given) > 150


def test_times_that_only_some_pictures_have_are_completed(tmp_path: Path) -> None:
    path = make_file(
        tmp_path / "x.vob",
        muxer="vob",
        video="mpeg2video",
        audio="ac3",
        size="64x64",
        sample_rate=48_000,
        group=12,
        video_options={"b": "30000"},
    )
    with av.open(str(path)) as container:
        container.flags &= ~1
        assert [packet.pts for packet in container.demux(video=0)].count(None) > 10  # the file is as it should be
    _plan, groups = read_all(path)
    frames = frames_of(groups, 0)
    pts = sorted(frame.pts_ticks for frame in frames)
    assert {b - a for a, b in pairwise(pts)} == {3600}
    assert {b.dts_ticks - a.dts_ticks for a, b in pairwise(frames)} == {3600}


def test_keyframes_start_with_what_a_decoder_needs(media_file: Callable[[str], Path]) -> None:
    for name, start in (
        ("mpeg4_ac3.mp4", b"\0\0\1\xb0"),
        ("mpeg4_mp3.avi", b"\0\0\1\xb0"),
        ("mpeg4.m4e", b"\0\0\1\xb0"),
        ("mpeg1.m1v", b"\0\0\1\xb3"),
        ("mpeg2_mp3.mkv", b"\0\0\1\xb3"),
    ):
        _plan, groups = read_all(media_file(name))
        frames = frames_of(groups, 0)
        assert all(frame.units[0].startswith(start) == frame.keyframe for frame in frames)


def test_a_sequence_header_that_is_not_repeated_is_put_before_each_keyframe(
    media_file: Callable[[str], Path], tmp_path: Path
) -> None:
    data = media_file("mpeg2.m2v").read_bytes()
    header_end = data.index(b"\0\0\1\xb8")
    header = data[:header_end]
    path = tmp_path / "x.m2v"
    path.write_bytes(header + data.replace(header, b""))
    _plan, groups = read_all(path)
    keyframes = [frame.units[0] for frame in frames_of(groups, 0) if frame.keyframe]
    assert len(keyframes) == data.count(header) > 5
    assert all(frame.startswith(header) for frame in keyframes)


def test_covers_are_no_pictures_of_a_film(media_file: Callable[[str], Path], tmp_path: Path) -> None:
    path = tmp_path / "x.mp3"
    with av.open(str(media_file("mp3.mp3"))) as sound, av.open(str(path), "w") as container:
        stream: Any = container.add_stream_from_template(sound.streams[0])
        with av.open(str(media_file("mjpeg.mjpeg")), format="mjpeg") as pictures:
            cover: Any = container.add_stream_from_template(pictures.streams[0])
            cover.disposition = av.stream.Disposition.attached_pic
            image = next(packet for packet in pictures.demux() if packet.size)
            image.stream = cover
            container.mux(image)
        for packet in sound.demux():
            if packet.dts is not None:
                packet.stream = stream
                container.mux(packet)
    plan, _groups = read_all(path)
    assert [track.codec for track in plan.tracks] == [Codec.MP3]


@pytest.mark.parametrize(
    ("name", "codecs"),
    [("x.dv", ["dvvideo", "L16"]), ("x.mov", ["prores", "alac"]), ("x.mkv", ["H264", "eac3"]), ("x.mka", ["eac3"])],
)
def test_what_nothing_carries_is_kept_to_be_converted(
    tmp_path: Path, name: str, codecs: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    video, audio, size, pixels = {
        "x.dv": ("dvvideo", "pcm_s16le", "720x576", "yuv420p"),
        "x.mov": ("prores_ks", "alac", "160x120", "yuv422p10le"),
        "x.mkv": ("libx264", "eac3", "160x120", "yuv420p"),
        "x.mka": (None, "eac3", "", ""),
    }[name]
    path = make_file(
        tmp_path / name,
        video=video,
        audio=audio,
        seconds=1,
        size=size,
        pixels=pixels,
        sample_rate=48_000,
        video_options=None if video == "libx264" else {"bf": "0"},
    )
    with caplog.at_level("INFO", logger="manycast"):
        plan, groups = read_all(path)
    assert [track.codec_name for track in plan.tracks] == codecs
    foreign = [codec for codec in codecs if codec.islower()]
    assert [track.codec_name for track in plan.tracks if track.codec is Codec.FOREIGN] == foreign
    assert f"{name}: no protocol carries " in caplog.text
    for index, track in enumerate(plan.tracks):
        frames = frames_of(groups, index)
        last_s = frames[-1].pts_ticks / track.clock_rate_hz
        assert 0.85 < last_s < 1
        assert [frame.dts_ticks for frame in frames] == sorted({frame.dts_ticks for frame in frames})


def test_what_is_of_an_odd_kind_is_kept_to_be_converted(tmp_path: Path) -> None:
    path = make(
        tmp_path / "x.wav",
        *(
            "-f",
            "lavfi",
            "-i",
            "sine=duration=1",
            "-ar",
            "16000",
            "-ac",
            "1",
            "-c:a",
            "g726",
            "-strict",
            "-2",
            "-b:a",
            "64k",
        ),
    )
    plan, groups = read_all(path)
    assert [track.codec_name for track in plan.tracks] == ["adpcm_g726"]
    assert frames_of(groups, 0)


def test_a_track_that_is_carried_is_taken_before_one_that_is_not(tmp_path: Path) -> None:
    path = make(
        tmp_path / "x.mkv",
        *("-f", "lavfi", "-i", "sine=duration=1", "-map", "0:a", "-map", "0:a", "-c:a:0", "eac3", "-c:a:1", "aac"),
    )
    opened = open_and_begin(path, stamp_of(path))
    opened.cursor.close()
    assert [track.codec for track in opened.plan.tracks] == [Codec.AAC]


def test_a_track_of_jpeg_tells_why_rtp_cannot_carry_it(tmp_path: Path) -> None:
    path = make_file(tmp_path / "x.avi", video="mjpeg", audio="pcm_s16le", seconds=1, pixels="yuvj444p")
    opened = open_and_begin(path, stamp_of(path))
    opened.cursor.close()
    assert [track.codec for track in opened.plan.tracks] == [Codec.MJPEG, Codec.L16]
    parameters = opened.plan.tracks[0].parameters
    assert isinstance(parameters, JpegParameters)
    assert parameters.fault.startswith("sampling 1x2,1x2,1x2, wanted")


def test_wide_samples_are_reduced_with_a_word(
    media_file: Callable[[str], Path], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", logger="manycast"):
        for name in ("s24.wav", "s16.wav"):
            open_and_begin(media_file(name), stamp_of(media_file(name))).cursor.close()
    assert [record.getMessage() for record in caplog.records] == ["s24.wav: pcm_s24le is sent with 16 bits a sample"]


@pytest.mark.parametrize("name", ["mpeg1.mpg", "mpeg2.vob", "vp8.webm", "theora_vorbis.ogv", "s16.wav", "mp3.mp3"])
def test_what_a_file_is_is_seen_by_its_content(name: str, media_file: Callable[[str], Path], tmp_path: Path) -> None:
    path = tmp_path / "film"
    path.write_bytes(media_file(name).read_bytes())
    opened = open_and_begin(path, stamp_of(path))
    named = open_and_begin(media_file(name), stamp_of(media_file(name)))
    opened.cursor.close(), named.cursor.close()
    assert opened.plan.tracks == named.plan.tracks
