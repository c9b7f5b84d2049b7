"""Frames of a file that go to a viewer together, as RTP packets: built once for all, whatever numbers each has."""

from __future__ import annotations

from collections.abc import MutableSequence, Sequence
from functools import cache
from typing import NamedTuple

from manycast.hub.rtp_packager import Framing, interleave
from manycast.hub.udp_viewer import runs_of
from manycast.wire.rtp.packet import HEADER_BYTES

_TAIL_AT = 8  # in a packet: what comes behind sequence number and timestamp

Channels = tuple[int | None, ...]  # of each track's RTP in an RTSP connection; None: it was not set up


class PackedFrame(NamedTuple):
    """A frame and its packets, on their way into a burst."""

    track_index: int
    packets: Sequence[bytes]
    dts_us: int  # on the file's timeline: when it is to be sent
    pts_ticks: int
    joinable: bool  # decoding can start with it


class Burst:
    """Frames that go out in one call, when the first of them is due.

    All who count packets alike get the very same bytes, made once and kept. Others (see RtpTitle) get their own
    numbers put between the same pieces: little more work than a copy, and no memory for long.
    """

    __slots__ = ("_forms", "dts_us", "usual")

    def __init__(self, packed: Sequence[PackedFrame], tracks: int) -> None:
        self.dts_us = packed[0].dts_us
        self.usual = BurstForm(packed, tuple(range(0, 2 * tracks, 2)))
        self._forms: dict[Channels, BurstForm] | None = None

    @property
    def frames(self) -> Sequence[StoredFrame]:
        return self.usual.frames

    def before(self, time_us: int) -> Burst:
        """Those of its frames that are due before a time, which is after the first one's."""
        frames = [frame.unpack() for frame in self.frames if frame.dts_us < time_us]
        return self if len(frames) == len(self.frames) else Burst(frames, len(self.usual.channels))

    def form(self, channels: Channels) -> BurstForm:
        """The burst for an RTSP connection. Nearly all clients ask for the usual channels."""
        if channels == self.usual.channels:
            return self.usual
        if self._forms is None:
            self._forms = {}
        form = self._forms.get(channels)
        if form is None:
            form = self._forms[channels] = BurstForm([frame.unpack() for frame in self.frames], channels)
        return form


class BurstForm:
    """A burst in pieces, for given channels, with gaps where the packets' numbers and times are."""

    __slots__ = ("_kept", "_parts", "channels", "counts", "frames")

    def __init__(self, packed: Sequence[PackedFrame], channels: Channels) -> None:
        self.channels = channels
        # Before each packet's two fields what leads up to them; at last the rest of the last packet.
        self._parts: list[bytes] = [b""]
        frames = []
        for frame in packed:
            channel = channels[frame.track_index]
            if channel is not None:
                frames.append(StoredFrame(frame, self._parts, channel))
        self.frames = tuple(frames)
        # Of each track: how many packets, and how many bytes their payloads have.
        self.counts = tuple(
            (
                track,
                sum(frame.count for frame in frames if frame.track_index == track),
                sum(frame.payload_bytes for frame in frames if frame.track_index == track),
            )
            for track in sorted({frame.track_index for frame in frames})
        )
        self._kept: bytes | None = None

    def packed(self, sequences: MutableSequence[int]) -> bytes:
        """As it was packed; moves `sequences`, the unwrapped numbers of each track's next packet, on."""
        for track_index, count, _octets in self.counts:
            sequences[track_index] += count
        if self._kept is None:
            for frame in self.frames:
                frame.fill_in(self._parts, frame.sequence, frame.timestamp)
            self._kept = b"".join(self._parts)
        return self._kept

    def numbered(self, sequences: MutableSequence[int], bases: Sequence[int], scale: float) -> bytes:
        """With other numbers, those of `sequences`, which are moved on.

        A frame's timestamp is its pts by the scale, and what `bases` has for its track.
        """
        parts = self._parts
        for frame in self.frames:
            track_index = frame.track_index
            sequence = sequences[track_index]
            sequences[track_index] = sequence + frame.count
            ticks = frame.pts_ticks if scale == 1.0 else round(frame.pts_ticks / scale)
            frame.fill_in(parts, sequence, ticks + bases[track_index])
        return b"".join(parts)


