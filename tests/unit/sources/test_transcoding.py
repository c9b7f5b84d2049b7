from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace

import av
import pytest
from support.clips import make_clip
from support.hearing import loudest_hz
from support.movies import coded_video, normalised
from support.pictures import decoded, pictures, tone
from support.waiting import until

from manycast.hub.conversions import Conversions
from manycast.hub.output import AudioOutput, Output, VideoOutput
from manycast.hub.source import FrameSink, SourceError
from manycast.hub.stream import Stream
from manycast.media.frame import Frame
from manycast.media.nal import join_annex_b
from manycast.media.normalise import normalise
from manycast.media.track import (
    AacParameters,
    AudioParameters,
    Codec,
    ForeignParameters,
    H265Parameters,
    JpegParameters,
    MediaKind,
    PlainParameters,
    Track,
)
from manycast.sources.encoding.audio import AudioEncoder
from manycast.sources.encoding.sound_shape import settled
from manycast.sources.encoding.video import VideoEncoder
from manycast.sources.transcoding import overload
from manycast.sources.transcoding.decoding import AudioDecoder, VideoDecoder
from manycast.sources.transcoding.live import TranscodedSource
from manycast.sources.transcoding.plan import described, needed
from manycast.sources.transcoding.service import TranscodingService
from manycast.sources.transcoding.transcoder import Transcoder

VIDEO = (Codec.H264, Codec.H265, Codec.MPEG4, Codec.MJPEG)
AUDIO = (Codec.AAC, Codec.OPUS, Codec.G711A, Codec.G711U, Codec.G722, Codec.G726)


def video_of(codec: Codec, count: int = 30) -> tuple[Track, list[Frame]]:
    """As it comes to the hub: normalised."""
    encoder = VideoEncoder(VideoOutput(codec=codec), source_rate=25)
    track, frames = encoder.track, []
    for index, picture in enumerate(pictures(count)):
        for frame in encoder.encode(picture, index * 3600):
            track = normalise(frame, track)
            frames.append(frame)
    return track, frames


def audio_of(codec: Codec, count: int = 80) -> tuple[Track, list[Frame]]:
    output = AudioOutput(codec=codec)
    encoder = AudioEncoder(output, settled(output, 44_100, 2))
    frames: list[Frame] = []
    for index, sound in enumerate(tone(count)):
        frames += encoder.encode(sound, index * 1000)
    return encoder.track, frames


def test_the_log_says_what_changes_where_the_codec_stays() -> None:
    video, _ = video_of(Codec.H264, 1)
    assert described(video, VideoOutput(codec=Codec.H265)) == "H264 to H265"
    assert (
        described(video, VideoOutput(codec=Codec.H264, width=640, frame_rate=5))
        == "H264 to H264 (width 640, framerate 5)"
    )
    sound, _ = audio_of(Codec.AAC, 10)
    assert described(sound, AudioOutput(codec=Codec.AAC, channels=1)) == "AAC to AAC (channels 1)"


@pytest.mark.parametrize("source", VIDEO)
@pytest.mark.parametrize("target", VIDEO)
def test_every_video_codec_becomes_every_other(source: Codec, target: Codec) -> None:
    track, frames = video_of(source)
    output = VideoOutput(codec=target, width=160, height=120)
    transcoder = Transcoder([track], needed([track], Output(video=output)), "test")
    made = [new for frame in frames for new in transcoder.push(frame)] + transcoder.finish()
    assert [frame.pts_ticks for frame in made] == [frame.pts_ticks for frame in frames]
    shown = decoded(target, made)
    assert len(shown) == len(frames)
    assert {(picture.width, picture.height) for picture in shown} == {(160, 120)}


@pytest.mark.parametrize("source", AUDIO)
@pytest.mark.parametrize("target", AUDIO)
def test_every_audio_codec_becomes_every_other(source: Codec, target: Codec) -> None:
    track, frames = audio_of(source)
    output = AudioOutput(codec=target, sample_rate_hz=16_000, channels=2)
    transcoder = Transcoder([track], needed([track], Output(audio=output)), "test")
    made = [new for frame in frames for new in transcoder.push(frame)] + transcoder.finish()
    (result,) = transcoder.tracks
    assert result.codec is target
    decoder = AudioDecoder(result, "test")
    blocks = [sound for frame in made for sound, _ in decoder.decode(frame)]
    assert not decoder.faults
    assert loudest_hz(blocks) == pytest.approx(440, abs=8)
    begin_s, end_s = (frames[index].pts_ticks / track.clock_rate_hz for index in (0, -1))
    assert made[0].pts_ticks / result.clock_rate_hz == pytest.approx(begin_s, abs=0.07)  # AAC begins with its priming
    assert made[-1].pts_ticks / result.clock_rate_hz == pytest.approx(end_s, abs=0.06)


