"""AV1 in RTP (RTP Payload Format For AV1, by the AOM, version 1.0): the OBUs of a temporal unit, whole and in parts.

|Z|Y| W 2 |N| 0 0 0 |  then elements: OBUs, or parts of them, each behind its size in leb128

Z: the first element goes on with an OBU of the packet before, Y: the last one goes on in the next packet. W: the
number of elements, of which the last one has no size; 0: all have sizes. N: a coded video sequence begins here.
"""

from __future__ import annotations

from manycast.media.av1 import (
    MAX_OBUS,
    Av1SequenceHeader,
    ObuType,
    is_keyframe,
    leb128,
    obu_type,
    read_leb128,
    sequence_header_of,
    without_size_fields,
)
from manycast.media.bits import MalformedBitstream
from manycast.media.frame import Frame
from manycast.media.track import Av1Parameters, Codec, Track
from manycast.wire.rtp.payload import (
    Depacketiser,
    MalformedPayload,
    Packetiser,
    PayloadFormat,
    RtpMap,
    RtpPayload,
    UnsupportedFormat,
)
from manycast.wire.rtp.pictures import Picture, PictureDepacketiser, marked_payloads

CLOCK_RATE_HZ = 90_000
MAX_COUNTED = 3  # elements that W can count
MAX_FRAGMENTS = 16_384  # of one OBU

_CONTINUES, _CONTINUED, _NEW_SEQUENCE = 0x80, 0x40, 0x08  # Z, Y, N


class Av1Packetiser:
    """Fills each packet to the limit, with up to three elements."""

    __slots__ = ("_limit",)

    def __init__(self, limit: int) -> None:
        assert limit > 2
        self._limit = limit

    def packetise(self, frame: Frame) -> list[RtpPayload]:
        obus = [obu for obu in frame.units if obu]
        datas: list[bytes] = []
        index = position = 0
        while index < len(obus):
            flags = _CONTINUES if position else 0
            if not datas and obu_type(obus[0]) == ObuType.SEQUENCE_HEADER:
                flags |= _NEW_SEQUENCE
            elements: list[bytes] = []
            room = self._limit - 1
            while True:
                rest = obus[index][position:]
                size = leb128(len(rest))
                # Another one behind it needs a byte at least, or else this one goes without its size.
                if index + 1 < len(obus) and len(elements) + 1 < MAX_COUNTED and len(size) + len(rest) < room:
                    elements += [size + rest]
                    room -= len(size) + len(rest)
                    index, position = index + 1, 0
                    continue
                part = rest[:room]
                elements.append(part)
                if len(part) < len(rest):
                    flags |= _CONTINUED
                    position += len(part)
                else:
                    index, position = index + 1, 0
                break
            datas.append(bytes((flags | len(elements) << 4,)) + b"".join(elements))
        return marked_payloads(datas)


class Av1Reader:
    """A temporal unit. Its first packet is sure to be that only where a coded video sequence begins."""

    __slots__ = ("_fragments", "_obus", "_sequence_header")

    def __init__(self) -> None:
        self._sequence_header = b""
        self._obus: list[bytes] = []
        self._fragments: list[bytes] = []  # of the OBU under way

    def begins(self, payload: bytes) -> bool:
        if not payload or payload[0] & _CONTINUES:
            return False
        if payload[0] & _NEW_SEQUENCE:
            return True
        try:
            first = next(iter(_elements(payload)), b"")
        except MalformedPayload:
            return False
        return bool(first) and obu_type(first) in (ObuType.SEQUENCE_HEADER, ObuType.TEMPORAL_DELIMITER)

    def add(self, payload: bytes) -> None:
        if not payload:
            raise MalformedPayload("AV1 payload of 0 bytes")
        elements = _elements(payload)
        if bool(self._fragments) is not bool(payload[0] & _CONTINUES):
            text = "an OBU without its end" if self._fragments else "an OBU without its beginning"
            raise MalformedPayload(f"AV1: {text}")
        continued = bool(payload[0] & _CONTINUED)
        last = len(elements) - 1
        for index, element in enumerate(elements):
            if self._fragments or (continued and index == last):
                self._fragments.append(element)
                if len(self._fragments) > MAX_FRAGMENTS:
                    raise MalformedPayload(f"AV1: OBU in over {MAX_FRAGMENTS} fragments")
                if continued and index == last:
                    break
                element = b"".join(self._fragments)
                self._fragments = []
            self._obus.append(element)
            if len(self._obus) > MAX_OBUS:
                raise MalformedPayload(f"AV1: temporal unit of over {MAX_OBUS} OBUs")

    def take(self) -> list[Picture]:
        if self._fragments:
            raise MalformedPayload("AV1: a temporal unit that ends within an OBU")
        try:
            obus = without_size_fields(self._obus)
        except MalformedBitstream as error:
            raise MalformedPayload(str(error)) from error
        self.clear()
        self._sequence_header = sequence_header_of(obus) or self._sequence_header
        return [Picture(obus, is_keyframe(obus, self._sequence_header))]

    def clear(self) -> None:
        self._obus = []
        self._fragments = []


def _elements(payload: bytes) -> list[bytes]:
    """What a packet holds. Raises MalformedPayload."""
    count = payload[0] >> 4 & 3
    elements: list[bytes] = []
    position = 1
    while position < len(payload):
        size = len(payload) - position
        if len(elements) + 1 != count:
            try:
                size, position = read_leb128(payload, position)
            except MalformedBitstream as error:
                raise MalformedPayload(str(error)) from error
        if position + size > len(payload):
            raise MalformedPayload(f"AV1: element of {size} bytes, {len(payload) - position} left")
        elements.append(payload[position : position + size])
        position += size
        if len(elements) > MAX_OBUS:
            raise MalformedPayload(f"AV1: packet of over {MAX_OBUS} elements")
    if count and len(elements) != count:
        raise MalformedPayload(f"AV1: {len(elements)} elements, {count} announced")
    if not elements:
        raise MalformedPayload("AV1: packet without an element")
    return elements


def describe(track: Track, payload_type: int) -> RtpMap:
    parameters = track.parameters
    assert isinstance(parameters, Av1Parameters)
    fmtp = {}
    if parameters.complete:
        header = Av1SequenceHeader.parse(parameters.sequence_header)
        fmtp = {"profile": str(header.profile), "level-idx": str(header.level_idx), "tier": str(header.tier)}
    return RtpMap(payload_type=payload_type, encoding_name="AV1", clock_rate_hz=CLOCK_RATE_HZ, fmtp=fmtp)


def track(rtpmap: RtpMap) -> Track:
    """The sequence header is learned from the temporal units."""
    if rtpmap.clock_rate_hz != CLOCK_RATE_HZ:
        raise UnsupportedFormat(f"AV1 with a clock of {rtpmap.clock_rate_hz} Hz, wanted {CLOCK_RATE_HZ}")
    return Track(codec=Codec.AV1, clock_rate_hz=CLOCK_RATE_HZ, parameters=Av1Parameters())


def _packetiser(_track: Track, limit: int) -> Packetiser:
    return Av1Packetiser(limit)


def _depacketiser(_track: Track, track_index: int) -> Depacketiser:
    return PictureDepacketiser(Av1Reader(), track_index)


AV1 = PayloadFormat(
    codec=Codec.AV1,
    encoding_names=("av1",),
    describe=describe,
    track=track,
    packetiser=_packetiser,
    depacketiser=_depacketiser,
)
