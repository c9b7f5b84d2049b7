"""What one elementary stream is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum


class MediaKind(Enum):
    """The kinds of media; the value is what stands in SDP (RFC 8866 section 5.14)."""

    VIDEO = "video"
    AUDIO = "audio"
    APPLICATION = "application"


class Codec(Enum):
    """The codecs a track can have; the value is the name shown to people."""

    H264 = "H264"
    H265 = "H265"
    MPEG4 = "MPEG4"  # part 2 video, never the container
    MJPEG = "MJPEG"
    MPEG_VIDEO = "MPEG1/2"  # MPEG-1 or MPEG-2 video
    VP8 = "VP8"
    VP9 = "VP9"
    AV1 = "AV1"
    THEORA = "THEORA"
    MPEG_TS = "MPEG-TS"  # a whole transport stream, with all that is in it, as one track
    AAC = "AAC"
    G711A = "G711A"
    G711U = "G711U"
    G722 = "G722"
    G726 = "G726"
    OPUS = "OPUS"
    MP3 = "MP3"  # MPEG-1/2 audio of any layer
    AC3 = "AC3"
    FLAC = "FLAC"
    L16 = "L16"
    AMR = "AMR"  # the narrow band
    AMR_WB = "AMR-WB"
    VORBIS = "VORBIS"
    METADATA = "METADATA"  # XML documents of ONVIF
    UNKNOWN = "UNKNOWN"  # passed from RTP to RTP untouched
    FOREIGN = "FOREIGN"  # carried by nothing: what it holds goes out converted

    @property
    def kind(self) -> MediaKind:
        """What it is; of UNKNOWN and FOREIGN only their track can tell."""
        if self in _VIDEO_CODECS:
            return MediaKind.VIDEO
        return MediaKind.APPLICATION if self is Codec.METADATA else MediaKind.AUDIO


_VIDEO_CODECS = frozenset(
    {
        Codec.H264,
        Codec.H265,
        Codec.MPEG4,
        Codec.MJPEG,
        Codec.MPEG_VIDEO,
        Codec.VP8,
        Codec.VP9,
        Codec.AV1,
        Codec.THEORA,
        Codec.MPEG_TS,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class H264Parameters:
    """Parameter sets as NAL units without start codes, in the order they are sent; empty while unknown."""

    sps: tuple[bytes, ...] = ()
    pps: tuple[bytes, ...] = ()

    @property
    def complete(self) -> bool:
        return bool(self.sps and self.pps)


@dataclass(frozen=True, slots=True, kw_only=True)
class H265Parameters:
    """Parameter sets as NAL units without start codes, in the order they are sent; empty while unknown."""

    vps: tuple[bytes, ...] = ()
    sps: tuple[bytes, ...] = ()
    pps: tuple[bytes, ...] = ()

    @property
    def complete(self) -> bool:
        return bool(self.vps and self.sps and self.pps)


@dataclass(frozen=True, slots=True, kw_only=True)
class AacParameters:
    """AAC as its AudioSpecificConfig says (ISO/IEC 14496-3 section 1.6.2.1); `config` is that structure's bytes."""

    config: bytes
    sample_rate_hz: int
    channels: int

    @property
    def complete(self) -> bool:
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class FlacParameters:
    """FLAC as its STREAMINFO says (RFC 9639 section 8.2); `streaminfo` is that block without its header."""

    streaminfo: bytes
    sample_rate_hz: int
    channels: int

    @property
    def complete(self) -> bool:
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Mpeg4Parameters:
    """MPEG-4 part 2 video: everything before the first picture, VisualObjectSequence to VideoObjectLayer, with start
    codes (ISO/IEC 14496-2 section 6.2); empty while unknown."""

    config: bytes = b""

    @property
    def complete(self) -> bool:
        return bool(self.config)


@dataclass(frozen=True, slots=True, kw_only=True)
class Av1Parameters:
    """AV1: the latest sequence header as one OBU with its header and no size field; empty while unknown."""

    sequence_header: bytes = b""

    @property
    def complete(self) -> bool:
        return bool(self.sequence_header)


