"""Finding a time in an FLV file without index, which FFmpeg would read from the start for it.

A tag (Adobe FLV specification 10.1, annex E.4.1) and the number that follows it:

    | type 1 | size 3 | time 3, its high byte 1 | stream 3: 0 | `size` bytes | 11 + size, 4 bytes |
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from dataclasses import dataclass

HEADER_BYTES = 11
WINDOW_BYTES = 64 << 10  # looked through at once
MAX_DISTANCE_BYTES = 4 << 20  # within which a tag has to start: one keyframe of the largest pictures
CLOSE_BYTES = 512 << 10  # the search may end this far before the right tag
MAX_PROBES = 64  # more than the halvings of any file

_HEADER = re.compile(rb"(?=([\x08\x09\x12].{7}\0\0\0))", re.DOTALL)  # audio, video, script; they may overlap
_TRAILER = struct.Struct(">I")

ReadAt = Callable[[int, int], bytes]  # offset and size; less at the end of the file


@dataclass(frozen=True, slots=True)
class Tag:
    offset: int
    time_ms: int


def find_tag_before(read_at: ReadAt, file_bytes: int, first_offset: int, time_ms: int) -> Tag | None:
    """A tag that is not later than a time and, where times grow, close to it; None when none is found.

    `first_offset` is where the first tag may start.
    """
    best = _next_tag(read_at, first_offset)
    low, high = first_offset, file_bytes
    for _ in range(MAX_PROBES):
        if best is None or best.time_ms > time_ms or high - low <= CLOSE_BYTES:
            break
        middle = (low + high) // 2
        tag = _next_tag(read_at, middle)
        if tag is not None and tag.time_ms <= time_ms:
            best, low = tag, max(tag.offset, middle)
        else:
            high = middle
    return best if best is not None and best.time_ms <= time_ms else None


def _next_tag(read_at: ReadAt, offset: int) -> Tag | None:
    """The first tag at or after an offset, if it is not too far away."""
    for start in range(offset, offset + MAX_DISTANCE_BYTES, WINDOW_BYTES):
        window = read_at(start, WINDOW_BYTES + HEADER_BYTES - 1)  # so that no header is cut by two windows
        for match in _HEADER.finditer(window):
            tag = _confirmed(read_at, start + match.start(), match[1])
            if tag is not None:
                return tag
        if len(window) < WINDOW_BYTES:
            break
    return None


def _confirmed(read_at: ReadAt, offset: int, header: bytes) -> Tag | None:
    """The tag, if the size in what looks like its header leads to the same size behind it."""
    size = HEADER_BYTES + int.from_bytes(header[1:4], "big")
    trailer = read_at(offset + size, _TRAILER.size)
    if len(trailer) < _TRAILER.size or _TRAILER.unpack(trailer)[0] != size:
        return None
    return Tag(offset, header[7] << 24 | int.from_bytes(header[4:7], "big"))