def h264(width: int, height: int) -> Track:
    return make_clip(width=width, height=height).track


AAC = Track(
    codec=Codec.AAC,
    clock_rate_hz=44_100,
    parameters=AacParameters(config=b"\x12\x10", sample_rate_hz=44_100, channels=2),
)
JPEG = Track(codec=Codec.MJPEG, clock_rate_hz=90_000, parameters=PlainParameters())


@pytest.mark.parametrize(
    ("output", "video", "audio"),
    [
        (Output(), None, None),
        (Output(video=VideoOutput(codec=Codec.H264), audio=AudioOutput(codec=Codec.AAC)), None, None),
        (Output(video=VideoOutput(codec=Codec.H264, width=320, frame_rate=25, bit_rate_bps=9)), None, None),
        (Output(video=VideoOutput(height=240), audio=AudioOutput(sample_rate_hz=44_100, channels=2)), None, None),
        (Output(video=VideoOutput(width=160)), Codec.H264, None),
        (Output(video=VideoOutput(frame_rate=10)), Codec.H264, None),
        (Output(audio=AudioOutput(channels=1)), None, Codec.AAC),
        (Output(audio=AudioOutput(codec=Codec.OPUS)), None, Codec.OPUS),
        (Output(video=VideoOutput(codec=Codec.MPEG4), audio=AudioOutput(sample_rate_hz=8000)), Codec.MPEG4, Codec.AAC),
    ],
)
def test_only_what_differs_is_transcoded(output: Output, video: Codec | None, audio: Codec | None) -> None:
    found = needed([h264(320, 240), AAC], output)
    assert [None if wanted is None else wanted.codec for wanted in found] == [video, audio]


def test_pictures_of_b_frames_come_out_in_their_order() -> None:
    track = Track(codec=Codec.H265, clock_rate_hz=90_000, parameters=H265Parameters())
    transcoder = Transcoder([track], [VideoOutput(codec=Codec.H264)], "test")
    made = [new for frame in coded_video(Codec.H265) for new in transcoder.push(frame)] + transcoder.finish()
    times = [frame.pts_ticks for frame in made]
    assert times == sorted(times)
    assert len(times) == 60


def test_pictures_come_in_order_where_a_file_has_their_times_of_decoding_only() -> None:
    def open_decoder() -> object:
        return av.CodecContext.create("h264", "r")

    foreign = ForeignParameters(kind=MediaKind.VIDEO, name="h264", open_decoder=open_decoder, reordered=True)
    decoder = VideoDecoder(Track(codec=Codec.FOREIGN, clock_rate_hz=90_000, parameters=foreign), "test")
    _, frames = normalised(Codec.H264, coded_video(Codec.H264))
    assert any(frame.pts_ticks != frame.dts_ticks for frame in frames)
    found = []
    for number, frame in enumerate(frames):
        units = [join_annex_b(frame.units)]
        found += decoder.decode(replace(frame, units=units, dts_ticks=number * 3600, pts_ticks=number * 3600))
    found += decoder.finish()
    assert [ticks for _, ticks in found] == [number * 3600 for number in range(len(frames))]


def test_foreign_tracks_become_what_is_asked_or_pass() -> None:
    video = ForeignParameters(kind=MediaKind.VIDEO, name="prores", open_decoder=object, width=640, height=480)
    audio = ForeignParameters(kind=MediaKind.AUDIO, name="alac", open_decoder=object, sample_rate_hz=44_100, channels=2)
    tracks = [Track(codec=Codec.FOREIGN, clock_rate_hz=90_000, parameters=each) for each in (video, audio)]
    assert [track.kind for track in tracks] == [MediaKind.VIDEO, MediaKind.AUDIO]
    assert needed(tracks, Output()) == [None, None]
    asked = Output(video=VideoOutput(width=320), audio=AudioOutput(channels=1))
    assert needed(tracks, asked) == [
        VideoOutput(codec=Codec.H264, width=320),
        AudioOutput(codec=Codec.AAC, channels=1),
    ]
    assert described(tracks[0], VideoOutput(codec=Codec.H265)) == "prores to H265"


