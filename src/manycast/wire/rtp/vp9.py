"""VP9 in RTP (RFC 9628): a frame cut anywhere, a descriptor of one byte or more before each part.

|I|P|L|F|B|E|V|Z|  I: PictureID of 7 or 15 bits, L: layer indices, F: flexible mode, V: scalability structure; each
                   follows. P: predicted from other pictures. B: a frame begins here, E: it ends here.

The spatial layers of a picture are frames with one timestamp. Here they are one frame, with an index behind them by
which decoders take them apart again. What we send has neither layers nor flexible mode.
"""

from __future__ import annotations

from manycast.media.frame import Frame
from manycast.media.track import Codec
from manycast.media.vp9 import MAX_FRAMES, is_keyframe, join_superframe
from manycast.wire.rtp.payload import MalformedPayload, RtpPayload
from manycast.wire.rtp.pictures import Picture, PictureDepacketiser, marked_payloads
from manycast.wire.rtp.plain import plain_format

MAX_REFERENCES = 3  # P_DIFFs of a picture in flexible mode (section 4.2)

_PICTURE_ID, _PREDICTED, _LAYERS, _FLEXIBLE = 0x80, 0x40, 0x20, 0x10
_BEGINS, _ENDS, _STRUCTURE = 0x08, 0x04, 0x02
_LONG = 0x80  # M, of a PictureID


class Vp9Packetiser:
    """Cuts at the limit."""

    __slots__ = ("_step",)

    def __init__(self, limit: int) -> None:
        self._step = limit - 1
        assert self._step > 0

    def packetise(self, frame: Frame) -> list[RtpPayload]:
        step = self._step
        predicted = 0 if frame.keyframe else _PREDICTED
        return marked_payloads(
            [
                bytes((predicted | (0 if position else _BEGINS) | (_ENDS if position + step >= len(unit) else 0),))
                + unit[position : position + step]
                for unit in frame.units
                for position in range(0, len(unit), step)
            ]
        )


class Vp9Reader:
    __slots__ = ("_frames", "_parts")

    def __init__(self) -> None:
        self._frames: list[bytes] = []  # of the picture under way
        self._parts: list[bytes] = []  # of the frame under way

    def begins(self, payload: bytes) -> bool:
        """Whether this is the start of a picture's lowest layer."""
        try:
            return bool(payload) and payload[0] & _BEGINS != 0 and not Descriptor(payload).spatial_layer
        except MalformedPayload:
            return False

    def add(self, payload: bytes) -> None:
        descriptor = Descriptor(payload)
        flags = payload[0]
        if flags & _BEGINS:
            self._end_frame()  # if its end has no E
        elif not self._parts:
            raise MalformedPayload("VP9: a frame without its beginning")
        self._parts.append(payload[descriptor.end :])
        if flags & _ENDS:
            self._end_frame()

    def take(self) -> list[Picture]:
        self._end_frame()
        frames = self._frames
        self.clear()
        if not frames:
            return [Picture([], False)]
        if len(frames) > MAX_FRAMES:
            raise MalformedPayload(f"VP9: {len(frames)} frames in one picture, at most {MAX_FRAMES} are allowed")
        return [Picture([join_superframe(frames)], is_keyframe(frames[0]))]

    def clear(self) -> None:
        self._frames = []
        self._parts = []

    def _end_frame(self) -> None:
        frame = b"".join(self._parts)
        self._parts = []
        if frame:
            self._frames.append(frame)


class Descriptor:
    """The payload descriptor (section 4.2): where it ends, and which layer it is of."""

    __slots__ = ("end", "spatial_layer")

    def __init__(self, payload: bytes) -> None:
        """Raises MalformedPayload where it reaches past the payload."""
        self.spatial_layer = 0
        padded = payload + bytes(4)  # what lies past the end is told from the position
        flags = padded[0]
        position = 1
        if flags & _PICTURE_ID:
            position += 2 if padded[position] & _LONG else 1
        if flags & _LAYERS:
            self.spatial_layer = padded[position] >> 1 & 7
            position += 1 if flags & _FLEXIBLE else 2  # TL0PICIDX is not in flexible mode
        if flags & _FLEXIBLE and flags & _PREDICTED:
            for _ in range(MAX_REFERENCES):
                position += 1
                if position > len(payload) or not payload[position - 1] & 1:
                    break
        if flags & _STRUCTURE:
            position = _structure_end(payload, position)
        if position > len(payload):
            raise MalformedPayload(f"VP9 payload of {len(payload)} bytes, its descriptor needs {position}")
        self.end = position


def _structure_end(payload: bytes, position: int) -> int:
    """Where the scalability structure ends (section 4.2.1), perhaps past the payload."""
    head = payload[position : position + 1]
    if not head:
        return len(payload) + 1
    position += 1
    if head[0] & 0x10:  # Y: the size of each layer
        position += 4 * ((head[0] >> 5) + 1)
    if head[0] & 0x08:  # G: a group of pictures
        count = payload[position] if position < len(payload) else 0
        position += 1
        for _ in range(count):
            if position >= len(payload):
                return len(payload) + 1
            position += 1 + (payload[position] >> 2 & 3)
    return position


VP9 = plain_format(
    Codec.VP9,
    "VP9",
    packetiser=Vp9Packetiser,
    depacketiser=lambda track_index: PictureDepacketiser(Vp9Reader(), track_index),
)
