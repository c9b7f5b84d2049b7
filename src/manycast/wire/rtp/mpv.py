"""MPEG-1 and MPEG-2 video in RTP (RFC 2250 section 3): headers, then slices, whole or in fragments.

|  MBZ 5  |T|  temporal reference 10  |AN|N|S|B|E|  P 3  |FBV|  BFC 3  |FFV|  FFC 3  |

Some senders begin a picture behind another one's end, in packets of the other one's time.

S: a sequence header is in here. B: the first slice in here begins here, E: the last one ends here. P: the picture's
type. T: four more bytes follow, of MPEG-2. The rest repeats the picture header.
"""

from __future__ import annotations

from manycast.media.frame import Frame
from manycast.media.mpeg_video import (
    PictureType,
    frame_rate,
    picture_header,
    sequence_header,
    slice_offsets,
    split_pictures,
)
from manycast.media.track import Codec
from manycast.wire.rtp.payload import MalformedPayload, RtpPayload
from manycast.wire.rtp.pictures import Picture, PictureDepacketiser, marked_payloads
from manycast.wire.rtp.plain import CLOCK_RATE_HZ, plain_format

HEADER_BYTES = 4
EXTENSION_BYTES = 4
MAX_PICTURES = 64  # of one time

_EXTENDED = 1 << 26  # T
_SEQUENCE, _BEGINS, _ENDS = 1 << 13, 1 << 12, 1 << 11  # S, B, E
_OPENING = tuple(b"\0\0\1" + bytes((code,)) for code in (0xB3, 0xB8, 0x00))  # sequence header, group, picture


class MpvPacketiser:
    """Puts whole slices together where they fit, behind the headers; one over the limit goes in fragments."""

    __slots__ = ("_step",)

    def __init__(self, limit: int) -> None:
        self._step = limit - HEADER_BYTES
        assert self._step > 0

    def packetise(self, frame: Frame) -> list[RtpPayload]:
        return marked_payloads([data for unit in frame.units for data in self._cut(unit)])

    def _cut(self, picture: bytes) -> list[bytes]:
        found = picture_header(picture)
        if found is None:
            return []  # no decoder could show it
        fields = (
            found.temporal_reference << 16
            | found.picture_type << 8
            | found.full_pel_backward << 7
            | found.backward_f_code << 4
            | found.full_pel_forward << 3
            | found.forward_f_code
        )
        step, slices = self._step, slice_offsets(picture)
        # Each slice, the first one with the headers before it.
        pieces = list(zip([0, *slices[1:]], [*slices[1:], len(picture)], strict=True))
        datas = []
        index = 0
        while index < len(pieces):
            start, stop = pieces[index]
            while index + 1 < len(pieces) and pieces[index + 1][1] - start <= step:
                index += 1
                stop = pieces[index][1]
            for position in range(start, stop, step):
                end = min(position + step, stop)
                bits = fields
                if position == 0 and sequence_header(picture):
                    bits |= _SEQUENCE
                if position == start and slices and slices[0] < end:
                    bits |= _BEGINS
                if end == stop and slices:
                    bits |= _ENDS
                datas.append(bits.to_bytes(HEADER_BYTES) + picture[position:end])
            index += 1
        return datas


class MpvReader:
    """A keyframe is an I picture that has its sequence header; where the sender leaves it out, the last one is put in
    front."""

    __slots__ = ("_parts", "_sequence_header")

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._sequence_header = b""

    def begins(self, payload: bytes) -> bool:
        return _body(payload).startswith(_OPENING)

    def add(self, payload: bytes) -> None:
        if len(payload) < HEADER_BYTES:
            raise MalformedPayload(f"MPEG video payload of {len(payload)} bytes, wanted {HEADER_BYTES}")
        self._parts.append(_body(payload))

    def take(self) -> list[Picture]:
        found = split_pictures(b"".join(self._parts))
        self.clear()
        if len(found) > MAX_PICTURES:
            raise MalformedPayload(f"{len(found)} pictures of one time, at most {MAX_PICTURES} are read")
        headers = [picture_header(picture) for picture in found]
        first = headers[0] if headers else None
        if first is None:
            raise MalformedPayload("MPEG video without a picture")
        pictures = []
        for picture, header in zip(found, headers, strict=True):
            assert header is not None  # or it would be part of the one before
            ahead = (header.temporal_reference - first.temporal_reference + 512) % 1024 - 512
            pictures.append(self._complete(picture, header.picture_type, ahead))
        return pictures

    def clear(self) -> None:
        self._parts = []

    def _complete(self, picture: bytes, picture_type: PictureType, ahead: int) -> Picture:
        """`ahead` is how many pictures later it is shown than the first one of its packets."""
        if found := sequence_header(picture):
            self._sequence_header = found
        rate = frame_rate(self._sequence_header)
        offset_ticks = round(ahead * CLOCK_RATE_HZ / rate) if rate else 0
        if picture_type is not PictureType.I:
            return Picture([picture], False, offset_ticks)
        if not found:
            picture = self._sequence_header + picture
        return Picture([picture], bool(self._sequence_header), offset_ticks)


def _body(payload: bytes) -> bytes:
    extended = int.from_bytes(payload[:HEADER_BYTES]) & _EXTENDED
    return payload[HEADER_BYTES + EXTENSION_BYTES if extended else HEADER_BYTES :]


MPV = plain_format(
    Codec.MPEG_VIDEO,
    "MPV",
    packetiser=MpvPacketiser,
    depacketiser=lambda track_index: PictureDepacketiser(MpvReader(), track_index),
)