@pytest.mark.parametrize(("fault", "wanted"), [("", None), ("sampling", VideoOutput(codec=Codec.MJPEG))])
def test_odd_jpeg_is_encoded_anew_where_jpeg_is_asked_for(fault: str, wanted: VideoOutput | None) -> None:
    parameters = JpegParameters(width=640, height=480, fault=fault)
    track = Track(codec=Codec.MJPEG, clock_rate_hz=90_000, parameters=parameters)
    assert needed([track], Output(video=VideoOutput(codec=Codec.MJPEG))) == [wanted]
    assert needed([track], Output(video=VideoOutput(width=640))) == [None]


def test_after_broken_pictures_it_goes_on_at_the_next_keyframe() -> None:
    track, frames = video_of(Codec.H264, 110)
    decoder = VideoDecoder(track, "test")
    for index in range(5, 40):
        frames[index] = replace(frames[index], units=[b"\x65" + bytes(3), b"\x41\xff\xff"], keyframe=False)
    shown = [pts_ticks // 3600 for frame in frames for _, pts_ticks in decoder.decode(frame)]
    assert shown[:4] == [0, 1, 2, 3]
    assert [index for index in shown if index >= 50] == list(range(50, 110))


@pytest.mark.parametrize("codec", [*VIDEO, Codec.VP8, Codec.AV1, Codec.MPEG_VIDEO, Codec.VP9])
def test_noise_is_no_picture_and_no_crash(codec: Codec) -> None:
    decoder = VideoDecoder(Track(codec=codec, clock_rate_hz=90_000, parameters=PlainParameters()), "test")
    shown = []
    for index in range(50):
        unit = bytes((index * 37 + position * position) & 0xFF for position in range(200))
        shown += decoder.decode(Frame(track_index=0, dts_ticks=index, pts_ticks=index, keyframe=True, units=[unit]))
    assert not shown


def test_eight_channels_become_two() -> None:
    track = Track(codec=Codec.L16, clock_rate_hz=48_000, parameters=AudioParameters(sample_rate_hz=48_000, channels=8))
    transcoder = Transcoder([track], needed([track], Output(audio=AudioOutput(codec=Codec.AAC))), "test")
    made = []
    for index in range(20):
        units = [bytes(960 * 16)]
        frame = Frame(track_index=0, dts_ticks=index * 960, pts_ticks=index * 960, keyframe=True, units=units)
        made += transcoder.push(frame)
    parameters = transcoder.tracks[0].parameters
    assert isinstance(parameters, AacParameters)
    assert parameters.channels == 2
    assert len(made) > 15


class Replay:
    """A source that gives what it has, at once or in real time, and then ends."""

    def __init__(
        self, tracks: Sequence[Track], frames: Sequence[Frame], *, wait_s: float = 0.0, stay: bool = False
    ) -> None:
        self._tracks, self._frames, self._wait_s, self._stay = tracks, frames, wait_s, stay

    async def run(self, publish: Callable[[Sequence[Track]], FrameSink]) -> None:
        sink = publish(self._tracks)
        for frame in self._frames:
            sink.push(replace(frame, units=list(frame.units)))
            if self._wait_s:
                await asyncio.sleep(self._wait_s)
        if self._stay:
            await asyncio.Event().wait()


class Sink:
    def __init__(self) -> None:
        self.tracks: tuple[Track, ...] = ()
        self.frames: list[Frame] = []

    def publish(self, tracks: Sequence[Track]) -> Sink:
        self.tracks = tuple(tracks)
        return self

    def push(self, frame: Frame) -> None:
        self.frames.append(frame)


def two_tracks() -> tuple[list[Track], list[Frame]]:
    (video, pictures_), (audio, sounds) = video_of(Codec.H264, 60), audio_of(Codec.G711U)
    frames = pictures_ + [replace(frame, track_index=1) for frame in sounds]
    frames.sort(key=lambda frame: frame.dts_ticks / (90_000, 8000)[frame.track_index])
    return [video, audio], frames


async def test_a_live_source_is_transcoded_and_ends_with_its_reason() -> None:
    tracks, frames = two_tracks()
    sink = Sink()
    source = TranscodedSource(Replay(tracks, frames, wait_s=0.002), Output(audio=AudioOutput(codec=Codec.AAC)), "live")
    with pytest.raises(SourceError, match="the source has ended"):
        await source.run(sink.publish)
    assert [track.codec for track in sink.tracks] == [Codec.H264, Codec.AAC]
    passed = [frame for frame in sink.frames if frame.track_index == 0]
    assert [frame.units for frame in passed] == [frame.units for frame in frames if frame.track_index == 0]
    assert sum(frame.track_index for frame in sink.frames) >= 12


async def test_who_comes_late_loses_pictures_and_no_sound() -> None:
    """All at once, as when somebody joins a stream: only what is near its end is encoded."""
    tracks, frames = two_tracks()
    sink = Sink()
    output = Output(video=VideoOutput(codec=Codec.MPEG4), audio=AudioOutput(codec=Codec.OPUS))
    task = asyncio.create_task(TranscodedSource(Replay(tracks, frames, stay=True), output, "live").run(sink.publish))

    def of(track_index: int) -> list[Frame]:
        return [frame for frame in sink.frames if frame.track_index == track_index]

    await until(lambda: of(0) and of(0)[-1].pts_ticks == 59 * 3600 and len(of(1)) > 70, "the end of both")
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert of(0)[0].keyframe
    assert (59 * 3600 - of(0)[0].pts_ticks) / 90_000 < overload.LATE_S + 0.2


class AskedReplay(Replay):
    """Can be asked for keyframes, and counts how often it is."""

    asked = 0
    makes_keyframes = True

    def request_keyframe(self) -> None:
        self.asked += 1


def second_keyframe_ticks(sink: Sink) -> int | None:
    keys = [frame.pts_ticks for frame in sink.frames if frame.keyframe and frame.track_index == 0]
    return keys[1] if len(keys) > 1 else None


async def test_a_keyframe_is_made_by_the_encoder_and_not_asked_of_its_input() -> None:
    track, frames = video_of(Codec.H264, 200)
    source, sink = AskedReplay([track], frames, wait_s=0.04, stay=True), Sink()
    transcoded = TranscodedSource(source, Output(video=VideoOutput(codec=Codec.H265)), "live")
    task = asyncio.create_task(transcoded.run(sink.publish))
    await until(lambda: len(sink.frames) >= 3, "it runs")
    transcoded.request_keyframe()
    await until(lambda: second_keyframe_ticks(sink) is not None, "a second keyframe")
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert (second_keyframe_ticks(sink) or 0) < 1.9 * 90_000, "before its time"
    assert not source.asked


async def test_pictures_that_pass_have_their_keyframes_from_where_they_come() -> None:
    tracks, frames = two_tracks()
    source, sink = AskedReplay(tracks, frames, stay=True), Sink()
    transcoded = TranscodedSource(source, Output(audio=AudioOutput(codec=Codec.AAC)), "live")
    task = asyncio.create_task(transcoded.run(sink.publish))
    await until(lambda: sink.frames, "it runs")
    transcoded.request_keyframe()
    transcoded.request_keyframe()
    assert source.asked == 1
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    transcoded.request_keyframe()
    assert source.asked == 1


async def test_who_transcodes_from_the_middle_asks_for_a_keyframe_to_begin_with() -> None:
    track, frames = video_of(Codec.H264, 30)
    source, sink = AskedReplay([track], frames[1:], stay=True), Sink()
    transcoded = TranscodedSource(source, Output(video=VideoOutput(codec=Codec.MPEG4)), "live")
    task = asyncio.create_task(transcoded.run(sink.publish))
    await until(lambda: source.asked, "it asks")
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert not sink.frames


async def test_a_conversion_that_begins_in_the_middle_asks_the_publisher_for_a_keyframe() -> None:
    track, frames = video_of(Codec.H265, 30)
    stream = Stream("live", [track], "test")
    asked = asyncio.Event()
    stream.keyframes.on_request = asked.set
    service = TranscodingService()
    conversions = Conversions(service)
    opening = asyncio.create_task(conversions.stream_for(stream, [Codec.H264]))
    ticks = 0

    def push(frame: Frame) -> None:
        nonlocal ticks
        ticks += 3600
        stream.push(replace(frame, dts_ticks=ticks, pts_ticks=ticks, units=list(frame.units)))

    def is_asked() -> bool:
        push(frames[1])
        return asked.is_set()

    await until(is_asked, "it asks")
    push(frames[0])
    converted = await opening
    assert [track.codec for track in converted.tracks] == [Codec.H264]
    assert converted.complete
    assert converted.keyframes.possible
    await conversions.close()
    service.close()


async def test_a_source_that_fails_ends_its_transcoding() -> None:
    class Broken:
        async def run(self, publish: Callable[[Sequence[Track]], FrameSink]) -> None:
            raise SourceError("no signal")

    with pytest.raises(SourceError, match="no signal"):
        await TranscodedSource(Broken(), Output(), "broken").run(Sink().publish)
