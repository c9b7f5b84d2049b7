"""The packets of a stored frame, built once for all its viewers, whatever numbers and times each has."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from itertools import accumulate, pairwise
from typing import cast

from manycast.hub.rtp_packager import Framing, interleave
from manycast.hub.udp_viewer import runs_of
from manycast.wire.rtp.packet import HEADER_BYTES

_FIELDS = struct.Struct(">HI")  # sequence number and timestamp, from the third byte of a packet on
_FIELDS_AT = 2
_put_fields = _FIELDS.pack_into
# The two bytes of all sequence numbers in a row, and of the first ones once more: those of a frame are a slice.
MAX_ROW_PACKETS = 4096
_HIGH, _LOW = (
    bytes((number & 0xFFFF) >> shift & 0xFF for number in range(0x10000 + MAX_ROW_PACKETS)) for shift in (8, 0)
)


class StoredFrame:
    """One frame of a file as RTP.

    Its packets carry the numbers and times that its group was first packed with. Viewers who count alike, as all do
    who came in at the same place, get these very bytes. Others (who came in elsewhere, have been seeking, play at a
    scale) get a copy with their own numbers put in: little more work than the copy is, and no memory for long.
    """

    __slots__ = (
        "_forms",
        "_sequence",
        "_timestamp",
        "count",
        "dts_us",
        "joinable",
        "payload_bytes",
        "pts_ticks",
        "track_index",
    )

    def __init__(
        self, track_index: int, packets: Sequence[bytes], *, dts_us: int, pts_ticks: int, joinable: bool
    ) -> None:
        self.track_index = track_index
        self.count = len(packets)
        self.payload_bytes = sum(map(len, packets)) - HEADER_BYTES * len(packets)
        self.dts_us = dts_us  # on the file's timeline: when it is to be sent
        self.pts_ticks = pts_ticks
        self.joinable = joinable
        self._sequence, self._timestamp = _FIELDS.unpack_from(packets[0], _FIELDS_AT) if packets else (0, 0)
        # By channel, None for datagrams. The first is what most clients ask for; the others are made from it.
        channel = 2 * track_index
        self._forms: dict[int | None, _Form] = {channel: _Form.interleaved(channel, packets)}

    def numbered(self, sequence: int, timestamp: int) -> NumberedFrame:
        """The frame with the sequence number of its first packet (0..65535), and its RTP timestamp (32 bits)."""
        return NumberedFrame(self, sequence, timestamp)

    def interleaved(self, channel: int, sequence: int, timestamp: int) -> bytes:
        """All packets, with the four bytes before each that RFC 2326 section 10.12 puts there."""
        form = self._forms.get(channel)
        if form is None:
            packets = self.packets(self._sequence, self._timestamp)
            form = self._forms[channel] = _Form.interleaved(channel, packets)
        if sequence == self._sequence and timestamp == self._timestamp:
            return form.data
        return form.renumbered(sequence, timestamp)

    def runs(self, sequence: int, timestamp: int) -> tuple[bytes, ...]:
        """All packets in rows of datagrams."""
        form = self._forms.get(None)
        if form is None:
            form = self._forms[None] = _Form.in_runs(self.packets(self._sequence, self._timestamp))
        if sequence == self._sequence and timestamp == self._timestamp:
            return form.cut(form.data)
        return form.cut(form.renumbered(sequence, timestamp))

    def packets(self, sequence: int, timestamp: int) -> list[bytes]:
        data = self.interleaved(2 * self.track_index, sequence, timestamp)
        packets, position = [], 0
        while position < len(data):
            end = position + 4 + int.from_bytes(data[position + 2 : position + 4])
            packets.append(bytes(data[position + 4 : end]))
            position = end
        return packets


class NumberedFrame:
    """A stored frame with the numbers and times of a viewer: what a layout makes bytes from."""

    __slots__ = ("_frame", "_sequence", "_timestamp", "track_index")

    def __init__(self, frame: StoredFrame, sequence: int, timestamp: int) -> None:
        self.track_index = frame.track_index
        self._frame = frame
        self._sequence = sequence
        self._timestamp = timestamp

    @property
    def packets(self) -> list[bytes]:
        return self._frame.packets(self._sequence, self._timestamp)

    def interleaved(self, channel: int, framing: Framing | None = None) -> bytes:
        data = self._frame.interleaved(channel, self._sequence, self._timestamp)
        return data if framing is None else framing(data)

    def runs(self) -> tuple[bytes, ...]:
        return self._frame.runs(self._sequence, self._timestamp)


class _Form:
    """The packets of a frame in one piece, and where in it their numbers and times are."""

    __slots__ = ("_later_ticks", "_places", "_row", "_run_ends", "_timestamp", "data")

    def __init__(
        self, data: bytes, packets: Sequence[bytes], prefix_bytes: int, run_ends: tuple[int, ...] = ()
    ) -> None:
        """`packets` are in `data` one after the other, with `prefix_bytes` before each."""
        self.data = data
        self._run_ends = run_ends
        places, place = [], 0
        for packet in packets:
            places.append(place + prefix_bytes + _FIELDS_AT)
            place += prefix_bytes + len(packet)
        self._places = tuple(places)
        timestamps = [int.from_bytes(packet[4:8]) for packet in packets]
        later = [(timestamp - timestamps[0]) & 0xFFFFFFFF for timestamp in timestamps]
        self._later_ticks = later if any(later) else None  # than the first packet, of audio in several packets
        self._timestamp = timestamps[0] if packets else 0
        self._row = _row_of(places)

    @classmethod
    def interleaved(cls, channel: int, packets: Sequence[bytes]) -> _Form:
        return cls(interleave(channel, packets), packets, 4)

    @classmethod
    def in_runs(cls, packets: Sequence[bytes]) -> _Form:
        runs = runs_of(packets)
        return cls(b"".join(runs), packets, 0, tuple(accumulate(map(len, runs))))

    def renumbered(self, sequence: int, timestamp: int) -> bytes:
        """A copy with another first sequence number and timestamp."""
        data = bytearray(self.data)
        if self._row is not None and timestamp == self._timestamp:
            high, low = self._row
            end = sequence + len(self._places)
            data[high] = _HIGH[sequence:end]
            data[low] = _LOW[sequence:end]
            return cast(bytes, data)
        numbers: Iterable[int] = range(sequence, sequence + len(self._places))
        if sequence + len(self._places) > 0x10000:
            numbers = [number & 0xFFFF for number in numbers]
        if self._later_ticks is None:
            for place, number in zip(self._places, numbers, strict=True):
                _put_fields(data, place, number, timestamp)
        else:
            for place, number, later in zip(self._places, numbers, self._later_ticks, strict=True):
                _put_fields(data, place, number, (timestamp + later) & 0xFFFFFFFF)
        return cast(bytes, data)  # nobody changes it any more: to copy it once more would be for the name only

    def cut(self, data: bytes) -> tuple[bytes, ...]:
        """The runs that data of this form consists of."""
        if len(self._run_ends) == 1:
            return (data,)
        return tuple(data[start:end] for start, end in pairwise((0, *self._run_ends)))


def _row_of(places: Sequence[int]) -> tuple[slice, slice] | None:
    """Where the two bytes of all sequence numbers are, if that is at equal distances."""
    if not 2 <= len(places) <= MAX_ROW_PACKETS:
        return None
    first, last, distance = places[0], places[-1], places[1] - places[0]
    if last - first != distance * (len(places) - 1) or any(b - a != distance for a, b in pairwise(places)):
        return None
    return slice(first, last + 1, distance), slice(first + 1, last + 2, distance)
