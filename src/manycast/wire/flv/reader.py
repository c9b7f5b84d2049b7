"""Reads FLV as it comes over HTTP: a header, then tags without end (FLV 10.1 annex E.2 to E.4)."""

from __future__ import annotations

from manycast.wire.flv.message import FlvMessage, MalformedFlv, MessageType

MAX_TAG_BYTES = 8 * 1024 * 1024
MAX_HEADER_BYTES = 1024  # it has 9, and says so itself

_TAG_HEAD_BYTES = 11
_SIZE_BYTES = 4  # of the tag before
_KINDS = frozenset(MessageType)


class FlvReader:
    """Bytes in, messages out; tags of other kinds are passed over."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._begun = False

    def receive(self, data: bytes) -> list[FlvMessage]:
        """The messages these bytes complete. Raises MalformedFlv; nothing can be read after it."""
        buffer = self._buffer
        buffer += data
        if not self._begun and not self._take_header():
            return []
        messages: list[FlvMessage] = []
        position = 0
        while len(buffer) - position >= _TAG_HEAD_BYTES:
            size = int.from_bytes(buffer[position + 1 : position + 4])
            if size > MAX_TAG_BYTES:
                raise MalformedFlv(f"FLV tag of {size} bytes, at most {MAX_TAG_BYTES}")
            start = position + _TAG_HEAD_BYTES
            if len(buffer) < start + size + _SIZE_BYTES:
                break
            kind = buffer[position] & 0x1F
            if kind in _KINDS:
                time_ms = int.from_bytes(buffer[position + 4 : position + 7]) | buffer[position + 7] << 24
                messages.append(FlvMessage(MessageType(kind), time_ms, bytes(buffer[start : start + size])))
            position = start + size + _SIZE_BYTES
        del buffer[:position]
        return messages

    def _take_header(self) -> bool:
        buffer = self._buffer
        if not b"FLV".startswith(buffer[:3]) and not buffer.startswith(b"FLV"):
            raise MalformedFlv(f"begins with {bytes(buffer[:3])!r}, no FLV")
        if len(buffer) < 9:
            return False
        size = int.from_bytes(buffer[5:9])
        if not 9 <= size <= MAX_HEADER_BYTES:
            raise MalformedFlv(f"FLV header of {size} bytes")
        if len(buffer) < size + _SIZE_BYTES:
            return False
        del buffer[: size + _SIZE_BYTES]
        self._begun = True
        return True
