"""A film that stands in no file, and a viewer who notes when each packet comes: playing in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from manycast.hub.fanout import BacklogLimit
from manycast.hub.followed_groups import FollowedGroups
from manycast.hub.pacer import Pacer
from manycast.hub.playback import Playback
from manycast.hub.rtp_packager import InterleavedLayout
from manycast.hub.rtp_title import RtpTitle
from manycast.hub.source import SourceError
from manycast.hub.stored import FrameGroup
from manycast.media.frame import Frame
from manycast.media.track import AudioParameters, Codec, H264Parameters, Track
from manycast.wire.rtp.packet import RtpPacket
from manycast.wire.rtp.rtcp import Goodbye, SenderReport, parse_compound

VIDEO = Track(codec=Codec.H264, clock_rate_hz=90_000, parameters=H264Parameters(sps=(b"\x67s",), pps=(b"\x68p",)))
AUDIO = Track(codec=Codec.OPUS, clock_rate_hz=48_000, parameters=AudioParameters(sample_rate_hz=48_000, channels=2))

GROUPS = 4
GROUP_US = 1_000_000
FRAMES_PER_GROUP = 25
LAYOUT = InterleavedLayout(((0, 1), (2, 3)))
PRIMING_TICKS = 1024


@dataclass(eq=False)
class Film:
    """So many seconds: a keyframe in each, 25 pictures and 50 pieces of sound, the sound a little ahead."""

    costly = False
    broken_at: int | None = None
    groups: int = GROUPS
    reads: list[int] = field(default_factory=list)
    name: str = "film"
    tracks: tuple[Track, ...] = (VIDEO, AUDIO)

    @property
    def duration_us(self) -> int | None:
        return self.groups * GROUP_US

    def group(self, index: int) -> FrameGroup:
        self.reads.append(index)
        if index == self.broken_at:
            raise SourceError("the disk is gone")
        frames = []
        for number in range(FRAMES_PER_GROUP):
            ticks = 90_000 * index + 3600 * number
            unit = bytes((0x41 if number else 0x65, index, number)) * 10
            frames.append(Frame(track_index=0, dts_ticks=ticks, pts_ticks=ticks, keyframe=not number, units=[unit]))
        for number in range(50):
            ticks = 48_000 * index + 960 * number - PRIMING_TICKS
            sound = bytes((index, number)) * 10
            frames.append(Frame(track_index=1, dts_ticks=ticks, pts_ticks=ticks, keyframe=True, units=[sound]))
        frames.sort(key=lambda frame: frame.dts_ticks / self.tracks[frame.track_index].clock_rate_hz)
        return FrameGroup(
            position_us=index * GROUP_US,
            end_us=(index + 1) * GROUP_US,
            frames=tuple(frames),
            seekable=True,
            last=index == self.groups - 1,
        )

    async def group_at(self, position_us: int) -> FrameGroup:
        return self.group(max(0, min(position_us // GROUP_US, self.groups - 1)))

    def held(self, position_us: int) -> FrameGroup | None:
        return None

    async def group_after(self, group: FrameGroup) -> FrameGroup | None:
        index = group.end_us // GROUP_US
        return None if index == self.groups else self.group(index)


@dataclass
class Seat:
    """A viewer, and when each packet reached it."""

    packets: list[tuple[float, int, RtpPacket]] = field(default_factory=list)  # time, channel
    goodbyes: int = 0
    reports: list[tuple[float, SenderReport]] = field(default_factory=list)
    backlog_bytes: int = 0
    cleared: int = 0

    def begin(self, chunks: Sequence[bytes], *, wait_for_keyframe: bool) -> None:
        raise NotImplementedError

    def offer(self, chunk: bytes, joinable: bool) -> None:
        now_s = asyncio.get_running_loop().time()
        while chunk:
            end = 4 + int.from_bytes(chunk[2:4])
            self.packets.append((now_s, chunk[1], RtpPacket.parse(chunk[4:end])))
            chunk = chunk[end:]

    def offer_together(self, chunks: Sequence[bytes], frames: int) -> None:
        for chunk in chunks:
            self.offer(chunk, True)

    def clear(self) -> None:
        self.cleared += 1

    def control(self, chunk: bytes) -> None:
        now_s = asyncio.get_running_loop().time()
        for packet in parse_compound(chunk[4:]):
            self.goodbyes += isinstance(packet, Goodbye)
            if isinstance(packet, SenderReport):
                self.reports.append((now_s, packet))

    def track(self, channel: int) -> list[tuple[float, RtpPacket]]:
        return [(now_s, packet) for now_s, found, packet in self.packets if found == channel]


@dataclass
class Evening:
    """One playback, and its end."""

    film: Film
    seat: Seat
    playback: Playback[bytes]
    ended: asyncio.Future[str]


def evening(film: Film | None = None, *, loops: int = 1, title: RtpTitle | None = None) -> Evening:
    film = film or Film()
    seat = Seat()
    ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def note_end(reason: str) -> None:
        if not ended.done():
            ended.set_result(reason)

    title = title or RtpTitle(film, Pacer(), FollowedGroups())
    playback = Playback(title, seat, LAYOUT, loops=loops, limit=BacklogLimit(), on_end=note_end)
    return Evening(film, seat, playback, ended)
