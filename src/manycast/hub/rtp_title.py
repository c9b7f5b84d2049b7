"""Stored media as RTP: the packets of a file at a position, the same for every viewer."""

from __future__ import annotations

import zlib
from collections import OrderedDict
from typing import NamedTuple
from weakref import WeakValueDictionary

from manycast.hub.rtp_packager import RtpFrame, TrackStart, cname_of, make_sender
from manycast.hub.stored import FrameGroup, StoredMedia
from manycast.media.track import MediaKind
from manycast.wire.rtp.sender import RtpTrackSender

KEPT_GROUPS = 4  # so that viewers a few seconds apart share; more are kept while someone plays them


class TimedFrame(NamedTuple):
    due_us: int  # when it is to be sent, on the file's timeline
    frame: RtpFrame


class PackedGroup:
    """One group of frames as packets, for given first sequence numbers and a given shift of the timeline."""

    __slots__ = ("__weakref__", "frames", "group", "next_sequences", "sequences", "shift_us")

    def __init__(
        self,
        group: FrameGroup,
        frames: tuple[TimedFrame, ...],
        shift_us: int,
        sequences: tuple[int, ...],
        next_sequences: tuple[int, ...],
    ) -> None:
        self.group = group
        self.frames = frames
        self.shift_us = shift_us
        self.sequences = sequences  # of each track's first packet
        self.next_sequences = next_sequences

    @property
    def bytes_per_s(self) -> float:
        return self.group.size_bytes * 1e6 / max(1, self.group.end_us - self.group.position_us)


class RtpTitle:
    """All RTP viewers of one file.

    Timestamps follow from the position (and the loop), sequence numbers from the place where a viewer came in, so
    that all who play on from the same place get the same packets, which are built once.
    """

    def __init__(self, media: StoredMedia) -> None:
        self.media = media
        self.senders: list[RtpTrackSender] = [
            make_sender(track, index, cname_of(media.name)) for index, track in enumerate(media.tracks)
        ]
        self._first_sequences = tuple(sender.sequence for sender in self.senders)
        self._has_video = any(track.kind is MediaKind.VIDEO for track in media.tracks)
        self._packed: WeakValueDictionary[tuple[int, int, tuple[int, ...]], PackedGroup] = WeakValueDictionary()
        self._kept: OrderedDict[int, PackedGroup] = OrderedDict()

    def sequences_at(self, group: FrameGroup) -> tuple[int, ...]:
        """The first sequence numbers for viewers who start at a group."""
        spread = zlib.crc32(group.position_us.to_bytes(8, signed=True)) if group.position_us else 0
        return tuple((sequence + spread) & 0xFFFF for sequence in self._first_sequences)

    def pack(self, group: FrameGroup, sequences: tuple[int, ...], shift_us: int) -> PackedGroup:
        """The group's packets; `shift_us` is how much later than in the file its timestamps are."""
        key = (group.position_us, shift_us, sequences)
        packed = self._packed.get(key)
        if packed is None:
            packed = self._packed[key] = self._build(group, sequences, shift_us)
        self._kept[id(packed)] = packed
        self._kept.move_to_end(id(packed))
        while len(self._kept) > KEPT_GROUPS:
            self._kept.popitem(last=False)
        return packed

    def start_of(self, packed: PackedGroup, next_frame: int, track_index: int, position_us: int) -> TrackStart:
        """A track from a frame of a group on: its next packet, and the RTP time of the position itself.

        The two need not belong together: a packet may be of a little earlier (audio's priming) or later.
        """
        sender = self.senders[track_index]
        ticks = (position_us + packed.shift_us) * sender.clock_rate_hz // 1_000_000
        sequence = packed.sequences[track_index] if next_frame == 0 else packed.next_sequences[track_index]
        for _due, frame in packed.frames[next_frame:]:
            if frame.track_index == track_index and frame.packets:
                sequence = int.from_bytes(frame.packets[0][2:4])
                break
        return TrackStart(sequence, sender.rtp_timestamp(ticks))

    def lead_us(self, group: FrameGroup) -> int:
        """How far a group's earliest frame is before its position: audio's priming, leading pictures."""
        earliest_us = min((self._us(frame.track_index, frame.pts_ticks) for frame in group.frames), default=0)
        return max(0, group.position_us - earliest_us)

    def latest_us(self, packed: PackedGroup, next_frame: int) -> int:
        """The latest time, shift included, that a viewer has had a packet of before a frame of a group."""
        before_us = packed.group.position_us + packed.shift_us
        sent = (frame for _due, frame in packed.frames[:next_frame])
        return max((self._us(frame.track_index, frame.pts_ticks) for frame in sent), default=before_us)

    def _us(self, track_index: int, ticks: int) -> int:
        return ticks * 1_000_000 // self.senders[track_index].clock_rate_hz

    def _build(self, group: FrameGroup, sequences: tuple[int, ...], shift_us: int) -> PackedGroup:
        shifts = [shift_us * sender.clock_rate_hz // 1_000_000 for sender in self.senders]
        for sender, sequence in zip(self.senders, sequences, strict=True):
            sender.sequence = sequence
        frames = []
        for frame in group.frames:
            sender = self.senders[frame.track_index]
            shift = shifts[frame.track_index]
            video = self.media.tracks[frame.track_index].kind is MediaKind.VIDEO
            packed = RtpFrame(
                frame.track_index,
                sender.packets(frame, shift_ticks=shift),
                frame.pts_ticks + shift,
                frame.keyframe and (video or not self._has_video),
            )
            frames.append(TimedFrame(frame.dts_ticks * 1_000_000 // sender.clock_rate_hz, packed))
        after = tuple(sender.sequence for sender in self.senders)
        return PackedGroup(group, tuple(frames), shift_us, sequences, after)
