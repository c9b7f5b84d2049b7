"""MPEG-4 part 2 video (ISO/IEC 14496-2): its configuration, and what kind of picture a VOP is."""

from __future__ import annotations

import re
from enum import IntEnum

from manycast.media.bits import BitReader, MalformedBitstream

MAX_CONFIGURATION_BYTES = 4096  # real ones have 20 to 100 bytes, with quantisation matrices some 250

_SEQUENCE = b"\0\0\1\xb0"  # visual_object_sequence_start_code
_VOP = b"\0\0\1\xb6"
_LAYER = re.compile(rb"\0\0\x01[\x20-\x2f]")
_BEHIND_LAYER = re.compile(rb"\0\0\x01[\xb3\xb6]")  # a group of VOPs, a VOP
_HEADER_BYTES = 16  # of a VideoObjectLayer: more than it takes to `low_delay`
_SIMPLE_OBJECT_TYPE = 1


class VopType(IntEnum):
    """vop_coding_type (table 6-20)."""

    I = 0  # noqa: E741  # the standard's name
    P = 1
    B = 2
    S = 3  # a sprite


def vop_type(data: bytes) -> VopType | None:
    """Of the first VOP in `data`; None where there is none."""
    start = data.find(_VOP)
    return VopType(data[start + 4] >> 6) if 0 <= start < len(data) - 4 else None


def configuration_of(data: bytes) -> bytes:
    """All before the first VOP or group of VOPs, if a VideoObjectLayer is among it; else empty."""
    end = _BEHIND_LAYER.search(data)
    head = data[: end.start()] if end else data
    start = head.find(b"\0\0\1")
    return head[start:] if len(head) <= MAX_CONFIGURATION_BYTES and _LAYER.search(head) else b""


def profile_and_level(configuration: bytes) -> int | None:
    """profile_and_level_indication (table G-1); None where the configuration does not say."""
    start = configuration.find(_SEQUENCE)
    return configuration[start + 4] if 0 <= start < len(configuration) - 4 else None


def has_b_vops(configuration: bytes) -> bool:
    """Whether VOPs may be shown in another order than they are decoded: unless the configuration rules it out."""
    layer = _LAYER.search(configuration)
    if layer is None:
        return True
    reader = BitReader(configuration[layer.end() :][:_HEADER_BYTES])
    try:
        reader.u(1)  # random_accessible_vol
        object_type = reader.u(8)
        if reader.flag():  # is_object_layer_identifier
            reader.u(4 + 3)
        if reader.u(4) == 15:  # aspect_ratio_info: extended_PAR
            reader.u(8 + 8)
        if reader.flag():  # vol_control_parameters
            reader.u(2)  # chroma_format
            return not reader.flag()  # low_delay
    except MalformedBitstream:
        return True
    return object_type != _SIMPLE_OBJECT_TYPE
