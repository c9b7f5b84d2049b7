"""H.265 in RTP (RFC 7798), without DONL fields: units come in decoding order."""

from __future__ import annotations

from manycast.media.bits import MalformedBitstream
from manycast.media.h265 import H265NalType, with_parameter_set
from manycast.media.track import Codec, H265Parameters, Track
from manycast.wire.rtp.nal_units import (
    AGGREGATE,
    FRAGMENT,
    REFUSED,
    SINGLE,
    NalDepacketiser,
    NalPacketiser,
    NalRules,
    join_sets,
    split_sets,
)
from manycast.wire.rtp.payload import Depacketiser, Packetiser, PayloadFormat, RtpMap, UnsupportedFormat

CLOCK_RATE_HZ = 90_000

_AGGREGATION_PACKET, _FRAGMENTATION_UNIT, _PACI = 48, 49, 50
_KINDS = {_AGGREGATION_PACKET: AGGREGATE, _FRAGMENTATION_UNIT: FRAGMENT, _PACI: REFUSED}


def _aggregate_header(units: list[bytes]) -> bytes:
    # F is set when it is in any unit, LayerId and TID are the lowest of them all (section 4.4.2).
    forbidden = max(unit[0] & 0x80 for unit in units)
    layer_id = min((unit[0] & 1) << 5 | unit[1] >> 3 for unit in units)
    temporal_id = min(unit[1] & 7 for unit in units)
    return bytes((forbidden | _AGGREGATION_PACKET << 1 | layer_id >> 5, (layer_id & 0x1F) << 3 | temporal_id))


def _fragment_header(unit: bytes) -> bytes:
    return bytes((unit[0] & 0x81 | _FRAGMENTATION_UNIT << 1, unit[1], unit[0] >> 1 & 0x3F))


def _unit_header(payload: bytes) -> bytes:
    return bytes((payload[0] & 0x81 | (payload[2] & 0x3F) << 1, payload[1]))


_RULES = NalRules(
    header_bytes=2,
    kinds=bytes(_KINDS.get(first_byte >> 1 & 0x3F, SINGLE) for first_byte in range(256)),
    types=bytes(first_byte >> 1 & 0x3F for first_byte in range(256)),
    slice_types=frozenset(range(32)),
    entry_types=frozenset(range(16, 24)),
    opening_types=frozenset({H265NalType.ACCESS_UNIT_DELIMITER, H265NalType.VPS}),
    names={_PACI: "PACI"},
    aggregate_header=_aggregate_header,
    fragment_header=_fragment_header,
    unit_header=_unit_header,
)


def describe(track: Track, payload_type: int) -> RtpMap:
    parameters = track.parameters
    assert isinstance(parameters, H265Parameters)
    fmtp = {}
    if parameters.complete:
        fmtp["sprop-vps"] = join_sets(parameters.vps)
        fmtp["sprop-sps"] = join_sets(parameters.sps)
        fmtp["sprop-pps"] = join_sets(parameters.pps)
    return RtpMap(payload_type=payload_type, encoding_name="H265", clock_rate_hz=CLOCK_RATE_HZ, fmtp=fmtp)


def track(rtpmap: RtpMap) -> Track:
    if rtpmap.clock_rate_hz != CLOCK_RATE_HZ:
        raise UnsupportedFormat(f"H265 with a clock of {rtpmap.clock_rate_hz} Hz, wanted {CLOCK_RATE_HZ}")
    for name in ("sprop-max-don-diff", "sprop-depack-buf-nalus"):
        value = rtpmap.fmtp.get(name, "0").strip()
        if value != "0":
            raise UnsupportedFormat(f"H265 with {name}={value}: interleaving is not supported")
    parameters = H265Parameters()
    for name in ("sprop-vps", "sprop-sps", "sprop-pps"):
        for unit in split_sets(rtpmap.fmtp.get(name, "")):
            try:
                parameters = with_parameter_set(parameters, unit)
            except MalformedBitstream:
                continue  # a camera that announces garbage may still send good sets in band
    return Track(codec=Codec.H265, clock_rate_hz=CLOCK_RATE_HZ, parameters=parameters)


def _packetiser(_track: Track, limit: int) -> Packetiser:
    return NalPacketiser(_RULES, limit)


def _depacketiser(_track: Track, track_index: int) -> Depacketiser:
    return NalDepacketiser(_RULES, track_index)


H265 = PayloadFormat(
    codec=Codec.H265,
    encoding_names=("h265", "hevc"),  # the second is what some cameras write
    describe=describe,
    track=track,
    packetiser=_packetiser,
    depacketiser=_depacketiser,
)
