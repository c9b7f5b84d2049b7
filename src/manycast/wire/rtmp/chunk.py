"""RTMP messages cut into chunks (RTMP 1.0 section 5.3)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

from manycast.errors import ProtocolError

DEFAULT_CHUNK_BYTES = 128
MAX_MESSAGE_BYTES = 8 * 1024 * 1024  # a 4K intra frame at 2 Gbit/s; the format would allow 16 MiB
MAX_CHUNK_STREAMS = 64  # clients use some ten
MAX_PENDING_BYTES = 2 * MAX_MESSAGE_BYTES  # of messages begun on all chunk streams

_EXTENDED = 0xFF_FFFF  # a timestamp that does not fit 24 bits


class MalformedChunk(ProtocolError):
    """Bytes that are no chunk, or a message over the limits."""


class RtmpType(IntEnum):
    """Types of messages (RTMP 1.0 sections 5.4 and 7.1)."""

    SET_CHUNK_SIZE = 1
    ABORT = 2
    ACKNOWLEDGEMENT = 3
    USER_CONTROL = 4
    WINDOW_ACKNOWLEDGEMENT_SIZE = 5
    SET_PEER_BANDWIDTH = 6
    AUDIO = 8
    VIDEO = 9
    DATA_AMF3 = 15
    SHARED_OBJECT_AMF3 = 16
    COMMAND_AMF3 = 17
    DATA = 18
    SHARED_OBJECT = 19
    COMMAND = 20
    AGGREGATE = 22


class RtmpMessage(NamedTuple):
    kind: int  # an RtmpType, or one that nobody here knows
    stream_id: int
    timestamp_ms: int  # 32 bits, wraps
    body: bytes


@dataclass(slots=True)
class _ChunkStream:
    """What chunks of one stream leave out because it is as before (section 5.3.1.2)."""

    timestamp_ms: int = 0
    delta_ms: int = 0
    extended: int | None = None  # the value of the extended field, which chunks of type 3 repeat
    length: int = -1  # none came yet
    kind: int = 0
    stream_id: int = 0
    body: bytearray | None = None  # of the message begun


class ChunkReader:
    """Bytes after the handshake in, messages out. It follows the peer's chunk size and aborts itself."""

    def __init__(self) -> None:
        self.received_bytes = 0
        self._chunk_bytes = DEFAULT_CHUNK_BYTES
        self._streams: dict[int, _ChunkStream] = {}
        self._buffer = bytearray()
        self._pending_bytes = 0
        self._wanted_bytes = 0  # nothing can be read before the buffer has so many

    def receive(self, data: bytes) -> list[RtmpMessage]:
        """The messages that these bytes complete. Raises MalformedChunk; nothing can be read after it."""
        self.received_bytes += len(data)
        buffer = self._buffer
        buffer += data
        messages: list[RtmpMessage] = []
        if len(buffer) < self._wanted_bytes:
            return messages
        position = 0
        view = bytes(buffer)
        self._wanted_bytes = 0
        while (end := self._read_chunk(view, position, messages)) >= 0:
            position = end
        del buffer[:position]
        return messages

    def _read_chunk(self, data: bytes, position: int, messages: list[RtmpMessage]) -> int:
        """Read one chunk; return where it ends, or -1 when there is not all of it."""
        available, start = len(data), position
        if position >= available:
            return -1
        first = data[position]
        form, chunk_stream_id = first >> 6, first & 0x3F
        position += 1
        if chunk_stream_id < 2:
            extra = chunk_stream_id + 1
            if position + extra > available:
                return -1
            chunk_stream_id = 64 + int.from_bytes(data[position : position + extra], "little")
            position += extra
        stream = self._streams.get(chunk_stream_id)
        if stream is None:
            stream = self._new_stream(chunk_stream_id, form)
        header_bytes = (11, 7, 3, 0)[form]
        if position + header_bytes > available:
            return -1
        timestamp = int.from_bytes(data[position : position + 3]) if form < 3 else 0
        length = int.from_bytes(data[position + 3 : position + 6]) if form < 2 else stream.length
        header, position = position, position + header_bytes
        extended: int | None = None
        if form < 3 and timestamp == _EXTENDED:
            if position + 4 > available:
                return -1
            extended = timestamp = int.from_bytes(data[position : position + 4])
            position += 4
        elif form == 3 and stream.extended is not None:
            if position + 4 > available:
                return -1
            extended = stream.extended
            # Some senders do not repeat it, against section 5.3.1.3.
            if int.from_bytes(data[position : position + 4]) == extended:
                position += 4
        if length > MAX_MESSAGE_BYTES:
            raise MalformedChunk(f"RTMP message of {length} bytes, at most {MAX_MESSAGE_BYTES}")
        begun = len(stream.body) if stream.body is not None and form == 3 else 0
        size = min(self._chunk_bytes, length - begun)
        if position + size > available:
            self._wanted_bytes = position + size - start
            return -1
        self._take_header(stream, form, timestamp, data[header : header + header_bytes], extended)
        self._take_payload(stream, data[position : position + size], messages)
        return position + size

    def _new_stream(self, chunk_stream_id: int, form: int) -> _ChunkStream:
        if form > 1:  # some begin with type 1, whose missing stream id is that of control: 0
            raise MalformedChunk(f"chunk stream {chunk_stream_id} begins with a header of type {form}")
        if len(self._streams) >= MAX_CHUNK_STREAMS:
            raise MalformedChunk(f"more than {MAX_CHUNK_STREAMS} RTMP chunk streams")
        stream = self._streams[chunk_stream_id] = _ChunkStream()
        return stream

    def _take_header(
        self, stream: _ChunkStream, form: int, timestamp: int, header: bytes, extended: int | None
    ) -> None:
        """Follow what a chunk's header changes. One of types 0 to 2 in the middle of a message begins it anew."""
        if form == 3:
            if stream.body is None:  # a new message like the one before
                stream.timestamp_ms = (stream.timestamp_ms + stream.delta_ms) & 0xFFFF_FFFF
            return
        if stream.body is not None:
            self._pending_bytes -= len(stream.body)
            stream.body = None
        stream.extended = extended
        if form == 0:
            stream.timestamp_ms = timestamp
            stream.delta_ms = 0
            stream.stream_id = int.from_bytes(header[7:11], "little")
        else:
            stream.delta_ms = timestamp
            stream.timestamp_ms = (stream.timestamp_ms + timestamp) & 0xFFFF_FFFF
        if form < 2:
            stream.length = int.from_bytes(header[3:6])
            stream.kind = header[6]

    def _take_payload(self, stream: _ChunkStream, payload: bytes, messages: list[RtmpMessage]) -> None:
        if stream.body is None:
            if len(payload) == stream.length:
                self._complete(stream, payload, messages)
                return
            stream.body = bytearray()
        stream.body += payload
        self._pending_bytes += len(payload)
        if self._pending_bytes > MAX_PENDING_BYTES:
            raise MalformedChunk(f"more than {MAX_PENDING_BYTES} bytes of RTMP messages begun")
        if len(stream.body) == stream.length:
            self._pending_bytes -= stream.length
            body, stream.body = bytes(stream.body), None
            self._complete(stream, body, messages)

    def _complete(self, stream: _ChunkStream, body: bytes, messages: list[RtmpMessage]) -> None:
        if stream.kind == RtmpType.SET_CHUNK_SIZE and len(body) >= 4:
            size = int.from_bytes(body[:4]) & 0x7FFF_FFFF
            if not size:
                raise MalformedChunk("RTMP chunk size 0")
            self._chunk_bytes = size
        elif stream.kind == RtmpType.ABORT and len(body) >= 4:
            aborted = self._streams.get(int.from_bytes(body[:4]))
            if aborted is not None and aborted.body is not None:
                self._pending_bytes -= len(aborted.body)
                aborted.body = None
        else:
            messages.append(RtmpMessage(stream.kind, stream.stream_id, stream.timestamp_ms, body))


def serialize_message(message: RtmpMessage, *, chunk_stream_id: int, chunk_bytes: int) -> bytes:
    """A message as chunks: one with a full header, so that it needs nothing before it, the others without any.

    `chunk_stream_id` is one of 2 to 63.
    """
    timestamp = message.timestamp_ms & 0xFFFF_FFFF
    extended = timestamp.to_bytes(4) if timestamp >= _EXTENDED else b""
    body = message.body
    head = (
        bytes((chunk_stream_id,))
        + min(timestamp, _EXTENDED).to_bytes(3)
        + len(body).to_bytes(3)
        + bytes((message.kind,))
        + message.stream_id.to_bytes(4, "little")
        + extended
    )
    if len(body) <= chunk_bytes:
        return head + body
    next_head = bytes((0xC0 | chunk_stream_id,)) + extended
    parts = [head, body[:chunk_bytes]]
    for start in range(chunk_bytes, len(body), chunk_bytes):
        parts += (next_head, body[start : start + chunk_bytes])
    return b"".join(parts)
