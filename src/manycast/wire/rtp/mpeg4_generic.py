"""AAC in RTP as RFC 3640 has it: any layout of access unit headers in, mode AAC-hbr out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self

from manycast.media.aac import parameters_from_config, split_adts
from manycast.media.bits import BitReader, MalformedBitstream
from manycast.media.frame import Frame
from manycast.media.track import AacParameters, Codec, Track
from manycast.wire.rtp.aac_units import frames_of, unit_ticks
from manycast.wire.rtp.packet import RtpPacket
from manycast.wire.rtp.payload import (
    Depacketiser,
    MalformedPayload,
    Packetiser,
    PayloadFormat,
    RtpMap,
    RtpPayload,
    UnsupportedFormat,
)

MAX_UNITS_IN_PACKET = 256
MAX_UNIT_BYTES = 65535  # what AAC-hbr can say is 8191
MAX_FRAGMENTS = 1024  # of one access unit

_HBR_SIZE_BITS = 13
_HBR_HEADER_BYTES = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class HeaderLayout:
    """What fmtp says of the access unit headers (RFC 3640 sections 3.2.1.1 and 4.1), in bits."""

    size: int
    index: int
    index_delta: int
    cts_delta: int
    dts_delta: int
    random_access: int
    stream_state: int
    auxiliary_size: int
    constant_size_bytes: int

    @classmethod
    def parse(cls, fmtp: Mapping[str, str]) -> Self:
        """Raises UnsupportedFormat."""
        if _number(fmtp, "maxdisplacement", 0xFFFFFFFF):
            raise UnsupportedFormat("MPEG4-GENERIC with interleaved access units")
        layout = cls(
            size=_number(fmtp, "sizelength", 32),
            index=_number(fmtp, "indexlength", 32),
            index_delta=_number(fmtp, "indexdeltalength", 32),
            cts_delta=_number(fmtp, "ctsdeltalength", 32),
            dts_delta=_number(fmtp, "dtsdeltalength", 32),
            random_access=_number(fmtp, "randomaccessindication", 1),
            stream_state=_number(fmtp, "streamstateindication", 32),
            auxiliary_size=_number(fmtp, "auxiliarydatasizelength", 32),
            constant_size_bytes=_number(fmtp, "constantsize", MAX_UNIT_BYTES),
        )
        if layout.size and layout.constant_size_bytes:
            raise UnsupportedFormat("MPEG4-GENERIC with both sizelength and constantsize")
        return layout

    @property
    def has_headers(self) -> bool:
        return any(
            (
                self.size,
                self.index,
                self.index_delta,
                self.cts_delta,
                self.dts_delta,
                self.random_access,
                self.stream_state,
            )
        )

    @property
    def is_hbr(self) -> bool:
        """Each header is 13 bits of size and 3 that say nothing: nearly every sender."""
        rest = (self.cts_delta, self.dts_delta, self.random_access, self.stream_state, self.auxiliary_size)
        return (self.size, self.index, self.index_delta) == (_HBR_SIZE_BITS, 3, 3) and not any(rest)

    def split(self, payload: bytes) -> tuple[list[int], int]:
        """The sizes of a payload's access units, and where the first one begins. Raises MalformedBitstream.

        A single unit whose size is not said gets the size of what is there, and -1 stands for it.
        """
        position, sizes = 0, [-1]
        if self.has_headers:
            header_bits = int.from_bytes(payload[:2], "big")
            position = 2 + (header_bits + 7) // 8
            if position > len(payload):
                raise MalformedBitstream(f"access unit headers to byte {position} of {len(payload)}")
            sizes = self._read_headers(BitReader(payload[2:position]), header_bits)
        if self.auxiliary_size:
            bits = BitReader(payload[position:])
            total_bits = bits.bits_left
            auxiliary_bits = bits.u(self.auxiliary_size)
            bits.u(auxiliary_bits)
            position += (total_bits - bits.bits_left + 7) // 8
        if self.constant_size_bytes:
            count = max(1, (len(payload) - position) // self.constant_size_bytes)
            if count > MAX_UNITS_IN_PACKET:
                raise MalformedBitstream(f"{count} access units in a packet, over {MAX_UNITS_IN_PACKET}")
            sizes = [self.constant_size_bytes] * count
        return sizes, position

    def _read_headers(self, bits: BitReader, header_bits: int) -> list[int]:
        end = bits.bits_left - header_bits
        sizes: list[int] = []
        while bits.bits_left > end:
            sizes.append(bits.u(self.size) if self.size else -1)
            if len(sizes) > MAX_UNITS_IN_PACKET:
                raise MalformedBitstream(f"more than {MAX_UNITS_IN_PACKET} access units in a packet")
            before = bits.bits_left
            bits.u(self.index if len(sizes) == 1 else self.index_delta)
            if self.cts_delta and bits.flag():
                bits.u(self.cts_delta)
            if self.dts_delta and bits.flag():
                bits.u(self.dts_delta)
            bits.u(self.random_access + self.stream_state)
            if not self.size and bits.bits_left == before:
                break
        if bits.bits_left < end:
            raise MalformedBitstream(f"{header_bits} bits of access unit headers end within one")
        if not self.size and len(sizes) > 1 and not self.constant_size_bytes:
            raise MalformedBitstream(f"{len(sizes)} access units of unknown size in a packet")
        return sizes


class Mpeg4GenericPacketiser:
    """Mode AAC-hbr (section 3.3.6): an access unit in a packet, or in several when it does not fit."""

    __slots__ = ("_step",)

    def __init__(self, limit: int) -> None:
        self._step = limit - _HBR_HEADER_BYTES
        assert self._step > 0

    def packetise(self, frame: Frame) -> list[RtpPayload]:
        step = self._step
        payloads = []
        for unit in frame.units:
            size = len(unit)
            if size >= 1 << _HBR_SIZE_BITS:
                continue  # the field cannot hold it; AAC has at most 768 bytes a channel
            # AU-headers-length 16, then AU-size and AU-Index 0; every fragment tells the whole unit's size.
            head = b"\x00\x10" + (size << 3).to_bytes(2, "big")
            if size <= step:
                payloads.append(RtpPayload(head + unit, 0, True))
                continue
            payloads += [
                RtpPayload(head + unit[position : position + step], 0, position + step >= size)
                for position in range(0, size, step)
            ]
        return payloads


class Mpeg4GenericDepacketiser:
    """Rebuilds access units. The sizes in the headers tell whether one is whole, so that none has a hole."""

    __slots__ = (
        "_adts",
        "_fragments",
        "_has_size",
        "_hbr",
        "_layout",
        "_received",
        "_size",
        "_timestamp",
        "_track_index",
        "_unit_ticks",
        "_unsure",
    )

    def __init__(self, layout: HeaderLayout, unit_ticks: int, track_index: int) -> None:
        self._layout = layout
        self._hbr = layout.is_hbr
        self._has_size = bool(layout.size or layout.constant_size_bytes)
        self._unit_ticks = unit_ticks
        self._track_index = track_index
        self._fragments: list[bytes] = []
        self._received = 0
        self._size = 0  # of the access unit whose fragments come
        self._timestamp = 0
        self._unsure = False  # packets were lost: fragments may be a unit's tail
        self._adts: bool | None = None  # None before the first access unit

    def push(self, packet: RtpPacket) -> list[Frame]:
        payload = packet.payload
        try:
            if self._hbr and payload[:2] == b"\x00\x10" and len(payload) >= _HBR_HEADER_BYTES:
                sizes, position = [payload[2] << 5 | payload[3] >> 3], _HBR_HEADER_BYTES
            else:
                sizes, position = self._layout.split(payload)
            if not self._has_size:
                return self._take_unsized(packet, payload[position:])
            if len(sizes) == 1 and sizes[0] > len(payload) - position:
                return self._take_fragment(packet, sizes[0], payload[position:])
            self._drop()
            self._unsure = False
            units = []
            for size in sizes:
                end = position + size
                if end > len(payload):
                    raise MalformedPayload(f"access unit from byte {position} to {end} of {len(payload)}")
                units.append(payload[position:end])
                position = end
            return self._frames(packet.timestamp, units)
        except MalformedBitstream as error:
            self._drop()
            raise MalformedPayload(str(error)) from error

    def reset(self) -> None:
        self._drop()
        self._unsure = True

    def _take_fragment(self, packet: RtpPacket, size: int, data: bytes) -> list[Frame]:
        if size > MAX_UNIT_BYTES:
            self._drop()
            raise MalformedPayload(f"access unit of {size} bytes, at most {MAX_UNIT_BYTES} taken")
        if self._fragments and (packet.timestamp != self._timestamp or size != self._size):
            self._drop()
            self._unsure = False
        self._timestamp = packet.timestamp
        self._size = size
        self._fragments.append(data)
        self._received += len(data)
        if self._received > size or len(self._fragments) > MAX_FRAGMENTS:
            fault = f"{self._received} bytes in {len(self._fragments)} fragments of an access unit of {size}"
            self._drop()
            raise MalformedPayload(fault)
        if self._received == size:
            unit = b"".join(self._fragments)
            self._drop()
            self._unsure = False
            return self._frames(packet.timestamp, [unit])
        if packet.marker:
            fault, unsure = f"{self._received} bytes of an access unit of {size}", self._unsure
            self._drop()
            self._unsure = False
            if not unsure:
                raise MalformedPayload(fault)
        return []

    def _take_unsized(self, packet: RtpPacket, data: bytes) -> list[Frame]:
        """Without a size anywhere a packet has one access unit or a fragment of one, up to the marker."""
        if packet.timestamp != self._timestamp:
            self._drop()
        self._timestamp = packet.timestamp
        self._fragments.append(data)
        self._received += len(data)
        if self._received > MAX_UNIT_BYTES or len(self._fragments) > MAX_FRAGMENTS:
            fault = f"access unit of {self._received} bytes in {len(self._fragments)} fragments"
            self._drop()
            raise MalformedPayload(fault)
        if not packet.marker:
            return []
        unit = b"".join(self._fragments)
        unsure = self._unsure
        self._drop()
        self._unsure = False
        return [] if unsure else self._frames(packet.timestamp, [unit])

    def _frames(self, timestamp: int, units: list[bytes]) -> list[Frame]:
        if self._adts is None and units and units[0]:
            # Some cameras leave the ADTS header in (against RFC 3640, which carries raw access units).
            self._adts = units[0][0] == 0xFF and len(units[0]) > 1 and units[0][1] & 0xF6 == 0xF0
        if self._adts:
            units = [frame for unit in units for frame in split_adts(unit)]
        return frames_of(units, track_index=self._track_index, timestamp=timestamp, ticks=self._unit_ticks)

    def _drop(self) -> None:
        self._fragments = []
        self._received = 0


def describe(track: Track, payload_type: int) -> RtpMap:
    parameters = track.parameters
    assert isinstance(parameters, AacParameters)
    return RtpMap(
        payload_type=payload_type,
        encoding_name="MPEG4-GENERIC",
        clock_rate_hz=track.clock_rate_hz,
        channels=parameters.channels,
        fmtp={
            "streamtype": "5",
            "profile-level-id": "1",
            "mode": "AAC-hbr",
            "sizelength": str(_HBR_SIZE_BITS),
            "indexlength": "3",
            "indexdeltalength": "3",
            "config": parameters.config.hex().upper(),
        },
    )


def track(rtpmap: RtpMap) -> Track:
    HeaderLayout.parse(rtpmap.fmtp)
    text = rtpmap.fmtp.get("config", "").strip().strip('"')
    try:
        parameters = parameters_from_config(bytes.fromhex(text))
    except ValueError:
        raise UnsupportedFormat(f"MPEG4-GENERIC with config={text!r}, wanted hexadecimal digits") from None
    except MalformedBitstream as error:
        raise UnsupportedFormat(f"MPEG4-GENERIC with config={text!r}: {error}") from error
    if rtpmap.clock_rate_hz <= 0:
        raise UnsupportedFormat(f"MPEG4-GENERIC with a clock of {rtpmap.clock_rate_hz} Hz")
    return Track(codec=Codec.AAC, clock_rate_hz=rtpmap.clock_rate_hz, parameters=parameters)


def bind(rtpmap: RtpMap) -> PayloadFormat:
    """The format with a depacketiser that knows the layout of a description. Raises UnsupportedFormat."""
    layout = HeaderLayout.parse(rtpmap.fmtp)

    def depacketiser(track: Track, track_index: int) -> Depacketiser:
        return Mpeg4GenericDepacketiser(layout, unit_ticks(track), track_index)

    return replace(MPEG4_GENERIC, depacketiser=depacketiser)


def _packetiser(_track: Track, limit: int) -> Packetiser:
    return Mpeg4GenericPacketiser(limit)


def _depacketiser(track: Track, track_index: int) -> Depacketiser:
    """For what `describe` says."""
    return Mpeg4GenericDepacketiser(HeaderLayout.parse(describe(track, 0).fmtp), unit_ticks(track), track_index)


def _number(fmtp: Mapping[str, str], name: str, maximum: int) -> int:
    text = fmtp.get(name, "0").strip()
    if not (text.isascii() and text.isdigit() and len(text) <= 10) or int(text) > maximum:
        raise UnsupportedFormat(f"MPEG4-GENERIC with {name}={text!r}, wanted a number up to {maximum}")
    return int(text)


MPEG4_GENERIC = PayloadFormat(
    codec=Codec.AAC,
    encoding_names=("mpeg4-generic",),
    describe=describe,
    track=track,
    packetiser=_packetiser,
    depacketiser=_depacketiser,
)
