"""Payload formats of a 90 kHz clock of which SDP says no more than the name."""

from __future__ import annotations

from collections.abc import Callable

from manycast.media.track import Codec, PlainParameters, Track
from manycast.wire.rtp.payload import Depacketiser, Packetiser, PayloadFormat, RtpMap, UnsupportedFormat
from manycast.wire.rtp.static import with_static_type

CLOCK_RATE_HZ = 90_000


def plain_format(
    codec: Codec,
    name: str,
    *,
    packetiser: Callable[[int], Packetiser],  # the limit of a payload in bytes
    depacketiser: Callable[[int], Depacketiser],  # the track's index in the stream
) -> PayloadFormat:
    """The format with the name that its RFC gives it; its payload type is the static one where it has one."""

    def describe(_track: Track, payload_type: int) -> RtpMap:
        return with_static_type(RtpMap(payload_type=payload_type, encoding_name=name, clock_rate_hz=CLOCK_RATE_HZ))

    def track(rtpmap: RtpMap) -> Track:
        if rtpmap.clock_rate_hz != CLOCK_RATE_HZ:
            raise UnsupportedFormat(f"{name} with a clock of {rtpmap.clock_rate_hz} Hz, wanted {CLOCK_RATE_HZ}")
        return Track(codec=codec, clock_rate_hz=CLOCK_RATE_HZ, parameters=PlainParameters())

    return PayloadFormat(
        codec=codec,
        encoding_names=(name.lower(),),
        describe=describe,
        track=track,
        packetiser=lambda _track, limit: packetiser(limit),
        depacketiser=lambda _track, track_index: depacketiser(track_index),
    )
