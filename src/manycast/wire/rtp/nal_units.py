"""What the payload formats of H.264 (RFC 6184) and H.265 (RFC 7798) share: single, aggregated, cut units."""

from __future__ import annotations

import binascii
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from manycast.media.frame import Frame
from manycast.media.nal import MAX_UNITS
from manycast.wire.rtp.packet import RtpPacket
from manycast.wire.rtp.payload import MAX_FRAME_BYTES, MalformedPayload, RtpPayload

# Of one NAL unit: MAX_FRAME_BYTES in packets of 512 bytes. Fragments of a byte would cost fifty times their
# size.
MAX_FRAGMENTS = 16384

# What a first byte begins, as in NalRules.kinds.
SINGLE, AGGREGATE, FRAGMENT, IGNORED, REFUSED = range(5)

_START, _END = 0x80, 0x40  # bits of the FU header


@dataclass(frozen=True, slots=True, kw_only=True)
class NalRules:
    """Where the two codecs differ."""

    header_bytes: int  # of a NAL unit, and of an aggregation packet
    kinds: bytes  # by a payload's first byte
    types: bytes  # nal_unit_type by a unit's first byte
    slice_types: frozenset[int]
    entry_types: frozenset[int]  # slices of pictures where decoding can start, which parameter sets often precede
    opening_types: frozenset[int]  # delimiter and first parameter set: where a keyframe can begin, slices apart
    names: dict[int, str]  # of packet types that are refused
    aggregate_header: Callable[[list[bytes]], bytes]
    fragment_header: Callable[[bytes], bytes]  # of a unit, all before the S and E bits, which stand in its last byte
    unit_header: Callable[[bytes], bytes]  # the fragmented unit's own, from a fragment's payload


class NalPacketiser:
    """Cuts access units. Neighbours that fit share a packet; what is over the limit is cut in fragments."""

    __slots__ = ("_limit", "_rules")

    def __init__(self, rules: NalRules, limit: int) -> None:
        assert limit > rules.header_bytes + 1
        self._rules = rules
        self._limit = limit

    def packetise(self, frame: Frame) -> list[RtpPayload]:
        limit, header_bytes = self._limit, self._rules.header_bytes
        datas: list[bytes] = []
        group: list[bytes] = []
        group_bytes = header_bytes
        for unit in frame.units:
            size = len(unit)
            if group and group_bytes + 2 + size > limit:
                datas.append(self._join(group))
                group = []
                group_bytes = header_bytes
            if size > limit:
                self._cut(unit, datas)
            else:
                group.append(unit)
                group_bytes += 2 + size
        if group:
            datas.append(self._join(group))
        if not datas:
            return []
        last = datas.pop()
        payloads = [RtpPayload(data, 0, False) for data in datas]
        payloads.append(RtpPayload(last, 0, True))
        return payloads

    def _join(self, units: list[bytes]) -> bytes:
        if len(units) == 1:
            return units[0]
        parts = [self._rules.aggregate_header(units)]
        for unit in units:
            parts.append(len(unit).to_bytes(2, "big"))
            parts.append(unit)
        return b"".join(parts)

    def _cut(self, unit: bytes, datas: list[bytes]) -> None:
        header_bytes = self._rules.header_bytes
        middle = self._rules.fragment_header(unit)
        step = self._limit - len(middle)
        last = middle[-1]
        end = len(unit)
        second = header_bytes + step
        final = second + (end - second - 1) // step * step
        datas.append(middle[:-1] + bytes((last | _START,)) + unit[header_bytes:second])
        datas += [middle + unit[position : position + step] for position in range(second, final, step)]
        datas.append(middle[:-1] + bytes((last | _END,)) + unit[final:])


