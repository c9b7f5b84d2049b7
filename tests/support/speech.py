"""Speech for the back channel: tones in every codec that can be spoken."""

from __future__ import annotations

import array
import math
import wave
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av

from manycast.media.track import Codec, G726Parameters, Track
from manycast.sinks.decoder import shape_of

TONE_HZ = 600.0
PACKET_S = 0.02

_ENCODERS = {
    Codec.G711U: "pcm_mulaw",
    Codec.G711A: "pcm_alaw",
    Codec.G722: "g722",
    Codec.G726: "g726le",
    Codec.OPUS: "libopus",
}


def tone(rate_hz: int, seconds: float, *, frequency_hz: float = TONE_HZ) -> array.array[int]:
    """A loud tone, mono."""
    step = 2 * math.pi * frequency_hz / rate_hz
    return array.array("h", [round(12_000 * math.sin(step * n)) for n in range(round(rate_hz * seconds))])


def spoken_tone(track: Track, seconds: float, *, frequency_hz: float = TONE_HZ) -> list[bytes]:
    """A tone as 20 ms packets of a mono track."""
    rate_hz, channels = shape_of(track)
    assert channels == 1
    encoder = av.CodecContext.create(_ENCODERS[track.codec], "w")
    assert isinstance(encoder, av.AudioCodecContext)
    encoder.sample_rate, encoder.layout, encoder.format = rate_hz, "mono", "s16"
    encoder.time_base = Fraction(1, rate_hz)
    if isinstance(track.parameters, G726Parameters):
        encoder.bit_rate = track.parameters.bit_rate
    samples = tone(rate_hz, seconds, frequency_hz=frequency_hz)
    sound = av.AudioFrame(format="s16", layout="mono", samples=len(samples))
    sound.sample_rate, sound.pts, sound.time_base = rate_hz, 0, Fraction(1, rate_hz)
    sound.planes[0].update(samples.tobytes())
    encoder.open()
    fifo = av.AudioFifo()
    fifo.write(sound)
    packets = []
    while (part := fifo.read(round(rate_hz * PACKET_S))) is not None:
        packets += encoder.encode(part)
    data = [bytes(packet) for packet in packets + encoder.encode(None)]
    if track.codec is Codec.OPUS:
        return data
    whole = b"".join(data)
    size = round(len(whole) * PACKET_S / seconds)
    return [whole[position : position + size] for position in range(0, len(whole), size)]


def read_wav(path: Path) -> tuple[int, int, list[int]]:
    """Rate in Hz, channels, and the samples of the first channel."""
    with wave.open(str(path), "rb") as file:
        assert file.getsampwidth() == 2
        data = file.readframes(file.getnframes())
        channels = file.getnchannels()
        return file.getframerate(), channels, list(memoryview(data).cast("h"))[::channels]


def loudest(samples: Sequence[int]) -> int:
    return max(map(abs, samples), default=0)
