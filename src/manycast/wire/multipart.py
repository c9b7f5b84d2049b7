"""Endless multipart bodies, as cameras send pictures (multipart/x-mixed-replace; RFC 2046 section 5.1)."""

from __future__ import annotations

import re

from manycast.errors import ProtocolError

MAX_PART_BYTES = 8 * 1024 * 1024  # a JPEG of 8 K pictures has some 5 MiB
MAX_HEAD_BYTES = 16 * 1024

_BOUNDARY = re.compile(r"""boundary\s*=\s*(?:"([^"]*)"|([^\s;]+))""", re.IGNORECASE)
_LENGTH = re.compile(rb"^content-length[ \t]*:[ \t]*([0-9]{1,12})[ \t]*\r?$", re.IGNORECASE | re.MULTILINE)


class MalformedMultipart(ProtocolError):
    """A body that cannot be cut into parts."""


def boundary_of(content_type: str) -> str | None:
    """The boundary a `Content-Type` names; None where it names none."""
    match = _BOUNDARY.search(content_type)
    return (match[1] or match[2] or None) if match is not None else None


class MultipartReader:
    """Bytes of a body in, the bodies of its parts out.

    A boundary may be written with its two dashes in the header, or be missing there: then the first line tells.
    """

    def __init__(self, boundary: str | None) -> None:
        self._delimiter = None if boundary is None else b"--" + boundary.lstrip("-").encode("utf-8", "surrogateescape")
        self._buffer = bytearray()
        self._searched_bytes = 0  # of the buffer, without a delimiter
        self._length: int | None = None  # of the part under way, where its head says so
        self._in_part = False

    def receive(self, data: bytes) -> list[bytes]:
        """The parts these bytes complete. Raises MalformedMultipart; nothing can be read after it."""
        self._buffer += data
        parts: list[bytes] = []
        while self._in_part or self._take_head():
            part = self._take_body()
            if part is None:
                break
            parts.append(part)
        return parts

    def _take_head(self) -> bool:
        """Pass over what is before the next part, and its head; False while it has not all come."""
        buffer = self._buffer
        if self._delimiter is None and not self._sniff():
            return False
        assert self._delimiter is not None
        start = buffer.find(self._delimiter)
        if start < 0:
            if len(buffer) > MAX_HEAD_BYTES + len(self._delimiter):
                raise MalformedMultipart(f"no boundary in {len(buffer)} bytes")
            return False
        end, size = _end_of_head(buffer, start)
        if end < 0:
            if len(buffer) - start > MAX_HEAD_BYTES:
                raise MalformedMultipart(f"no end of a part's head in {MAX_HEAD_BYTES} bytes")
            return False
        lengths = _LENGTH.findall(bytes(buffer[start:end]))
        self._length = int(lengths[0]) if lengths else None
        if self._length is not None and self._length > MAX_PART_BYTES:
            raise MalformedMultipart(f"a part of {self._length} bytes, at most {MAX_PART_BYTES}")
        del buffer[: end + size]
        self._in_part = True
        self._searched_bytes = 0
        return True

    def _take_body(self) -> bytes | None:
        buffer = self._buffer
        if self._length is not None:
            if len(buffer) < self._length:
                return None
            end = self._length
        else:
            assert self._delimiter is not None
            end = buffer.find(self._delimiter, self._searched_bytes)
            if end < 0:
                self._searched_bytes = max(0, len(buffer) - len(self._delimiter))
                if len(buffer) > MAX_PART_BYTES:
                    raise MalformedMultipart(f"a part of more than {MAX_PART_BYTES} bytes")
                return None
        body = bytes(buffer[:end])
        del buffer[:end]
        self._in_part = False
        return body if self._length is not None else body.rstrip(b"-").removesuffix(b"\n").removesuffix(b"\r")

    def _sniff(self) -> bool:
        """Learn the boundary from the first line."""
        first, line_end, _ = bytes(self._buffer).lstrip(b"\r\n").partition(b"\n")
        if not line_end and len(first) < MAX_HEAD_BYTES:
            return False
        delimiter = first.strip()
        if not delimiter.startswith(b"--") or not 2 < len(delimiter) <= 200:
            raise MalformedMultipart("multipart without a boundary")
        self._delimiter = delimiter
        return True


def _end_of_head(buffer: bytearray, start: int) -> tuple[int, int]:
    """Where the empty line of a head begins, and its size; -1 while it has not come. Lines may end in LF alone."""
    crlf, bare = buffer.find(b"\r\n\r\n", start), buffer.find(b"\n\n", start)
    if bare >= 0 and (crlf < 0 or bare < crlf):
        return bare, 2
    return crlf, 4
