"""The table of payload formats."""

from __future__ import annotations

from collections.abc import Callable

from manycast.media.track import Codec, MediaKind, Track
from manycast.wire.rtp import amr, latm, mpeg4_generic
from manycast.wire.rtp.ac3 import AC3
from manycast.wire.rtp.amr import AMR, AMR_WB
from manycast.wire.rtp.av1 import AV1
from manycast.wire.rtp.g711 import PCMA, PCMU
from manycast.wire.rtp.g722 import G722
from manycast.wire.rtp.g726 import AAL2_G726, G726
from manycast.wire.rtp.h264 import H264
from manycast.wire.rtp.h265 import H265
from manycast.wire.rtp.jpeg import JPEG
from manycast.wire.rtp.l16 import L16
from manycast.wire.rtp.latm import LATM
from manycast.wire.rtp.mp2t import MP2T
from manycast.wire.rtp.mp4v import MP4V
from manycast.wire.rtp.mpa import MPA
from manycast.wire.rtp.mpeg4_generic import MPEG4_GENERIC
from manycast.wire.rtp.mpv import MPV
from manycast.wire.rtp.onvif_metadata import ONVIF_METADATA
from manycast.wire.rtp.opus import OPUS
from manycast.wire.rtp.passed import PASSED, passed_track
from manycast.wire.rtp.payload import PayloadFormat, RtpMap, UnsupportedFormat
from manycast.wire.rtp.static import static_rtpmap
from manycast.wire.rtp.theora import THEORA
from manycast.wire.rtp.vorbis import VORBIS
from manycast.wire.rtp.vp8 import VP8
from manycast.wire.rtp.vp9 import VP9

__all__ = ["FORMATS", "format_for_codec", "passed_on", "static_rtpmap", "track_from_rtpmap"]

FORMATS: tuple[PayloadFormat, ...] = (
    H264,
    H265,
    MP4V,
    JPEG,
    MPV,
    VP8,
    VP9,
    AV1,
    THEORA,
    MPEG4_GENERIC,
    LATM,
    PCMU,
    PCMA,
    OPUS,
    MP2T,
    MPA,
    AC3,
    G722,
    G726,
    AAL2_G726,
    L16,
    AMR,
    AMR_WB,
    VORBIS,
    ONVIF_METADATA,
    PASSED,
)

_TO_SEND = {
    Codec.H264: H264,
    Codec.H265: H265,
    Codec.MPEG4: MP4V,
    Codec.MJPEG: JPEG,
    Codec.MPEG_VIDEO: MPV,
    Codec.VP8: VP8,
    Codec.VP9: VP9,
    Codec.AV1: AV1,
    Codec.THEORA: THEORA,
    Codec.AAC: MPEG4_GENERIC,
    Codec.G711U: PCMU,
    Codec.G711A: PCMA,
    Codec.OPUS: OPUS,
    Codec.MPEG_TS: MP2T,
    Codec.MP3: MPA,
    Codec.AC3: AC3,
    Codec.G722: G722,
    Codec.G726: G726,
    Codec.L16: L16,
    Codec.AMR: AMR,
    Codec.AMR_WB: AMR_WB,
    Codec.METADATA: ONVIF_METADATA,
    Codec.VORBIS: VORBIS,
    Codec.UNKNOWN: PASSED,
}
CARRIED = frozenset(_TO_SEND)
_TO_RECEIVE = {name: payload_format for payload_format in FORMATS for name in payload_format.encoding_names}
# Formats whose depacketiser needs more of the description than the track holds.
_BINDERS: dict[str, Callable[[RtpMap], PayloadFormat]] = {
    "mpeg4-generic": mpeg4_generic.bind,
    "mp4a-latm": latm.bind,
    "amr": amr.bind,
    "amr-wb": amr.bind,
}


def format_for_codec(codec: Codec) -> PayloadFormat:
    """The format in which tracks of a codec are sent."""
    return _TO_SEND[codec]


def track_from_rtpmap(rtpmap: RtpMap) -> tuple[Track, PayloadFormat]:
    """The track a description announces, and the format its packets have.

    The format goes with this description: its depacketiser may know more than the track tells.
    Raises UnsupportedFormat, naming the encoding.
    """
    name = rtpmap.encoding_name.lower()
    payload_format = _TO_RECEIVE.get(name)
    if payload_format is None:
        raise UnsupportedFormat(f"encoding {rtpmap.encoding_name!r} is not known")
    track = payload_format.track(rtpmap)
    return track, _BINDERS[name](rtpmap) if name in _BINDERS else payload_format


def passed_on(rtpmap: RtpMap, kind: MediaKind) -> tuple[Track, PayloadFormat]:
    """The same for a description that `track_from_rtpmap` refuses: its payloads go to viewers as they are.

    `kind` is that of its m= line. Raises UnsupportedFormat.
    """
    return passed_track(rtpmap, kind), PASSED
