"""Stored media as RTP: the packets of a file at a position, the same for every viewer."""

from __future__ import annotations

import zlib
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from weakref import WeakValueDictionary

from manycast.hub.burst import Burst, PackedFrame
from manycast.hub.pace import Selection
from manycast.hub.pacer import Pacer
from manycast.hub.rtp_packager import cname_of, make_sender
from manycast.hub.stored import FrameGroup, StoredMedia
from manycast.media.track import MediaKind
from manycast.wire.rtp.sender import RtpTrackSender

BURST_US = 15_000  # a picture and the sound that is due so soon after it go together
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
    """All RTP viewers of one file. They share SSRCs and payloads; most of them share sequence numbers too."""

    def __init__(self, media: StoredMedia, pacer: Pacer) -> None:
        self.media = media
        self.pacer = pacer
        self.senders: list[RtpTrackSender] = [
            make_sender(track, index, cname_of(media.name)) for index, track in enumerate(media.tracks)
        ]
        self._first_sequences = tuple(sender.sequence for sender in self.senders)
        kinds = [track.kind for track in media.tracks]
        self.video_index = kinds.index(MediaKind.VIDEO) if MediaKind.VIDEO in kinds else None
        self._packed: WeakValueDictionary[int, PackedGroup] = WeakValueDictionary()
        self._kept: OrderedDict[int, PackedGroup] = OrderedDict()  # by position

    def packed_at(self, position_us: int) -> PackedGroup | None:
        """The group that starts at a position, where somebody plays it or has just played it."""
        packed = self._packed.get(position_us)
        if packed is not None:
            self._keep(packed)
        return packed

    def pack(self, group: FrameGroup, sequences: tuple[int, ...] | None = None) -> PackedGroup:
        """The group's packets; `sequences` are those of a viewer who plays on from the group before."""
        packed = self.packed_at(group.position_us)
        if packed is None:
            packed = self._build(group, sequences or self._sequences_at(group.position_us))
            self._packed[group.position_us] = packed
            self._keep(packed)
        return packed

    def start_sequences(self, packed: PackedGroup) -> tuple[int, ...]:
        """The first numbers for a viewer who starts at a group: those for which bytes are kept, if they are low.

        SRTP would lose count where numbers wrap while the first packets are lost.
        """
        low = all(sequence < 0x8000 for sequence in packed.sequences)
        return packed.sequences if low else self._sequences_at(packed.position_us)

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
