"""Finds the packets in bytes."""

from __future__ import annotations

from manycast.wire.mpegts.packet import PACKET_BYTES, SYNC_BYTE

SYNC_PACKETS = 3  # so many sync bytes in a row, a packet apart, are no accident


class PacketReader:
    """Bytes in, packets of 188 bytes out. After damage it looks for where packets go on."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._in_sync = False
        self.skipped_bytes = 0

    def receive(self, data: bytes) -> list[bytes]:
        buffer = self._buffer
        buffer += data
        packets: list[bytes] = []
        position = 0
        while len(buffer) - position >= PACKET_BYTES:
            if buffer[position] == SYNC_BYTE and (self._in_sync or self._confirmed(position)):
                self._in_sync = True
                packets.append(bytes(buffer[position : position + PACKET_BYTES]))
                position += PACKET_BYTES
                continue
            self._in_sync = False
            found = buffer.find(SYNC_BYTE, position + 1 if buffer[position] == SYNC_BYTE else position)
            found = len(buffer) if found < 0 else found
            self.skipped_bytes += found - position
            position = found
        del buffer[:position]
        return packets

    def _confirmed(self, position: int) -> bool:
        """Whether sync bytes follow a packet apart, as far as there are bytes."""
        places = range(position, min(position + SYNC_PACKETS * PACKET_BYTES, len(self._buffer)), PACKET_BYTES)
        return all(self._buffer[place] == SYNC_BYTE for place in places)
