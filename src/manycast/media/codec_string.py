"""What codecs are called in a MIME type's `codecs` parameter (RFC 6381) and in HLS playlists."""

from __future__ import annotations

from manycast.media.aac import AudioSpecificConfig
from manycast.media.av1_format import Av1Format
from manycast.media.bits import MalformedBitstream
from manycast.media.h264 import H264Sps
from manycast.media.h265 import H265Sps
from manycast.media.track import (
    AacParameters,
    AudioParameters,
    Av1Parameters,
    Codec,
    H264Parameters,
    H265Parameters,
    Track,
)
from manycast.media.vp9 import Vp9Format

MPEG2_AUDIO_BELOW_HZ = 32_000  # MPEG-1 has no lower rates (ISO/IEC 11172-3, 13818-3)

_SBR, _PS = 5, 29  # audio object types (ISO/IEC 14496-3 table 1.17)
_VP9_LEVELS = (  # the largest picture in pixels, and the level it needs at usual rates (VP9 specification, annex A)
    (36_864, 10),
    (73_728, 11),
    (122_880, 20),
    (245_760, 21),
    (552_960, 30),
    (983_040, 31),
    (2_228_224, 41),
    (8_912_896, 51),
)
_VP9_LARGEST = 61


def codec_string(track: Track, keyframe: bytes = b"") -> str | None:
    """The name of a track's codec with profile and level.

    `keyframe` is a frame of it: VP9 tells its profile there and nowhere else. None for what is not known yet, is
    broken, or has no name.
    """
    try:
        return _of_video(track, keyframe) or _of_audio(track)
    except MalformedBitstream:
        return None


def vp9_level(form: Vp9Format) -> int:
    """The level, ten times: VP9 does not say it, so by the size of the pictures."""
    pixels = form.width * form.height
    return next((level for largest, level in _VP9_LEVELS if pixels <= largest), _VP9_LARGEST)


def _of_video(track: Track, keyframe: bytes) -> str | None:
    match track.parameters:
        case H264Parameters(sps=(first, *_)):
            avc = H264Sps.parse(first)
            return f"avc1.{avc.profile_idc:02x}{avc.constraint_flags:02x}{avc.level_idc:02x}"
        case H265Parameters(sps=(first, *_)):
            return _hevc(H265Sps.parse(first).profile_tier_level)
        case Av1Parameters(sequence_header=header) if header:
            av1 = Av1Format.parse(header)
            return f"av01.{av1.profile}.{av1.level_idx:02}{'H' if av1.tier else 'M'}.{av1.bit_depth:02}"
    if track.codec is Codec.VP9 and keyframe:
        vp9 = Vp9Format.parse(keyframe)
        return f"vp09.{vp9.profile:02}.{vp9_level(vp9)}.{vp9.bit_depth:02}"
    return None


def _hevc(profile_tier_level: bytes) -> str:
    """ISO/IEC 14496-15 annex E.3: zeros at the end of the constraint flags are left out."""
    first = profile_tier_level[0]
    space = ("", "A", "B", "C")[first >> 6]
    compatibility = int(f"{int.from_bytes(profile_tier_level[1:5]):032b}"[::-1], 2)  # in reverse order
    tier = "H" if first & 0x20 else "L"
    constraints = profile_tier_level[5:11].rstrip(b"\0")
    parts = [f"hvc1.{space}{first & 0x1F}", f"{compatibility:X}", f"{tier}{profile_tier_level[11]}"]
    return ".".join([*parts, *(f"{byte:X}" for byte in constraints)])


def _of_audio(track: Track) -> str | None:
    match track.codec, track.parameters:
        case Codec.AAC, AacParameters(config=config):
            parsed = AudioSpecificConfig.parse(config)
            # What is signalled in the old decoders' blind spot is called by its core: they find the rest by themselves.
            hierarchical = config[0] >> 3 in (_SBR, _PS)
            return f"mp4a.40.{config[0] >> 3 if hierarchical else parsed.object_type}"
        case Codec.MP3, AudioParameters(sample_rate_hz=rate_hz) if rate_hz:
            return "mp4a.69" if rate_hz < MPEG2_AUDIO_BELOW_HZ else "mp4a.6B"
        case Codec.AC3, _:
            return "ac-3"
        case Codec.OPUS, _:
            return "opus"
        case Codec.FLAC, _:
            return "flac"
    return None
