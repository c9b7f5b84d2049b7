"""Encodes sound. Imports PyAV: import it late, best in the thread that encodes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

import av
from av.audio.codeccontext import AudioCodecContext
from av.audio.frame import AudioFrame
from av.error import BlockingIOError as NeedsMore
from av.error import EOFError as NoMore
from av.filter import Graph

from manycast.hub.output import AudioOutput
from manycast.media.frame import Frame
from manycast.media.track import (
    AacParameters,
    AudioParameters,
    Codec,
    G726Parameters,
    Track,
)
from manycast.sources.encoding.sound_shape import AAC_RATES_HZ, SoundShape

# Beyond these the sound's time has jumped; within, gaps are filled with silence, and what is too much is cut.
MAX_GAP_S = 5.0
MAX_OVERLAP_S = 1.0
DRIFT_PER_S = 0.003  # as much as sound is stretched to follow a sender's clock
DRIFT_S = 0.02  # from such a difference on
HOLE_S = 0.06  # beyond it, silence is put in, or sound is cut

_G726_BIT_RATES = (16_000, 24_000, 32_000, 40_000)
_G726_PIECE_SAMPLES = 160
_LAYOUTS = {1: "mono", 2: "stereo"}


@dataclass(frozen=True, slots=True)
class _Kind:
    """How a codec is encoded. Frames are `block_samples` long, or `block_s` where the codec does not say."""

    encoder: str
    sample_format: str
    block_samples: int = 0
    block_s: float = 0.02


_KINDS: Mapping[Codec, _Kind] = {
    Codec.AAC: _Kind("aac", "fltp", block_samples=1024),
    Codec.OPUS: _Kind("libopus", "s16"),
    Codec.G711A: _Kind("pcm_alaw", "s16"),
    Codec.G711U: _Kind("pcm_mulaw", "s16"),
    Codec.G722: _Kind("g722", "s16"),
    Codec.G726: _Kind("g726le", "s16"),
}
ENCODED = frozenset(_KINDS)


def audio_track(output: AudioOutput, shape: SoundShape) -> Track:
    """What comes out, described in full."""
    rate_hz, channels = shape.sample_rate_hz, shape.channels
    codec = output.codec
    assert codec is not None
    match codec:
        case Codec.AAC:
            # AudioSpecificConfig: low complexity, the rate's index, the channels (ISO/IEC 14496-3 section 1.6.2.1).
            config = (2 << 11 | AAC_RATES_HZ.index(rate_hz) << 7 | channels << 3).to_bytes(2)
            parameters = AacParameters(config=config, sample_rate_hz=rate_hz, channels=channels)
            return Track(codec=codec, clock_rate_hz=rate_hz, parameters=parameters)
        case Codec.G726:
            return Track(codec=codec, clock_rate_hz=8000, parameters=G726Parameters(bit_rate=_g726_bit_rate(output)))
        case Codec.G722:
            return Track(codec=codec, clock_rate_hz=8000, parameters=AudioParameters(sample_rate_hz=16_000, channels=1))
        case Codec.OPUS:
            plain = AudioParameters(sample_rate_hz=48_000, channels=channels)
            return Track(codec=codec, clock_rate_hz=48_000, parameters=plain)
        case _:
            plain = AudioParameters(sample_rate_hz=rate_hz, channels=channels)
            return Track(codec=codec, clock_rate_hz=rate_hz, parameters=plain)


def _g726_bit_rate(output: AudioOutput) -> int:
    return output.bit_rate_bps if output.bit_rate_bps in _G726_BIT_RATES else 32_000


class AudioEncoder:
    """Sound in, frames out. Used by one thread; everything is freed with the object."""

    def __init__(
        self, output: AudioOutput, shape: SoundShape, track_index: int = 0, *, follow_clock: bool = False
    ) -> None:
        """`output.codec` is one of ENCODED, `shape` one of `settled`. `follow_clock` stretches the sound, hardly to be
        heard, where the times it comes with run faster or slower than its samples. Raises FFmpegError."""
        assert output.codec is not None
        self.track = audio_track(output, shape)
        self._output = output
        self._kind = _KINDS[output.codec]
        self._shape = shape
        self._track_index = track_index
        self._follow_clock = follow_clock
        self._encoder = self._open()
        self._graph: Graph | None = None
        self._piece_bytes = 0  # frames are cut into pieces of so many; 0: not
        if output.codec is Codec.G726:
            self._piece_bytes = _g726_bit_rate(output) // 8000 * _G726_PIECE_SAMPLES // 8
        self._form: tuple[int, str, str] | None = None  # of the sound that comes
        self._time_base = Fraction(1)
        self._next_s = 0.0  # when the sound that came so far has ended

    def encode(self, sound: AudioFrame, begin_samples: int) -> list[Frame]:
        """The frames that a piece of sound completes; it begins at a time that is counted in samples of its rate.
        Raises FFmpegError."""
        rate_hz = sound.sample_rate
        form = (rate_hz, sound.layout.name, sound.format.name)
        ahead_s = begin_samples / rate_hz - self._next_s
        frames = []
        if self._graph is None or form != self._form or not -MAX_OVERLAP_S < ahead_s < MAX_GAP_S:
            frames = self._drain()
            self._graph, self._form, self._time_base = self._make_graph(sound), form, Fraction(1, rate_hz)
        sound.pts = begin_samples
        sound.time_base = self._time_base
        self._next_s = (begin_samples + sound.samples) / rate_hz
        self._graph.push(sound)
        return frames + self._pull(self._graph)

    def finish(self) -> list[Frame]:
        """What is still inside; no more sound may come."""
        frames = self._drain()
        return frames + self._frames(None)

    def _drain(self) -> list[Frame]:
        """What is left of a graph that has had its last sound: less than a whole frame goes with it."""
        graph, self._graph = self._graph, None
        if graph is None:
            return []
        graph.push(None)
        return self._pull(graph, whole=self._kind.block_samples == 0)

    def _pull(self, graph: Graph, *, whole: bool = False) -> list[Frame]:
        frames: list[Frame] = []
        while True:
            try:
                block = graph.pull()
            except (NeedsMore, NoMore):
                return frames
            assert isinstance(block, AudioFrame)
            if whole and block.samples < self._block_samples:
                continue  # Opus takes whole frames only
            frames += self._frames(block)

    def _frames(self, block: AudioFrame | None) -> list[Frame]:
        clock_hz, rate_hz = self.track.clock_rate_hz, self._shape.sample_rate_hz
        frames = []
        for packet in self._encoder.encode(block):
            if packet.pts is None:
                continue
            ticks = packet.pts * clock_hz // rate_hz
            data = bytes(packet)
            # FFmpeg's encoder of G.726 gives 256 ms at once; players' buffers are made for 20 ms.
            piece = self._piece_bytes or len(data)
            for start in range(0, len(data), piece or 1):
                later = ticks + start * _G726_PIECE_SAMPLES // piece
                unit = data[start : start + piece]
                frames.append(
                    Frame(track_index=self._track_index, dts_ticks=later, pts_ticks=later, keyframe=True, units=[unit])
                )
        return frames

    @property
    def _block_samples(self) -> int:
        samples = self._kind.block_samples or round(self._shape.sample_rate_hz * self._kind.block_s)
        return samples // 8 * 8  # G.726 packs 8 codes into whole bytes

    def _make_graph(self, sound: AudioFrame) -> Graph:
        """Converts rate, channels and format, fills gaps, and cuts into frames."""
        rate_hz, layout = self._shape.sample_rate_hz, _LAYOUTS[self._shape.channels]
        graph = Graph()
        source = graph.add_abuffer(
            sample_rate=sound.sample_rate,
            format=sound.format,
            layout=sound.layout,
            time_base=Fraction(1, sound.sample_rate),
        )
        drift = (
            f"async={max(2, int(DRIFT_PER_S * sound.sample_rate))}:min_comp={DRIFT_S}"
            if self._follow_clock
            else "async=1"
        )
        nodes = [
            source,
            graph.add("aresample", f"{rate_hz}:{drift}:min_hard_comp={HOLE_S}"),
            graph.add(
                "aformat", f"sample_fmts={self._kind.sample_format}:channel_layouts={layout}:sample_rates={rate_hz}"
            ),
            graph.add("asetnsamples", f"n={self._block_samples}:p=0"),
            graph.add("abuffersink"),
        ]
        graph.link_nodes(*nodes)
        graph.configure()
        return graph

    def _open(self) -> AudioCodecContext:
        encoder = av.CodecContext.create(self._kind.encoder, "w")
        assert isinstance(encoder, AudioCodecContext)
        encoder.sample_rate, encoder.layout = self._shape.sample_rate_hz, _LAYOUTS[self._shape.channels]
        encoder.format = self._kind.sample_format
        encoder.time_base = Fraction(1, self._shape.sample_rate_hz)
        match self._output.codec:
            case Codec.AAC:
                encoder.bit_rate = self._bit_rate(64_000)
                encoder.options = {"aac_coder": "fast"}
            case Codec.OPUS:
                encoder.bit_rate = self._bit_rate(48_000)
                encoder.options = {"frame_duration": "20", "application": "lowdelay"}
            case Codec.G726:
                encoder.bit_rate = _g726_bit_rate(self._output)
                encoder.options = {"code_size": str(_g726_bit_rate(self._output) // 8000)}
        encoder.open()
        return encoder

    def _bit_rate(self, per_channel_bps: int) -> int:
        """As asked for, or by rate and channels; no more than six bits a sample, which is AAC's limit."""
        rate_hz, channels = self._shape.sample_rate_hz, self._shape.channels
        worked_out = int(per_channel_bps * channels * min(1.0, 0.25 + 0.75 * rate_hz / 48_000))
        return max(6000, min(self._output.bit_rate_bps or worked_out, rate_hz * 6 * channels, 510_000))
