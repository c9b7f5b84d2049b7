"""Opus packets (RFC 6716 section 3)."""

from __future__ import annotations

from manycast.media.bits import MalformedBitstream

SAMPLE_RATE_HZ = 48_000  # of every count of samples here, whatever the encoder was fed
MAX_FRAMES_IN_PACKET = 48  # 120 ms of 2.5 ms (section 3.2.5)

# Of a frame, by the five bits of its configuration (table 2).
_FRAME_SAMPLES = (480, 960, 1920, 2880) * 3 + (480, 960) * 2 + (120, 240, 480, 960) * 4


def frame_samples(packet: bytes) -> int:
    """How many samples each frame of a packet is long. Raises MalformedBitstream."""
    if not packet:
        raise MalformedBitstream("Opus packet of 0 bytes")
    return _FRAME_SAMPLES[packet[0] >> 3]


def packet_samples(packet: bytes) -> int:
    """How many samples a packet is long. Raises MalformedBitstream."""
    return frame_samples(packet) * len(split_packet(packet))


def split_packet(packet: bytes) -> list[bytes]:
    """The frames of an Opus packet, without its TOC byte (section 3.2). Raises MalformedBitstream.

    |  config 5 |s| c |   c 0: one frame, 1: two of one size, 2: two, the first with its size, 3: M, see there
    """
    if not packet:
        raise MalformedBitstream("Opus packet of 0 bytes")
    code = packet[0] & 3
    position, end = 1, len(packet)
    if code == 0:
        return [packet[1:]]
    if code == 1:
        return _equal_parts(packet[1:], 2)
    if code == 2:
        size, position = _frame_size(packet, 1)
        if position + size > end:
            raise MalformedBitstream(f"Opus frame of {size} bytes, {end - position} left")
        return [packet[position : position + size], packet[position + size :]]
    if end < 2:
        raise MalformedBitstream("Opus packet of code 3 without a frame count")
    variable, padded, count = packet[1] & 0x80, packet[1] & 0x40, packet[1] & 0x3F
    position = 2
    if not 0 < count <= MAX_FRAMES_IN_PACKET:
        raise MalformedBitstream(f"Opus packet of {count} frames, wanted 1 to {MAX_FRAMES_IN_PACKET}")
    while padded:
        if position >= end:
            raise MalformedBitstream("Opus padding without an end")
        size = packet[position]
        position += 1
        end -= min(size, 254)
        padded = size == 255
    sizes = []
    for _ in range(count - 1 if variable else 0):
        size, position = _frame_size(packet, position)
        sizes.append(size)
    if position + sum(sizes) > end:
        raise MalformedBitstream(f"Opus frames of {sum(sizes)} bytes, {end - position} left")
    if not variable:
        return _equal_parts(packet[position:end], count)
    frames = []
    for size in sizes:
        frames.append(packet[position : position + size])
        position += size
    frames.append(packet[position:end])
    return frames


def _equal_parts(data: bytes, count: int) -> list[bytes]:
    size, surplus = divmod(len(data), count)
    if surplus:
        raise MalformedBitstream(f"{count} Opus frames of one size in {len(data)} bytes")
    return [data[index * size : (index + 1) * size] for index in range(count)]


def _frame_size(packet: bytes, position: int) -> tuple[int, int]:
    """A frame's size (section 3.2.1), and where it ends."""
    head = packet[position : position + 2]
    if not head or (head[0] >= 252 and len(head) < 2):
        raise MalformedBitstream(f"Opus packet ends at byte {len(packet)}, within a frame's size")
    return (head[0], position + 1) if head[0] < 252 else (head[0] + 4 * head[1], position + 2)
