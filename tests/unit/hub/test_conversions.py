"""What a protocol cannot carry is converted once for all who need it, and for no longer than they do."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from weakref import ref

import pytest
from support.clips import make_clip
from support.waiting import until

from manycast.hub.catalogue import Catalogue
from manycast.hub.conversions import ConversionOptions, Conversions
from manycast.hub.frame_tap import FrameTap
from manycast.hub.hub import Hub
from manycast.hub.output import Output
from manycast.hub.source import FrameSink, Source, SourceError
from manycast.hub.stored import StoredMedia
from manycast.hub.stream import Stream
from manycast.media.frame import Frame
from manycast.media.track import (
    AacParameters,
    AudioParameters,
    Codec,
    FlacParameters,
    H264Parameters,
    JpegParameters,
    MediaKind,
    Mpeg4Parameters,
    PassedParameters,
    PlainParameters,
    Track,
)

CLIP = make_clip()
JPEG = Track(codec=Codec.MJPEG, clock_rate_hz=90_000, parameters=PlainParameters())
MPEG4 = Track(codec=Codec.MPEG4, clock_rate_hz=90_000, parameters=Mpeg4Parameters(config=b"config"))
ALAW = Track(codec=Codec.G711A, clock_rate_hz=8000, parameters=AudioParameters(sample_rate_hz=8000, channels=1))
OPUS = Track(codec=Codec.OPUS, clock_rate_hz=48_000, parameters=AudioParameters(sample_rate_hz=48_000, channels=2))
ODD_JPEG = replace(JPEG, parameters=JpegParameters(width=640, height=480, fault="sampling 1x1"))
FLAC = Track(
    codec=Codec.FLAC,
    clock_rate_hz=48_000,
    parameters=FlacParameters(streaminfo=b"", sample_rate_hz=48_000, channels=2),
)
AAC = Track(
    codec=Codec.AAC,
    clock_rate_hz=48_000,
    parameters=AacParameters(config=b"\x11\x90", sample_rate_hz=48_000, channels=2),
)
METADATA = Track(codec=Codec.METADATA, clock_rate_hz=90_000, parameters=PlainParameters())
PASSED = Track(
    codec=Codec.UNKNOWN,
    clock_rate_hz=90_000,
    parameters=PassedParameters(kind=MediaKind.VIDEO, payload_type=96, encoding_name="JPEG2000"),
)

VECTORS = Path(__file__).parents[2] / "vectors" / "jpeg"
FLV = frozenset({Codec.H264, Codec.AAC, Codec.G711A})
HLS = frozenset({Codec.H264, Codec.AAC})
SOON = 0.05


@dataclass
class Relabelling:
    """Transcodes nothing, but calls it so."""

    asked: list[list[Codec]] = field(default_factory=list)  # the codecs of what was transcoded, at each start
    running: int = 0

    async def media(self, media: StoredMedia, output: Output) -> StoredMedia:
        raise NotImplementedError

    def source(self, source: Source, output: Output, name: str) -> Source:
        return _Relabelled(self, source, output)

    def changes(self, tracks: Sequence[Track], output: Output) -> bool:
        return any(_target(track, output) is not None for track in tracks)


@dataclass
class _Relabelled:
    owner: Relabelling
    inner: Source
    output: Output

    async def run(self, publish: Callable[[Sequence[Track]], FrameSink]) -> None:
        def publish_others(tracks: Sequence[Track]) -> FrameSink:
            self.owner.asked.append([track.codec for track in tracks])
            return publish([_target(track, self.output) or track for track in tracks])

        self.owner.running += 1
        try:
            await self.inner.run(publish_others)
        finally:
            self.owner.running -= 1


def _target(track: Track, output: Output) -> Track | None:
    if track.kind is MediaKind.VIDEO:
        if isinstance(track.parameters, JpegParameters) and output.video.codec is Codec.MJPEG:
            return JPEG
        return None if output.video.codec in (None, track.codec) else CLIP.track
    return None if output.audio.codec in (None, track.codec) or track.kind is not MediaKind.AUDIO else AAC


class Sink:
    def __init__(self) -> None:
        self.frames: list[Frame] = []

    def push(self, frame: Frame) -> None:
        self.frames.append(frame)


def conversions(transcoding: Relabelling, **options: bool) -> Conversions:
    return Conversions(transcoding, ConversionOptions(linger_s=SOON, **options))


def live(*tracks: Track) -> Stream:
    return Stream("live", tracks, "a test")


def codecs_of(stream: Stream) -> list[Codec]:
    return [track.codec for track in stream.tracks]


def watch(stream: Stream, ended: Callable[[str], None] = lambda _: None) -> object:
    watcher = object()
    stream.watch(watcher, FrameTap, ended)
    return watcher


async def test_what_is_carried_stays_as_it_is() -> None:
    transcoding = Relabelling()
    stream = live(CLIP.track, ALAW)
    assert await conversions(transcoding).stream_for(stream, FLV) is stream
    assert not transcoding.asked


async def test_all_who_need_the_same_share_it_and_it_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    transcoding = Relabelling()
    converting = conversions(transcoding)
    stream = live(MPEG4, OPUS)
    found = await asyncio.gather(*(converting.stream_for(stream, carried) for carried in (FLV, HLS, FLV)))
    assert len(set(found)) == 1
    assert codecs_of(found[0]) == [Codec.H264, Codec.AAC]
    assert transcoding.asked == [[Codec.MPEG4, Codec.OPUS], [Codec.H264, Codec.OPUS]]
    said = [record.getMessage() for record in caplog.records if "goes as" in record.getMessage()]
    assert [line.partition(": ")[2] for line in said] == [
        "MPEG4 goes as H264 to those who cannot have it as it is",
        "OPUS goes as AAC to those who cannot have it as it is",
    ]
    await converting.close()
    assert not transcoding.running


async def test_the_picture_is_made_once_for_those_who_need_the_sound_as_well_and_those_who_do_not() -> None:
    transcoding = Relabelling()
    converting = conversions(transcoding)
    stream = live(JPEG, ALAW)
    for_flv, for_hls = await converting.stream_for(stream, FLV), await converting.stream_for(stream, HLS)
    assert codecs_of(for_flv) == [Codec.H264, Codec.G711A]
    assert codecs_of(for_hls) == [Codec.H264, Codec.AAC]
    assert sum(Codec.MJPEG in codecs for codecs in transcoding.asked) == 1
    await converting.close()


async def test_it_ends_some_time_after_its_last_viewer_and_begins_again_with_the_next() -> None:
    transcoding = Relabelling()
    converting = conversions(transcoding)
    stream = live(CLIP.track, ALAW)
    converted = await converting.stream_for(stream, HLS)
    first, second = watch(converted), watch(converted)
    assert stream.watchers == 1
    converted.unwatch(first)
    await asyncio.sleep(3 * SOON)
    assert transcoding.running == 1
    converted.unwatch(second)
    await until(lambda: not transcoding.running, "it is gone")
    assert converted.ended == "nobody watches"
    assert not stream.watchers
    again = await converting.stream_for(stream, HLS)
    assert again is not converted
    assert again.ended is None
    await converting.close()


async def test_frames_come_through_from_the_latest_keyframe_on_also_to_a_second_form() -> None:
    converting = conversions(Relabelling())
    stream = live(CLIP.track, ALAW, METADATA)
    for number in range(13):  # keyframes are 0 and 10
        stream.push(CLIP.frame(number))
    sinks = []
    for carried in (HLS, frozenset({Codec.MJPEG, Codec.G711A})):
        converted = await converting.stream_for(stream, carried)
        sinks.append(sink := Sink())
        converted.watch(sink, FrameTap, lambda _: None).join(sink, {0: 0, 1: 1})
        stream.push(Frame(track_index=2, dts_ticks=0, pts_ticks=0, keyframe=True, units=[b"<xml/>"]))
    stream.push(CLIP.frame(13))
    for sink in sinks:
        assert [frame.keyframe for frame in sink.frames] == [True, False, False, False]
        assert {frame.track_index for frame in sink.frames} == {0}
    assert len({id(sink.frames[0].units) for sink in sinks}) == 2  # copies: the streams change what is theirs
    await converting.close()


async def test_a_tap_that_was_left_gets_nothing_more() -> None:
    stream = live(CLIP.track)
    stays, goes = Sink(), Sink()
    tap = stream.watch(stays, FrameTap, lambda _: None)
    tap.join(stays, {0: 0})
    tap.join(goes, {0: 0})
    stream.push(CLIP.frame(0))
    tap.leave(goes)
    stream.push(CLIP.frame(1))
    assert (len(stays.frames), len(goes.frames)) == (2, 1)


async def test_its_viewers_hear_of_the_end_of_the_original(caplog: pytest.LogCaptureFixture) -> None:
    converting = conversions(Relabelling())
    stream = live(CLIP.track, ALAW)
    converted = await converting.stream_for(stream, HLS)
    heard: list[str] = []
    watch(converted, heard.append)
    stream.end("the publisher has gone")
    await until(lambda: heard, "it ends")
    assert heard == ["the publisher has gone"]
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
    with pytest.raises(SourceError, match="the publisher has gone"):
        await converting.stream_for(stream, HLS)


async def test_of_several_tracks_only_what_is_needed_is_converted() -> None:
    transcoding = Relabelling()
    converting = conversions(transcoding)
    converted = await converting.stream_for(live(PASSED, METADATA, JPEG, MPEG4, ALAW, OPUS), FLV)
    assert codecs_of(converted) == [Codec.H264, Codec.G711A, Codec.OPUS]
    assert transcoding.asked == [[Codec.MJPEG, Codec.G711A, Codec.OPUS]]
    await converting.close()


@pytest.mark.parametrize("tracks", [[PASSED], [METADATA], [CLIP.track], [JPEG, CLIP.track], []])
async def test_what_nobody_can_decode_and_what_is_there_already_is_left(tracks: list[Track]) -> None:
    stream = live(*tracks)
    assert await conversions(Relabelling()).stream_for(stream, HLS) is stream


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({"video": False}, [Codec.MJPEG, Codec.AAC]),
        ({"audio": False}, [Codec.H264, Codec.OPUS]),
        ({"video": False, "audio": False}, [Codec.MJPEG, Codec.OPUS]),
    ],
)
async def test_each_can_be_switched_off(options: dict[str, bool], wanted: list[Codec]) -> None:
    converting = conversions(Relabelling(), **options)
    assert codecs_of(await converting.stream_for(live(JPEG, OPUS), HLS)) == wanted
    await converting.close()


async def test_odd_jpeg_becomes_plain_where_jpeg_is_carried_and_h264_elsewhere(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    catalogue = catalogue_of()
    stream = live(ODD_JPEG, ALAW)
    by_rtp = await catalogue.form_for_rtp(stream)
    by_flv = await catalogue.stream_for(stream, FLV)
    assert isinstance(by_rtp, Stream)
    assert by_rtp.tracks == (JPEG, ALAW)
    assert codecs_of(by_flv) == [Codec.H264, Codec.G711A]
    assert await catalogue.form_for_rtp(stream) is by_rtp
    said = [record.getMessage().partition(": ")[2] for record in caplog.records if "goes as" in record.getMessage()]
    assert said == [
        "MJPEG (sampling 1x1) goes as one that RTP carries to those who cannot have it as it is",
        "MJPEG (sampling 1x1) goes as H264 to those who cannot have it as it is",
    ]
    await catalogue.close()


async def test_without_conversions_rtp_has_what_is_left_of_a_stream(caplog: pytest.LogCaptureFixture) -> None:
    catalogue = catalogue_of(video=False, audio=False)
    for tracks, left in (([JPEG, FLAC], Codec.MJPEG), ([ODD_JPEG, OPUS], Codec.OPUS)):
        stream = live(*tracks)
        for _ in range(2):
            found = await catalogue.form_for_rtp(stream)
            assert isinstance(found, Stream)
            assert codecs_of(found) == [left]
    assert [record.getMessage() for record in caplog.records] == [
        f"live: RTP cannot carry {what}; it is converted where `convert` is not switched off; it is left out"
        for what in ("FLAC", "MJPEG (sampling 1x1)")
    ]
    with pytest.raises(SourceError, match="live: RTP cannot carry FLAC; it is converted where"):
        await catalogue.form_for_rtp(live(FLAC))
    await catalogue.close()


async def test_rtp_waits_for_the_first_image_that_says_of_what_kind_it_is() -> None:
    catalogue = catalogue_of()
    stream = live(replace(JPEG, parameters=JpegParameters()))
    asking = asyncio.create_task(catalogue.form_for_rtp(stream))
    await asyncio.sleep(SOON)
    assert not asking.done()
    data = (VECTORS / "full.jpg").read_bytes()
    stream.push(Frame(track_index=0, dts_ticks=0, pts_ticks=0, keyframe=True, units=[data]))
    found = await asking
    assert found.tracks == (JPEG,)
    assert found is not stream
    await catalogue.close()


def catalogue_of(**options: bool) -> Catalogue:
    return Catalogue(Hub(), None, transcoding=Relabelling(), conversions=ConversionOptions(linger_s=SOON, **options))


async def test_viewers_wait_for_the_first_keyframe_that_says_what_it_is() -> None:
    converting = conversions(Relabelling())
    blank = replace(CLIP.track, parameters=H264Parameters())
    stream = live(blank, ALAW)
    asking = asyncio.create_task(converting.stream_for(stream, HLS))
    await asyncio.sleep(3 * SOON)  # longer than it lingers
    assert not asking.done()
    stream.push(CLIP.frame(0))
    assert (await asking).complete
    await converting.close()


async def test_a_stream_that_has_ended_is_not_kept() -> None:
    converting = conversions(Relabelling())

    async def begin_and_end() -> ref[Stream]:
        stream = live(JPEG, ALAW)
        converted = await converting.stream_for(stream, HLS)
        stream.end("the publisher has gone")
        await until(lambda: converted.ended, "it ends")
        return ref(stream)

    kept = await begin_and_end()
    await until(lambda: gc.collect() >= 0 and kept() is None, "it is forgotten")
