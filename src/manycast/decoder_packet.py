"""Packets for FFmpeg's decoders. Imports PyAV: import it late."""

from __future__ import annotations

from av.packet import Packet
from av.stream import Stream


def decoder_packet(data: bytes) -> Packet[Stream]:
    """A packet with a copy of the data, and zeros behind it (AV_INPUT_BUFFER_PADDING_SIZE), which decoders read.

    `Packet(data)` would be without them: decoders then take what happens to be in memory there for a part of the
    picture.
    """
    packet = Packet(len(data))
    packet.update(data)
    return packet
