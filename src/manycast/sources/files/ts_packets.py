"""Packets of MPEG transport streams (ISO/IEC 13818-1 section 2.4.3), read from a file block by block.

| 0x47 | error, start, priority, PID 13 | scrambling 2, adaptation 2, counter 4 | adaptation field | payload |
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import NamedTuple

from manycast.hub.source import SourceError
from manycast.sources.files.metered_file import MeteredFile

PACKET_BYTES = 188
PCR_HZ = 27_000_000
PCR_WRAP = (1 << 33) * 300
BLOCK_PACKETS = 512
MAX_RESYNC_BYTES = 1 << 20  # of anything else between packets
_SYNC = 0x47
_CONFIRMING_PACKETS = 5  # how many in a row tell where packets start
_HAS_ADAPTATION = bytes(value >> 5 & 1 for value in range(256))
_PCR_BYTES = 7  # of an adaptation field that has one


class TsLayout(NamedTuple):
    """How packets lie in a file, and what stands before each."""

    stride: int
    lead: int


# Plain; with four bytes of arrival time before each, as on Blu-ray; with sixteen of parity behind.
_LAYOUTS = (TsLayout(PACKET_BYTES, 0), TsLayout(192, 4), TsLayout(204, 0))


def find_start(data: bytes) -> tuple[int, TsLayout] | None:
    """Where the first packet starts, with what stands before it, and how they lie; None where there is none."""
    position = data.find(_SYNC)
    while position >= 0:
        for layout in _LAYOUTS:
            syncs = data[position : position + _CONFIRMING_PACKETS * layout.stride : layout.stride]
            is_whole = len(data) - position >= PACKET_BYTES and position >= layout.lead
            if is_whole and not syncs.strip(b"\x47") and (len(syncs) > 1 or len(data) == PACKET_BYTES):
                return position - layout.lead, layout
        position = data.find(_SYNC, position + 1)
    return None


def find_pcrs(packets: bytes, pid: int | None) -> list[tuple[int, int, int]]:
    """The program clock references (section 2.4.3.5) of one PID, or of all: packet's number, PID, ticks of 27 MHz."""
    found = []
    for number, packet_pid in _with_adaptation(packets, flag=0x10, least_bytes=_PCR_BYTES):
        if pid is None or packet_pid == pid:
            start = number * PACKET_BYTES
            field = int.from_bytes(packets[start + 6 : start + 12])
            found.append((number, packet_pid, (field >> 15) * 300 + (field & 0x1FF)))
    return found


def find_entries(packets: bytes, pid: int) -> list[int]:
    """The numbers of a PID's packets that say decoding can begin there (random_access_indicator)."""
    return [number for number, packet_pid in _with_adaptation(packets, flag=0x40, least_bytes=1) if packet_pid == pid]


def _with_adaptation(packets: bytes, *, flag: int, least_bytes: int) -> Iterator[tuple[int, int]]:
    """The numbers and PIDs of packets whose adaptation field is long enough and has a flag set."""
    present = packets[3::PACKET_BYTES].translate(_HAS_ADAPTATION)
    number = present.find(1)
    while number >= 0:
        start = number * PACKET_BYTES
        if packets[start + 4] >= least_bytes and packets[start + 5] & flag:
            yield number, int.from_bytes(packets[start + 1 : start + 3]) & 0x1FFF
        number = present.find(1, number + 1)


def find_tables(packets: bytes) -> list[int]:
    """The numbers of the packets in which a program association table begins (section 2.4.4.3)."""
    found = []
    pids = packets[2::PACKET_BYTES]
    number = pids.find(0)
    while number >= 0:
        if packets[number * PACKET_BYTES + 1] & 0x5F == 0x40:
            found.append(number)
        number = pids.find(0, number + 1)
    return found


class TsReader:
    """Reads packets from a file, and finds them again behind what is none."""

    def __init__(self, file: MeteredFile, layout: TsLayout) -> None:
        self.damaged = 0  # places where something else stood
        self._file = file
        self._layout = layout

    def seek(self, offset: int) -> None:
        self._file.seek(offset)

    def tell(self) -> int:
        return self._file.tell()

    def size_bytes(self) -> int:
        place = self._file.tell()
        size = self._file.seek(0, os.SEEK_END)
        self._file.seek(place)
        return size

    def allow(self, size_bytes: int) -> None:
        self._file.allow(size_bytes)

    def close(self) -> None:
        self._file.close()

    def read(self, count: int = BLOCK_PACKETS) -> bytes:
        """At most `count` whole packets of 188 bytes, one after the other; none at the end. Raises SourceError."""
        stride, lead = self._layout
        place = self._file.tell()
        data = self._file.read(count * stride)
        whole = len(data) // stride
        syncs = data[lead : whole * stride : stride]
        good = len(syncs) - len(syncs.lstrip(b"\x47"))
        if whole and not good:
            return self._read_behind(place, count)
        self._file.seek(place + good * stride)
        if stride == PACKET_BYTES:
            return data[: good * stride]
        return b"".join([data[at + lead : at + lead + PACKET_BYTES] for at in range(0, good * stride, stride)])

    def _read_behind(self, place: int, count: int) -> bytes:
        """Read on where packets start again."""
        self.damaged += 1
        data = self._file.read_at(place, MAX_RESYNC_BYTES)
        start = find_start(data)
        if start is None or start[1] != self._layout:
            if len(data) == MAX_RESYNC_BYTES:
                raise SourceError(f"{self._file.name}: no transport stream at {place} bytes")
            self._file.seek(0, os.SEEK_END)
            return b""
        self._file.seek(place + start[0])
        return self.read(count) if start[0] else b""
