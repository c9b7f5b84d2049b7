"""Which streams of a container can be carried, as what tracks, and how their packets become frames' units."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from manycast.media import h264, h265
from manycast.media.aac import AdtsHeader, AudioSpecificConfig, parameters_from_config, split_adts
from manycast.media.bits import MalformedBitstream
from manycast.media.nal import split_annex_b, split_length_prefixed
from manycast.media.track import (
    AacParameters,
    AudioParameters,
    Codec,
    CodecParameters,
    H264Parameters,
    H265Parameters,
    Track,
)

CODECS = {  # by FFmpeg's names
    "h264": Codec.H264,
    "hevc": Codec.H265,
    "aac": Codec.AAC,
    "pcm_alaw": Codec.G711A,
    "pcm_mulaw": Codec.G711U,
    "opus": Codec.OPUS,
}
VIDEO_CLOCK_HZ = 90_000
OPUS_CLOCK_HZ = 48_000  # whatever the rate of the sound (RFC 7587 section 4.1)

Unpack = Callable[[bytes], list[bytes]]  # a packet's bytes into units; raises MalformedBitstream


@dataclass(frozen=True, slots=True, kw_only=True)
class Carried:
    """A track and the way its packets are packed. The track's parameters may still be incomplete."""

    track: Track
    unpack: Unpack


def describe_video(codec: Codec, extradata: bytes) -> Carried:
    """How a video stream is carried, by what its container says. Raises MalformedBitstream."""
    parameters, unpack = video_configuration(codec, extradata)
    track = Track(codec=codec, clock_rate_hz=VIDEO_CLOCK_HZ, parameters=parameters)
    return Carried(track=track, unpack=unpack)


def describe_aac(extradata: bytes, first_packet: bytes) -> Carried:
    """How an AAC stream is carried, by what its container says, or else its first packet.

    Raises MalformedBitstream.
    """
    if not extradata:
        header = AdtsHeader.parse(first_packet)
        extradata = header.config(first_packet[header.header_bytes :]).serialize()
    parameters = parameters_from_config(extradata)
    track = Track(codec=Codec.AAC, clock_rate_hz=parameters.sample_rate_hz, parameters=parameters)
    return Carried(track=track, unpack=_unpack_aac)


def describe_plain_audio(codec: Codec, sample_rate_hz: int, channels: int) -> Carried:
    """How a stream of G.711 or Opus is carried. Raises MalformedBitstream."""
    if sample_rate_hz < 1 or channels < 1:
        raise MalformedBitstream(f"{channels} channels at {sample_rate_hz} Hz")
    clock_rate_hz = OPUS_CLOCK_HZ if codec is Codec.OPUS else sample_rate_hz
    parameters = AudioParameters(sample_rate_hz=clock_rate_hz, channels=channels)
    track = Track(codec=codec, clock_rate_hz=clock_rate_hz, parameters=parameters)
    return Carried(track=track, unpack=_unpack_whole)


def video_configuration(codec: Codec, extradata: bytes) -> tuple[H264Parameters | H265Parameters, Unpack]:
    """Read what a container keeps apart from the frames: avcC, hvcC, or parameter sets with start codes.

    Raises MalformedBitstream.
    """
    has_record = len(extradata) > 6 and extradata[:3] not in (b"\0\0\0", b"\0\0\1")
    if codec is Codec.H264:
        h264_parameters = H264Parameters()
        if has_record:
            h264_parameters, length_size = h264.parse_avcc(extradata)
            return h264_parameters, partial(split_length_prefixed, length_size=length_size)
        for unit in split_annex_b(extradata):
            h264_parameters = h264.with_parameter_set(h264_parameters, unit)
        return h264_parameters, split_annex_b
    h265_parameters = H265Parameters()
    if has_record:
        h265_parameters, length_size = h265.parse_hvcc(extradata)
        return h265_parameters, partial(split_length_prefixed, length_size=length_size)
    for unit in split_annex_b(extradata):
        h265_parameters = h265.with_parameter_set(h265_parameters, unit)
    return h265_parameters, split_annex_b


def with_configuration(track: Track, parameters: H264Parameters | H265Parameters) -> Track:
    """The track with the parameter sets of a new configuration, each in the place of the one with its id."""
    known: CodecParameters = track.parameters
    if isinstance(known, H264Parameters) and isinstance(parameters, H264Parameters):
        for unit in parameters.sps + parameters.pps:
            known = h264.with_parameter_set(known, unit)
    elif isinstance(known, H265Parameters) and isinstance(parameters, H265Parameters):
        for unit in parameters.vps + parameters.sps + parameters.pps:
            known = h265.with_parameter_set(known, unit)
    return track if known is track.parameters else replace(track, parameters=known)


def aac_frame_ticks(parameters: AacParameters) -> int:
    """How long an access unit is, in ticks of the track's clock. Raises MalformedBitstream."""
    config = AudioSpecificConfig.parse(parameters.config)
    return config.core_frame_samples * parameters.sample_rate_hz // config.core_rate_hz


def _unpack_aac(data: bytes) -> list[bytes]:
    """Raw access units, whether the container keeps them raw or in ADTS.

    None of them begins like an ADTS header: that would be the element that ends a frame (table 4.85).
    """
    is_adts = len(data) > 7 and data[0] == 0xFF and data[1] & 0xF6 == 0xF0
    return split_adts(data) if is_adts else _unpack_whole(data)


def _unpack_whole(data: bytes) -> list[bytes]:
    return [data] if data else []
