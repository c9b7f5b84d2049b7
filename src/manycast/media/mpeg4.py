"""MPEG-4 part 2 video (ISO/IEC 14496-2): its configuration, and what kind of picture a VOP is."""

from __future__ import annotations

import re
from enum import IntEnum
from itertools import pairwise

from manycast.media.bits import BitReader, MalformedBitstream

MAX_CONFIGURATION_BYTES = 4096  # real ones have 20 to 100 bytes, with quantisation matrices some 250

_SEQUENCE = b"\0\0\1\xb0"  # visual_object_sequence_start_code
_VOP = b"\0\0\1\xb6"
_LAYER = re.compile(rb"\0\0\x01[\x20-\x2f]")
_BEHIND_LAYER = re.compile(rb"\0\0\x01[\xb3\xb6]")  # a group of VOPs, a VOP
_HEADER_BYTES = 16  # of a VideoObjectLayer: more than it takes to `low_delay`
_SIMPLE_OBJECT_TYPE = 1
_GROUP = b"\0\0\1\xb3"
_VBV_BITS = 15 + 1 + 15 + 1 + 15 + 1 + 3 + 11 + 1 + 15 + 1
_GRAYSCALE = 3  # video_object_layer_shape


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


def split_vops(data: bytes) -> list[bytes]:
    """The VOPs in `data`, each with the headers before it; what is behind the last one, or no VOP at all, stays with
    it."""
    starts = []
    position = data.find(_VOP)
    while (next_vop := data.find(_VOP, position + 4)) >= 0 and position >= 0:
        starts.append(data.find(b"\0\0\1", position + 4))  # of its headers, or its own
        position = next_vop
    edges = [0, *starts, len(data)]
    return [data[start:end] for start, end in pairwise(edges) if start < end]


class VopClock:
    """The times of VOPs as they tell them themselves, in decoding order (section 6.3.5)."""

    __slots__ = ("_anchor_s", "_clock_rate_hz", "_last", "_last_anchor_s", "_resolution")

    def __init__(self, configuration: bytes, clock_rate_hz: int) -> None:
        self._clock_rate_hz = clock_rate_hz
        self._resolution = _time_increment_resolution(configuration)
        self._anchor_s = 0  # whole seconds of the latest anchor, to which the next one's are added
        self._last_anchor_s = 0  # of the one before it, to which those of a B-VOP are added
        self._last = 0

    def push(self, vop: bytes) -> int:
        """Ticks of the next VOP, on a zero of its own; where that cannot be told, those of the one before it."""
        if found := _time_increment_resolution(vop):
            self._resolution = found
        start = vop.find(_VOP)
        if start < 0 or not self._resolution:
            return self._last
        reader = BitReader(vop[start + 4 :][:_HEADER_BYTES])
        group = vop.find(_GROUP, 0, start)
        try:
            if group >= 0:
                code = BitReader(vop[group + 4 : group + 8])
                hours, minutes = code.u(5), code.u(6)
                code.u(1)
                self._anchor_s = 3600 * hours + 60 * minutes + code.u(6)
            kind = reader.u(2)
            seconds = 0
            while reader.flag():  # modulo_time_base
                seconds += 1
            reader.u(1)
            increment = reader.u(max(1, (self._resolution - 1).bit_length()))
        except MalformedBitstream:
            return self._last
        if kind == VopType.B:
            base = self._last_anchor_s + seconds
        else:
            self._last_anchor_s = self._anchor_s
            base = self._anchor_s = self._anchor_s + seconds
        self._last = base * self._clock_rate_hz + increment * self._clock_rate_hz // self._resolution
        return self._last


def _time_increment_resolution(configuration: bytes) -> int:
    """vop_time_increment_resolution of a VideoObjectLayer; 0 where there is none."""
    layer = _LAYER.search(configuration)
    if layer is None:
        return 0
    reader = BitReader(configuration[layer.end() :][: 2 * _HEADER_BYTES])
    verid = 1
    try:
        reader.u(1 + 8)
        if reader.flag():
            verid = reader.u(4)
            reader.u(3)
        if reader.u(4) == 15:
            reader.u(8 + 8)
        if reader.flag():  # vol_control_parameters
            reader.u(2 + 1)
            if reader.flag():  # vbv_parameters
                reader.u(_VBV_BITS)
        if reader.u(2) == _GRAYSCALE and verid != 1:
            reader.u(4)
        reader.u(1)
        return reader.u(16)
    except MalformedBitstream:
        return 0


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
