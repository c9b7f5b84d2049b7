"""G.711 in RTP (RFC 3551 section 4.5.14): PCMU and PCMA, a byte a sample."""

from __future__ import annotations

from manycast.media.track import AudioParameters, Codec, Track
from manycast.wire.rtp.payload import (
    Depacketiser,
    Packetiser,
    PayloadFormat,
    RtpMap,
    UnsupportedFormat,
)
from manycast.wire.rtp.samples import SampleDepacketiser, SamplePacketiser
from manycast.wire.rtp.static import with_static_type

MAX_CHANNELS = 8
MAX_RATE_HZ = 192_000

_NAMES = {Codec.G711U: "PCMU", Codec.G711A: "PCMA"}


def describe(track: Track, payload_type: int) -> RtpMap:
    channels = _channels(track)
    return with_static_type(
        RtpMap(
            payload_type=payload_type,
            encoding_name=_NAMES[track.codec],
            clock_rate_hz=track.clock_rate_hz,
            channels=channels if channels > 1 else None,
        )
    )


def _channels(track: Track) -> int:
    assert isinstance(track.parameters, AudioParameters)
    return track.parameters.channels


def _track(codec: Codec, rtpmap: RtpMap) -> Track:
    channels = rtpmap.channels or 1
    if channels > MAX_CHANNELS or not 0 < rtpmap.clock_rate_hz <= MAX_RATE_HZ:
        raise UnsupportedFormat(f"{_NAMES[codec]} of {channels} channels at {rtpmap.clock_rate_hz} Hz")
    return Track(
        codec=codec,
        clock_rate_hz=rtpmap.clock_rate_hz,
        parameters=AudioParameters(sample_rate_hz=rtpmap.clock_rate_hz, channels=channels),
    )


def _packetiser(track: Track, limit: int) -> Packetiser:
    return SamplePacketiser(limit, block_bytes=_channels(track))


def _depacketiser(track: Track, track_index: int) -> Depacketiser:
    return SampleDepacketiser(track_index, block_bytes=_channels(track))


def _format(codec: Codec) -> PayloadFormat:
    return PayloadFormat(
        codec=codec,
        encoding_names=(_NAMES[codec].lower(),),
        describe=describe,
        track=lambda rtpmap: _track(codec, rtpmap),
        packetiser=_packetiser,
        depacketiser=_depacketiser,
    )


PCMU = _format(Codec.G711U)
PCMA = _format(Codec.G711A)
