"""Draws and encodes the test pattern, one picture's time at a call. Imports PyAV: import it late."""

from __future__ import annotations

from av.audio.frame import AudioFrame
from av.filter import Graph
from av.video.frame import VideoFrame

from manycast.hub.output import AudioOutput, VideoOutput
from manycast.media.frame import Frame
from manycast.media.normalise import normalise
from manycast.media.track import Codec, Track
from manycast.sources.encoding.audio import AudioEncoder
from manycast.sources.encoding.sound_shape import SoundShape
from manycast.sources.encoding.video import VideoEncoder
from manycast.sources.encoding.video_form import CLOCK_HZ

SAMPLE_RATE_HZ = 44100
BLOCK_SAMPLES = 1024  # what one AAC access unit holds

_VIDEO, _AUDIO = 0, 1


class DemoEncoder:
    """One running pattern. Used by one thread; everything is freed with the object."""

    def __init__(self, width: int, height: int, frame_rate: int, bit_rate_bps: int) -> None:
        self._frame_rate = frame_rate
        self._pictures = _pictures(width, height, frame_rate)
        self._sound = _sound()
        video = VideoOutput(codec=Codec.H264, bit_rate_bps=bit_rate_bps)
        self._video_encoder = VideoEncoder(video, _VIDEO, source_rate=frame_rate, cheap=True)
        audio = AudioOutput(codec=Codec.AAC, bit_rate_bps=96_000)
        self._audio_encoder = AudioEncoder(audio, SoundShape(SAMPLE_RATE_HZ, 2), _AUDIO)
        self._next_block = 0
        self._video_track = self._video_encoder.track

    @property
    def tracks(self) -> tuple[Track, Track]:
        """Complete as soon as a slot has been encoded."""
        return self._video_track, self._audio_encoder.track

    def force_keyframe(self) -> None:
        """Make the next picture one. For any thread."""
        self._video_encoder.force_keyframe()

    def encode_slot(self, slot: int) -> list[Frame]:
        """The frames of the time from `slot` to `slot + 1`, counted in pictures since the start.

        Slots may be left out, but never go back.
        """
        return self._encode_picture(slot) + self._encode_sound(slot)

    def _encode_picture(self, slot: int) -> list[Frame]:
        picture = self._pictures.pull()
        assert isinstance(picture, VideoFrame)
        frames = self._video_encoder.encode(picture, slot * CLOCK_HZ // self._frame_rate)
        for frame in frames:
            self._video_track = normalise(frame, self._video_track)
        return frames

    def _encode_sound(self, slot: int) -> list[Frame]:
        begin = slot * SAMPLE_RATE_HZ // self._frame_rate
        end = (slot + 1) * SAMPLE_RATE_HZ // self._frame_rate
        self._next_block = max(self._next_block, begin // BLOCK_SAMPLES)
        frames = []
        while self._next_block * BLOCK_SAMPLES < end:
            block = self._sound.pull()
            assert isinstance(block, AudioFrame)
            frames += self._audio_encoder.encode(block, self._next_block * BLOCK_SAMPLES)
            self._next_block += 1
        return [frame for frame in frames if frame.pts_ticks >= 0]  # the encoder's priming comes before the zero


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
