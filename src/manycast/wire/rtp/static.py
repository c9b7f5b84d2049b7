"""The payload types that need no rtpmap (RFC 3551 section 6, tables 4 and 5)."""

from __future__ import annotations

from dataclasses import replace

from manycast.wire.rtp.payload import RtpMap

_TABLE = (
    (0, "PCMU", 8000, 1),
    (2, "G726-32", 8000, 1),  # G721 in RFC 1890, reserved since; its code is that of G726-32
    (3, "GSM", 8000, 1),
    (4, "G723", 8000, 1),
    (5, "DVI4", 8000, 1),
    (6, "DVI4", 16000, 1),
    (7, "LPC", 8000, 1),
    (8, "PCMA", 8000, 1),
    (9, "G722", 8000, 1),
    (10, "L16", 44100, 2),
    (11, "L16", 44100, 1),
    (12, "QCELP", 8000, 1),
    (13, "CN", 8000, 1),
    (14, "MPA", 90000, None),
    (15, "G728", 8000, 1),
    (16, "DVI4", 11025, 1),
    (17, "DVI4", 22050, 1),
    (18, "G729", 8000, 1),
    (25, "CelB", 90000, None),
    (26, "JPEG", 90000, None),
    (28, "nv", 90000, None),
    (31, "H261", 90000, None),
    (32, "MPV", 90000, None),
    (33, "MP2T", 90000, None),
    (34, "H263", 90000, None),
)
RESERVED = frozenset({2})  # taken, never given

_RTPMAPS = {
    payload_type: RtpMap(
        payload_type=payload_type,
        encoding_name=name,
        clock_rate_hz=rate_hz,
        channels=channels if channels and channels > 1 else None,
    )
    for payload_type, name, rate_hz, channels in _TABLE
}
_NUMBERS = {
    (name.lower(), rate_hz, channels or 1): payload_type
    for payload_type, name, rate_hz, channels in _TABLE
    if payload_type not in RESERVED
}


def static_rtpmap(payload_type: int) -> RtpMap | None:
    """What a payload type without an rtpmap attribute is; None where the RFC does not say."""
    return _RTPMAPS.get(payload_type)


def with_static_type(rtpmap: RtpMap) -> RtpMap:
    """The same with the payload type that the RFC gives to just this encoding, rate and number of channels, if any."""
    key = (rtpmap.encoding_name.lower(), rtpmap.clock_rate_hz, rtpmap.channels or 1)
    payload_type = _NUMBERS.get(key)
    return rtpmap if payload_type is None else replace(rtpmap, payload_type=payload_type)
