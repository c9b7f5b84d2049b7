"""G.722 in RTP (RFC 3551 section 4.5.2): two samples a byte, on a clock of 8000 Hz that an early mistake made."""

from __future__ import annotations

from manycast.media.track import AudioParameters, Codec, Track
from manycast.wire.rtp.payload import Depacketiser, Packetiser, PayloadFormat, RtpMap, UnsupportedFormat
from manycast.wire.rtp.samples import SampleDepacketiser, SamplePacketiser

CLOCK_RATE_HZ = 8000
SAMPLE_RATE_HZ = 16_000


def describe(_track: Track, _payload_type: int) -> RtpMap:
    return RtpMap(payload_type=9, encoding_name="G722", clock_rate_hz=CLOCK_RATE_HZ)


def track(rtpmap: RtpMap) -> Track:
    if rtpmap.clock_rate_hz != CLOCK_RATE_HZ or rtpmap.channels not in (None, 1):
        raise UnsupportedFormat(f"G722 of {rtpmap.channels or 1} channels with a clock of {rtpmap.clock_rate_hz} Hz")
    return Track(
        codec=Codec.G722,
        clock_rate_hz=CLOCK_RATE_HZ,
        parameters=AudioParameters(sample_rate_hz=SAMPLE_RATE_HZ, channels=1),
    )


def _packetiser(_track: Track, limit: int) -> Packetiser:
    return SamplePacketiser(limit, block_bytes=1)


def _depacketiser(_track: Track, track_index: int) -> Depacketiser:
    return SampleDepacketiser(track_index, block_bytes=1)


G722 = PayloadFormat(
    codec=Codec.G722,
    encoding_names=("g722",),
    describe=describe,
    track=track,
    packetiser=_packetiser,
    depacketiser=_depacketiser,
)