class NalDepacketiser:
    """Rebuilds access units; one with a hole is dropped whole.

    A frame ends at the marker, or at a new timestamp where the sender sets no marker. Two kinds of senders
    mark more than the frame's end:

    - Cameras that mark parameter sets sent on their own: a frame does not end before it has a slice.
      Parameter sets and SEI left over at a new timestamp belong to the picture that follows (ITU-T H.264
      section 7.4.1.2.3).
    - Cameras that mark each slice. The first time, the rest of the picture becomes a frame of its own with
      the same timestamp, so that nothing is lost; from then on this sender's frames end at a new timestamp
      only.
    """

    __slots__ = (
        "_discarding",
        "_followers",
        "_fragments",
        "_marker_ends_frame",
        "_passed_on",
        "_rules",
        "_size",
        "_timestamp",
        "_track_index",
        "_units",
        "_unsure",
    )

    def __init__(self, rules: NalRules, track_index: int) -> None:
        self._rules = rules
        self._track_index = track_index
        self._timestamp: int | None = None  # of the frame under way, or of the last one
        self._units: list[bytes] = []
        self._fragments: list[bytes] = []  # of the unit under way, its header first
        self._size = 0
        self._discarding = False  # what has this timestamp
        self._passed_on = False  # a frame of this timestamp
        self._unsure = False  # packets were lost: the next timestamp's frame may lack its head
        self._marker_ends_frame = True
        self._followers: set[int] = set()  # types seen ahead of or as the first slice, but not in first place

    def push(self, packet: RtpPacket) -> list[Frame]:
        payload = packet.payload
        if packet.timestamp != self._timestamp:
            return self._turn(packet)
        if self._discarding:
            return []
        if self._fragments:  # the fast path: a fragment that neither starts nor ends a unit
            header_bytes = self._rules.header_bytes
            if (
                len(payload) > header_bytes
                and self._rules.kinds[payload[0]] == FRAGMENT
                and payload[header_bytes] < _END
            ):
                self._fragments.append(payload[header_bytes + 1 :])
                self._size += len(payload)
                if self._size > MAX_FRAME_BYTES or len(self._fragments) > MAX_FRAGMENTS:
                    raise self._fault(f"frame of over {self._size} bytes in {len(self._fragments)} fragments")
                return []
        return self._take(payload, packet.marker)

    def reset(self) -> None:
        self._drop()
        self._unsure = True

    def _turn(self, packet: RtpPacket) -> list[Frame]:
        """Begin a frame at a new timestamp, ending the one under way."""
        frames = []
        if self._fragments:  # the last unit was not finished
            self._drop()
        elif self._units and any(map(self._is_slice, self._units)):
            frames = self._finish()
        self._timestamp = packet.timestamp
        self._passed_on = False
        self._discarding = self._unsure and not self._opens_frame(packet.payload)
        self._unsure = False
        if self._discarding:
            return frames
        try:
            return frames + self._take(packet.payload, packet.marker)
        except MalformedPayload:
            if not frames:
                raise
            return frames  # a finished frame is worth more than the report of a fault

    def _take(self, payload: bytes, marker: bool) -> list[Frame]:
        rules = self._rules
        self._size += len(payload)
        if len(payload) < rules.header_bytes:
            raise self._fault(f"payload of {len(payload)} bytes, a NAL unit's header needs {rules.header_bytes}")
        if self._size > MAX_FRAME_BYTES:
            raise self._fault(f"frame of over {MAX_FRAME_BYTES} bytes")
        kind = rules.kinds[payload[0]]
        if kind == FRAGMENT:
            self._take_fragment(payload)
        elif self._fragments:
            raise self._fault("a fragmented NAL unit has no end")
        elif kind == SINGLE:
            self._add(payload)
        elif kind == AGGREGATE:
            self._take_aggregate(payload)
        elif kind == REFUSED:
            nal_unit_type = rules.types[payload[0]]
            raise self._fault(f"packet type {nal_unit_type} ({rules.names[nal_unit_type]}) is not supported")
        if not marker or self._fragments or not self._marker_ends_frame or not self._units:
            return []
        # A frame's last unit nearly always is a slice; SEI suffixes and filler may follow it.
        if self._is_slice(self._units[-1]) or any(map(self._is_slice, self._units)):
            return self._finish()
        return []

    def _take_fragment(self, payload: bytes) -> None:
        rules = self._rules
        start = rules.header_bytes + 1
        if len(payload) < start:
            raise self._fault(f"fragment of {len(payload)} bytes, its headers need {start}")
        fu_header = payload[rules.header_bytes]
        if fu_header & _START:
            if self._fragments:
                raise self._fault("a fragmented NAL unit has no end")
            header = rules.unit_header(payload)
            if fu_header & _END:
                # Some cameras set S and E in one FU (against RFC 6184 section 5.8); the NAL unit is whole.
                self._add(header + payload[start:])
            else:
                self._fragments = [header, payload[start:]]
            return
        if not self._fragments:  # its start came before we did, or was lost without a trace
            self._drop()
            return
        self._fragments.append(payload[start:])
        if len(self._fragments) > MAX_FRAGMENTS:
            raise self._fault(f"NAL unit in over {MAX_FRAGMENTS} fragments")
        if fu_header & _END:
            unit = b"".join(self._fragments)
            self._fragments = []
            self._add(unit)

    def _take_aggregate(self, payload: bytes) -> None:
        position, end = self._rules.header_bytes, len(payload)
        if position == end:
            raise self._fault("aggregation packet without a NAL unit")
        while position < end:
            start = position + 2
            position = start + int.from_bytes(payload[position:start], "big")
            if start > end or position > end:
                raise self._fault(f"aggregated NAL unit from byte {start} to {position} of {end}")
            self._add(payload[start:position])

    def _add(self, unit: bytes) -> None:
        units = self._units
        if len(unit) <= self._rules.header_bytes:
            if not unit:
                return
            if len(unit) < self._rules.header_bytes:
                raise self._fault(f"NAL unit of {len(unit)} bytes")
        if self._passed_on and not units and self._marker_ends_frame and self._continues_picture(unit):
            self._marker_ends_frame = False
        units.append(unit)
        if len(units) > MAX_UNITS:
            raise self._fault(f"frame of over {MAX_UNITS} NAL units")

    def _finish(self) -> list[Frame]:
        units = self._units
        self._units = []
        self._size = 0
        self._passed_on = True
        if not self._is_slice(units[0]):
            for unit in units[1:]:
                nal_unit_type = self._rules.types[unit[0]]
                self._followers.add(nal_unit_type)
                if nal_unit_type in self._rules.slice_types:
                    if nal_unit_type in self._rules.entry_types:
                        self._followers |= self._rules.entry_types
                    break
        assert self._timestamp is not None
        return [
            Frame(
                track_index=self._track_index,
                dts_ticks=self._timestamp,
                pts_ticks=self._timestamp,
                keyframe=False,  # `normalise` decides
                units=units,
            )
        ]

    def _drop(self) -> None:
        self._units = []
        self._fragments = []
        self._size = 0
        self._discarding = True

    def _fault(self, text: str) -> MalformedPayload:
        self._drop()
        return MalformedPayload(text)

    def _opens_frame(self, payload: bytes) -> bool:
        """Whether a packet surely holds its frame's first unit, so that all that was lost came before.

        A type that this sender puts behind others in a frame does not count. Nothing surer can be had: the
        packets do not tell where a frame begins.
        """
        rules = self._rules
        header_bytes = rules.header_bytes
        unit = payload
        if len(payload) > header_bytes:
            kind = rules.kinds[payload[0]]
            if kind == AGGREGATE:
                unit = payload[header_bytes + 2 :]
            elif kind == FRAGMENT:
                if not payload[header_bytes] & _START:
                    return False
                unit = rules.unit_header(payload) + payload[header_bytes + 1 :]
        if not unit:
            return False
        nal_unit_type = rules.types[unit[0]]
        if nal_unit_type in self._followers:
            return False
        if nal_unit_type in rules.slice_types:
            return not self._continues_picture(unit)
        return nal_unit_type in rules.opening_types

    def _is_slice(self, unit: bytes) -> bool:
        return self._rules.types[unit[0]] in self._rules.slice_types

    def _continues_picture(self, unit: bytes) -> bool:
        # The first bit behind the header is 1 in the picture's first slice, in both codecs: in H.264 it is
        # first_mb_in_slice, where 1 codes 0, in H.265 first_slice_segment_in_pic_flag.
        header_bytes = self._rules.header_bytes
        return self._is_slice(unit) and len(unit) > header_bytes and unit[header_bytes] < 0x80


def join_sets(units: Iterable[bytes]) -> str:
    """NAL units as SDP's sprop parameters carry them."""
    return ",".join(binascii.b2a_base64(unit, newline=False).decode("ascii") for unit in units)


def split_sets(value: str) -> list[bytes]:
    """The NAL units of a sprop parameter.

    What is no base64 is left out: cameras are known to announce garbage and to send good sets in band.
    """
    units = []
    for text in value.split(",")[:MAX_UNITS]:
        text = text.strip().rstrip("=")
        try:
            unit = binascii.a2b_base64(text + "=" * (-len(text) % 4))
        except ValueError:
            continue
        if unit.startswith((b"\0\0\0\1", b"\0\0\1")):  # some cameras announce sets with their start code
            unit = unit[unit.index(1) + 1 :]
        if unit:
            units.append(unit)
    return units
