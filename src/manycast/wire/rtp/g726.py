"""G.726 in RTP (RFC 3551 section 4.5.4): codes of 2 to 5 bits, packed in one of two ways that go by two names."""

from __future__ import annotations

from functools import partial

from manycast.media.g726 import BIT_RATES, SAMPLE_RATE_HZ, block, from_i366
from manycast.media.track import Codec, G726Parameters, Track
from manycast.wire.rtp.payload import Depacketiser, Packetiser, PayloadFormat, RtpMap, UnsupportedFormat
from manycast.wire.rtp.samples import SampleDepacketiser, SamplePacketiser

_NAMES = {f"g726-{bit_rate // 1000}": bit_rate for bit_rate in BIT_RATES}
_NAMES_I366 = {f"aal2-{name}": bit_rate for name, bit_rate in _NAMES.items()}


def describe(track: Track, payload_type: int) -> RtpMap:
    return RtpMap(
        payload_type=payload_type,
        encoding_name=f"G726-{_bit_rate(track) // 1000}",
        clock_rate_hz=SAMPLE_RATE_HZ,
    )


def track(rtpmap: RtpMap) -> Track:
    if rtpmap.clock_rate_hz != SAMPLE_RATE_HZ or rtpmap.channels not in (None, 1):
        raise UnsupportedFormat(
            f"{rtpmap.encoding_name} of {rtpmap.channels or 1} channels at {rtpmap.clock_rate_hz} Hz"
        )
    bit_rate = (_NAMES | _NAMES_I366)[rtpmap.encoding_name.lower()]
    return Track(codec=Codec.G726, clock_rate_hz=SAMPLE_RATE_HZ, parameters=G726Parameters(bit_rate=bit_rate))


def _bit_rate(track: Track) -> int:
    assert isinstance(track.parameters, G726Parameters)
    return track.parameters.bit_rate


def _packetiser(track: Track, limit: int) -> Packetiser:
    block_bytes, block_ticks = block(_bit_rate(track))
    return SamplePacketiser(limit, block_bytes=block_bytes, block_ticks=block_ticks)


def _depacketiser(track: Track, track_index: int) -> Depacketiser:
    return SampleDepacketiser(track_index, block_bytes=block(_bit_rate(track))[0])


def _depacketiser_i366(track: Track, track_index: int) -> Depacketiser:
    bit_rate = _bit_rate(track)
    return SampleDepacketiser(
        track_index, block_bytes=block(bit_rate)[0], convert=partial(from_i366, bit_rate=bit_rate)
    )


G726 = PayloadFormat(
    codec=Codec.G726,
    encoding_names=tuple(_NAMES),
    describe=describe,
    track=track,
    packetiser=_packetiser,
    depacketiser=_depacketiser,
)
AAL2_G726 = PayloadFormat(
    codec=Codec.G726,
    encoding_names=tuple(_NAMES_I366),
    describe=describe,
    track=track,
    packetiser=_packetiser,
    depacketiser=_depacketiser_i366,
)
