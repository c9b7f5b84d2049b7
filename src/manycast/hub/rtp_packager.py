"""Frames to RTP: the packets of a stream, built once for all its viewers."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeVar

from manycast.hub.fanout import BacklogLimit, Fanout, Viewer
from manycast.hub.gop import GopCache
from manycast.hub.udp_viewer import Datagrams, runs_of
from manycast.media.frame import Frame
from manycast.media.track import Codec, MediaKind, Track
from manycast.wire.rtp.formats import format_for_codec
from manycast.wire.rtp.payload import FIRST_DYNAMIC_PAYLOAD_TYPE, RtpMap
from manycast.wire.rtp.sender import MAX_PAYLOAD_BYTES, RtpTrackSender

METADATA_PAYLOAD_TYPE = 107  # the one ONVIF's examples have; it stands beside any stream
REPORT_INTERVAL_S = 5.0  # RFC 3550 section 6.2

Framing = Callable[[bytes], bytes]  # wraps what goes out on a connection in one piece, such as in a WebSocket frame

ChunkT = TypeVar("ChunkT")
ChunkT_co = TypeVar("ChunkT_co", covariant=True)

log = logging.getLogger(__name__)
_random = random.SystemRandom()


class PacketisedFrame(Protocol):
    """The packets of one frame, and the forms transports send them in."""

    @property
    def track_index(self) -> int: ...

    @property
    def packets(self) -> list[bytes]: ...

    def interleaved(self, channel: int, framing: Framing | None = None) -> bytes:
        """All packets with the four bytes before each that RFC 2326 section 10.12 puts there."""

    def runs(self) -> tuple[bytes, ...]:
        """All packets in rows of datagrams."""


class RtpFrame:
    """The packets of one live frame, and the forms transports send them in, each made once."""

    __slots__ = ("__weakref__", "_interleaved", "_runs", "joinable", "packets", "pts_ticks", "track_index")

    def __init__(self, track_index: int, packets: list[bytes], pts_ticks: int, joinable: bool) -> None:
        self.track_index = track_index
        self.packets = packets
        self.pts_ticks = pts_ticks
        self.joinable = joinable
        self._interleaved: dict[tuple[int, Framing | None], bytes] | None = None
        self._runs: tuple[bytes, ...] | None = None

    @property
    def size_bytes(self) -> int:
        return sum(map(len, self.packets))

    def interleaved(self, channel: int, framing: Framing | None = None) -> bytes:
        if self._interleaved is None:
            self._interleaved = {}
        key = (channel, framing)
        data = self._interleaved.get(key)
        if data is None:
            data = interleave(channel, self.packets)
            data = self._interleaved[key] = framing(data) if framing is not None else data
        return data

    def runs(self) -> tuple[bytes, ...]:
        if self._runs is None:
            self._runs = runs_of(self.packets)
        return self._runs


def interleave(channel: int, packets: Sequence[bytes]) -> bytes:
    prefix = bytes((0x24, channel))
    return b"".join([part for packet in packets for part in (prefix, len(packet).to_bytes(2), packet)])


class Layout(Protocol[ChunkT_co]):
    """How one transport sends RTP. Viewers with equal layouts get the same bytes; it is hashable for that."""

    def frame(self, frame: PacketisedFrame) -> ChunkT_co | None:
        """What to send for a frame; None when its track was not set up."""

    def report(self, track_index: int, rtcp: bytes) -> ChunkT_co | None:
        """What to send for an RTCP packet of a track."""


@dataclass(frozen=True, slots=True)
class InterleavedLayout:
    """RTP in the RTSP connection: the channel of each track's RTP and RTCP, None where it was not set up."""

    channels: tuple[tuple[int, int] | None, ...]
    framing: Framing | None = None

    def frame(self, frame: PacketisedFrame) -> bytes | None:
        pair = self.channels[frame.track_index]
        return None if pair is None else frame.interleaved(pair[0], self.framing)

    def report(self, track_index: int, rtcp: bytes) -> bytes | None:
        pair = self.channels[track_index]
        if pair is None:
            return None
        data = interleave(pair[1], (rtcp,))
        return self.framing(data) if self.framing is not None else data


