"""Transport streams played as one track, with all that is in them, at the pace of their program clock."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from pathlib import Path

from manycast.hub.source import SourceError
from manycast.media.frame import Frame
from manycast.media.track import Codec, PlainParameters, Track
from manycast.sources.files.groups import FileGroup
from manycast.sources.files.metered_file import open_metered
from manycast.sources.files.paths import FileStamp
from manycast.sources.files.ts_packets import (
    PACKET_BYTES,
    PCR_HZ,
    PCR_WRAP,
    TsLayout,
    TsReader,
    find_entries,
    find_pcrs,
    find_start,
    find_tables,
)

CLOCK_HZ = 90_000
HEAD_BYTES = 256 << 10
PROBE_BYTES = 8 << 20  # at the start and at the end, in which a clock has to be found
MAX_READ_BYTES = 64 << 20  # for one group
MAX_SEEK_BYTES = 256 << 20  # for one search
CLOSE_BYTES = 256 << 10  # a search ends this near to the place
MAX_JUMP_S = 10  # of the clock; more, or backwards, is another recording
MAX_GROUP_S = 5  # where nobody can begin for longer, a group is cut
SEARCH_MARGINS_S = (3, 15)  # how far before a position reading starts: an entry has to come before the group's
FRAME_S = 0.01
PACKETS_IN_RTP = 7  # what fits (RFC 2250 section 2): frames are multiples of it

_PCR_TICKS = PCR_HZ // CLOCK_HZ
_TRACK = Track(codec=Codec.MPEG_TS, clock_rate_hz=CLOCK_HZ, parameters=PlainParameters())


@dataclass(frozen=True, slots=True, kw_only=True)
class WholePlan:
    """How to read a transport stream as a whole."""

    path: Path
    stamp: FileStamp
    layout: TsLayout
    first_offset: int
    pcr_pid: int
    first_pcr: int
    marks_entries: bool  # whether it says where decoders can begin
    packet_pcr: int  # how long a packet takes on the average, in ticks of 27 MHz
    indexed: bool  # whether times can be looked for
    duration_us: int | None

    @property
    def tracks(self) -> tuple[Track, ...]:
        return (_TRACK,)

    @property
    def frame_packets(self) -> int:
        return PACKETS_IN_RTP * min(max(round(FRAME_S * PCR_HZ / self.packet_pcr / PACKETS_IN_RTP), 1), 32)

    def open_again(self) -> TsReader:
        """A reader at the start. Raises SourceError."""
        reader = TsReader(open_metered(self.path, self.stamp), self.layout)
        reader.seek(self.first_offset)
        return reader


def plan_whole(path: Path, stamp: FileStamp) -> WholePlan:
    """Find out how to play a transport stream as a whole. Raises SourceError where that is not possible."""
    file = open_metered(path, stamp)
    try:
        file.allow(3 * PROBE_BYTES)
        start = find_start(file.read_at(0, HEAD_BYTES))
        if start is None:
            raise SourceError(f"{path.name}: no transport stream")
        first_offset, layout = start
        reader = TsReader(file, layout)
        return _plan(path, stamp, first_offset, layout, reader)
    finally:
        file.close()


def _plan(path: Path, stamp: FileStamp, first_offset: int, layout: TsLayout, reader: TsReader) -> WholePlan:
    reader.seek(first_offset)
    head = _read_bytes(reader, PROBE_BYTES)
    clock = find_pcrs(head, None)
    if not find_tables(head) or not clock:
        raise SourceError(f"{path.name}: a transport stream without program clock or tables")
    first, pid, first_pcr = clock[0]
    clock = [entry for entry in clock if entry[1] == pid]
    size = reader.size_bytes()
    tail_start = max(first_offset, size - size % layout.stride + first_offset % layout.stride - PROBE_BYTES)
    tail_start -= (tail_start - first_offset) % layout.stride
    reader.seek(tail_start)
    tail = _read_bytes(reader, PROBE_BYTES + layout.stride)
    last = find_pcrs(tail, pid)
    if len(clock) < 2 or not last:
        raise SourceError(f"{path.name}: a transport stream without program clock")
    near = (clock[1][2] - first_pcr) % PCR_WRAP // (clock[1][0] - first) or 1
    last_number = (tail_start - first_offset) // layout.stride + last[-1][0]
    far = (last[-1][2] - first_pcr) % PCR_WRAP // max(last_number - first, 1) or 1
    is_steady = far < 100 * near  # else the clock was set back: recordings put together
    packet_pcr = far if is_steady else near
    total = (size - first_offset) // layout.stride
    duration = (last[-1][2] - first_pcr) % PCR_WRAP + (total - last_number) * packet_pcr
    return WholePlan(
        path=path,
        stamp=stamp,
        layout=layout,
        first_offset=first_offset,
        pcr_pid=pid,
        first_pcr=first_pcr,
        marks_entries=bool(find_entries(head, pid)),
        packet_pcr=packet_pcr,
        indexed=is_steady,
        duration_us=duration * 1_000_000 // PCR_HZ if is_steady else None,
    )


def _read_bytes(reader: TsReader, size_bytes: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    while size < size_bytes and (part := reader.read()):
        parts.append(part)
        size += len(part)
    return b"".join(parts)


@dataclass(frozen=True, slots=True)
class _Boundary:
    """Where a group starts: with which packet, when, in ticks of 27 MHz, and whether playing may start there."""

    number: int
    time: int
    seekable: bool

    @property
    def position_us(self) -> int:
        return self.time * 1_000_000 // PCR_HZ


class WholeCursor:
    """One reading of a transport stream; what `Cursor` is for other files.

    An entry is a program association table, which decoders need first, with a packet behind it and before the next
    table that says decoding can begin there; where no packet says so, every table. A group starts with the first entry
    in each second of the clock. A packet's time lies between those of the clock references before and after it. So
    groups are the same wherever reading has started.
    """

    def __init__(self, plan: WholePlan) -> None:
        """Stand at the file's start. Raises SourceError."""
        self._plan = plan
        self._reader = plan.open_again()
        self._restart(at_start=True)

    @property
    def damaged(self) -> int:
        return self._reader.damaged

    def next_group(self) -> FileGroup | None:
        """Read on; None at the end of the file. Raises SourceError."""
        self._reader.allow(MAX_READ_BYTES)
        while True:
            boundary = self._next_boundary()
            if boundary is not None:
                group = self._take(boundary.number, boundary.time, last=False) if self._is_open else None
                self._open_at(boundary)
                if group is not None:
                    return group
            elif self._ended:
                return self._take_rest()
            else:
                self._read_more()

    def find(self, position_us: int, first_end_us: int) -> list[FileGroup]:
        """The last seekable group that starts at or before a position, and those that were read after it.

        `first_end_us` is where the file's first group ends: that one is had only from the start. Raises SourceError.
        """
        for margin_s in SEARCH_MARGINS_S if self._plan.indexed else ():
            wanted = (position_us - margin_s * 1_000_000) * (PCR_HZ // 1_000_000)
            if wanted <= 0 or position_us < first_end_us:
                break
            self._reader.seek(self._search(wanted))
            self._restart(at_start=False)
            groups = self.walk(position_us)
            if groups:
                return groups
        self._reader.seek(self._plan.first_offset)
        self._restart(at_start=True)
        return self.walk(position_us)

    def walk(self, position_us: int) -> list[FileGroup]:
        """As `find`, but reading on from here; empty when what lies ahead starts later. Raises SourceError."""
        found: list[FileGroup] = []
        while (group := self.next_group()) is not None:
            if group.seekable and group.position_us <= position_us:
                found = [group]
            elif found:
                found.append(group)
            else:
                break
            if group.end_us > position_us:
                break
        return found

    def close(self) -> None:
        self._reader.close()

    def _restart(self, *, at_start: bool) -> None:
        self.next_position_us: int | None = 0 if at_start else None
        self._packets = bytearray()
        self._first = 0  # the number of the first packet held
        self._clock: list[tuple[int, int]] = []  # packets' numbers and their times, in ticks of 27 MHz
        self._last_pcr = self._plan.first_pcr
        self._tables: list[int] = []  # numbers of packets that have not been looked at
        self._entries: list[int] = []  # likewise, of those that decoding can begin with
        self._second: int | None = 0 if at_start else None  # in which the last entry was
        self._is_open = at_start
        self._opening = _Boundary(0, 0, seekable=True)
        self._ended = False

    def _read_more(self) -> None:
        packets = self._reader.read()
        if not packets:
            self._ended = True
            return
        number = self._first + len(self._packets) // PACKET_BYTES
        self._packets += packets
        self._tables += [number + each for each in find_tables(packets)]
        if self._plan.marks_entries:
            self._entries += [number + each for each in find_entries(packets, self._plan.pcr_pid)]
        for each, _pid, pcr in find_pcrs(packets, self._plan.pcr_pid):
            self._note_clock(number + each, pcr)

    def _note_clock(self, number: int, pcr: int) -> None:
        passed = (pcr - self._last_pcr) % PCR_WRAP
        self._last_pcr = pcr
        if self._clock:
            last_number, last_time = self._clock[-1]
            if passed > MAX_JUMP_S * PCR_HZ:
                passed = (number - last_number) * self._plan.packet_pcr
            passed += last_time
        self._clock.append((number, passed))

    def _next_boundary(self) -> _Boundary | None:
        """The next table with which a group starts, if what was read so far holds it and the table behind it."""
        while self._tables and self._clock:
            number = self._tables[0]
            following = self._tables[1] if len(self._tables) > 1 else None
            if not self._ended and (following is None or following >= self._clock[-1][0]):
                break
            del self._tables[0]
            is_entry = self._take_entries(number, following)
            if number < self._clock[0][0] and not self._is_open:
                continue  # no clock reference was seen before it
            time = self._time_of(number)
            if is_entry:
                second, before = time // PCR_HZ, self._second
                self._second = second
                if before is not None and second > before:
                    return _Boundary(number, time, seekable=True)
            if self._is_open and time - self._opening.time >= MAX_GROUP_S * PCR_HZ:
                return _Boundary(number, time, seekable=False)
        return None

    def _take_entries(self, number: int, following: int | None) -> bool:
        """Whether decoding can begin with a table, whose next one is at `following`."""
        if not self._plan.marks_entries:
            return True
        end = len(self._entries) if following is None else bisect_right(self._entries, following)
        is_entry = any(entry > number for entry in self._entries[:end])
        del self._entries[:end]
        return is_entry

    def _time_of(self, number: int) -> int:
        """When a packet is due; those before the first clock reference are due with it."""
        clock = self._clock
        index = bisect_right(clock, number, key=lambda entry: entry[0]) - 1
        if index < 0:
            return clock[0][1] if clock else 0
        before, time = clock[index]
        if index + 1 == len(clock):
            return time + (number - before) * self._plan.packet_pcr
        after, later = clock[index + 1]
        return time + (later - time) * (number - before) // (after - before)

    def _open_at(self, boundary: _Boundary) -> None:
        """A group starts; forget all before it but the clock reference that it hangs on."""
        number = boundary.number
        del self._packets[: (number - self._first) * PACKET_BYTES]
        self._first = number
        index = bisect_right(self._clock, number, key=lambda entry: entry[0]) - 1
        del self._clock[: max(index, 0)]
        self._is_open = True
        self._opening = boundary
        self.next_position_us = boundary.position_us

    def _take_rest(self) -> FileGroup | None:
        count = len(self._packets) // PACKET_BYTES
        if not count or not self._is_open:
            return None
        number = self._first + count
        group = self._take(number, self._time_of(number), last=True)
        self._packets.clear()
        self._first = number
        self.next_position_us = group.end_us
        return group

    def _take(self, end: int, end_time: int, *, last: bool) -> FileGroup:
        """The open group: the packets up to a number."""
        frames: list[Frame] = []
        last_ticks = -1
        for number in range(self._first, end, step := self._plan.frame_packets):
            ticks = last_ticks = max(self._time_of(number) // _PCR_TICKS, last_ticks + 1)
            start = (number - self._first) * PACKET_BYTES
            stop = min(start + step * PACKET_BYTES, (end - self._first) * PACKET_BYTES)
            data = bytes(self._packets[start:stop])
            frames.append(Frame(track_index=0, dts_ticks=ticks, pts_ticks=ticks, keyframe=not frames, units=[data]))
        opening = self._opening
        return FileGroup(
            position_us=opening.position_us,
            end_us=max(end_time * 1_000_000 // PCR_HZ, opening.position_us + 1),
            frames=tuple(frames),
            seekable=opening.seekable,
            last=last,
        )

    def _search(self, wanted: int) -> int:
        """The offset of a packet with a clock reference at or before a time, near to it. Raises SourceError."""
        self._reader.allow(MAX_SEEK_BYTES)
        stride = self._plan.layout.stride
        low, high = 0, (self._reader.size_bytes() - self._plan.first_offset) // stride
        while (high - low) * stride > CLOSE_BYTES:
            middle = (low + high) // 2
            self._reader.seek(self._plan.first_offset + middle * stride)
            time = self._next_clock()
            if time is not None and time <= wanted:
                low = middle
            else:
                high = middle
        return self._plan.first_offset + low * stride

    def _next_clock(self) -> int | None:
        """The first clock reference that is read from here."""
        read = 0
        while read < CLOSE_BYTES and (packets := self._reader.read()):
            read += len(packets)
            if found := find_pcrs(packets, self._plan.pcr_pid):
                return (found[0][2] - self._plan.first_pcr) % PCR_WRAP
        return None
