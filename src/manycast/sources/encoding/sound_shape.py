"""Which rates and channels the audio codecs can be encoded with."""

from __future__ import annotations

from dataclasses import dataclass

from manycast.hub.output import AudioOutput
from manycast.media.track import Codec

AAC_RATES_HZ = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)
OPUS_RATES_HZ = (8000, 12000, 16000, 24000, 48000)


@dataclass(frozen=True, slots=True)
class SoundShape:
    """The rate in Hz and the channels that a codec is encoded with."""

    sample_rate_hz: int
    channels: int


def settled(output: AudioOutput, source_rate_hz: int, source_channels: int) -> SoundShape:
    """What the codec makes of what is asked for: where it cannot do that, the nearest that it can.

    Of G.711 nothing said is 8000 Hz mono, as its static payload types have it.
    """
    rate_hz = output.sample_rate_hz or source_rate_hz or 48_000
    channels = min(2, output.channels or source_channels or 2)
    match output.codec:
        case Codec.G722:
            return SoundShape(16_000, 1)
        case Codec.G726:
            return SoundShape(8000, 1)
        case Codec.G711A | Codec.G711U:
            return SoundShape(output.sample_rate_hz or 8000, output.channels or 1)
        case Codec.OPUS:
            return SoundShape(rate_hz if rate_hz in OPUS_RATES_HZ else 48_000, channels)
        case _:
            return SoundShape(rate_hz if rate_hz in AAC_RATES_HZ else 48_000, channels)


def unlike_asked(output: AudioOutput, shape: SoundShape) -> str | None:
    """What is to be said where a codec cannot do what an output asks for in so many words; None where it can."""
    asked = (output.sample_rate_hz, output.channels)
    if all(not want or want == got for want, got in zip(asked, (shape.sample_rate_hz, shape.channels), strict=True)):
        return None
    codec = "" if output.codec is None else output.codec.value
    return f"{codec} cannot do what is asked, it is {shape.sample_rate_hz} Hz with {shape.channels} channels"
