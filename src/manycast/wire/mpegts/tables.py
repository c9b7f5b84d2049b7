"""What is in a transport stream: its programs and their streams (ISO/IEC 13818-1 section 2.4.4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Self

from manycast.wire.mpegts.packet import MalformedTs, crc32


class TableId(IntEnum):
    PROGRAM_ASSOCIATION = 0x00
    PROGRAM_MAP = 0x02


class StreamType(IntEnum):
    """stream_type (table 2-34; AC-3: ATSC A/53 part 3)."""

    MPEG1_VIDEO = 0x01
    MPEG2_VIDEO = 0x02
    MPEG1_AUDIO = 0x03
    MPEG2_AUDIO = 0x04
    PRIVATE = 0x06  # its descriptors tell
    AAC_ADTS = 0x0F
    MPEG4_VIDEO = 0x10
    AAC_LATM = 0x11
    METADATA = 0x15
    H264 = 0x1B
    H265 = 0x24
    AC3 = 0x81


class DescriptorTag(IntEnum):
    REGISTRATION = 0x05
    AC3 = 0x6A  # DVB (ETSI EN 300 468)
    EXTENSION = 0x7F  # DVB


@dataclass(frozen=True, slots=True)
class ElementaryStream:
    stream_type: int
    pid: int
    descriptors: tuple[tuple[int, bytes], ...] = ()  # tag and content

    @property
    def registration(self) -> bytes:
        """The format identifier of its registration descriptor, if there is one."""
        return next((content[:4] for tag, content in self.descriptors if tag == DescriptorTag.REGISTRATION), b"")


@dataclass(frozen=True, slots=True)
class ProgramMap:
    """A PMT."""

    program: int
    pcr_pid: int
    version: int
    streams: tuple[ElementaryStream, ...]

    @classmethod
    def parse(cls, section: bytes) -> Self:
        """Read a section, with its checksum. Raises MalformedTs."""
        program, version, body = _parse_section(section, TableId.PROGRAM_MAP)
        if len(body) < 4:
            raise MalformedTs("program map without its header")
        pcr_pid = int.from_bytes(body[:2]) & 0x1FFF
        position = 4 + (int.from_bytes(body[2:4]) & 0x0FFF)
        streams = []
        while position + 5 <= len(body):
            pid = int.from_bytes(body[position + 1 : position + 3]) & 0x1FFF
            end = position + 5 + (int.from_bytes(body[position + 3 : position + 5]) & 0x0FFF)
            if end > len(body):
                raise MalformedTs("descriptors that reach past the end of the program map")
            descriptors = _parse_descriptors(body[position + 5 : end])
            streams.append(ElementaryStream(body[position], pid, descriptors))
            position = end
        return cls(program, pcr_pid, version, tuple(streams))

    def serialize(self) -> bytes:
        parts = [(0xE000 | self.pcr_pid).to_bytes(2), b"\xf0\x00"]
        for stream in self.streams:
            descriptors = b"".join(bytes((tag, len(content))) + content for tag, content in stream.descriptors)
            parts += (
                bytes((stream.stream_type,)),
                (0xE000 | stream.pid).to_bytes(2),
                (0xF000 | len(descriptors)).to_bytes(2),
                descriptors,
            )
        return _serialize_section(TableId.PROGRAM_MAP, self.program, self.version, b"".join(parts))


@dataclass(frozen=True, slots=True)
class ProgramAssociation:
    """A PAT: the PID of each program's map."""

    transport_stream: int
    version: int
    programs: tuple[tuple[int, int], ...]  # program number, PID

    @classmethod
    def parse(cls, section: bytes) -> Self:
        """Read a section, with its checksum. Raises MalformedTs."""
        transport_stream, version, body = _parse_section(section, TableId.PROGRAM_ASSOCIATION)
        programs = []
        for position in range(0, len(body) - 3, 4):
            number = int.from_bytes(body[position : position + 2])
            if number:  # 0 is the network's own table
                programs.append((number, int.from_bytes(body[position + 2 : position + 4]) & 0x1FFF))
        return cls(transport_stream, version, tuple(programs))

    def serialize(self) -> bytes:
        body = b"".join(number.to_bytes(2) + (0xE000 | pid).to_bytes(2) for number, pid in self.programs)
        return _serialize_section(TableId.PROGRAM_ASSOCIATION, self.transport_stream, self.version, body)


def section_payload(sections: Sequence[bytes]) -> bytes:
    """Sections as the payload of packets: behind a pointer (section 2.4.4.2)."""
    return b"\x00" + b"".join(sections)


def is_current(section: bytes) -> bool:
    """Whether a section holds now (current_next_indicator), and not only when a later one says so."""
    return len(section) > 5 and bool(section[5] & 1)


def _parse_section(section: bytes, table_id: int) -> tuple[int, int, bytes]:
    """Its number, version and body."""
    if len(section) < 12 or section[0] != table_id or not section[1] & 0x80:
        raise MalformedTs(f"section of {len(section)} bytes, table {section[:1].hex()}, wanted {table_id:02x}")
    size = 3 + (int.from_bytes(section[1:3]) & 0x0FFF)
    if size > len(section) or size < 12:
        raise MalformedTs(f"section of {size} bytes, {len(section)} are there")
    if crc32(section[:size]):
        raise MalformedTs("section with a wrong checksum")
    return int.from_bytes(section[3:5]), section[5] >> 1 & 0x1F, section[8 : size - 4]


def _serialize_section(table_id: int, number: int, version: int, body: bytes) -> bytes:
    head = bytes((table_id,)) + (0xB000 | len(body) + 9).to_bytes(2) + number.to_bytes(2)
    section = head + bytes((0xC1 | version << 1, 0, 0)) + body
    return section + crc32(section).to_bytes(4)


def _parse_descriptors(data: bytes) -> tuple[tuple[int, bytes], ...]:
    descriptors, position = [], 0
    while position + 2 <= len(data):
        end = position + 2 + data[position + 1]
        if end > len(data):
            raise MalformedTs("a descriptor that reaches past the end of its list")
        descriptors.append((data[position], data[position + 2 : end]))
        position = end
    return tuple(descriptors)
