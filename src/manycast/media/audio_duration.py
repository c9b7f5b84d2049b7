"""How long the frames of sound are, where the codec tells."""

from __future__ import annotations

from manycast.media.aac import AudioSpecificConfig
from manycast.media.ac3 import FRAME_SAMPLES as AC3_FRAME_SAMPLES
from manycast.media.bits import MalformedBitstream
from manycast.media.flac import frame_samples as flac_frame_samples
from manycast.media.mpeg_audio import MpegAudioHeader
from manycast.media.opus import SAMPLE_RATE_HZ as OPUS_RATE_HZ
from manycast.media.opus import packet_samples
from manycast.media.track import AacParameters, AudioParameters, Codec, FlacParameters, Track


def frame_ticks(track: Track, data: bytes) -> int | None:
    """The length of a frame in ticks of its track's clock, rounded down; None where neither codec nor frame tells."""
    parameters = track.parameters
    try:
        match track.codec:
            case Codec.AAC:
                assert isinstance(parameters, AacParameters)
                config = AudioSpecificConfig.parse(parameters.config)
                return config.core_frame_samples * track.clock_rate_hz // config.core_rate_hz
            case Codec.OPUS:
                return packet_samples(data) * track.clock_rate_hz // OPUS_RATE_HZ
            case Codec.MP3:
                header = MpegAudioHeader.parse(data)
                return header.frame_samples * track.clock_rate_hz // header.sample_rate_hz
            case Codec.AC3:
                assert isinstance(parameters, AudioParameters)
                rate_hz = parameters.sample_rate_hz
                return AC3_FRAME_SAMPLES * track.clock_rate_hz // rate_hz if rate_hz else None
            case Codec.FLAC:
                assert isinstance(parameters, FlacParameters)
                return flac_frame_samples(data) * track.clock_rate_hz // parameters.sample_rate_hz
    except MalformedBitstream:
        pass
    return None