class StoredFrame:
    """One frame of a burst."""

    __slots__ = (
        "_later_ticks",
        "_parts",
        "_runs",
        "_sequence_parts",
        "_timestamp_parts",
        "count",
        "dts_us",
        "joinable",
        "payload_bytes",
        "pts_ticks",
        "sequence",
        "timestamp",
        "track_index",
    )

    def __init__(self, packed: PackedFrame, parts: list[bytes], channel: int) -> None:
        """Adds its pieces to `parts`, in which it has its place from now on."""
        self.track_index = packed.track_index
        self.dts_us = packed.dts_us
        self.pts_ticks = packed.pts_ticks
        self.joinable = packed.joinable
        self.count = len(packed.packets)
        self.payload_bytes = sum(map(len, packed.packets)) - HEADER_BYTES * self.count
        timestamps = [int.from_bytes(packet[4:8]) for packet in packed.packets]
        self.sequence = int.from_bytes(packed.packets[0][2:4]) if packed.packets else 0
        self.timestamp = timestamps[0] if timestamps else 0
        later = [(timestamp - self.timestamp) & 0xFFFFFFFF for timestamp in timestamps]
        self._later_ticks = later if any(later) else None  # than the first packet, of audio in several packets
        first = len(parts)
        for packet in packed.packets:
            parts[-1] += bytes((0x24, channel)) + len(packet).to_bytes(2) + packet[:2]
            parts += [packet[2:4], packet[4:8], packet[_TAIL_AT:]]
        self._parts = parts
        self._sequence_parts = slice(first, len(parts), 3)
        self._timestamp_parts = slice(first + 1, len(parts), 3)
        self._runs: tuple[bytes, ...] | None = None

    def fill_in(self, parts: list[bytes], sequence: int, timestamp: int) -> None:
        """Put numbers and times between the pieces; both may be unwrapped."""
        count = self.count
        first = sequence & 0xFFFF
        fields = _sequence_fields()
        parts[self._sequence_parts] = (
            fields[first : first + count]
            if first + count <= 0x10000
            else [fields[number & 0xFFFF] for number in range(first, first + count)]
        )
        if self._later_ticks is None:
            parts[self._timestamp_parts] = ((timestamp & 0xFFFFFFFF).to_bytes(4),) * count
        else:
            parts[self._timestamp_parts] = [
                ((timestamp + later) & 0xFFFFFFFF).to_bytes(4) for later in self._later_ticks
            ]

    def packets(self, sequence: int, timestamp: int) -> list[bytes]:
        parts = self._parts
        self.fill_in(parts, sequence, timestamp)
        start, end = self._sequence_parts.start, self._sequence_parts.stop
        packets = []
        for index in range(start, end, 3):
            size = int.from_bytes(parts[index - 1][-4:-2]) - _TAIL_AT
            packets.append(parts[index - 1][-2:] + parts[index] + parts[index + 1] + parts[index + 2][:size])
        return packets

    def runs(self, sequence: int, timestamp: int) -> tuple[bytes, ...]:
        """The packets in rows of datagrams."""
        if sequence != self.sequence or timestamp != self.timestamp:
            return runs_of(self.packets(sequence, timestamp))
        if self._runs is None:
            self._runs = runs_of(self.packets(sequence, timestamp))
        return self._runs

    def unpack(self) -> PackedFrame:
        packets = self.packets(self.sequence, self.timestamp)
        return PackedFrame(self.track_index, packets, self.dts_us, self.pts_ticks, self.joinable)


class NumberedFrame:
    """A stored frame with a viewer's numbers, for layouts that send each frame for itself."""

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
        data = interleave(channel, self.packets)
        return data if framing is None else framing(data)

    def runs(self) -> tuple[bytes, ...]:
        return self._frame.runs(self._sequence, self._timestamp)


@cache
def _sequence_fields() -> tuple[bytes, ...]:
    """All there are (4 MB), for looking up is several times faster than making them for every packet and viewer."""
    return tuple(number.to_bytes(2) for number in range(0x10000))
