"""VP9 (VP9 Bitstream & Decoding Process Specification): keyframes, and frames that belong to one picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from manycast.media.bits import BitReader, MalformedBitstream

MAX_FRAMES = 8  # in a superframe: 3 bits

_SYNC_CODE = 0x498342
_RGB = 7  # color_space
_HEADER_BYTES = 16  # more than the uncompressed header of a keyframe has up to its size


def is_keyframe(frame: bytes) -> bool:
    """Whether a frame, or the first one of a superframe, can be decoded by itself (section 6.2)."""
    if not frame or frame[0] >> 6 != 2:  # frame_marker
        return False
    profile = frame[0] >> 5 & 1 | frame[0] >> 3 & 2
    rest = frame[0] >> (0 if profile == 3 else 1)  # profile 3 has a reserved bit more
    show_existing_frame, frame_type = rest >> 2 & 1, rest >> 1 & 1
    return not show_existing_frame and not frame_type


def join_superframe(frames: Sequence[bytes]) -> bytes:
    """The frames of one picture, such as its spatial layers, with an index behind them where they are several
    (annex B). Raises ValueError for more than MAX_FRAMES."""
    if len(frames) > MAX_FRAMES:
        raise ValueError(f"{len(frames)} frames in one superframe, at most {MAX_FRAMES} are allowed")
    if len(frames) == 1:
        return frames[0]
    size_bytes = (max(map(len, frames)).bit_length() + 7) // 8
    marker = bytes((0xC0 | size_bytes - 1 << 3 | len(frames) - 1,))
    return b"".join([*frames, marker, *(len(frame).to_bytes(size_bytes, "little") for frame in frames), marker])


@dataclass(frozen=True, slots=True, kw_only=True)
class Vp9Format:
    """What the start of a keyframe says of the pictures (sections 6.2 and 7.2)."""

    profile: int
    bit_depth: int
    color_space: int  # 1 is BT.601, 2 BT.709, 5 BT.2020, 7 RGB
    full_range: bool
    subsampling_x: int
    subsampling_y: int
    width: int
    height: int

    @classmethod
    def parse(cls, keyframe: bytes) -> Self:
        """Read a frame, or the first one of a superframe. Raises MalformedBitstream for all but keyframes."""
        if not is_keyframe(keyframe):
            raise MalformedBitstream(f"no VP9 keyframe: {keyframe[:4].hex()}")
        reader = BitReader(keyframe[:_HEADER_BYTES])
        reader.u(2)  # frame_marker
        profile = reader.u(1) | reader.u(1) << 1
        reader.u(5 if profile == 3 else 4)  # a reserved bit, three flags and error_resilient_mode
        if (sync_code := reader.u(24)) != _SYNC_CODE:
            raise MalformedBitstream(f"VP9 sync code {sync_code:#08x}, wanted {_SYNC_CODE:#08x}")
        bit_depth = 8
        if profile >= 2:
            bit_depth = 12 if reader.flag() else 10
        color_space = reader.u(3)
        x, y = (0, 0) if color_space == _RGB else (1, 1)
        full_range = True if color_space == _RGB else reader.flag()
        if profile & 1:
            if color_space != _RGB:
                x, y = reader.u(1), reader.u(1)
            reader.u(1)
        return cls(
            profile=profile,
            bit_depth=bit_depth,
            color_space=color_space,
            full_range=full_range,
            subsampling_x=x,
            subsampling_y=y,
            width=reader.u(16) + 1,
            height=reader.u(16) + 1,
        )
