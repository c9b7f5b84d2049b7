"""What an MP4 says of a track's codec: the sample entry with the decoder's configuration."""

from __future__ import annotations

from dataclasses import dataclass

from manycast.media import h264, h265
from manycast.media.ac3 import Ac3Header
from manycast.media.bits import MalformedBitstream
from manycast.media.codec_string import MPEG2_AUDIO_BELOW_HZ, codec_string
from manycast.media.configuration import serialize_av1c, serialize_vpcc
from manycast.media.flac import BLOCK_HEADER as FLAC_BLOCK_HEADER
from manycast.media.flac import StreamInfo
from manycast.media.sample import picture_size
from manycast.media.track import (
    AacParameters,
    AudioParameters,
    Av1Parameters,
    Codec,
    FlacParameters,
    H264Parameters,
    H265Parameters,
    MediaKind,
    Track,
)
from manycast.media.vp9 import Vp9Format
from manycast.wire.fmp4.box import box, full_box

CARRIED = frozenset(
    {
        *(Codec.H264, Codec.H265, Codec.AV1, Codec.VP9),
        *(Codec.AAC, Codec.OPUS, Codec.MP3, Codec.AC3, Codec.FLAC),
    }
)
TOLD_BY_FRAMES = frozenset({Codec.VP9, Codec.AC3})  # in whose tracks not all of it stands

