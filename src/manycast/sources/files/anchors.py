"""Pictures of MPEG-1, MPEG-2 and MPEG-4 video: their types say in which order they are shown.

A picture that others refer to, an anchor, is shown when the next one has been decoded; a B picture at once.
"""

from __future__ import annotations

from collections.abc import Sequence

from manycast.media.mpeg4 import VopType, vop_type
from manycast.media.mpeg_video import PictureType, picture_header
from manycast.media.track import CodecParameters

MAX_N_VOP_BYTES = 19  # what DivX and its kin leave in place of a VOP that was stored earlier

_ANCHOR_STEP = 1 << 32  # more than there are B pictures between two anchors
_VOP = b"\0\0\1\xb6"


class AnchorOrder:
    """Counts pictures in the order in which they are shown, by their types alone; `PictureOrder` for these codecs."""

    def __init__(self, *, is_mpeg4: bool) -> None:
        self._is_mpeg4 = is_mpeg4
        self._last_anchor = 0
        self._since_anchor = 0

    def count(self, units: Sequence[bytes], parameters: CodecParameters, *, keyframe: bool) -> int:
        """The count of the next picture in decoding order; those from one keyframe to the next can be compared."""
        if self._is_b(units[0]):
            self._since_anchor += 1  # shown before the last anchor and behind the one before that
            return self._last_anchor - _ANCHOR_STEP + self._since_anchor
        self._last_anchor += _ANCHOR_STEP
        self._since_anchor = 0
        return self._last_anchor

    def _is_b(self, picture: bytes) -> bool:
        if self._is_mpeg4:
            return vop_type(picture) is VopType.B
        header = picture_header(picture)
        return header is not None and header.picture_type is PictureType.B


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
