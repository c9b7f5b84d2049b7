"""RTP packets on a TCP connection of their own, each behind four bytes.

|  magic 8: 0x24  |  channel 8: 0  |  length 16: of the packet with its RTP header  |
"""

from __future__ import annotations

from enum import Enum

from manycast.wire.rtp.packet import HEADER_BYTES

MAGIC = 0x24
FRAME_HEAD_BYTES = 4
MAX_UNSURE_BYTES = 8192  # of a packet, while the byte order is not known: 112 read in the wrong order is 28672


class ByteOrder(Enum):
    """Of the length. That of the network is meant; some senders write that of their machine."""

    BIG = "big"
    LITTLE = "little"


def frame(packet: bytes, channel: int = 0) -> bytes:
    """One packet with its four bytes."""
    return bytes((MAGIC, channel)) + len(packet).to_bytes(2) + packet


class FramedReader:
    """Bytes in, packets out. The first packets tell the byte order; garbage between packets is passed over."""

    def __init__(self) -> None:
        self.skipped_bytes = 0
        self.order: ByteOrder | None = None  # None until it is known
        self._buffer = bytearray()
        self._in_step = False  # the last packet ended where this one begins

    def receive(self, data: bytes) -> list[bytes]:
        """The packets these bytes complete. Never raises."""
        buffer = self._buffer
        buffer += data
        packets: list[bytes] = []
        position = 0
        while len(buffer) - position > FRAME_HEAD_BYTES:
            if not _may_begin(buffer, position):
                self._in_step = False
                found = buffer.find(MAGIC, position + 1)
                end = len(buffer) if found < 0 else found
                self.skipped_bytes += end - position
                position = end
                continue
            size = self._size_at(position)
            if size is None:
                break
            if size == 0:  # none that fits
                self._in_step = False
                self.skipped_bytes += 1
                position += 1
                continue
            start = position + FRAME_HEAD_BYTES
            packets.append(bytes(buffer[start : start + size]))
            position = start + size
            self._in_step = True
        del buffer[:position]
        return packets

    def _size_at(self, position: int) -> int | None:
        """The size of the packet that begins here; 0 where none does, None while more must come to tell."""
        orders = list(ByteOrder) if self.order is None else [self.order]
        waits = False
        for order in orders:
            size = int.from_bytes(self._buffer[position + 2 : position + 4], order.value)
            if size < HEADER_BYTES or (self.order is None and size > MAX_UNSURE_BYTES):
                continue
            end = position + FRAME_HEAD_BYTES + size
            if end > len(self._buffer):
                waits = True
            elif self._may_end(end):
                self.order = order
                return size
        return None if waits else 0

    def _may_end(self, end: int) -> bool:
        """Whether a packet may end here: another one follows, or nothing yet; in step, it is what the length says."""
        if self._in_step and self.order is not None:
            return True
        return end == len(self._buffer) or self._buffer[end] == MAGIC


def _may_begin(buffer: bytearray, position: int) -> bool:
    """Magic, and a version of RTP behind the four bytes."""
    return buffer[position] == MAGIC and buffer[position + FRAME_HEAD_BYTES] >> 6 == 2
