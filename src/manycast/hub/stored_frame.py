"""The packets of a stored frame, without what differs between its viewers: sequence numbers and timestamps."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from manycast.hub.rtp_packager import Framing
from manycast.hub.udp_viewer import MAX_RUN_SEGMENTS, SEGMENT_BYTES
from manycast.wire.rtp.packet import HEADER_BYTES
from manycast.wire.rtp.sender import UnnumberedPacket


class StoredFrame:
    """One frame of a file as RTP, for all viewers.

    Those who count its packets alike, as all do who have come in at the same place, get bytes that are made once and
    kept. Who has numbers and times of their own (having come in elsewhere, sought, or plays at a scale) gets them put
    between the same payloads for the moment: that costs little more than a copy, and no memory.
    """

    __slots__ = (
        "_packets",
        "_parts",
        "_runs",
        "_shared",
        "count",
        "dts_us",
        "joinable",
        "payload_bytes",
        "pts_ticks",
        "track_index",
    )

    def __init__(
        self,
        track_index: int,
        packets: Sequence[UnnumberedPacket],
        *,
        dts_us: int,
        pts_ticks: int,
        joinable: bool,
        sequence: int,
        timestamp: int,
    ) -> None:
        """`sequence` and `timestamp` are those for which bytes are kept."""
        self.track_index = track_index
        self.count = len(packets)
        self.payload_bytes = sum(packet.size_bytes - HEADER_BYTES for packet in packets)
        self.dts_us = dts_us  # on the file's timeline: when it is to be sent
        self.pts_ticks = pts_ticks
        self.joinable = joinable
        self._packets = packets
        self._shared = NumberedFrame(self, sequence, timestamp, kept=True)
        self._parts: dict[int | None, list[bytes]] = {}
        self._runs: list[slice] | None = None

    def numbered(self, sequence: int, timestamp: int) -> NumberedFrame:
        """The frame with the sequence number of its first packet (0..65535), and its RTP timestamp (32 bits)."""
        shared = self._shared
        if shared.sequence == sequence and shared.timestamp == timestamp:
            return shared
        return NumberedFrame(self, sequence, timestamp)

    def parts(self, channel: int | None, sequence: int, timestamp: int) -> list[bytes]:
        """Four pieces for each packet, to be joined at once: the list is used again for the next viewer.

        With a channel, they start with the four bytes that RFC 2326 section 10.12 puts before a packet.
        """
        parts = self._parts.get(channel)
        if parts is None:
            parts = self._parts[channel] = self._unnumbered_parts(channel)
        parts[1::4] = _sequence_fields(sequence, self.count)
        parts[2::4] = self._timestamp_fields(timestamp)
        return parts

    def runs(self) -> list[slice]:
        """Which of the `parts` make one row of datagrams each, as `runs_of` joins them."""
        if self._runs is None:
            self._runs, start = [], 0
            for index, packet in enumerate(self._packets):
                if packet.size_bytes > SEGMENT_BYTES and index > start:
                    self._runs.append(slice(4 * start, 4 * index))
                    start = index
                full = packet.size_bytes == SEGMENT_BYTES and index + 1 - start < MAX_RUN_SEGMENTS
                if not full or index + 1 == self.count:
                    self._runs.append(slice(4 * start, 4 * (index + 1)))
                    start = index + 1
        return self._runs

    def _unnumbered_parts(self, channel: int | None) -> list[bytes]:
        parts = []
        for packet in self._packets:
            before = b""
            if channel is not None:
                before = bytes((0x24, channel)) + packet.size_bytes.to_bytes(2)
            parts += [before + packet.head, b"", b"", packet.tail]
        return parts

    def _timestamp_fields(self, timestamp: int) -> Sequence[bytes]:
        if self.count == 1 or not self._packets[-1].timestamp_offset:
            return (timestamp.to_bytes(4),) * self.count
        return [((timestamp + packet.timestamp_offset) & 0xFFFFFFFF).to_bytes(4) for packet in self._packets]


class NumberedFrame:
    """A stored frame with numbers and times: what a layout makes a viewer's bytes from."""

    __slots__ = ("_frame", "_interleaved", "_kept", "_runs", "sequence", "timestamp", "track_index")

    def __init__(self, frame: StoredFrame, sequence: int, timestamp: int, *, kept: bool = False) -> None:
        """`kept`: many will want it, so what was made once is not made again."""
        self.track_index = frame.track_index
        self.sequence = sequence
        self.timestamp = timestamp
        self._frame = frame
        self._kept = kept
        self._interleaved: dict[tuple[int, Framing | None], bytes] | None = None
        self._runs: tuple[bytes, ...] | None = None

    @property
    def packets(self) -> list[bytes]:
        parts = self._frame.parts(None, self.sequence, self.timestamp)
        return [b"".join(parts[start : start + 4]) for start in range(0, len(parts), 4)]

    def interleaved(self, channel: int, framing: Framing | None = None) -> bytes:
        if self._interleaved is not None and (data := self._interleaved.get((channel, framing))) is not None:
            return data
        data = b"".join(self._frame.parts(channel, self.sequence, self.timestamp))
        if framing is not None:
            data = framing(data)
        if self._kept:
            if self._interleaved is None:
                self._interleaved = {}
            self._interleaved[(channel, framing)] = data
        return data

    def runs(self) -> tuple[bytes, ...]:
        if self._runs is not None:
            return self._runs
        parts = self._frame.parts(None, self.sequence, self.timestamp)
        runs = tuple(b"".join(parts[run]) for run in self._frame.runs())
        if self._kept:
            self._runs = runs
        return runs


def _sequence_fields(sequence: int, count: int) -> Sequence[bytes]:
    """The two bytes of each of `count` sequence numbers in a row."""
    fields = _all_sequence_fields()
    end = sequence + count
    if end <= len(fields):
        return fields[sequence:end]
    return [fields[number & 0xFFFF] for number in range(sequence, end)]


@cache
def _all_sequence_fields() -> tuple[bytes, ...]:
    """All there are (4 MB): looking them up is several times faster than making them, for every packet and viewer."""
    return tuple(number.to_bytes(2) for number in range(0x10000))
