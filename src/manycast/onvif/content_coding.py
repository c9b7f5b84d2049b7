"""Compressed bodies (RFC 9110 section 8.4.1), never unpacked beyond what is wanted: bombs cost as much as messages."""

from __future__ import annotations

import zlib

from manycast.errors import ManycastError

CODINGS = ("gzip", "deflate")

_WINDOW_BITS = {"gzip": (16 + zlib.MAX_WBITS,), "deflate": (zlib.MAX_WBITS, -zlib.MAX_WBITS)}  # some leave zlib out


class Damaged(ManycastError):
    """What is compressed cannot be unpacked."""


class TooLarge(ManycastError):
    """It is larger than it may be."""


def unpack(data: bytes, coding: str, limit: int) -> bytes:
    """The content of a body in one of CODINGS, of at most `limit` bytes. Raises Damaged and TooLarge."""
    for window_bits in _WINDOW_BITS[coding]:
        unpacker = zlib.decompressobj(window_bits)
        try:
            content = unpacker.decompress(data, limit + 1)
        except zlib.error:
            continue
        if len(content) > limit:
            raise TooLarge(f"more than {limit} bytes")
        if unpacker.eof and not unpacker.unused_data:
            return content
    raise Damaged(f"the content is no whole {coding}")
