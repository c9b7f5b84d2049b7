"""AMR and AMR-WB frames in storage format (RFC 4867 section 5.3): a byte with type and quality, then the speech bits.

|P| FT 4 |Q|P P|   the P are zero; the bits of the frame follow, filled up to whole bytes
"""

from __future__ import annotations

from manycast.media.bits import MalformedBitstream
from manycast.media.track import Codec

NO_DATA = 15  # frame type of both: nothing was sent for 20 ms
HEADER_MASK = 0x7C  # FT and Q
MAX_FRAMES = 500  # 10 s at once is far beyond what anybody sends

# Speech bits by frame type; None for types that must not be sent (3GPP TS 26.101 table 1a, TS 26.201 table 1a).
_NARROW = (95, 103, 118, 134, 148, 159, 204, 244, 39, *(None,) * 6, 0)
_WIDE = (132, 177, 253, 285, 317, 365, 397, 461, 477, 40, *(None,) * 4, 0, 0)
SPEECH_BITS: dict[Codec, tuple[int | None, ...]] = {Codec.AMR: _NARROW, Codec.AMR_WB: _WIDE}
SAMPLE_RATE_HZ = {Codec.AMR: 8000, Codec.AMR_WB: 16_000}


def frame_ticks(codec: Codec) -> int:
    """20 ms on the clock of the sample rate."""
    return SAMPLE_RATE_HZ[codec] // 50


def speech_bits(codec: Codec, frame_type: int) -> int:
    """The bits of a frame of this type. Raises MalformedBitstream for types nobody may send."""
    bits = SPEECH_BITS[codec][frame_type]
    if bits is None:
        raise MalformedBitstream(f"{codec.value} frame type {frame_type}")
    return bits


def split_storage(data: bytes, codec: Codec) -> list[bytes]:
    """Cut a row of frames, as files hold them behind their magic number. Raises MalformedBitstream."""
    frames: list[bytes] = []
    position = 0
    while position < len(data):
        size = 1 + (speech_bits(codec, data[position] >> 3 & 15) + 7) // 8
        frame = data[position : position + size]
        if len(frame) < size:
            raise MalformedBitstream(f"{codec.value} frame of {size} bytes, {len(frame)} left")
        if len(frames) == MAX_FRAMES:
            raise MalformedBitstream(f"over {MAX_FRAMES} {codec.value} frames at once")
        frames.append(frame)
        position += size
    return frames
