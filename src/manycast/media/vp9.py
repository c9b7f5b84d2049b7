"""VP9 (VP9 Bitstream & Decoding Process Specification): keyframes, and frames that belong to one picture."""

from __future__ import annotations

from collections.abc import Sequence

MAX_FRAMES = 8  # in a superframe: 3 bits


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
