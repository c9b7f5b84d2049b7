"""FLV messages: what the muxer writes the demuxer reads, and what others write too."""

from __future__ import annotations

import io
from dataclasses import replace
from itertools import pairwise

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.clips import make_clip
from support.movies import coded_audio

from manycast.media.aac import AudioSpecificConfig, parameters_from_config
from manycast.media.frame import Frame
from manycast.media.normalise import normalise
from manycast.media.sample import SampleWriter
from manycast.media.sample_clock import SampleClock
from manycast.media.track import AudioParameters, Codec, FlacParameters, MediaKind, PlainParameters, Track
from manycast.wire import amf
from manycast.wire.flv.demux import FlvDemuxer
from manycast.wire.flv.file import file_header, tag
from manycast.wire.flv.message import FlvMessage, MalformedFlv, MessageType, NotCarried
from manycast.wire.flv.mux import ENHANCED_CODECS, PLAIN_CODECS, FlvMuxer, known_codecs
from manycast.wire.flv.reader import FlvReader

CLIP = make_clip()
AAC = Track(
    codec=Codec.AAC,
    clock_rate_hz=44_100,
    parameters=parameters_from_config(AudioSpecificConfig.simple(44_100, 2).serialize()),
)


def audio(codec: Codec, rate_hz: int, channels: int, clock_rate_hz: int | None = None) -> Track:
    parameters = AudioParameters(sample_rate_hz=rate_hz, channels=channels)
    return Track(codec=codec, clock_rate_hz=clock_rate_hz or rate_hz, parameters=parameters)


def sound(index: int, ticks: int, unit: bytes) -> Frame:
    return Frame(track_index=index, dts_ticks=ticks, pts_ticks=ticks, keyframe=True, units=[unit])


def through(muxer: FlvMuxer, frames: list[Frame]) -> tuple[FlvDemuxer, list[Frame]]:
    demuxer = FlvDemuxer()
    received = []
    for message in muxer.start(0):
        received += demuxer.push(message)
    for frame in frames:
        for message in muxer.messages(frame):
            received += demuxer.push(message)
    return demuxer, received


@pytest.mark.parametrize("old_hevc", [False, True])
def test_pictures_come_out_as_they_went_in(old_hevc: bool) -> None:
    track = CLIP.track
    frames = []
    for number in range(30):
        frame = CLIP.frame(number)
        track = normalise(frame, track)
        frames.append(replace(frame, pts_ticks=frame.dts_ticks + 90 * 40))
    demuxer, received = through(FlvMuxer([track], old_hevc=old_hevc), frames)
    assert demuxer.video is not None
    assert demuxer.video.codec is track.codec
    assert demuxer.video.parameters == track.parameters
    assert demuxer.expected == {MediaKind.VIDEO}
    assert [frame.units for frame in received] == [frame.units for frame in frames]
    assert [frame.keyframe for frame in received] == [frame.keyframe for frame in frames]
    for before, after in zip(frames, received, strict=True):
        assert abs(before.dts_ticks - after.dts_ticks) < 90
        assert abs(before.pts_ticks - after.pts_ticks) <= 90


