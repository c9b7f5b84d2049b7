"""VP8 (RFC 6386): which frames can be decoded by themselves."""

from __future__ import annotations


def is_keyframe(frame: bytes) -> bool:
    """By the first bit of the frame header, 0 for a key frame (section 9.1), and the start code behind it."""
    return len(frame) >= 10 and not frame[0] & 1 and frame[3:6] == b"\x9d\x01\x2a"
