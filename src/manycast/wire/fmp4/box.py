"""Boxes, which all of MP4 is made of (ISO/IEC 14496-12 section 4.2)."""

from __future__ import annotations

UNITY_MATRIX = b"".join(value.to_bytes(4) for value in (0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x4000_0000))


def box(kind: bytes, *parts: bytes) -> bytes:
    """
    |  size 32  |  kind 32  |  parts ...  |
    """
    body = b"".join(parts)
    return (8 + len(body)).to_bytes(4) + kind + body


def full_box(kind: bytes, version: int, flags: int, *parts: bytes) -> bytes:
    """A box whose content begins with a version of 8 bits and flags of 24."""
    return box(kind, (version << 24 | flags).to_bytes(4), *parts)
