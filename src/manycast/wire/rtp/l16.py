"""Linear samples of 16 bits in RTP (RFC 3551 section 4.5.11): in network order, channels interleaved."""

from __future__ import annotations

from manycast.media.track import AudioParameters, Codec, Track
from manycast.wire.rtp.payload import Depacketiser, Packetiser, PayloadFormat, RtpMap, UnsupportedFormat
from manycast.wire.rtp.samples import SampleDepacketiser, SamplePacketiser
from manycast.wire.rtp.static import with_static_type

MAX_CHANNELS = 64
MAX_RATE_HZ = 384_000


def describe(track: Track, payload_type: int) -> RtpMap:
    channels = _channels(track)
    return with_static_type(
        RtpMap(
            payload_type=payload_type,
            encoding_name="L16",
            clock_rate_hz=track.clock_rate_hz,
            channels=channels if channels > 1 else None,
        )
    )


def track(rtpmap: RtpMap) -> Track:
    channels = rtpmap.channels or 1
    if channels > MAX_CHANNELS or not 0 < rtpmap.clock_rate_hz <= MAX_RATE_HZ:
        raise UnsupportedFormat(f"L16 of {channels} channels at {rtpmap.clock_rate_hz} Hz")
    return Track(
        codec=Codec.L16,
        clock_rate_hz=rtpmap.clock_rate_hz,
        parameters=AudioParameters(sample_rate_hz=rtpmap.clock_rate_hz, channels=channels),
    )


def _channels(track: Track) -> int:
    assert isinstance(track.parameters, AudioParameters)
    return track.parameters.channels


def _packetiser(track: Track, limit: int) -> Packetiser:
    return SamplePacketiser(limit, block_bytes=2 * _channels(track))


def _depacketiser(track: Track, track_index: int) -> Depacketiser:
    return SampleDepacketiser(track_index, block_bytes=2 * _channels(track))


L16 = PayloadFormat(
    codec=Codec.L16,
    encoding_names=("l16",),
    describe=describe,
    track=track,
    packetiser=_packetiser,
    depacketiser=_depacketiser,
)
