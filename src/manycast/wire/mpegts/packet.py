"""Transport stream packets (ISO/IEC 13818-1 section 2.4.3.2) and the checksum of sections."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from manycast.errors import ProtocolError

PACKET_BYTES = 188
HEADER_BYTES = 4
PAYLOAD_BYTES = PACKET_BYTES - HEADER_BYTES
SYNC_BYTE = 0x47
PAT_PID = 0x0000
NULL_PID = 0x1FFF
NULL_PACKET = bytes((SYNC_BYTE, 0x1F, 0xFF, 0x10)) + b"\xff" * PAYLOAD_BYTES  # of NULL_PID: it says nothing
CLOCK_HZ = 90_000  # of PTS and DTS
PCR_EXTENSION = 300  # the PCR's 27 MHz to 90 kHz


class MalformedTs(ProtocolError):
    """Bytes that are no transport stream, or a table in it that contradicts itself."""


@dataclass(frozen=True, slots=True)
class TsPacket:
    pid: int
    starts_unit: bool  # payload_unit_start_indicator: a PES packet or a section begins in it
    counter: int | None  # continuity_counter, where there is payload
    payload: bytes
    discontinuity: bool = False  # announced: the counter and the clock may jump
    random_access: bool = False
    pcr: int | None = None  # in 27 MHz

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read a packet of 188 bytes. Raises MalformedTs."""
        if len(data) != PACKET_BYTES or data[0] != SYNC_BYTE:
            raise MalformedTs(f"no transport stream packet: {len(data)} bytes, beginning {data[:1].hex()}")
        if data[1] & 0x80:
            raise MalformedTs("a packet that the receiver before us has marked as broken")
        pid = (data[1] & 0x1F) << 8 | data[2]
        if data[3] & 0xC0:
            raise MalformedTs(f"scrambled packet of PID {pid}")
        starts_unit = bool(data[1] & 0x40)
        position = HEADER_BYTES
        discontinuity = random_access = False
        pcr = None
        if data[3] & 0x20:
            length = data[4]
            position += 1 + length
            if position > PACKET_BYTES:
                raise MalformedTs(f"adaptation field of {length} bytes")
            if length:
                flags = data[5]
                discontinuity, random_access = bool(flags & 0x80), bool(flags & 0x40)
                if flags & 0x10 and length >= 7:
                    base = int.from_bytes(data[6:12])
                    pcr = (base >> 15) * PCR_EXTENSION + (base & 0x1FF)
        has_payload = bool(data[3] & 0x10)
        return cls(
            pid,
            starts_unit,
            data[3] & 0x0F if has_payload else None,
            data[position:] if has_payload else b"",
            discontinuity,
            random_access,
            pcr,
        )


def serialize_packets(
    pid: int, payload: bytes, counter: int, *, pcr: int | None = None, random_access: bool = False
) -> tuple[bytes, int]:
    """Cut one PES packet or section into packets; `pcr` (27 MHz) goes into the first.

    Returns the packets and the continuity counter of the next one.
    """
    parts: list[bytes] = []
    size, position, first = len(payload), 0, True
    head = pid >> 8 & 0x1F, pid & 0xFF
    while first or position < size:
        adaptation = _adaptation(pcr, random_access) if first else b""
        room = PAYLOAD_BYTES - len(adaptation)
        left = size - position
        if left < room:
            adaptation = _stuffed(adaptation, room - left)
            room = left
        parts.append(
            bytes(
                (
                    SYNC_BYTE,
                    (0x40 if first else 0) | head[0],
                    head[1],
                    (0x30 if adaptation else 0x10) | counter,
                )
            )
        )
        parts.append(adaptation)
        parts.append(payload[position : position + room])
        position += room
        counter = (counter + 1) & 0x0F
        first = False
    return b"".join(parts), counter


def _adaptation(pcr: int | None, random_access: bool) -> bytes:
    if pcr is None and not random_access:
        return b""
    flags = (0x40 if random_access else 0) | (0x10 if pcr is not None else 0)
    field = b""
    if pcr is not None:
        base, extension = divmod(pcr, PCR_EXTENSION)
        field = ((base & 0x1_FFFF_FFFF) << 15 | 0x7E00 | extension).to_bytes(6)
    return bytes((1 + len(field), flags)) + field


def _stuffed(adaptation: bytes, missing: int) -> bytes:
    """An adaptation field made longer by some bytes, at least one."""
    if adaptation:
        return bytes((adaptation[0] + missing,)) + adaptation[1:] + b"\xff" * missing
    if missing == 1:
        return b"\x00"
    return bytes((missing - 1, 0)) + b"\xff" * (missing - 2)


def _crc_table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        value = byte << 24
        for _ in range(8):
            value = (value << 1 ^ 0x04C1_1DB7 if value & 0x8000_0000 else value << 1) & 0xFFFF_FFFF
        table.append(value)
    return tuple(table)


_CRC_TABLE = _crc_table()


def crc32(data: bytes) -> int:
    """The checksum of a section (annex A); 0 over a section with its own."""
    value = 0xFFFF_FFFF
    for byte in data:
        value = (value << 8 & 0xFFFF_FFFF) ^ _CRC_TABLE[value >> 24 ^ byte]
    return value