@dataclass(frozen=True, slots=True)
class UdpLayout:
    """RTP over UDP: which tracks were set up."""

    tracks: tuple[bool, ...]

    def frame(self, frame: PacketisedFrame) -> Datagrams | None:
        return Datagrams(2 * frame.track_index, frame.runs()) if self.tracks[frame.track_index] else None

    def report(self, track_index: int, rtcp: bytes) -> Datagrams | None:
        return Datagrams(2 * track_index + 1, (rtcp,)) if self.tracks[track_index] else None


class TrackStart(NamedTuple):
    """What RTP-Info says of a track (RFC 2326 section 12.33)."""

    sequence: int  # of the first packet a viewer gets
    rtp_timestamp: int  # at the moment of the start, which is one for all tracks


def describe_track(track: Track, index: int) -> RtpMap:
    """What SDP says of a track in everything we send; its payload type is static where the table has one for it."""
    dynamic = METADATA_PAYLOAD_TYPE if track.codec is Codec.METADATA else FIRST_DYNAMIC_PAYLOAD_TYPE + index
    return format_for_codec(track.codec).describe(track, dynamic)


def cname_of(name: str) -> str:
    """The canonical name all tracks of one stream share, by which receivers put them together."""
    return f"manycast/{name}"


def make_sender(track: Track, index: int, cname: str) -> RtpTrackSender:
    return RtpTrackSender(
        format_for_codec(track.codec).packetiser(track, MAX_PAYLOAD_BYTES),
        clock_rate_hz=track.clock_rate_hz,
        payload_type=describe_track(track, index).payload_type,
        ssrc=_random.getrandbits(32),
        first_sequence=_random.getrandbits(15),  # SRTP would lose count where the first packets are lost at the edge
        timestamp_offset=_random.getrandbits(32),
        cname=cname,
        on_refusal=lambda reason: log.warning("%s: pictures of track %d are left out: %s", cname, index, reason),
    )


