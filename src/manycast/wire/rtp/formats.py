"""The table of payload formats."""

from __future__ import annotations

from collections.abc import Callable

from manycast.media.track import Codec, Track
from manycast.wire.rtp import latm, mpeg4_generic
from manycast.wire.rtp.g711 import PCMA, PCMU
from manycast.wire.rtp.h264 import H264
from manycast.wire.rtp.h265 import H265
from manycast.wire.rtp.latm import LATM
from manycast.wire.rtp.mpeg4_generic import MPEG4_GENERIC
from manycast.wire.rtp.opus import OPUS
from manycast.wire.rtp.payload import PayloadFormat, RtpMap, UnsupportedFormat
from manycast.wire.rtp.static import static_rtpmap

__all__ = ["FORMATS", "format_for_codec", "static_rtpmap", "track_from_rtpmap"]

FORMATS: tuple[PayloadFormat, ...] = (H264, H265, MPEG4_GENERIC, LATM, PCMU, PCMA, OPUS)

_TO_SEND = {
    Codec.H264: H264,
    Codec.H265: H265,
    Codec.AAC: MPEG4_GENERIC,
    Codec.G711U: PCMU,
    Codec.G711A: PCMA,
    Codec.OPUS: OPUS,
}
_TO_RECEIVE = {name: payload_format for payload_format in FORMATS for name in payload_format.encoding_names}
# Formats whose depacketiser needs more of the description than the track holds.
_BINDERS: dict[str, Callable[[RtpMap], PayloadFormat]] = {
    "mpeg4-generic": mpeg4_generic.bind,
    "mp4a-latm": latm.bind,
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
        known = ", ".join(_TO_RECEIVE)
        raise UnsupportedFormat(f"encoding {rtpmap.encoding_name!r}, known are {known}")
    track = payload_format.track(rtpmap)
    return track, _BINDERS[name](rtpmap) if name in _BINDERS else payload_format
