"""Stored media as RTP: the packets of a file at a position, the same for every viewer."""

from __future__ import annotations

import asyncio
import zlib
from weakref import WeakValueDictionary

from manycast.hub.followed_groups import FollowedGroups
from manycast.hub.pacer import Pacer
from manycast.hub.packed_group import PackedGroup
from manycast.hub.rtp_packager import cname_of, make_sender
from manycast.hub.source import SourceError
from manycast.hub.stored import FrameGroup, StoredMedia
from manycast.media.track import MediaKind
from manycast.wire.rtp.sender import RtpTrackSender

# All of a file is read to count its packets. That costs as much as putting their own numbers into the packets does for
# some viewers.
COUNTED_FROM_VIEWERS = 8
MAX_COUNTED_BYTES = 64 << 20  # of a file's start: as much as is read only to count its packets
COUNT_INTERVAL_S = 0.005  # between two groups: who plays comes first


class RtpTitle:
    """All RTP viewers of one file.

    Timestamps follow from the position, sequence numbers from how many packets are before it in the file, as soon as
    they are counted: so all viewers get the same bytes, wherever they came in. Only who comes in before that, seeks,
    or plays at a scale has numbers and times of their own.
    """

    def __init__(self, media: StoredMedia, pacer: Pacer, followed: FollowedGroups) -> None:
        self.media = media
        self.pacer = pacer
        self.senders: list[RtpTrackSender] = [
            make_sender(track, index, cname_of(media.name)) for index, track in enumerate(media.tracks)
        ]
        self.places: dict[object, int] = {}  # of those who play: the position of the group that each is in
        self._followed = followed
        self._first_sequences = tuple(sender.sequence for sender in self.senders)
        kinds = [track.kind for track in media.tracks]
        self.video_index = kinds.index(MediaKind.VIDEO) if MediaKind.VIDEO in kinds else None
        # By position: the first numbers of the groups from the file's start on, as far as their packets were counted.
        self._numbered: dict[int, tuple[int, ...]] = {0: self._first_sequences}
        self._starts = 0
        self._counting: asyncio.Task[None] | None = None
        self._packed: WeakValueDictionary[int, PackedGroup] = WeakValueDictionary()

    def packed_at(self, position_us: int) -> PackedGroup | None:
        """The group that starts at a position, where somebody plays it, or is about to."""
        packed = self._packed.get(position_us)
        if packed is not None and self._numbered.get(position_us, packed.sequences) != packed.sequences:
            return None  # it was packed before its numbers were known; who plays it goes on with those it has
        return packed

    def pack(self, group: FrameGroup, sequences: tuple[int, ...] | None = None) -> PackedGroup:
        """The group's packets; `sequences` are those of a viewer who plays on from the group before."""
        packed = self.packed_at(group.position_us)
        if packed is None:
            known = self._numbered.get(group.position_us) or sequences or self._sequences_at(group.position_us)
            packed = self._packed[group.position_us] = PackedGroup(group, self.senders, known, self.video_index)
        return packed

    def leave(self, packed: PackedGroup) -> None:
        """Somebody has played a group: keep it for who plays it next, if anybody comes to it."""
        behind_us = max((place for place in self.places.values() if place < packed.position_us), default=None)
        if behind_us is not None:
            self._followed.keep(packed, packed.group.size_bytes, (packed.position_us - behind_us) * 1e-6)

    def start_sequences(self, packed: PackedGroup, *, low: bool) -> tuple[int, ...]:
        """The first numbers for a viewer who starts at a group: those that it was packed with.

        `low` wants them below 0x8000 in any case: SRTP loses count where numbers wrap while first packets are lost.
        """
        self._starts += 1
        if self._starts >= COUNTED_FROM_VIEWERS and self._counting is None and not self.media.costly:
            self._counting = asyncio.get_running_loop().create_task(self._count(), name="count packets")
        if low and any(sequence >= 0x8000 for sequence in packed.sequences):
            return self._sequences_at(packed.position_us)
        return packed.sequences

    def time_us(self, track_index: int, ticks: int) -> int:
        """A time of one track's clock."""
        return ticks * 1_000_000 // self.senders[track_index].clock_rate_hz

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
                    sequences[frame.track_index] += len(self.senders[frame.track_index].payloads(frame))
                counted_bytes += group.size_bytes
                self._numbered[group.end_us] = tuple(sequence & 0xFFFF for sequence in sequences)
                await asyncio.sleep(COUNT_INTERVAL_S)
                group = await self.media.group_after(group)
        except SourceError:
            return  # those who play it will hear of it
