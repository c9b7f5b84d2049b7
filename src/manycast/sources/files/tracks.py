"""Which streams of a container can be carried, as what tracks, and how their packets become frames' units."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial

from manycast.media import av1, h264, h265, mpeg4, mpeg_video
from manycast.media.bits import MalformedBitstream
from manycast.media.nal import split_annex_b, split_length_prefixed
from manycast.media.track import (
    Av1Parameters,
    Codec,
    CodecParameters,
    H264Parameters,
    H265Parameters,
    JpegParameters,
    Mpeg4Parameters,
    PlainParameters,
    Track,
)
from manycast.sources.files.pcm import is_plain
from manycast.sources.files.xiph import parameters_from_extradata

_CODECS = {  # by FFmpeg's names
    "h264": Codec.H264,
    "hevc": Codec.H265,
    "mpeg4": Codec.MPEG4,
    "mjpeg": Codec.MJPEG,
    "mpeg1video": Codec.MPEG_VIDEO,
    "mpeg2video": Codec.MPEG_VIDEO,
    "vp8": Codec.VP8,
    "vp9": Codec.VP9,
    "av1": Codec.AV1,
    "theora": Codec.THEORA,
    "aac": Codec.AAC,
    "mp1": Codec.MP3,
    "mp2": Codec.MP3,
    "mp3": Codec.MP3,
    "ac3": Codec.AC3,
    "flac": Codec.FLAC,
    "amr_nb": Codec.AMR,
    "amr_wb": Codec.AMR_WB,
    "opus": Codec.OPUS,
    "vorbis": Codec.VORBIS,
    "pcm_alaw": Codec.G711A,
    "pcm_mulaw": Codec.G711U,
    "adpcm_g722": Codec.G722,
    "adpcm_g726": Codec.G726,
    "adpcm_g726le": Codec.G726,
}
REORDERED_CODECS = frozenset({Codec.H264, Codec.H265, Codec.MPEG4, Codec.MPEG_VIDEO})  # shown in another order
ANCHORED_CODECS = frozenset({Codec.MPEG4, Codec.MPEG_VIDEO})  # where the types of pictures tell that order
VIDEO_CLOCK_HZ = 90_000

Unpack = Callable[[bytes], list[bytes]]  # a packet's bytes into units; raises MalformedBitstream


@dataclass(frozen=True, slots=True, kw_only=True)
class Carried:
    """A track and the way its packets are packed. The track's parameters may still be incomplete."""

    track: Track
    unpack: Unpack
    frame_ticks: Fraction | None = None  # of audio whose frames are all as long, in ticks of the track's clock
    bits_per_tick: int | None = None  # of audio that is samples, which can be cut anywhere
    lead: bytes = b""  # MPEG-1/2: the sequence header, for keyframes that have none


def codec_of(name: str) -> Codec | None:
    """The codec FFmpeg calls so, if it can be carried."""
    return Codec.L16 if is_plain(name) else _CODECS.get(name)


def describe_video(codec: Codec, extradata: bytes) -> Carried:
    """How a video stream is carried, by what its container says. Raises MalformedBitstream."""
    parameters: CodecParameters
    unpack: Unpack = unpack_whole
    lead = b""
    match codec:
        case Codec.H264 | Codec.H265:
            parameters, unpack = video_configuration(codec, extradata)
        case Codec.MPEG4:
            parameters = Mpeg4Parameters(config=mpeg4.configuration_of(extradata))
        case Codec.AV1:
            parameters, unpack = _av1_parameters(extradata), av1.split_obus
        case Codec.THEORA:
            parameters = parameters_from_extradata(codec, extradata)
        case Codec.MPEG_VIDEO:
            parameters, lead = PlainParameters(), mpeg_video.sequence_header(extradata)
        case Codec.MJPEG:
            parameters, unpack = JpegParameters(), _unpack_jpeg
        case _:
            parameters = PlainParameters()
    track = Track(codec=codec, clock_rate_hz=VIDEO_CLOCK_HZ, parameters=parameters)
    return Carried(track=track, unpack=unpack, lead=lead)


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


def unpack_whole(data: bytes) -> list[bytes]:
    return [data] if data else []


def _av1_parameters(extradata: bytes) -> Av1Parameters:
    """Of an av1C record (AV1 Codec ISO Media File Format Binding section 2.3), or OBUs alone."""
    has_record = extradata[:1] == b"\x81"  # marker and version
    obus = av1.split_obus(extradata[4:] if has_record else extradata)
    return Av1Parameters(sequence_header=av1.sequence_header_of(obus))


def _unpack_jpeg(data: bytes) -> list[bytes]:
    if not data.startswith(b"\xff\xd8"):
        raise MalformedBitstream("a JPEG image without its start")
    return [data]
