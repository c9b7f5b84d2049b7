"""Decodes speech to samples. Imports PyAV: import it late, best in the thread that decodes."""

from __future__ import annotations

import array
import io
import sys
from collections.abc import Mapping

import av
from av.audio.codeccontext import AudioCodecContext
from av.audio.resampler import AudioResampler

from manycast.decoder_packet import decoder_packet
from manycast.media.track import AudioParameters, Codec, G726Parameters, Track

_DECODERS: Mapping[Codec, str] = {
    Codec.G711U: "pcm_mulaw",
    Codec.G711A: "pcm_alaw",
    Codec.G722: "g722",
    Codec.OPUS: "libopus",
}
_LAYOUTS = {1: "mono", 2: "stereo"}


class SpeechDecoder:
    """Turns the frames of one track into 16-bit samples of any rate. Used by one thread."""

    def __init__(self, track: Track, *, rate_hz: int, channels: int) -> None:
        """`rate_hz` and `channels` (1 or 2) are those of what comes out. Raises FFmpegError."""
        self._decoder = _open_decoder(track)
        self._resampler = AudioResampler(format="s16", layout=_LAYOUTS[channels], rate=rate_hz)
        self._sample_bytes = 2 * channels

    def decode(self, data: bytes) -> bytes:
        """The samples of one frame, little-endian, channels interleaved. Raises FFmpegError."""
        sounds = self._decoder.decode(decoder_packet(data))
        samples = b"".join(
            bytes(out.planes[0])[: out.samples * self._sample_bytes]
            for sound in sounds
            for out in self._resampler.resample(sound)
        )
        return samples if sys.byteorder == "little" else _swapped(samples)


def shape_of(track: Track) -> tuple[int, int]:
    """The sample rate in Hz and the channels that a track's sound has by itself."""
    parameters = track.parameters
    if isinstance(parameters, G726Parameters):
        return 8000, 1
    assert isinstance(parameters, AudioParameters)
    return parameters.sample_rate_hz, min(2, parameters.channels)


def _open_decoder(track: Track) -> AudioCodecContext:
    if isinstance(track.parameters, G726Parameters):
        return _open_g726(track.parameters.bit_rate)
    rate_hz, channels = shape_of(track)
    decoder = av.CodecContext.create(_DECODERS[track.codec], "r")
    assert isinstance(decoder, AudioCodecContext)
    decoder.sample_rate, decoder.layout = rate_hz, _LAYOUTS[channels]
    decoder.open()
    return decoder


def _open_g726(bit_rate: int) -> AudioCodecContext:
    """FFmpeg's decoder wants to know the bits of a sample, which only a container can tell it through PyAV."""
    bits = bit_rate // 8000
    options = {"code_size": str(bits)}
    with av.open(io.BytesIO(bytes(bits)), format="g726le", options=options) as container:
        return container.streams.audio[0].codec_context


def _swapped(samples: bytes) -> bytes:
    numbers = array.array("h", samples)
    numbers.byteswap()
    return numbers.tobytes()
