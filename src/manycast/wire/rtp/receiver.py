"""Receives the tracks of one RTP sender: packets in, frames on one timeline out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from manycast.errors import ProtocolError
from manycast.media.dts import DtsEstimator
from manycast.media.frame import Frame
from manycast.media.normalise import normalise
from manycast.media.track import MediaKind, Track
from manycast.wire.rtp.packet import RtpPacket
from manycast.wire.rtp.payload import Depacketiser, PayloadFormat
from manycast.wire.rtp.reorder import ReorderBuffer
from manycast.wire.rtp.rtcp import (
    FullIntraRequest,
    Goodbye,
    PictureLossIndication,
    ReceiverReport,
    SenderReport,
    SourceDescription,
    parse_compound,
)
from manycast.wire.rtp.statistics import ReceptionStatistics
from manycast.wire.rtp.timeline import SenderTimeline


@dataclass(slots=True)
class ReceiverCounters:
    """What went wrong with one track, in packets but where the name says otherwise."""

    malformed: int = 0
    wrong_payload_type: int = 0
    wrong_source: int = 0
    holes: int = 0  # gaps in the sequence that nothing filled
    broken_payloads: int = 0
    last_fault: str = ""


class TrackReceiver:
    """One track of one sender.

    The first packet decides the SSRC. Another SSRC takes over once two of its packets came in sequence (RFC 3550
    appendix A.1): a sender may start anew in mid-session, while a stray packet must not disturb it. Pictures of the
    new source are left out up to its first keyframe, for those before it refer to what nobody has.
    """

    def __init__(
        self,
        index: int,
        track: Track,
        payload_type: int | None,
        payload_format: PayloadFormat,
        timeline: SenderTimeline,
        *,
        ordered: bool,
    ) -> None:
        self.track = track
        self.counters = ReceiverCounters()
        self.statistics: ReceptionStatistics | None = None
        self.said_goodbye = False
        self.keyframe_commands = 0  # sent to this sender
        self._index = index
        self._payload_type = payload_type
        self._payload_format = payload_format
        self._depacketiser: Depacketiser = payload_format.depacketiser(track, index)
        self._timeline = timeline
        self._ordered = ordered
        self._reorder: ReorderBuffer | None = None
        self._dts = DtsEstimator.for_track(track) if track.kind is MediaKind.VIDEO else None
        self._ssrc: int | None = None
        self._candidate: RtpPacket | None = None  # the first one of another source, which may take over
        self._expected: int | None = None
        self._last_timestamp: int | None = None
        self._unwrapped = 0
        self._begun = False  # a frame of this source has come
        self._awaited: Track | None = None  # until a new source's first keyframe: the track as it is known so far
        self._latest: tuple[int, int] | None = None  # dts and pts of the latest frame, on the stream's timeline
        self._least_dts_ticks: int | None = None  # of a new source, while its dts may be behind those given out

    def receive(self, data: bytes, *, now_s: float) -> list[Frame]:
        """Take one RTP packet; return the frames it completes. Bad packets are counted and dropped."""
        try:
            packet = RtpPacket.parse(data)
        except ProtocolError as error:
            self.counters.malformed += 1
            self.counters.last_fault = str(error)
            return []
        if packet.payload_type != self._payload_type and self._payload_type is not None:
            self.counters.wrong_payload_type += 1
            self.counters.last_fault = f"payload type {packet.payload_type}, announced {self._payload_type}"
            return []
        if packet.ssrc != self._ssrc:
            return self._receive_other(packet, now_s)
        return self._receive_expected(packet, now_s)

    def sender_changed(self) -> None:
        """Packets come from elsewhere now: the next one begins a new source, whatever its SSRC."""
        self._ssrc = None

    def _receive_expected(self, packet: RtpPacket, now_s: float) -> list[Frame]:
        self.said_goodbye = False
        assert self.statistics is not None
        self.statistics.received(packet.sequence)
        if self._reorder is None:
            return self._deliver(packet, now_s)
        return self._deliver_all(self._reorder.push(packet, now_s=now_s), now_s)

    def handle_timer(self, *, now_s: float) -> list[Frame]:
        """Give up waiting for packets that are late; call it by `next_deadline_s`."""
        return self._deliver_all(self._reorder.handle_timer(now_s=now_s), now_s) if self._reorder else []

    def next_deadline_s(self) -> float | None:
        return self._reorder.next_deadline_s() if self._reorder else None

    @property
    def ssrc(self) -> int | None:
        """Of the source whose packets are taken; None before the first packet."""
        return self._ssrc

    @property
    def late_packets(self) -> int:
        return self._reorder.late_packets if self._reorder else 0

    @property
    def waits_for_keyframe(self) -> bool:
        """Whether pictures of a new source are left out."""
        return self._awaited is not None

    def _receive_other(self, packet: RtpPacket, now_s: float) -> list[Frame]:
        """Take a packet of a source that is not, or not yet, the one whose packets are taken."""
        if self._ssrc is None:
            self._begin_source(packet, now_s)
            return self._receive_expected(packet, now_s)
        first = self._candidate
        if first is None or first.ssrc != packet.ssrc or packet.sequence != (first.sequence + 1) & 0xFFFF:
            self._candidate = packet
            self.counters.wrong_source += 1
            return []
        self.counters.wrong_source -= 1
        self._begin_source(first, now_s)
        return self._receive_expected(first, now_s) + self._receive_expected(packet, now_s)

    def _begin_source(self, first: RtpPacket, now_s: float) -> None:
        if self.statistics is not None:
            self._replace_source(first, now_s)
        self._ssrc = first.ssrc
        self._candidate = None
        self._reorder = None if self._ordered else ReorderBuffer()
        self.statistics = ReceptionStatistics(first.ssrc, self.track.clock_rate_hz)

    def _replace_source(self, first: RtpPacket, now_s: float) -> None:
        reached_ticks = None if self._latest is None else max(self._latest)
        self._timeline.restart(self._index, first.timestamp, now_s=now_s, reached_ticks=reached_ticks)
        self._depacketiser = self._payload_format.depacketiser(self.track, self._index)
        self._expected = None
        self._last_timestamp = None
        self._begun = False
        if self._dts is not None:
            self._dts = DtsEstimator.for_track(self.track)
            self._awaited = self.track
        self._least_dts_ticks = None if self._latest is None else self._latest[0] + 1

    def _deliver_all(self, packets: Sequence[RtpPacket], now_s: float) -> list[Frame]:
        return [frame for packet in packets for frame in self._deliver(packet, now_s)]

    def _deliver(self, packet: RtpPacket, now_s: float) -> list[Frame]:
        sequence = packet.sequence
        if sequence != self._expected and self._expected is not None:
            self.counters.holes += 1
            self._depacketiser.reset()
        self._expected = (sequence + 1) & 0xFFFF
        if packet.timestamp != self._last_timestamp:
            self._last_timestamp = packet.timestamp
            self._unwrapped = self._timeline.unwrap(self._index, packet.timestamp, now_s=now_s)
            assert self.statistics is not None
            self.statistics.arrived(self._unwrapped, now_s=now_s)
        packet.timestamp = self._unwrapped
        try:
            frames = self._depacketiser.push(packet)
        except ProtocolError as error:
            self.counters.broken_payloads += 1
            self.counters.last_fault = str(error)
            return []
        if self._awaited is not None:
            frames = self._from_keyframe(frames, self._awaited)
        if frames and not self._begun:
            self._begun = True
            self._timeline.arrived_in_one(self._index, frames[0].pts_ticks, frames[-1].pts_ticks)
        for frame in frames:
            self._place(frame)
        return frames

    def _from_keyframe(self, frames: list[Frame], track: Track) -> list[Frame]:
        for index, frame in enumerate(frames):
            track = normalise(frame, track)  # tells keyframes
            if frame.keyframe:
                self._awaited = None
                return frames[index:]
        self._awaited = track
        return []

    def _place(self, frame: Frame) -> None:
        dts = self._dts.push(frame.pts_ticks) if self._dts is not None else frame.pts_ticks
        frame.dts_ticks = self._timeline.stream_ticks(self._index, dts)
        frame.pts_ticks = self._timeline.stream_ticks(self._index, frame.pts_ticks)
        if self._least_dts_ticks is not None:
            if frame.dts_ticks >= self._least_dts_ticks:
                self._least_dts_ticks = None
            else:
                frame.dts_ticks = self._least_dts_ticks
                self._least_dts_ticks += 1
        self._latest = (frame.dts_ticks, frame.pts_ticks)


class RtpSessionReceiver:
    """All tracks of one sender: a publisher, or the server a proxy pulls from."""

    def __init__(self, tracks: Sequence[Track], *, ssrc: int, cname: str) -> None:
        """`tracks` are all that were announced; `ssrc` and `cname` are ours, for the reports we send."""
        self.tracks: dict[int, TrackReceiver] = {}
        self._announced = tuple(tracks)
        self._ssrc = ssrc
        self._cname = cname
        self._timeline = SenderTimeline([track.clock_rate_hz for track in tracks])

    def add_track(self, index: int, payload_type: int | None, payload_format: PayloadFormat, *, ordered: bool) -> None:
        """Receive an announced track; `ordered` says that its transport keeps the order (TCP).

        Without `payload_type` packets of every type are taken.
        """
        track = self._announced[index]
        self.tracks[index] = TrackReceiver(index, track, payload_type, payload_format, self._timeline, ordered=ordered)

    def receive_rtp(self, track_index: int, data: bytes, *, now_s: float) -> list[Frame]:
        return self.tracks[track_index].receive(data, now_s=now_s)

    def sender_changed(self, track_index: int) -> None:
        """What comes of a track comes from elsewhere now: its next packet begins a new source, whatever its SSRC."""
        self.tracks[track_index].sender_changed()

    def receive_rtcp(self, track_index: int, data: bytes, *, now_s: float) -> None:
        """Take a compound packet; a malformed one is counted and dropped."""
        receiver = self.tracks[track_index]
        try:
            packets = parse_compound(data)
        except ProtocolError as error:
            receiver.counters.malformed += 1
            receiver.counters.last_fault = str(error)
            return
        for packet in packets:
            match packet:
                case SenderReport() if receiver.ssrc in (None, packet.ssrc):
                    self._timeline.sender_report(
                        track_index, ntp=packet.ntp, rtp_timestamp=packet.rtp_timestamp, now_s=now_s
                    )
                    if receiver.statistics is not None:
                        receiver.statistics.sender_reported(packet.ntp, now_s=now_s)
                case Goodbye() if receiver.ssrc in packet.ssrcs:
                    receiver.said_goodbye = True
                case _:
                    pass  # of other sources, or of no use

    def handle_timer(self, *, now_s: float) -> list[Frame]:
        return [frame for receiver in self.tracks.values() for frame in receiver.handle_timer(now_s=now_s)]

    def next_deadline_s(self) -> float | None:
        deadlines = [d for r in self.tracks.values() if (d := r.next_deadline_s()) is not None]
        return min(deadlines, default=None)

    @property
    def waits_for_keyframe(self) -> bool:
        """Whether pictures of a track are left out, for its sender has been replaced by another one."""
        return any(receiver.waits_for_keyframe for receiver in self.tracks.values())

    @property
    def said_goodbye(self) -> bool:
        """Every track's sender has said that it is done."""
        return bool(self.tracks) and all(receiver.said_goodbye for receiver in self.tracks.values())

    def report(self, track_index: int, *, now_s: float) -> bytes | None:
        """The receiver report for a track's sender; None before its first packet."""
        statistics = self.tracks[track_index].statistics
        if statistics is None:
            return None
        block = statistics.take_report(now_s=now_s)
        return (
            ReceiverReport(ssrc=self._ssrc, reports=(block,)).serialize()
            + SourceDescription(ssrc=self._ssrc, cname=self._cname).serialize()
        )

    def keyframe_request(self, track_index: int, *, full_intra: bool, now_s: float) -> bytes | None:
        """A compound packet that asks a track's sender for a keyframe; None before its first packet.

        With `full_intra` by a command (RFC 5104 section 4.3.1), else by saying that a picture was lost (RFC 4585
        section 6.3.1).
        """
        receiver = self.tracks[track_index]
        report = self.report(track_index, now_s=now_s)
        if report is None or receiver.ssrc is None:
            return None
        if not full_intra:
            return report + PictureLossIndication(ssrc=self._ssrc, media_ssrc=receiver.ssrc).serialize()
        receiver.keyframe_commands += 1
        command = (receiver.ssrc, receiver.keyframe_commands & 0xFF)
        return report + FullIntraRequest(ssrc=self._ssrc, requests=(command,)).serialize()
