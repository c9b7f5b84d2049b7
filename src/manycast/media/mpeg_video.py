"""MPEG-1 and MPEG-2 video (ISO/IEC 11172-2, 13818-2 section 6.2): sequence headers, picture headers, slices."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import IntEnum
from fractions import Fraction
from itertools import pairwise

PICTURE_CODE = 0x00
SEQUENCE_CODE = 0xB3
GROUP_CODE = 0xB8
MAX_SEQUENCE_HEADER_BYTES = 4096  # with extensions and matrices some 300, and user data

_PICTURE = b"\0\0\1\0"
_SEQUENCE = b"\0\0\1\xb3"
_SLICE = re.compile(rb"\0\0\x01[\x01-\xaf]")
_OPENING = re.compile(rb"\0\0\x01[\x00\xb3\xb8]")  # a picture, or the headers before it
_BEHIND_SEQUENCE = re.compile(rb"\0\0\x01[\x00-\xaf\xb8]")  # a picture, a slice, a group
_FRAME_RATES = (  # by frame_rate_code (table 6-4)
    Fraction(24_000, 1001),
    Fraction(24),
    Fraction(25),
    Fraction(30_000, 1001),
    Fraction(30),
    Fraction(50),
    Fraction(60_000, 1001),
    Fraction(60),
)


class PictureType(IntEnum):
    """picture_coding_type (ISO/IEC 13818-2 table 6-12)."""

    I = 1  # noqa: E741  # the standard's name
    P = 2
    B = 3
    D = 4  # of MPEG-1: DC coefficients only


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureHeader:
    """What stands behind a picture_start_code (section 6.2.3)."""

    temporal_reference: int
    picture_type: PictureType
    full_pel_backward: bool = False
    backward_f_code: int = 0
    full_pel_forward: bool = False
    forward_f_code: int = 0


def picture_header(data: bytes) -> PictureHeader | None:
    """Of the first picture in `data`; None where there is none, or a broken one."""
    start = data.find(_PICTURE)
    head = data[start + 4 : start + 9] if start >= 0 else b""
    if len(head) < 4:
        return None
    bits = int.from_bytes(head.ljust(5, b"\0"))  # 10 temporal_reference, 3 type, 16 vbv_delay, 1+3, 1+3
    kind = bits >> 27 & 7
    if not 1 <= kind <= 4:
        return None
    forward, backward = bits >> 7 & 15, bits >> 3 & 15
    predicted, both = kind in (PictureType.P, PictureType.B), kind == PictureType.B
    return PictureHeader(
        temporal_reference=bits >> 30,
        picture_type=PictureType(kind),
        full_pel_forward=predicted and bool(forward & 8),
        forward_f_code=forward & 7 if predicted else 0,
        full_pel_backward=both and bool(backward & 8),
        backward_f_code=backward & 7 if both else 0,
    )


def sequence_header(data: bytes) -> bytes:
    """The first sequence header with its extensions and user data; empty where there is none."""
    start = data.find(_SEQUENCE)
    if start < 0:
        return b""
    end = _BEHIND_SEQUENCE.search(data, start + 4)
    header = data[start : end.start() if end else len(data)]
    return header if len(header) <= MAX_SEQUENCE_HEADER_BYTES else b""


def frame_rate(header: bytes) -> Fraction | None:
    """Pictures in a second, by a sequence header without the extension's factors; None where it does not say."""
    code = header[7] & 15 if len(header) > 7 else 0
    return _FRAME_RATES[code - 1] if 0 < code <= len(_FRAME_RATES) else None


def split_pictures(data: bytes) -> list[bytes]:
    """The pictures in `data`, each with the headers before it. Two fields of one frame stay together."""
    edges = [0]
    position, opening = data.find(_PICTURE), 0
    reference = None
    while position >= 0:
        found = picture_header(data[position : position + 9])
        if found is not None and reference not in (None, found.temporal_reference):
            edges.append(opening)
        reference = found.temporal_reference if found is not None else reference
        behind = _OPENING.search(data, position + 4)
        opening = behind.start() if behind else len(data)
        position = data.find(_PICTURE, opening)
    edges.append(len(data))
    return [data[start:end] for start, end in pairwise(edges) if start < end]


def slice_offsets(data: bytes) -> list[int]:
    """Where the slices of a picture begin."""
    return [match.start() for match in _SLICE.finditer(data)]
