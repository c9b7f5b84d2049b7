"""Which servers a stream will go through, as `Via` says it (RFC 9110 section 7.6.3; RFC 2326 section 12.43).

A server that fetches a stream tells its own mark, and those of all who in turn fetch that stream from it. A server that
finds its own mark for the very stream it is asked for has found a loop.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

MARK_BYTES = 8
MAX_MARKS = 64  # of one request

_MARK = re.compile(r"\bmanycast-([0-9a-f]{16})\b")


def serialize_via(protocol: str, marks: Iterable[bytes]) -> str:
    """The value of the header; `protocol` is what is spoken, such as "RTSP/1.0"."""
    return ", ".join(f"{protocol} manycast-{mark.hex()}" for mark in marks)


def parse_via(values: Iterable[str]) -> tuple[bytes, ...]:
    """The marks of servers like this one, as far as MAX_MARKS; all others are passed over."""
    found = (bytes.fromhex(match) for value in values for match in _MARK.findall(value[: 64 * MAX_MARKS]))
    return tuple(dict.fromkeys(found))[:MAX_MARKS]
