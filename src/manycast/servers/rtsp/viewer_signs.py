"""What is heard of a viewer: signs of life, receiver reports, requests for a keyframe, and refusals of its host."""

from __future__ import annotations

import time
from collections.abc import Iterator

from manycast.errors import ProtocolError
from manycast.wire.rtp.rtcp import (
    FullIntraRequest,
    PictureLossIndication,
    ReceiverReport,
    ReportBlock,
    RtcpPacket,
    SenderReport,
    parse_compound,
)

REFUSED_S = 2.0  # a client's host that refuses packets for so long: the player is gone


class ViewerSigns:
    def __init__(self) -> None:
        self.last_s = time.monotonic()  # of the last sign of life
        self._refused_s: tuple[float, float] | None = None  # first and latest refusal of a row
        self._reports: dict[int, ReportBlock] = {}

    @property
    def lost_packets(self) -> int:
        """What the latest receiver reports say (duplicates make it negative)."""
        return max(0, sum(report.cumulative_lost for report in self._reports.values()))

    @property
    def ports_closed(self) -> bool:
        """Whether the client's host refuses what is sent to it, and has for a while."""
        return self._refused_s is not None and self._refused_s[1] - self._refused_s[0] > REFUSED_S

    def heard(self, now_s: float) -> None:
        self.last_s = now_s

    def rtcp_received(self, track_index: int, data: bytes, now_s: float) -> frozenset[int]:
        """Take a compound packet; returns the SSRCs that a keyframe is asked of."""
        self.last_s = now_s
        self._refused_s = None
        try:
            packets = parse_compound(data)
        except ProtocolError:
            return frozenset()  # a sign of life all the same: some players send a dummy to open a NAT's path
        for packet in packets:
            if isinstance(packet, ReceiverReport | SenderReport) and packet.reports:
                self._reports[track_index] = packet.reports[0]
        return frozenset(ssrc for packet in packets for ssrc in _asked_of(packet))

    def refused(self) -> None:
        now_s = time.monotonic()
        if self._refused_s is None or now_s - self._refused_s[1] > REFUSED_S:
            self._refused_s = (now_s, now_s)
        else:
            self._refused_s = (self._refused_s[0], now_s)


def _asked_of(packet: RtcpPacket) -> Iterator[int]:
    """The sources that a packet asks for a keyframe. A command is obeyed as often as it comes: repeated ones, which
    have the same number, come while the keyframe has not arrived."""
    match packet:
        case PictureLossIndication():
            yield packet.media_ssrc
        case FullIntraRequest():
            yield from (ssrc for ssrc, _ in packet.requests)
