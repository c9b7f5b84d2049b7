"""What the video codecs are encoded as."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from manycast.media.track import (
    Codec,
    CodecParameters,
    H264Parameters,
    H265Parameters,
    Mpeg4Parameters,
    PlainParameters,
    Track,
)

CLOCK_HZ = 90_000
KEYFRAME_INTERVAL_S = 2


@dataclass(frozen=True, slots=True)
class VideoKind:
    """How a codec is encoded. `bits` are per pixel and picture where no bit rate is asked for."""

    encoder: str
    parameters: CodecParameters
    bits: float
    time_base_hz: int
    multiple: int = 2  # of both sides
    pixel_format: str = "yuv420p"


KINDS: Mapping[Codec, VideoKind] = {
    Codec.H264: VideoKind("libx264", H264Parameters(), 0.1, CLOCK_HZ),
    Codec.H265: VideoKind("libx265", H265Parameters(), 0.07, CLOCK_HZ),
    # MPEG-4 counts time in 16 bits (vop_time_increment_resolution).
    Codec.MPEG4: VideoKind("mpeg4", Mpeg4Parameters(), 0.15, 30_000),
    Codec.MJPEG: VideoKind("mjpeg", PlainParameters(), 0.5, CLOCK_HZ, multiple=8, pixel_format="yuvj420p"),
}


def video_track(codec: Codec) -> Track:
    """What comes out, before the first keyframe has told the rest."""
    return Track(codec=codec, clock_rate_hz=CLOCK_HZ, parameters=KINDS[codec].parameters)


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoForm:
    """What is to be encoded. `bit_rate_bps` 0 is worked out from size and rate; JPEG's is then of a fixed quality."""

    codec: Codec
    width: int
    height: int
    rate: float  # pictures a second
    bit_rate_bps: int = 0
    cheap: bool = False  # for synthetic pictures, which look the same at a third of the cost

    @property
    def settled_bit_rate_bps(self) -> int:
        bits = self.width * self.height * min(self.rate, 60.0) * KINDS[self.codec].bits
        return self.bit_rate_bps or max(64_000, int(bits))
