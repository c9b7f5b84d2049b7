"""RTP packets in a row, as they go in an RTSP connection (RFC 2326 section 10.12)."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from manycast.wire.rtp.packet import HEADER_BYTES
from manycast.wire.rtp.payload import RtpPayload

PREFIX_BYTES = 4  # before each packet: a dollar sign, the channel, the packet's length

_HEAD = struct.Struct(">BBHBBHII")  # these, and what `packet.header` makes
_SIZE_AND_TIMESTAMP = struct.Struct(">2xH4xI")
_NUMBERS = struct.Struct(">HI")  # sequence number and timestamp
_NUMBERS_AT = PREFIX_BYTES + 2

Places = Sequence[tuple[int, int]]  # of a frame's packets: where their numbers are, how many ticks after the first's


def interleaved_parts(
    payloads: Sequence[RtpPayload], *, channel: int, payload_type: int, ssrc: int, sequence: int, timestamp: int
) -> list[bytes]:
    """The packets of one frame, to be joined; `sequence` and `timestamp`, of its first packet, may be unwrapped."""
    pack = _HEAD.pack
    parts: list[bytes] = []
    for data, later, marker in payloads:
        second = payload_type | 0x80 if marker else payload_type
        time = (timestamp + later) & 0xFFFFFFFF
        parts.append(pack(0x24, channel, HEADER_BYTES + len(data), 0x80, second, sequence & 0xFFFF, time, ssrc))
        parts.append(data)
        sequence += 1
    return parts


def find_places(data: bytes, counts: Sequence[int]) -> list[Places]:
    """Where the packets are in a row of frames with so many each."""
    position = 0
    frames: list[Places] = []
    for count in counts:
        places = []
        first = None
        for _ in range(count):
            size, timestamp = _SIZE_AND_TIMESTAMP.unpack_from(data, position)
            first = timestamp if first is None else first
            places.append((position + _NUMBERS_AT, (timestamp - first) & 0xFFFFFFFF))
            position += PREFIX_BYTES + size
        frames.append(places)
    return frames


def renumbered(data: bytes, places: Sequence[Places], numbers: Sequence[tuple[int, int]]) -> bytes:
    """The same packets with other numbers: far less work than making them.

    `numbers` has sequence number and timestamp of each frame's first packet, which may be unwrapped.
    """
    copy, pack_into = bytearray(data), _NUMBERS.pack_into
    for frame, (sequence, timestamp) in zip(places, numbers, strict=True):
        for position, later in frame:
            pack_into(copy, position, sequence & 0xFFFF, (timestamp + later) & 0xFFFFFFFF)
            sequence += 1
    return bytes(copy)
