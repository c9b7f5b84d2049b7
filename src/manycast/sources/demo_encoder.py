"""Draws and encodes the test pattern, one picture's time at a call. Imports PyAV: import it late."""

from __future__ import annotations

from fractions import Fraction

import av
from av.audio.codeccontext import AudioCodecContext
from av.audio.frame import AudioFrame
from av.codec.context import Flags
from av.filter import Graph
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame

from manycast.media.aac import parameters_from_config
from manycast.media.frame import Frame
from manycast.media.h264 import with_parameter_set
from manycast.media.nal import split_annex_b
from manycast.media.normalise import normalise
from manycast.media.track import Codec, H264Parameters, Track

SAMPLE_RATE_HZ = 44100
BLOCK_SAMPLES = 1024  # what one AAC access unit holds
VIDEO_CLOCK_HZ = 90000
KEYFRAME_INTERVAL_S = 2

_VIDEO, _AUDIO = 0, 1


class DemoEncoder:
    """One running pattern. Used by one thread; everything is freed with the object."""

    def __init__(self, width: int, height: int, frame_rate: int, bit_rate_bps: int) -> None:
        self._frame_rate = frame_rate
        self._pictures = _pictures(width, height, frame_rate)
        self._sound = _sound()
        self._video_encoder = _video_encoder(width, height, frame_rate, bit_rate_bps)
        self._audio_encoder = _audio_encoder()
        self._next_block = 0
        self._video_track = _video_track(self._video_encoder)
        self._audio_track = _audio_track(self._audio_encoder)

    @property
    def tracks(self) -> tuple[Track, Track]:
        return self._video_track, self._audio_track

    def encode_slot(self, slot: int) -> list[Frame]:
        """The frames of the time from `slot` to `slot + 1`, counted in pictures since the start.

        Slots may be left out, but never go back.
        """
        return self._encode_picture(slot) + self._encode_sound(slot)

    def _encode_picture(self, slot: int) -> list[Frame]:
        picture = self._pictures.pull()
        assert isinstance(picture, VideoFrame)
        picture.pts = slot
        picture.time_base = Fraction(1, self._frame_rate)
        picture.pict_type = 0  # the filter marks every picture as one to be coded for itself
        frames = []
        for packet in self._video_encoder.encode(picture):
            assert packet.pts is not None
            ticks = packet.pts * VIDEO_CLOCK_HZ // self._frame_rate
            frame = Frame(
                track_index=_VIDEO,
                dts_ticks=ticks,
                pts_ticks=ticks,
                keyframe=packet.is_keyframe,
                units=split_annex_b(bytes(packet)),
            )
            self._video_track = normalise(frame, self._video_track)
            frames.append(frame)
        return frames

    def _encode_sound(self, slot: int) -> list[Frame]:
        begin = slot * SAMPLE_RATE_HZ // self._frame_rate
        end = (slot + 1) * SAMPLE_RATE_HZ // self._frame_rate
        self._next_block = max(self._next_block, begin // BLOCK_SAMPLES)
        frames = []
        while self._next_block * BLOCK_SAMPLES < end:
            frames += self._encode_block(self._next_block * BLOCK_SAMPLES)
            self._next_block += 1
        return frames

    def _encode_block(self, pts_ticks: int) -> list[Frame]:
        block = self._sound.pull()
        assert isinstance(block, AudioFrame)
        block.pts = pts_ticks
        block.time_base = Fraction(1, SAMPLE_RATE_HZ)
        return [
            Frame(
                track_index=_AUDIO,
                dts_ticks=packet.pts,
                pts_ticks=packet.pts,
                keyframe=True,
                units=[bytes(packet)],
            )
            for packet in self._audio_encoder.encode(block)
            if packet.pts is not None and packet.pts >= 0  # the encoder's priming comes before the zero
        ]


def _pictures(width: int, height: int, frame_rate: int) -> Graph:
    graph = Graph()
    graph.link_nodes(
        graph.add("testsrc2", f"size={width}x{height}:rate={frame_rate}"),
        graph.add("format", "yuv420p"),
        graph.add("buffersink"),
    ).configure()
    return graph


def _sound() -> Graph:
    graph = Graph()
    graph.link_nodes(
        graph.add("sine", f"f=440:b=4:r={SAMPLE_RATE_HZ}:samples_per_frame={BLOCK_SAMPLES}"),
        graph.add("aformat", "sample_fmts=fltp:channel_layouts=stereo"),
        graph.add("abuffersink"),
    ).configure()
    return graph


def _video_encoder(width: int, height: int, frame_rate: int, bit_rate_bps: int) -> VideoCodecContext:
    encoder = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt = width, height, "yuv420p"
    encoder.time_base, encoder.framerate = Fraction(1, frame_rate), Fraction(frame_rate)
    encoder.gop_size = KEYFRAME_INTERVAL_S * frame_rate
    encoder.bit_rate = bit_rate_bps
    encoder.flags |= Flags.global_header
    encoder.options = {
        "preset": "ultrafast",  # a third of what superfast costs; a synthetic picture does not show it
        "tune": "zerolatency",
        "threads": "1",  # one picture takes 2 ms; slices for more threads would only cost
        "maxrate": str(bit_rate_bps),
        "bufsize": str(bit_rate_bps),
    }
    encoder.open()
    return encoder


def _audio_encoder() -> AudioCodecContext:
    encoder = av.CodecContext.create("aac", "w")
    encoder.sample_rate, encoder.layout, encoder.format = SAMPLE_RATE_HZ, "stereo", "fltp"
    encoder.time_base = Fraction(1, SAMPLE_RATE_HZ)
    encoder.bit_rate = 96_000
    encoder.options = {"aac_coder": "fast"}
    encoder.flags |= Flags.global_header
    encoder.open()
    return encoder


def _video_track(encoder: VideoCodecContext) -> Track:
    parameters = H264Parameters()
    for unit in split_annex_b(encoder.extradata or b""):
        parameters = with_parameter_set(parameters, unit)
    return Track(codec=Codec.H264, clock_rate_hz=VIDEO_CLOCK_HZ, parameters=parameters)


def _audio_track(encoder: AudioCodecContext) -> Track:
    parameters = parameters_from_config(encoder.extradata or b"")
    return Track(codec=Codec.AAC, clock_rate_hz=SAMPLE_RATE_HZ, parameters=parameters)
