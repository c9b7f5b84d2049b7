"""Stored media as RTP: the packets of a file at a position, the same for every viewer."""

from __future__ import annotations

import asyncio
import zlib
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from weakref import WeakValueDictionary

from manycast.hub.burst import Burst, PackedFrame
from manycast.hub.pace import Selection
from manycast.hub.pacer import Pacer
from manycast.hub.rtp_packager import cname_of, make_sender
from manycast.hub.source import SourceError
from manycast.hub.stored import FrameGroup, StoredMedia
from manycast.media.track import MediaKind
from manycast.wire.rtp.sender import RtpTrackSender

BURST_US = 40_000  # a picture and the sound that is due so soon after it go together: one call, not three
MAX_COUNTED_BYTES = 64 << 20  # of a file's start: as much as is read only to count its packets
COUNT_INTERVAL_S = 0.005  # between two groups: who plays comes first
KEPT_GROUPS = 4  # so that viewers a few seconds apart share; more are kept while someone plays them


class PackedGroup:
    """One group of frames as packets."""

    __slots__ = (
        "__weakref__",
        "_pictures",
        "_video_index",
        "bursts",
        "bytes_per_s",
        "earliest_us",
        "end_us",
        "group",
        "position_us",
        "sequences",
    )

    def __init__(
        self,
        group: FrameGroup,
        frames: Sequence[PackedFrame],
        sequences: tuple[int, ...],
        earliest_us: int,
        video_index: int | None,
    ) -> None:
        self.group = replace(group, frames=())  # what it is; the frames themselves are not needed any more
        self.position_us = group.position_us
        self.end_us = group.end_us
        self.bytes_per_s = group.size_bytes * 1e6 / max(1, group.end_us - group.position_us)
        self.sequences = sequences  # of each track's first packet
        self.earliest_us = earliest_us  # of all pts: audio's priming and leading pictures are before the position
        self._video_index = video_index
        self.bursts = tuple(self._bursts_of(frames))
        self._pictures: tuple[Burst, ...] | None = None

    def select(self, selection: Selection) -> tuple[Burst, ...]:
        """What is to be sent, in the order of its dts."""
        if selection is Selection.ALL or self._video_index is None:
            return self.bursts
        if self._pictures is None:
            pictures = [
                frame for burst in self.bursts for frame in burst.frames if frame.track_index == self._video_index
            ]
            self._pictures = tuple(Burst([picture.unpack()], len(self.sequences)) for picture in pictures)
        if selection is Selection.PICTURES:
            return self._pictures
        return self._pictures[:1] if self._pictures and self._pictures[0].frames[0].joinable else ()

    def _bursts_of(self, frames: Sequence[PackedFrame]) -> Iterator[Burst]:
        """A picture always begins one, so that pictures alone are found at the same times."""
        row: list[PackedFrame] = []
        for frame in frames:
            if row and (frame.track_index == self._video_index or frame.dts_us >= row[0].dts_us + BURST_US):
                yield Burst(row, len(self.sequences))
                row = []
            row.append(frame)
        if row:
            yield Burst(row, len(self.sequences))


