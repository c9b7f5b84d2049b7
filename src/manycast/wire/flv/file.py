"""FLV as a file or an endless reply: a header, then tags (FLV 10.1 annex E.2 to E.4)."""

from __future__ import annotations

from manycast.wire.flv.message import FlvMessage

CONTENT_TYPE = "video/x-flv"


def file_header(*, has_audio: bool, has_video: bool) -> bytes:
    """What stands before the first tag, with the size of the tag before it: 0."""
    return b"FLV\x01" + bytes((has_audio << 2 | has_video,)) + (9).to_bytes(4) + bytes(4)


def tag(message: FlvMessage) -> bytes:
    """One tag and the size behind it.

    |  type 8 | size 24 | timestamp, lower 24 | upper 8 | stream id 24: 0 | body ... | 11 + size 32 |
    """
    size = len(message.body)
    milliseconds = message.timestamp_ms & 0xFFFF_FFFF
    timestamp = (milliseconds & 0xFF_FFFF).to_bytes(3) + bytes((milliseconds >> 24,))
    head = bytes((message.kind,)) + size.to_bytes(3) + timestamp + bytes(3)
    return head + message.body + (11 + size).to_bytes(4)