@pytest.mark.parametrize(
    ("track", "unit", "samples"),
    [
        (AAC, b"\x21\x10\x04", 1024),
        (audio(Codec.G711A, 8000, 1), bytes(160), 160),
        (audio(Codec.G711U, 8000, 1), bytes(320), 320),
        (audio(Codec.OPUS, 48_000, 2), b"\xfc\x01\x02", 960),
        (audio(Codec.AC3, 48_000, 2), bytes.fromhex("0b770000144040430000") + bytes(100), 1536),
        (audio(Codec.MP3, 44_100, 2, 90_000), bytes.fromhex("fffb9064") + bytes(413), 1152),
    ],
)
def test_sound_comes_out_with_exact_times(track: Track, unit: bytes, samples: int) -> None:
    rate_hz = track.parameters.sample_rate_hz  # type: ignore[union-attr]
    frames = [sound(0, n * samples * track.clock_rate_hz // rate_hz, unit) for n in range(400)]
    demuxer, received = through(FlvMuxer([track]), frames)
    assert demuxer.audio is not None
    assert demuxer.audio.codec is track.codec
    assert demuxer.audio.clock_rate_hz == track.clock_rate_hz
    assert [frame.units for frame in received] == [[unit]] * 400
    assert [frame.pts_ticks for frame in received] == [frame.pts_ticks for frame in frames]


def test_flac_goes_there_and_back_with_its_streaminfo() -> None:
    track, frames = coded_audio(Codec.FLAC)
    sent = [replace(frame, track_index=0) for frame in frames]
    muxer = FlvMuxer([track])
    demuxer, received = through(muxer, sent)
    assert isinstance(track.parameters, FlacParameters)
    assert muxer.start(0)[1].body == b"\x90fLaCfLaC\x80\x00\x00\x22" + track.parameters.streaminfo
    assert demuxer.audio == track
    assert [frame.units for frame in received] == [frame.units for frame in frames]
    assert [frame.pts_ticks for frame in received] == [frame.pts_ticks for frame in frames]


def test_several_frames_of_flac_in_a_message() -> None:
    track, frames = coded_audio(Codec.FLAC)
    demuxer = FlvDemuxer()
    demuxer.push(FlvMuxer([track]).start(0)[1])
    received = []
    for start in range(0, len(frames), 7):
        together = b"".join(frame.units[0] for frame in frames[start : start + 7])
        time_ms = frames[start].dts_ticks // 48
        received += demuxer.push(FlvMessage(MessageType.AUDIO, time_ms, b"\x91fLaC" + together))
    assert [frame.units for frame in received] == [frame.units for frame in frames]
    assert [frame.pts_ticks for frame in received] == [frame.pts_ticks for frame in frames]


def test_ffmpeg_reads_the_flac_we_write_and_we_read_the_flac_it_writes() -> None:
    """It sends STREAMINFO bare."""
    track, frames = coded_audio(Codec.FLAC)
    muxer = FlvMuxer([track])
    messages = muxer.start(0) + [
        message for frame in frames for message in muxer.messages(replace(frame, track_index=0))
    ]
    written = io.BytesIO(file_header(has_audio=True, has_video=False) + b"".join(map(tag, messages)))
    copied = io.BytesIO()
    with av.open(written, "r") as ours, av.open(copied, "w", format="flv") as theirs:
        assert sum(block.samples for block in ours.decode(audio=0)) == 1152 * len(frames)
        ours.seek(0)
        stream = theirs.add_stream_from_template(ours.streams.audio[0])
        for packet in ours.demux():
            if packet.size:
                packet.stream = stream
                theirs.mux(packet)
    demuxer = FlvDemuxer()
    received = [frame for message in FlvReader().receive(copied.getvalue()) for frame in demuxer.push(message)]
    assert demuxer.audio == track
    assert [frame.units for frame in received] == [frame.units for frame in frames]


def test_new_parameters_are_told_before_the_keyframe_that_has_them() -> None:
    large = make_clip(width=640, height=480)
    muxer = FlvMuxer([CLIP.track])
    demuxer = FlvDemuxer()
    for message in muxer.start(0):
        demuxer.push(message)
    for clip in (CLIP, large, CLIP):
        frame = clip.frame(0)
        normalise(frame, clip.track)
        messages = muxer.messages(frame)
        for message in messages:
            demuxer.push(message)
        assert (messages[-1].kind, messages[-1].body[1]) == (MessageType.VIDEO, 1)
        assert demuxer.video is not None
        assert demuxer.video.parameters == clip.track.parameters


def test_one_picture_and_one_sound_go_the_rest_is_named() -> None:
    metadata = Track(codec=Codec.METADATA, clock_rate_hz=90_000, parameters=PlainParameters())
    muxer = FlvMuxer([CLIP.track, metadata, AAC, audio(Codec.G711A, 8000, 1)])
    assert [track.codec for track in muxer.left_out] == [Codec.METADATA, Codec.G711A]
    assert muxer.has_audio
    assert muxer.has_video
    assert muxer.messages(sound(1, 0, b"<x/>")) == []
    assert not FlvMuxer([metadata]).usable


def test_time_never_runs_backwards_within_a_track() -> None:
    muxer = FlvMuxer([AAC])
    stamps = [muxer.messages(sound(0, ticks, b"x"))[-1].timestamp_ms for ticks in (-5000, 0, 44_100, 22_050, 44_100)]
    assert stamps == [0, 0, 1000, 1000, 1000]


def test_no_picture_is_shown_before_it_is_decoded_where_a_clock_was_set_back() -> None:
    track = CLIP.track
    frames = []
    for number in range(4):
        frame = CLIP.frame(number)
        track = normalise(frame, track)
        ticks = frame.dts_ticks + (90 * 500 if number == 0 else 0)
        frames.append(replace(frame, dts_ticks=ticks, pts_ticks=ticks))
    _, received = through(FlvMuxer([track]), frames)
    assert len(received) == 4
    for before, after in pairwise(received):
        assert before.dts_ticks <= after.dts_ticks <= after.pts_ticks


def test_a_tag_as_the_format_has_it() -> None:
    assert tag(FlvMessage(MessageType.AUDIO, 0x0102_0304, b"ab")) == bytes.fromhex("080000020203040100000061620000000d")
    assert file_header(has_audio=True, has_video=False) == bytes.fromhex("464c560104000000090000 0000".replace(" ", ""))


def test_enhanced_modifiers_are_passed_over() -> None:
    muxer = FlvMuxer([audio(Codec.OPUS, 48_000, 2)])
    demuxer = FlvDemuxer()
    for message in muxer.start(0):
        demuxer.push(message)
    plain = muxer.messages(sound(0, 0, b"\xfc\x01"))[0].body
    modified = bytes((plain[0] & 0xF0 | 7, 2, 1, 2, 3, plain[0] & 0x0F)) + plain[1:]
    (frame,) = demuxer.push(FlvMessage(MessageType.AUDIO, 0, modified))
    assert frame.units == [b"\xfc\x01"]
    with pytest.raises(MalformedFlv, match="past the end"):
        demuxer.push(FlvMessage(MessageType.AUDIO, 0, bytes((0x97, 200, 1))))


def test_the_first_of_several_tracks_in_messages_of_their_own() -> None:
    demuxer = FlvDemuxer()
    head = b"OpusHead" + bytes((1, 2)) + bytes(9)
    demuxer.push(FlvMessage(MessageType.AUDIO, 0, b"\x95\x00Opus\x00" + head))
    (frame,) = demuxer.push(FlvMessage(MessageType.AUDIO, 0, b"\x95\x01Opus\x00\xfc\x01"))
    assert frame.units == [b"\xfc\x01"]
    assert demuxer.audio is not None
    assert demuxer.audio.codec is Codec.OPUS
    with pytest.raises(NotCarried, match="only the first"):
        demuxer.push(FlvMessage(MessageType.AUDIO, 0, b"\x95\x01Opus\x01\xfc\x01"))


@pytest.mark.parametrize(
    ("kind", "body", "reason"),
    [
        (MessageType.VIDEO, b"\x12\x00", "video codec 2"),
        (MessageType.VIDEO, b"\x17", "of 1 bytes"),
        (MessageType.VIDEO, b"\x17\x00\x00\x00\x00\x02", "avcC"),
        (MessageType.VIDEO, b"\x90VP6 ", "VP6"),
        (MessageType.VIDEO, b"\x96\x11avc1\x00", "several video tracks"),
        (MessageType.VIDEO, b"\x96\x01avc1\x01", "more than one video track"),
        (MessageType.VIDEO, b"\x96\x01avc", "within its head"),
        (MessageType.AUDIO, b"\x95\x21Opus\x00", "several audio tracks"),
        (MessageType.AUDIO, b"\x60", "sound format 6"),
        (MessageType.AUDIO, b"\xaf", "1 byte"),
        (MessageType.AUDIO, b"\x90wave", "audio codec"),
        (MessageType.AUDIO, b"\x90OpusNoHead", "identification"),
        (MessageType.AUDIO, b"\x90fLaCfLaC\x80\0\0\x22", "FLAC STREAMINFO of 0 bytes"),
        (MessageType.AUDIO, b"\x91fLaC\xff\xf7", "sync code"),
        (MessageType.AUDIO, b"\x2f\x00\x00", "MPEG audio"),
        (MessageType.DATA, b"\xff", "marker"),
        (MessageType.DATA, bytes(70_000), "at most"),
    ],
)
def test_what_cannot_be_taken_is_refused_by_name(kind: MessageType, body: bytes, reason: str) -> None:
    with pytest.raises(MalformedFlv, match=reason):
        FlvDemuxer().push(FlvMessage(kind, 0, body))


@given(st.lists(st.tuples(st.sampled_from(list(MessageType)), st.binary(max_size=60)), max_size=8))
def test_any_messages_are_read_or_refused(items: list[tuple[MessageType, bytes]]) -> None:
    demuxer = FlvDemuxer()
    for kind, body in items:
        try:
            demuxer.push(FlvMessage(kind, 0, body))
        except MalformedFlv:
            pass


def test_metadata_of_a_publisher() -> None:
    demuxer = FlvDemuxer()
    described = amf.EcmaArray({"width": 640.0, "audiocodecid": 10.0})
    demuxer.push(FlvMessage(MessageType.DATA, 0, amf.encode("@setDataFrame", "onMetaData", described)))
    assert demuxer.expected == {MediaKind.VIDEO, MediaKind.AUDIO}
    demuxer = FlvDemuxer()
    demuxer.push(FlvMessage(MessageType.DATA_AMF3, 0, b"\0" + amf.encode("onMetaData", {"videocodecid": 7.0})))
    assert demuxer.expected == {MediaKind.VIDEO}


def test_a_gap_is_a_gap_and_jitter_is_none() -> None:
    clock = SampleClock(48_000, 48_000)
    assert clock.time(0, 1024) == 0
    assert clock.time(1024 + 500, 1024) == 1024
    assert clock.time(100_000, 1024) == 100_000
    assert clock.time(101_000, 1024) == 101_024


def test_a_sample_writer_leaves_other_codecs_as_they_are() -> None:
    assert SampleWriter(AAC).sample(sound(0, 0, b"abc")) == b"abc"


def test_vp9_is_described_by_its_keyframes() -> None:
    track = Track(codec=Codec.VP9, clock_rate_hz=90_000, parameters=PlainParameters())
    keyframe = bytes.fromhex("82498342") + bytes.fromhex("0013f00eff00") + bytes(20)
    muxer = FlvMuxer([track])
    demuxer = FlvDemuxer()
    frame = Frame(track_index=0, dts_ticks=900, pts_ticks=900, keyframe=True, units=[keyframe])
    messages = muxer.messages(frame)
    assert [message.body[:5] for message in messages] == [b"\x90vp09", b"\x91vp09"]
    received = [received for message in messages for received in demuxer.push(message)]
    assert [(frame.units, frame.keyframe) for frame in received] == [([keyframe], True)]
    assert demuxer.video is not None
    assert demuxer.video.codec is Codec.VP9
    assert muxer.start(0)[1].body == messages[0].body  # the next viewer is told at once


def test_players_are_sent_what_they_name() -> None:
    assert known_codecs(()) == PLAIN_CODECS
    assert known_codecs(("hvc1", "fLaC", "spex")) == PLAIN_CODECS | {Codec.FLAC}
    assert known_codecs(("av01", "Opus")) == PLAIN_CODECS | {Codec.AV1, Codec.OPUS}
    assert known_codecs({"*"}) == ENHANCED_CODECS
