"""Sends one track: frames in, RTP packets and reports out."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from manycast.media.clock import ntp_from_unix
from manycast.media.frame import Frame
from manycast.wire.rtp.packet import HEADER_BYTES, header
from manycast.wire.rtp.payload import Packetiser, RtpPayload, UnsupportedFormat
from manycast.wire.rtp.rtcp import Goodbye, ReceiverReport, SenderReport, SourceDescription

MAX_PACKET_BYTES = 1400  # with UDP, IPv6 and a tunnel's headers it still fits an Ethernet frame of 1500
MAX_PAYLOAD_BYTES = MAX_PACKET_BYTES - HEADER_BYTES


class RtpTrackSender:
    """One track under one SSRC. All viewers of a live stream share it: sequence numbers, timestamps and bytes."""

    __slots__ = (
        "_on_refusal",
        "_packetiser",
        "clock_rate_hz",
        "cname",
        "octet_count",
        "packet_count",
        "payload_type",
        "refused_frames",
        "sequence",
        "ssrc",
        "timestamp_offset",
    )

    def __init__(
        self,
        packetiser: Packetiser,
        *,
        clock_rate_hz: int,
        payload_type: int,
        ssrc: int,
        first_sequence: int,
        timestamp_offset: int,
        cname: str,
        on_refusal: Callable[[str], None] | None = None,
    ) -> None:
        """`ssrc`, `first_sequence` and `timestamp_offset` are to be random (RFC 3550 section 5.1).

        `on_refusal` is told, once, why the format cannot carry a frame.
        """
        self._packetiser = packetiser
        self.clock_rate_hz = clock_rate_hz
        self.payload_type = payload_type
        self.ssrc = ssrc
        self.sequence = first_sequence & 0xFFFF  # of the next packet
        self.timestamp_offset = timestamp_offset
        self.cname = cname
        self.packet_count = 0
        self.octet_count = 0
        self.refused_frames = 0  # that the format cannot carry
        self._on_refusal = on_refusal

    def rtp_timestamp(self, ticks: int) -> int:
        """The RTP timestamp of a time on the track's timeline."""
        return (ticks + self.timestamp_offset) & 0xFFFFFFFF

    def packets(self, frame: Frame, *, shift_ticks: int = 0) -> list[bytes]:
        """The packets of one frame; `shift_ticks` moves its timestamp (a file's later loops)."""
        payloads = self.payloads(frame)
        packets = self.packets_of(payloads, self.sequence, frame.pts_ticks + shift_ticks + self.timestamp_offset)
        self.octet_count += sum(map(len, packets)) - HEADER_BYTES * len(packets)
        self.packet_count += len(packets)
        self.sequence = (self.sequence + len(packets)) & 0xFFFF
        return packets

    def packets_of(self, payloads: Sequence[RtpPayload], sequence: int, timestamp: int) -> list[bytes]:
        """Packets with numbers that need not be the sender's own, of the first one, and may be unwrapped."""
        ssrc, payload_type = self.ssrc, self.payload_type
        return [
            header(payload_type, number, timestamp + offset, ssrc, marker) + data
            for number, (data, offset, marker) in enumerate(payloads, sequence)
        ]

    def payloads(self, frame: Frame) -> Sequence[RtpPayload]:
        """The payloads of one frame; none of one that the format cannot carry."""
        try:
            return self._packetiser.packetise(frame)
        except UnsupportedFormat as error:  # of this frame; the next one may be of another size or kind
            self.refused_frames += 1
            if self.refused_frames == 1 and self._on_refusal is not None:
                self._on_refusal(str(error))
            return []

    def sender_report(self, *, unix_s: float, ticks: int) -> bytes:
        """A compound packet saying that the track's timeline stood at `ticks` at the wall clock time `unix_s`."""
        return self.report_of(self.packet_count, self.octet_count, unix_s=unix_s, ticks=ticks)

    def report_of(self, packet_count: int, octet_count: int, *, unix_s: float, ticks: int) -> bytes:
        """The same for a viewer with counts of his own."""
        report = SenderReport(
            ssrc=self.ssrc,
            ntp=ntp_from_unix(unix_s),
            rtp_timestamp=self.rtp_timestamp(ticks),
            packet_count=packet_count,
            octet_count=octet_count,
        )
        return report.serialize() + SourceDescription(ssrc=self.ssrc, cname=self.cname).serialize()

    def goodbye(self) -> bytes:
        """A compound packet saying that the track has ended; it starts with a report, as all must (section 6.1)."""
        return (
            ReceiverReport(ssrc=self.ssrc).serialize()
            + SourceDescription(ssrc=self.ssrc, cname=self.cname).serialize()
            + Goodbye(ssrcs=(self.ssrc,)).serialize()
        )