@dataclass(frozen=True, slots=True, kw_only=True)
class XiphParameters:
    """Theora or Vorbis: the three header packets a decoder needs first, empty while unknown.

    Rate and channels are 0 for video.
    """

    identification: bytes = b""
    comment: bytes = b""
    setup: bytes = b""
    sample_rate_hz: int = 0
    channels: int = 0

    @property
    def complete(self) -> bool:
        return bool(self.identification and self.setup)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlainParameters:
    """A codec whose frames tell all there is to know (MPEG-1/2, VP8, VP9, MPEG-TS, metadata), as does MJPEG
    of the kind that RTP carries."""

    @property
    def complete(self) -> bool:
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class JpegParameters:
    """Motion JPEG that did not come by RTP, and so can be of any kind; all 0 while unknown.

    `fault` is why RTP cannot carry such images (RFC 2435 has some kinds only), empty where it can. Once an image had
    one, it stays.
    """

    width: int = 0
    height: int = 0
    fault: str = ""

    @property
    def complete(self) -> bool:
        return self.width > 0


@dataclass(frozen=True, slots=True, kw_only=True)
class G726Parameters:
    """G.726, always 8000 Hz mono. Frames have the packing of RFC 3551: the first sample in the lowest bits."""

    bit_rate: int  # 16000, 24000, 32000 or 40000

    @property
    def complete(self) -> bool:
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class PassedParameters:
    """A payload format nobody here knows, as its SDP describes it. Frames are RTP payloads.

    `payload_type` is the publisher's, None where another track of the stream could have that number.
    """

    kind: MediaKind
    payload_type: int | None
    encoding_name: str
    channels: int | None = None
    fmtp: tuple[tuple[str, str], ...] = ()

    @property
    def complete(self) -> bool:
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignParameters:
    """A codec of files that no protocol here carries, such as ProRes or DTS. It can only be decoded.

    `open_decoder` gives a new decoder, an object of the library that decodes; it knows all that the file says.
    """

    kind: MediaKind
    name: str  # FFmpeg's
    open_decoder: Callable[[], object]  # may be called in any thread, and raise SourceError
    width: int = 0  # pixels; of audio 0
    height: int = 0
    sample_rate_hz: int = 0  # of video 0
    channels: int = 0
    intra_only: bool = False  # every picture is a keyframe
    reordered: bool = False  # pictures may be shown in another order than they are decoded in

    @property
    def complete(self) -> bool:
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioParameters:
    """Audio that needs nothing but its shape (G.711, G.722, Opus, MP3, AC-3, L16, AMR).

    0 while unknown: of MP3 and AC-3 the frames tell.
    """

    sample_rate_hz: int = 0
    channels: int = 0

    @property
    def complete(self) -> bool:
        return self.sample_rate_hz > 0 and self.channels > 0


CodecParameters = (
    H264Parameters
    | H265Parameters
    | Mpeg4Parameters
    | Av1Parameters
    | XiphParameters
    | PlainParameters
    | JpegParameters
    | AacParameters
    | FlacParameters
    | G726Parameters
    | AudioParameters
    | PassedParameters
    | ForeignParameters
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """One elementary stream. Immutable: a change of parameters makes a new track.

    `clock_rate_hz` is the rate of every timestamp of the track's frames. It is the RTP clock of the codec:
    90000 for video, metadata, MP3 and MPEG-TS; 48000 for Opus; 8000 for G.722, whose sample rate is 16000; else the
    sample rate.
    """

    codec: Codec
    clock_rate_hz: int
    parameters: CodecParameters

    @property
    def kind(self) -> MediaKind:
        parameters = self.parameters
        return parameters.kind if isinstance(parameters, PassedParameters | ForeignParameters) else self.codec.kind

    @property
    def codec_name(self) -> str:
        """For people."""
        return self.parameters.name if isinstance(self.parameters, ForeignParameters) else self.codec.value
