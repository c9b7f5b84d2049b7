"""VP8 in RTP (RFC 7741): a frame cut anywhere, a descriptor of one byte or more before each part.

|X|R|N|S|R| PID 3 |  X: more of it follows. S: a partition begins here, PID: which.
|I|L|T|K|  RSV 4  |  if X. I: PictureID of 7 or 15 bits, L: TL0PICIDX, T or K: TID, Y, KEYIDX; each follows
"""

from __future__ import annotations

from manycast.media.frame import Frame
from manycast.media.track import Codec
from manycast.media.vp8 import is_keyframe
from manycast.wire.rtp.payload import MalformedPayload, RtpPayload
from manycast.wire.rtp.pictures import Picture, PictureDepacketiser, marked_payloads
from manycast.wire.rtp.plain import plain_format

_EXTENDED, _STARTS, _PARTITION = 0x80, 0x10, 0x07  # X, S, PID
_PICTURE_ID, _LAYER_INDEX, _LAYER, _KEY_INDEX = 0x80, 0x40, 0x20, 0x10  # I, L, T, K
_LONG = 0x80  # M, of a PictureID


class Vp8Packetiser:
    """Cuts at the limit, wherever partitions begin."""

    __slots__ = ("_step",)

    def __init__(self, limit: int) -> None:
        self._step = limit - 1
        assert self._step > 0

    def packetise(self, frame: Frame) -> list[RtpPayload]:
        step = self._step
        return marked_payloads(
            [
                bytes((0 if position else _STARTS,)) + unit[position : position + step]
                for unit in frame.units
                for position in range(0, len(unit), step)
            ]
        )


class Vp8Reader:
    __slots__ = ("_parts",)

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def begins(self, payload: bytes) -> bool:
        return bool(payload) and payload[0] & (_STARTS | _PARTITION) == _STARTS

    def add(self, payload: bytes) -> None:
        if self.begins(payload) is bool(self._parts):
            text = "a frame begins within another" if self._parts else "a frame without its beginning"
            raise MalformedPayload(f"VP8: {text}")
        self._parts.append(payload[descriptor_bytes(payload) :])

    def take(self) -> list[Picture]:
        frame = b"".join(self._parts)
        self.clear()
        return [Picture([frame] if frame else [], is_keyframe(frame))]

    def clear(self) -> None:
        self._parts = []


def descriptor_bytes(payload: bytes) -> int:
    """The length of the descriptor (section 4.2). Raises MalformedPayload where it reaches past the end."""
    end = 1
    if payload and payload[0] & _EXTENDED:
        flags = payload[1] if len(payload) > 1 else 0
        end = 2
        if flags & _PICTURE_ID:
            end += 2 if len(payload) > end and payload[end] & _LONG else 1
        end += bool(flags & _LAYER_INDEX) + bool(flags & (_LAYER | _KEY_INDEX))
    if end > len(payload):
        raise MalformedPayload(f"VP8 payload of {len(payload)} bytes, its descriptor needs {end}")
    return end


VP8 = plain_format(
    Codec.VP8,
    "VP8",
    packetiser=Vp8Packetiser,
    depacketiser=lambda track_index: PictureDepacketiser(Vp8Reader(), track_index),
)