class RtpTitle:
    """All RTP viewers of one file.

    Timestamps follow from the position, sequence numbers from how many packets are before it in the file, as soon as
    they are counted: so all viewers get the same bytes, wherever they came in. Only who comes in before that, seeks,
    or plays at a scale has numbers and times of their own.
    """

    def __init__(self, media: StoredMedia, pacer: Pacer) -> None:
        self.media = media
        self.pacer = pacer
        self.senders: list[RtpTrackSender] = [
            make_sender(track, index, cname_of(media.name)) for index, track in enumerate(media.tracks)
        ]
        self._first_sequences = tuple(sender.sequence for sender in self.senders)
        kinds = [track.kind for track in media.tracks]
        self.video_index = kinds.index(MediaKind.VIDEO) if MediaKind.VIDEO in kinds else None
        # By position: the first numbers of the groups from the file's start on, as far as their packets were counted.
        self._numbered: dict[int, tuple[int, ...]] = {0: self._first_sequences}
        self._counting: asyncio.Task[None] | None = None
        self._packed: WeakValueDictionary[int, PackedGroup] = WeakValueDictionary()
        self._kept: OrderedDict[int, PackedGroup] = OrderedDict()  # by position

    def packed_at(self, position_us: int) -> PackedGroup | None:
        """The group that starts at a position, where somebody plays it or has just played it."""
        packed = self._packed.get(position_us)
        if packed is None:
            return None
        sequences = self._numbered.get(position_us)
        if sequences is not None and sequences != packed.sequences:  # it was packed before they were known
            packed = self._packed[position_us] = self._renumber(packed, sequences)
        self._keep(packed)
        return packed

    def pack(self, group: FrameGroup, sequences: tuple[int, ...] | None = None) -> PackedGroup:
        """The group's packets; `sequences` are those of a viewer who plays on from the group before."""
        packed = self.packed_at(group.position_us)
        if packed is None:
            known = self._numbered.get(group.position_us)
            packed = self._build(group, known or sequences or self._sequences_at(group.position_us))
            self._packed[group.position_us] = packed
            self._keep(packed)
        return packed

    def start_sequences(self, packed: PackedGroup, *, low: bool) -> tuple[int, ...]:
        """The first numbers for a viewer who starts at a group: those that it was packed with.

        `low` wants them below 0x8000 in any case: SRTP loses count where numbers wrap while first packets are lost.
        """
        if packed.position_us not in self._numbered and self._counting is None and not self.media.costly:
            self._counting = asyncio.get_running_loop().create_task(self._count(), name="count packets")
        if low and any(sequence >= 0x8000 for sequence in packed.sequences):
            return self._sequences_at(packed.position_us)
        return packed.sequences

    def time_us(self, track_index: int, ticks: int) -> int:
        """A time of one track's clock."""
        return ticks * 1_000_000 // self.senders[track_index].clock_rate_hz

    def _keep(self, packed: PackedGroup) -> None:
        self._kept[packed.position_us] = packed
        self._kept.move_to_end(packed.position_us)
        if len(self._kept) > KEPT_GROUPS:
            self._kept.popitem(last=False)

    def _sequences_at(self, position_us: int) -> tuple[int, ...]:
        """The first sequence numbers for viewers who start at a group that nobody plays."""
        spread = zlib.crc32(position_us.to_bytes(8, signed=True)) if position_us else 0
        return tuple((sequence + spread) & 0x7FFF for sequence in self._first_sequences)

    async def _count(self) -> None:
        """Find out what number each place has, so that all viewers count alike, wherever they come in."""
        sequences, counted_bytes = list(self._first_sequences), 0
        try:
            group: FrameGroup | None = await self.media.group_at(0)
            while group is not None and counted_bytes < MAX_COUNTED_BYTES:
                for frame in group.frames:
                    sequences[frame.track_index] += self.senders[frame.track_index].packets_in(frame)
                counted_bytes += group.size_bytes
                self._numbered[group.end_us] = tuple(sequence & 0xFFFF for sequence in sequences)
                await asyncio.sleep(COUNT_INTERVAL_S)
                group = await self.media.group_after(group)
        except SourceError:
            return  # those who play it will hear of it

    def _renumber(self, packed: PackedGroup, sequences: tuple[int, ...]) -> PackedGroup:
        following = list(sequences)
        frames = []
        for frame in (frame for burst in packed.bursts for frame in burst.frames):
            packets = frame.packets(following[frame.track_index], frame.timestamp)
            following[frame.track_index] += frame.count
            frames.append(PackedFrame(frame.track_index, packets, frame.dts_us, frame.pts_ticks, frame.joinable))
        renumbered = PackedGroup(packed.group, frames, sequences, packed.earliest_us, self.video_index)
        renumbered.bytes_per_s = packed.bytes_per_s
        return renumbered

    def _build(self, group: FrameGroup, sequences: tuple[int, ...]) -> PackedGroup:
        for sender, sequence in zip(self.senders, sequences, strict=True):
            sender.sequence = sequence
        frames = [
            PackedFrame(
                frame.track_index,
                self.senders[frame.track_index].packets(frame),
                self.time_us(frame.track_index, frame.dts_ticks),
                frame.pts_ticks,
                frame.keyframe and self.video_index in (None, frame.track_index),
            )
            for frame in group.frames
        ]
        earliest_us = min((self.time_us(frame.track_index, frame.pts_ticks) for frame in group.frames), default=0)
        return PackedGroup(group, frames, sequences, min(earliest_us, group.position_us), self.video_index)
