"""Messages of type AGGREGATE, which hold others (RTMP 1.0 section 7.1.6)."""

from __future__ import annotations

from manycast.wire.flv.message import FlvMessage, MalformedFlv, MessageType
from manycast.wire.rtmp.chunk import RtmpMessage, RtmpType

MEDIA_KINDS = {
    RtmpType.AUDIO: MessageType.AUDIO,
    RtmpType.VIDEO: MessageType.VIDEO,
    RtmpType.DATA: MessageType.DATA,
    RtmpType.DATA_AMF3: MessageType.DATA_AMF3,
}


def split_aggregate(message: RtmpMessage) -> list[FlvMessage]:
    """The messages within one of type AGGREGATE: tags as in a file (RTMP 1.0 section 7.1.6). Raises MalformedFlv."""
    data, position, parts = message.body, 0, []
    first_ms: int | None = None
    while position + 11 <= len(data):
        kind, size = data[position], int.from_bytes(data[position + 1 : position + 4])
        timestamp_ms = int.from_bytes(data[position + 4 : position + 7]) | data[position + 7] << 24
        start = position + 11
        position = start + size + 4
        if start + size > len(data):
            raise MalformedFlv(f"RTMP aggregate with a message of {size} bytes, {len(data) - start} are left")
        first_ms = timestamp_ms if first_ms is None else first_ms
        if kind in MEDIA_KINDS.values():
            own_ms = (message.timestamp_ms + timestamp_ms - first_ms) & 0xFFFF_FFFF
            parts.append(FlvMessage(MessageType(kind), own_ms, data[start : start + size]))
    return parts
