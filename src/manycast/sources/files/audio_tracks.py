"""What audio streams of a container become."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import partial

from manycast.media import ac3, amr, flac, g726, mpeg_audio
from manycast.media.aac import AdtsHeader, AudioSpecificConfig, parameters_from_config, split_adts
from manycast.media.bits import MalformedBitstream
from manycast.media.track import AacParameters, AudioParameters, Codec, G726Parameters, Track
from manycast.sources.files.pcm import l16_converter
from manycast.sources.files.tracks import Carried, Unpack, unpack_whole
from manycast.sources.files.xiph import parameters_from_extradata

OPUS_CLOCK_HZ = 48_000  # whatever the rate of the sound (RFC 7587 section 4.1)
G722_CLOCK_HZ = 8000  # half of the sample rate (RFC 3551 section 4.5.2)
MPEG_CLOCK_HZ = 90_000  # RFC 2250 section 2.1
_HIGH_BITS_FIRST = "adpcm_g726"  # FFmpeg's name of the packing that is not RFC 3551's


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioFacts:
    """What a container says of an audio stream, and its first packet."""

    codec_name: str  # FFmpeg's
    sample_rate_hz: int
    channels: int
    bit_rate_bps: int
    extradata: bytes
    first_packet: bytes


def describe_audio(codec: Codec, facts: AudioFacts) -> Carried:
    """How an audio stream is carried. Raises MalformedBitstream."""
    match codec:
        case Codec.AAC:
            return _describe_aac(facts)
        case Codec.MP3:
            return _describe_mpeg_audio(facts)
        case Codec.AC3:
            return _describe_ac3(facts)
        case Codec.FLAC:
            return _describe_flac(facts)
        case Codec.AMR | Codec.AMR_WB:
            return _describe_amr(codec)
        case Codec.VORBIS:
            return _describe_vorbis(facts)
        case Codec.G726:
            return _describe_g726(facts)
        case Codec.OPUS:
            _check_shape(facts)
            track = _plain_track(codec, OPUS_CLOCK_HZ, OPUS_CLOCK_HZ, facts.channels)
            return Carried(track=track, unpack=unpack_whole)
    return _describe_samples(codec, facts)


def _describe_aac(facts: AudioFacts) -> Carried:
    extradata = facts.extradata
    if not extradata:
        header = AdtsHeader.parse(facts.first_packet)
        extradata = header.config(facts.first_packet[header.header_bytes :]).serialize()
    parameters = parameters_from_config(extradata)
    track = Track(codec=Codec.AAC, clock_rate_hz=parameters.sample_rate_hz, parameters=parameters)
    return Carried(track=track, unpack=_unpack_aac, frame_ticks=_aac_frame_ticks(parameters))


def _describe_mpeg_audio(facts: AudioFacts) -> Carried:
    header = mpeg_audio.MpegAudioHeader.parse(facts.first_packet)
    track = _plain_track(Codec.MP3, MPEG_CLOCK_HZ, header.sample_rate_hz, header.channels)
    frame_ticks = Fraction(header.frame_samples * MPEG_CLOCK_HZ, header.sample_rate_hz)
    return Carried(track=track, unpack=_unpack_mpeg_audio, frame_ticks=frame_ticks)


def _describe_ac3(facts: AudioFacts) -> Carried:
    parameters = ac3.parameters_of(facts.first_packet)
    track = Track(codec=Codec.AC3, clock_rate_hz=parameters.sample_rate_hz, parameters=parameters)
    return Carried(track=track, unpack=_unpack_ac3, frame_ticks=Fraction(ac3.FRAME_SAMPLES))


def _describe_flac(facts: AudioFacts) -> Carried:
    parameters = flac.parameters_from_config(facts.extradata)
    info = flac.StreamInfo.parse(parameters.streaminfo)
    is_even = info.least_block_samples == info.most_block_samples  # but for the last one
    track = Track(codec=Codec.FLAC, clock_rate_hz=parameters.sample_rate_hz, parameters=parameters)
    frame_ticks = Fraction(info.most_block_samples) if is_even else None
    return Carried(track=track, unpack=_unpack_flac, frame_ticks=frame_ticks)


def _describe_amr(codec: Codec) -> Carried:
    rate_hz = amr.SAMPLE_RATE_HZ[codec]
    unpack = partial(amr.split_storage, codec=codec)
    return Carried(
        track=_plain_track(codec, rate_hz, rate_hz, 1), unpack=unpack, frame_ticks=Fraction(amr.frame_ticks(codec))
    )


def _describe_vorbis(facts: AudioFacts) -> Carried:
    parameters = parameters_from_extradata(Codec.VORBIS, facts.extradata)
    track = Track(codec=Codec.VORBIS, clock_rate_hz=parameters.sample_rate_hz, parameters=parameters)
    return Carried(track=track, unpack=unpack_whole)


def _describe_g726(facts: AudioFacts) -> Carried:
    bit_rate = facts.bit_rate_bps
    if facts.sample_rate_hz != g726.SAMPLE_RATE_HZ or facts.channels != 1 or bit_rate not in g726.BIT_RATES:
        raise MalformedBitstream(f"{facts.channels} channels at {facts.sample_rate_hz} Hz and {bit_rate} bit/s")
    parameters = G726Parameters(bit_rate=bit_rate)
    track = Track(codec=Codec.G726, clock_rate_hz=g726.SAMPLE_RATE_HZ, parameters=parameters)
    unpack = partial(_unpack_g726, bit_rate=bit_rate) if facts.codec_name == _HIGH_BITS_FIRST else unpack_whole
    return Carried(track=track, unpack=unpack, bits_per_tick=g726.code_bits(bit_rate))


def _describe_samples(codec: Codec, facts: AudioFacts) -> Carried:
    _check_shape(facts)
    clock_rate_hz = G722_CLOCK_HZ if codec is Codec.G722 else facts.sample_rate_hz
    unpack: Unpack = unpack_whole
    if codec is Codec.L16:
        unpack = partial(_unpack_converted, convert=l16_converter(facts.codec_name))
    return Carried(
        track=_plain_track(codec, clock_rate_hz, facts.sample_rate_hz, facts.channels),
        unpack=unpack,
        bits_per_tick=(16 if codec is Codec.L16 else 8) * facts.channels,
    )


def _plain_track(codec: Codec, clock_rate_hz: int, sample_rate_hz: int, channels: int) -> Track:
    parameters = AudioParameters(sample_rate_hz=sample_rate_hz, channels=channels)
    return Track(codec=codec, clock_rate_hz=clock_rate_hz, parameters=parameters)


def _check_shape(facts: AudioFacts) -> None:
    if facts.sample_rate_hz < 1 or facts.channels < 1:
        raise MalformedBitstream(f"{facts.channels} channels at {facts.sample_rate_hz} Hz")


def _aac_frame_ticks(parameters: AacParameters) -> Fraction:
    config = AudioSpecificConfig.parse(parameters.config)
    return Fraction(config.core_frame_samples * parameters.sample_rate_hz, config.core_rate_hz)


def _unpack_aac(data: bytes) -> list[bytes]:
    """Raw access units, whether the container keeps them raw or in ADTS.

    None of them begins like an ADTS header: that would be the element that ends a frame (table 4.85).
    """
    is_adts = len(data) > 7 and data[0] == 0xFF and data[1] & 0xF6 == 0xF0
    return split_adts(data) if is_adts else unpack_whole(data)


def _unpack_mpeg_audio(data: bytes) -> list[bytes]:
    mpeg_audio.MpegAudioHeader.parse(data)
    return [data]


def _unpack_ac3(data: bytes) -> list[bytes]:
    ac3.Ac3Header.parse(data)
    return [data]


def _unpack_flac(data: bytes) -> list[bytes]:
    flac.frame_samples(data)
    return [data]


def _unpack_g726(data: bytes, bit_rate: int) -> list[bytes]:
    size, _codes = g726.block(bit_rate)
    return unpack_whole(g726.from_i366(data[: len(data) // size * size], bit_rate))


def _unpack_converted(data: bytes, convert: Callable[[bytes], bytes]) -> list[bytes]:
    return unpack_whole(convert(data))
