"""What one elementary stream is."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class MediaKind(Enum):
    VIDEO = "video"
    AUDIO = "audio"


class Codec(Enum):
    """The codecs a track can have; the value is the name shown to people."""

    H264 = "H264"
    H265 = "H265"
    AAC = "AAC"
    G711A = "G711A"
    G711U = "G711U"
    OPUS = "OPUS"

    @property
    def kind(self) -> MediaKind:
        return MediaKind.VIDEO if self in _VIDEO_CODECS else MediaKind.AUDIO


_VIDEO_CODECS = frozenset({Codec.H264, Codec.H265})


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
class AudioParameters:
    """Audio that needs nothing but its shape (G.711, Opus)."""

    sample_rate_hz: int
    channels: int

    @property
    def complete(self) -> bool:
        return True


CodecParameters = H264Parameters | H265Parameters | AacParameters | AudioParameters


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """One elementary stream. Immutable: a change of parameters makes a new track.

    `clock_rate_hz` is the rate of every timestamp of the track's frames. It is the RTP clock of the codec:
    90000 for video, the sample rate for AAC and G.711, 48000 for Opus.
    """

    codec: Codec
    clock_rate_hz: int
    parameters: CodecParameters

    @property
    def kind(self) -> MediaKind:
        return self.codec.kind