class RtpPackager:
    """All viewers of one live stream by RTP. They share SSRC, sequence numbers, timestamps, and so the bytes."""

    def __init__(self, tracks: Sequence[Track], cached: Sequence[Frame], limit: BacklogLimit, name: str) -> None:
        self.senders = [make_sender(track, index, cname_of(name)) for index, track in enumerate(tracks)]
        self._kinds = [track.kind for track in tracks]
        self._has_video = MediaKind.VIDEO in self._kinds
        self.limit = limit
        self._gop: GopCache[RtpFrame] = GopCache()
        self._fanouts: dict[Layout[object], Fanout[object]] = {}
        self._unix_at_zero_s: float | None = None
        self._next_report_s = 0.0
        for frame in cached:
            self.push(frame)

    @property
    def viewers(self) -> int:
        return sum(map(len, self._fanouts.values()))

    def push(self, frame: Frame) -> None:
        index = frame.track_index
        joinable = frame.keyframe and (not self._has_video or self._kinds[index] is MediaKind.VIDEO)
        packed = RtpFrame(index, self.senders[index].packets(frame), frame.pts_ticks, joinable)
        if self._has_video:
            self._gop.add(packed, size_bytes=packed.size_bytes, keyframe=joinable)
        for layout, fanout in self._fanouts.items():
            chunk = layout.frame(packed)
            if chunk is not None:
                fanout.write(chunk, joinable)

    def set_clock(self, unix_at_zero_s: float) -> None:
        """Tie the timeline's zero, of all tracks alike, to the wall clock."""
        self._unix_at_zero_s = unix_at_zero_s
        self._next_report_s = 0.0  # what viewers were told no longer holds

    def start_of(self, track_index: int, *, unix_s: float) -> TrackStart:
        """Where a viewer who joins now starts in a track; the times of all tracks are of the same moment."""
        starts = {frame.track_index: frame for frame in reversed(self._latest_group()) if frame.packets}
        if not starts:
            return self.edge_of(track_index, unix_s=unix_s)
        sender, start = self.senders[track_index], starts.get(track_index)
        sequence = sender.sequence if start is None else int.from_bytes(start.packets[0][2:4])
        earliest_s = min(self._time_s(first) for first in starts.values())
        return TrackStart(sequence, sender.rtp_timestamp(round(earliest_s * sender.clock_rate_hz)))

    def edge_of(self, track_index: int, *, unix_s: float) -> TrackStart:
        """What comes next in a track."""
        sender = self.senders[track_index]
        return TrackStart(sender.sequence, sender.rtp_timestamp(self._ticks_at(track_index, unix_s)))

    def join(self, viewer: Viewer[ChunkT], layout: Layout[ChunkT], *, unix_s: float) -> None:
        """Let a viewer in at the latest keyframe: reports first, so that it can place what follows.

        They come again behind what has been kept, as GStreamer passes over those a second ahead of the media.
        """
        indexes = range(len(self.senders))
        chunks = [self._report(index, layout, unix_s) for index in indexes]
        if len(self._gop):
            chunks += [layout.frame(frame) for frame in self._latest_group()]
            chunks += [self._report(index, layout, unix_s) for index in indexes]  # SRTP: other bytes than before
        waiting = self._has_video and not len(self._gop)
        viewer.begin([chunk for chunk in chunks if chunk is not None], wait_for_keyframe=waiting)
        self._fanout(layout).add(viewer)

    def leave(self, viewer: Viewer[ChunkT], layout: Layout[ChunkT]) -> None:
        fanout = self._fanout(layout)
        fanout.remove(viewer)
        if not len(fanout):
            del self._fanouts[layout]

    def handle_timer(self, *, now_s: float, unix_s: float) -> None:
        """Send the reports that are due."""
        if now_s < self._next_report_s or self._unix_at_zero_s is None:
            return
        self._next_report_s = now_s + REPORT_INTERVAL_S
        for layout, fanout in self._fanouts.items():
            for index in range(len(self.senders)):
                report = self._report(index, layout, unix_s)
                if report is not None:
                    fanout.write_control(report)

    def end(self) -> None:
        """Say goodbye on every track."""
        for layout, fanout in self._fanouts.items():
            for index, sender in enumerate(self.senders):
                chunk = layout.report(index, sender.goodbye())
                if chunk is not None:
                    fanout.write_control(chunk)

    def close(self) -> None:
        self._gop.clear()

    def _latest_group(self) -> list[RtpFrame]:
        """From the latest keyframe on; sound that came late, of a time before it, is left out.

        So all tracks start together: players put what comes first of each at one time until they understand a report.
        """
        group = list(self._gop)
        start_s = self._time_s(group[0]) if group else 0.0
        return [
            frame
            for frame in group
            if self._kinds[frame.track_index] is MediaKind.VIDEO or self._time_s(frame) >= start_s
        ]

    def _time_s(self, frame: RtpFrame) -> float:
        return frame.pts_ticks / self.senders[frame.track_index].clock_rate_hz

    def _report(self, index: int, layout: Layout[ChunkT], unix_s: float) -> ChunkT | None:
        if self._unix_at_zero_s is None:
            return None
        report = self.senders[index].sender_report(unix_s=unix_s, ticks=self._ticks_at(index, unix_s))
        return layout.report(index, report)

    def _ticks_at(self, index: int, unix_s: float) -> int:
        since_zero_s = 0.0 if self._unix_at_zero_s is None else unix_s - self._unix_at_zero_s
        return round(since_zero_s * self.senders[index].clock_rate_hz)

    def _fanout(self, layout: Layout[ChunkT]) -> Fanout[ChunkT]:
        # A layout only ever meets viewers of its own kind of chunk; the dictionary cannot say so.
        return self._fanouts.setdefault(layout, Fanout())  # type: ignore[return-value]