_DPI_72 = (72 << 16).to_bytes(4)
_MAX_SIDE = 0xFFFF  # pixels, in 16 bits
_MAX_RATE_HZ = 0xFFFF  # of the field; higher ones stand in the codec's own configuration
_AAC, _MPEG2_AUDIO, _MPEG1_AUDIO = 0x40, 0x69, 0x6B  # objectTypeIndication (ISO/IEC 14496-1 table 5)
_AUDIO_STREAM = 0x15  # streamType 5, upStream 0, reserved 1
# Streams, coupled streams and the order of channels by their number (RFC 7845 section 5.1.1.2).
_OPUS_LAYOUTS = {
    3: (2, 1, b"\x00\x02\x01"),
    4: (2, 2, b"\x00\x01\x02\x03"),
    5: (3, 2, b"\x00\x04\x01\x02\x03"),
    6: (4, 2, b"\x00\x04\x01\x02\x03\x05"),
    7: (4, 3, b"\x00\x04\x01\x02\x03\x05\x06"),
    8: (5, 3, b"\x00\x06\x01\x02\x03\x04\x05\x07"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """All that an init segment says of one track's codec."""

    entry: bytes  # the sample entry, a box
    codec: str  # RFC 6381
    size: tuple[int, int] | None = None  # of pictures, in pixels


def describe(track: Track, sample: bytes = b"") -> Description | None:
    """The description of a track; `sample` is a keyframe, for codecs of TOLD_BY_FRAMES.

    None while it is not known, and where what is known is broken.
    """
    if track.codec not in CARRIED or not track.parameters.complete:
        return None
    if track.codec in TOLD_BY_FRAMES and not sample:
        return None
    codec = codec_string(track, sample)
    if codec is None:
        return None
    try:
        return _video(track, codec, sample) if track.kind is MediaKind.VIDEO else _audio(track, codec, sample)
    except MalformedBitstream:
        return None


def _video(track: Track, codec: str, sample: bytes) -> Description:
    size = picture_size(track)
    match track.parameters:
        case H264Parameters() as parameters:
            kind, configuration = b"avc1", box(b"avcC", h264.serialize_avcc(parameters))
        case H265Parameters() as parameters:
            kind, configuration = b"hvc1", box(b"hvcC", h265.serialize_hvcc(parameters))
        case Av1Parameters(sequence_header=header):
            kind, configuration = b"av01", box(b"av1C", serialize_av1c(header))
        case _:
            form = Vp9Format.parse(sample)
            kind, configuration, size = (
                b"vp09",
                full_box(b"vpcC", 1, 0, serialize_vpcc(form)),
                (form.width, form.height),
            )
    width, height = (min(side, _MAX_SIDE) for side in size or (0, 0))
    entry = box(
        kind,
        bytes(6) + (1).to_bytes(2),  # reserved, data_reference_index
        bytes(16) + width.to_bytes(2) + height.to_bytes(2),
        _DPI_72 + _DPI_72 + bytes(4) + (1).to_bytes(2),  # resolution, reserved, frame_count
        bytes(32) + (24).to_bytes(2) + b"\xff\xff",  # compressorname, depth, pre_defined
        configuration,
    )
    return Description(entry=entry, codec=codec, size=(width, height))


def _audio(track: Track, codec: str, sample: bytes) -> Description:
    parameters = track.parameters
    assert isinstance(parameters, AacParameters | AudioParameters | FlacParameters)
    channels, rate_hz = parameters.channels, parameters.sample_rate_hz
    bits, field_hz = 16, rate_hz if rate_hz <= _MAX_RATE_HZ else 0
    match track.codec:
        case Codec.AAC:
            assert isinstance(parameters, AacParameters)
            kind, configuration = b"mp4a", _esds(_AAC, parameters.config)
        case Codec.MP3:
            kind = b"mp4a"
            configuration = _esds(_MPEG2_AUDIO if rate_hz < MPEG2_AUDIO_BELOW_HZ else _MPEG1_AUDIO, b"")
        case Codec.AC3:
            kind, configuration = b"ac-3", _dac3(sample)
        case Codec.FLAC:
            assert isinstance(parameters, FlacParameters)
            kind, configuration = b"fLaC", full_box(b"dfLa", 0, 0, FLAC_BLOCK_HEADER + parameters.streaminfo)
            bits, field_hz = StreamInfo.parse(parameters.streaminfo).bits_per_sample, _expressible(rate_hz)
        case _:
            kind, configuration = b"Opus", _dops(channels)
    entry = box(
        kind,
        bytes(6) + (1).to_bytes(2),  # reserved, data_reference_index
        bytes(8) + min(channels, 0xFFFF).to_bytes(2) + bits.to_bytes(2) + bytes(4),
        field_hz.to_bytes(2) + bytes(2),
        configuration,
    )
    return Description(entry=entry, codec=codec)


def _expressible(rate_hz: int) -> int:
    """The rate or, where that is too high, its half, a quarter and so on; else the highest that can stand there
    (RFC 9639 appendix D.3)."""
    halved = rate_hz
    while halved > _MAX_RATE_HZ and not halved & 1:
        halved >>= 1
    return min(halved, _MAX_RATE_HZ)


def _esds(object_type: int, specific_info: bytes) -> bytes:
    """ISO/IEC 14496-1 section 7.2.6.5, in the box of ISO/IEC 14496-14 section 5.6."""
    info = _descriptor(5, specific_info) if specific_info else b""
    decoder = _descriptor(4, bytes((object_type, _AUDIO_STREAM)), bytes(3 + 4 + 4), info)  # buffer and rates: unknown
    return full_box(b"esds", 0, 0, _descriptor(3, bytes(3), decoder, _descriptor(6, b"\x02")))


def _descriptor(tag: int, *parts: bytes) -> bytes:
    """Its size stands in groups of 7 bits, here always four (ISO/IEC 14496-1 section 8.3.3)."""
    body = b"".join(parts)
    size = len(body)
    groups = bytes((0x80 | size >> 21 & 0x7F, 0x80 | size >> 14 & 0x7F, 0x80 | size >> 7 & 0x7F, size & 0x7F))
    return bytes((tag,)) + groups + body


def _dac3(frame: bytes) -> bytes:
    """ETSI TS 102 366 annex F.4."""
    header = Ac3Header.parse(frame)
    value = header.fscod << 22 | header.bsid << 17 | header.bsmod << 14 | header.acmod << 11
    value |= header.lfeon << 10 | header.frmsizecod >> 1 << 5
    return box(b"dac3", value.to_bytes(3))


def _dops(channels: int) -> bytes:
    """Encapsulation of Opus in ISO Base Media File Format section 4.3.2. Nothing is skipped: streams begin anywhere."""
    head = bytes((0, channels)) + bytes(2) + (48_000).to_bytes(4) + bytes(2)
    if channels <= 2:
        return box(b"dOps", head, b"\0")
    if channels not in _OPUS_LAYOUTS:
        raise MalformedBitstream(f"Opus of {channels} channels, at most 8 have an order")
    streams, coupled, order = _OPUS_LAYOUTS[channels]
    return box(b"dOps", head, bytes((1, streams, coupled)), order)
