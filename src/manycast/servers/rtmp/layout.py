"""FLV messages as RTMP chunks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from manycast.wire.flv.message import FlvMessage, MessageType
from manycast.wire.rtmp.chunk import RtmpMessage, serialize_message

CHUNK_BYTES = 64 * 1024  # what we announce and send: most frames in one chunk

_CHUNK_STREAMS = {MessageType.AUDIO: 4, MessageType.DATA: 5, MessageType.VIDEO: 6}


@dataclass(frozen=True, slots=True)
class RtmpLayout:
    """Viewers whose streams have the same id, as nearly all have, get the same bytes."""

    stream_id: int

    def serialize(self, messages: Sequence[FlvMessage]) -> bytes:
        return b"".join(
            serialize_message(
                RtmpMessage(message.kind, self.stream_id, message.timestamp_ms & 0xFFFF_FFFF, message.body),
                chunk_stream_id=_CHUNK_STREAMS[message.kind],
                chunk_bytes=CHUNK_BYTES,
            )
            for message in messages
        )
