"""Puts the packets of one source back in order, within bounds."""

from __future__ import annotations

from manycast.wire.rtp.packet import RtpPacket

MAX_WAITING_PACKETS = 512  # about 0.7 MB: half a second of a 12 Mbit/s stream
MAX_WAIT_S = 0.15  # longer than a network reorders; short enough not to be seen as delay
RESTART_DISTANCE = 3000  # a jump of more sequence numbers is a restarted sender (RFC 3550 A.1, MAX_DROPOUT)


class ReorderBuffer:
    """Packets in, packets in sequence order out. A hole is given up after a while, then playing goes on behind it.

    Whoever reads the output sees a hole as a jump of the sequence number. Late and doubled packets are dropped
    and counted.
    """

    def __init__(self, *, max_packets: int = MAX_WAITING_PACKETS, max_wait_s: float = MAX_WAIT_S) -> None:
        self.late_packets = 0
        self._max_packets = max_packets
        self._max_wait_s = max_wait_s
        self._next: int | None = None
        self._waiting: dict[int, RtpPacket] = {}
        self._waiting_since_s = 0.0

    def push(self, packet: RtpPacket, *, now_s: float) -> list[RtpPacket]:
        """Take one packet; return what is in order now."""
        sequence = packet.sequence
        if sequence == self._next and not self._waiting:
            self._next = (sequence + 1) & 0xFFFF
            return [packet]
        if self._next is None:
            self._next = sequence
        distance = (sequence - self._next) & 0xFFFF
        if RESTART_DISTANCE < distance <= 0xFFFF - RESTART_DISTANCE:
            released = self._flush()
            self._next = (sequence + 1) & 0xFFFF
            return [*released, packet]
        if distance >= 0x8000 or sequence in self._waiting:
            self.late_packets += 1
            return []
        if not self._waiting:
            self._waiting_since_s = now_s
        self._waiting[sequence] = packet
        released = self._take_in_order()
        if released:
            self._waiting_since_s = now_s
        if len(self._waiting) >= self._max_packets or self._expired(now_s):
            released += self._skip_hole(now_s)
        return released

    def handle_timer(self, *, now_s: float) -> list[RtpPacket]:
        """Give up the hole that has been waited for too long."""
        return self._skip_hole(now_s) if self._waiting and self._expired(now_s) else []

    def next_deadline_s(self) -> float | None:
        return self._waiting_since_s + self._max_wait_s if self._waiting else None

    def _expired(self, now_s: float) -> bool:
        return bool(self._waiting) and now_s >= self._waiting_since_s + self._max_wait_s

    def _take_in_order(self) -> list[RtpPacket]:
        taken = []
        assert self._next is not None
        while (packet := self._waiting.pop(self._next, None)) is not None:
            taken.append(packet)
            self._next = (self._next + 1) & 0xFFFF
        return taken

    def _skip_hole(self, now_s: float) -> list[RtpPacket]:
        assert self._next is not None
        expected = self._next
        self._next = min(self._waiting, key=lambda sequence: (sequence - expected) & 0xFFFF)
        self._waiting_since_s = now_s
        return self._take_in_order()

    def _flush(self) -> list[RtpPacket]:
        expected = self._next or 0
        ordered = sorted(self._waiting.values(), key=lambda p: (p.sequence - expected) & 0xFFFF)
        self._waiting.clear()
        return ordered
