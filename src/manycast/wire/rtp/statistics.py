"""What a receiver counts of one source, and the report it makes of it."""

from __future__ import annotations

from manycast.wire.rtp.rtcp import ReportBlock

_CYCLE = 1 << 16


class ReceptionStatistics:
    """Counts of one SSRC (RFC 3550 section 6.4.1, appendices A.3 and A.8)."""

    __slots__ = (
        "_base",
        "_clock_rate_hz",
        "_highest",
        "_jitter",
        "_last_report",
        "_last_sender_report",
        "_last_transit",
        "received_packets",
        "ssrc",
    )

    def __init__(self, ssrc: int, clock_rate_hz: int) -> None:
        self.ssrc = ssrc
        self.received_packets = 0
        self._clock_rate_hz = clock_rate_hz
        self._base: int | None = None
        self._highest = 0
        self._jitter = 0.0
        self._last_transit: float | None = None
        self._last_report = (0, 0)  # expected, received
        self._last_sender_report: tuple[int, float] | None = None

    @property
    def lost_packets(self) -> int:
        return max(0, self._expected() - self.received_packets)

    @property
    def jitter_ticks(self) -> float:
        return self._jitter

    def received(self, sequence: int) -> None:
        """Count one packet; `sequence` as on the wire."""
        self.received_packets += 1
        if self._base is None:
            self._base = self._highest = sequence
            return
        delta = (sequence - self._highest) & 0xFFFF
        if delta < 0x8000:
            self._highest += delta

    def arrived(self, timestamp_ticks: int, *, now_s: float) -> None:
        """Take the arrival of a frame's first packet into the jitter; packets of one frame share a timestamp."""
        transit = now_s * self._clock_rate_hz - timestamp_ticks
        if self._last_transit is not None:
            self._jitter += (abs(transit - self._last_transit) - self._jitter) / 16
        self._last_transit = transit

    def sender_reported(self, ntp: int, *, now_s: float) -> None:
        self._last_sender_report = (ntp >> 16 & 0xFFFFFFFF, now_s)

    def take_report(self, *, now_s: float) -> ReportBlock:
        """The report since the last one was taken."""
        expected = self._expected()
        expected_before, received_before = self._last_report
        self._last_report = (expected, self.received_packets)
        expected_now = expected - expected_before
        lost_now = expected_now - (self.received_packets - received_before)
        fraction = min(255, (lost_now << 8) // expected_now) if expected_now > 0 and lost_now > 0 else 0
        last, delay = 0, 0
        if self._last_sender_report is not None:
            last = self._last_sender_report[0]
            delay = int((now_s - self._last_sender_report[1]) * 65536)
        return ReportBlock(
            ssrc=self.ssrc,
            fraction_lost=fraction,
            cumulative_lost=expected - self.received_packets,
            highest_sequence=self._highest,
            jitter_ticks=int(self._jitter),
            last_sender_report=last,
            delay_since_last_sender_report=delay,
        )

    def _expected(self) -> int:
        return 0 if self._base is None else self._highest - self._base + 1
