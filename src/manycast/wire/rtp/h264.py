"""H.264 in RTP (RFC 6184), packetization modes 0 and 1."""

from __future__ import annotations

from manycast.media.bits import MalformedBitstream
from manycast.media.h264 import H264NalType, with_parameter_set
from manycast.media.track import Codec, H264Parameters, Track
from manycast.wire.rtp.nal_units import (
    AGGREGATE,
    FRAGMENT,
    IGNORED,
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

_STAP_A, _FU_A = 24, 28
# Interleaving (packetization-mode 2), which no sender in the field uses.
_REFUSED = {25: "STAP-B", 26: "MTAP16", 27: "MTAP24", 29: "FU-B"}
_UNDEFINED = (0, 30, 31)  # to be ignored (section 5.4)


def _kind(first_byte: int) -> int:
    packet_type = first_byte & 0x1F
    if packet_type in _REFUSED:
        return REFUSED
    if packet_type in _UNDEFINED:
        return IGNORED
    return {_STAP_A: AGGREGATE, _FU_A: FRAGMENT}.get(packet_type, SINGLE)


def _aggregate_header(units: list[bytes]) -> bytes:
    # F is set when it is in any unit, NRI is the highest of them all (section 5.7.1).
    return bytes((max(unit[0] & 0x60 for unit in units) | max(unit[0] & 0x80 for unit in units) | _STAP_A,))


def _fragment_header(unit: bytes) -> bytes:
    return bytes((unit[0] & 0xE0 | _FU_A, unit[0] & 0x1F))


def _unit_header(payload: bytes) -> bytes:
    return bytes((payload[0] & 0xE0 | payload[1] & 0x1F,))


_RULES = NalRules(
    header_bytes=1,
    kinds=bytes(map(_kind, range(256))),
    types=bytes(first_byte & 0x1F for first_byte in range(256)),
    slice_types=frozenset({H264NalType.SLICE, H264NalType.PARTITION_A, H264NalType.IDR}),
    entry_types=frozenset({H264NalType.IDR}),
    opening_types=frozenset({H264NalType.ACCESS_UNIT_DELIMITER, H264NalType.SPS}),
    names=_REFUSED,
    aggregate_header=_aggregate_header,
    fragment_header=_fragment_header,
    unit_header=_unit_header,
)


def describe(track: Track, payload_type: int) -> RtpMap:
    parameters = track.parameters
    assert isinstance(parameters, H264Parameters)
    fmtp = {"packetization-mode": "1"}
    if parameters.sps:
        fmtp["profile-level-id"] = parameters.sps[0][1:4].hex().upper()
    if parameters.complete:
        fmtp["sprop-parameter-sets"] = join_sets(parameters.sps + parameters.pps)
    return RtpMap(
        payload_type=payload_type, encoding_name="H264", clock_rate_hz=CLOCK_RATE_HZ, channels=None, fmtp=fmtp
    )


def track(rtpmap: RtpMap) -> Track:
    if rtpmap.clock_rate_hz != CLOCK_RATE_HZ:
        raise UnsupportedFormat(f"H264 with a clock of {rtpmap.clock_rate_hz} Hz, wanted {CLOCK_RATE_HZ}")
    mode = rtpmap.fmtp.get("packetization-mode", "0").strip()
    if mode not in ("0", "1"):
        raise UnsupportedFormat(f"H264 with packetization-mode {mode!r}, wanted 0 or 1")
    parameters = H264Parameters()
    for unit in split_sets(rtpmap.fmtp.get("sprop-parameter-sets", "")):
        try:
            parameters = with_parameter_set(parameters, unit)
        except MalformedBitstream:
            continue  # a camera that announces garbage may still send good sets in band
    return Track(codec=Codec.H264, clock_rate_hz=CLOCK_RATE_HZ, parameters=parameters)


def _packetiser(_track: Track, limit: int) -> Packetiser:
    return NalPacketiser(_RULES, limit)


def _depacketiser(_track: Track, track_index: int) -> Depacketiser:
    return NalDepacketiser(_RULES, track_index)


H264 = PayloadFormat(
    codec=Codec.H264,
    encoding_names=("h264",),
    describe=describe,
    track=track,
    packetiser=_packetiser,
    depacketiser=_depacketiser,
)
