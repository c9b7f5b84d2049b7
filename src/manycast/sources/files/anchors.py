"""Pictures of MPEG-1, MPEG-2 and MPEG-4 video: their types say in which order they are shown.

A picture that others refer to, an anchor, is shown when the next one has been decoded; a B picture at once.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import IntEnum

from manycast.media.track import CodecParameters

MAX_N_VOP_BYTES = 19  # what DivX and its kin leave in place of a VOP that was stored earlier

_ANCHOR_STEP = 1 << 32  # more than there are B pictures between two anchors

_PICTURE = b"\0\0\1\0"  # ISO/IEC 13818-2 section 6.2.3
_SEQUENCE = b"\0\0\1\xb3"
_BEHIND_SEQUENCE = re.compile(rb"\0\0\x01[\x00-\xaf\xb8]")  # a slice, a picture, a group
_VOP = b"\0\0\1\xb6"  # ISO/IEC 14496-2 section 6.2.5
_LAYER = re.compile(rb"\0\0\x01[\x20-\x2f]")
_BEHIND_LAYER = re.compile(rb"\0\0\x01[\xb3\xb6]")  # a group, a VOP


class PictureType(IntEnum):
    """What a picture refers to; S pictures of MPEG-4 count as P."""

    I = 0  # noqa: E741  # the standards' name
    P = 1
    B = 2


def mpeg_video_type(data: bytes) -> PictureType | None:
    """The type of the first picture in `data`; None where there is none."""
    start = data.find(_PICTURE)
    if start < 0 or len(data) < start + 6:
        return None
    coding_type = data[start + 5] >> 3 & 7
    return {1: PictureType.I, 2: PictureType.P, 3: PictureType.B, 4: PictureType.I}.get(coding_type)


def mpeg4_type(data: bytes) -> PictureType | None:
    """The type of the first VOP in `data`; None where there is none."""
    start = data.find(_VOP)
    if start < 0 or len(data) < start + 5:
        return None
    return (PictureType.I, PictureType.P, PictureType.B, PictureType.P)[data[start + 4] >> 6]


def sequence_header(data: bytes) -> bytes:
    """The sequence header and its extensions at the start of `data`; empty where there are none."""
    start = data.find(_SEQUENCE)
    end = _BEHIND_SEQUENCE.search(data, start + 4) if start >= 0 else None
    return data[start : end.start() if end else len(data)] if start >= 0 else b""


def mpeg4_configuration(data: bytes) -> bytes:
    """All before the first picture or group of pictures, if a VideoObjectLayer is among it; else empty."""
    end = _BEHIND_LAYER.search(data)
    head = data[: end.start()] if end else data
    return head if _LAYER.search(head) else b""


class AnchorOrder:
    """Counts pictures in the order in which they are shown, by their types alone; `PictureOrder` for these codecs."""

    def __init__(self, *, is_mpeg4: bool) -> None:
        self._type_of = mpeg4_type if is_mpeg4 else mpeg_video_type
        self._last_anchor = 0
        self._since_anchor = 0

    def count(self, units: Sequence[bytes], parameters: CodecParameters, *, keyframe: bool) -> int:
        """The count of the next picture in decoding order; those from one keyframe to the next can be compared."""
        if self._type_of(units[0]) is PictureType.B:
            self._since_anchor += 1  # shown before the last anchor and behind the one before that
            return self._last_anchor - _ANCHOR_STEP + self._since_anchor
        self._last_anchor += _ANCHOR_STEP
        self._since_anchor = 0
        return self._last_anchor


class VopUnpacker:
    """Takes "packed bitstreams" apart: B-VOPs stored in one chunk with the anchor they are shown before.

    DivX did that for AVI, where each chunk is to be decoded into one picture. In the place of the B-VOP follows a
    chunk with an empty one.
    """

    def __init__(self) -> None:
        self._stored: bytes | None = None

    def push(self, chunk: bytes) -> bytes:
        """The VOP to be decoded at this chunk's time."""
        stored, self._stored = self._stored, None
        first = chunk.find(_VOP)
        if first < 0:
            return chunk
        if stored is not None and len(chunk) <= MAX_N_VOP_BYTES:
            return stored
        second = chunk.find(_VOP, first + 4)
        if second < 0:
            return chunk
        self._stored = chunk[second:]
        return chunk[:second]

    def reset(self) -> None:
        """Reading goes on elsewhere."""
        self._stored = None
