"""NAL units as H.264 and H.265 share them: start codes, length prefixes, emulation prevention."""

from __future__ import annotations

from collections.abc import Callable

from manycast.media.bits import MalformedBitstream

MAX_UNITS = 4096  # of one access unit; a picture has at most 600 slices (ITU-T H.265 table A.8)
MAX_PARAMETER_SET_BYTES = 4096  # real ones have up to some 200 bytes, with scaling lists some 1000
MAX_PARAMETER_SETS = 32  # of each kind; encoders use one to four


def split_annex_b(data: bytes) -> list[bytes]:
    """The NAL units between the start codes of 3 or 4 bytes (ITU-T H.264 annex B), without empty ones.

    Bytes before the first start code are dropped, and so are the zero bytes that may follow a unit.
    """
    units = []
    position = data.find(b"\0\0\1")
    while position >= 0:
        start = position + 3
        position = data.find(b"\0\0\1", start)
        unit = data[start : position if position >= 0 else len(data)]
        if unit and unit[-1] == 0:  # a unit never ends in zero: these are trailing zeros, or the next start code's
            unit = unit.rstrip(b"\0")
        if unit:
            units.append(unit)
            if len(units) > MAX_UNITS:
                raise MalformedBitstream(f"more than {MAX_UNITS} NAL units in one access unit")
    return units


def split_length_prefixed(data: bytes, length_size: int = 4) -> list[bytes]:
    """The NAL units of a sample as MP4 and FLV store it (ISO/IEC 14496-15), without empty ones.

    Raises MalformedBitstream when a length reaches past the end.
    """
    units = []
    position, end = 0, len(data)
    while position < end:
        start = position + length_size
        position = start + int.from_bytes(data[position:start], "big")
        if start > end or position > end:
            raise MalformedBitstream(f"NAL unit from byte {start} to {position} of {end}")
        if position > start:
            units.append(data[start:position])
            if len(units) > MAX_UNITS:
                raise MalformedBitstream(f"more than {MAX_UNITS} NAL units in one access unit")
    return units


def parameter_sets_of(record: bytes, position: int, count: int) -> tuple[list[bytes], int]:
    """Parameter sets of a decoder configuration record (ISO/IEC 14496-15), each behind its length in 2 bytes.

    Returns them, without empty ones, and where they end. Raises MalformedBitstream when a length reaches past the end.
    """
    units = []
    for _ in range(count):
        start = position + 2
        position = start + int.from_bytes(record[position:start], "big")
        if position > len(record):
            raise MalformedBitstream(f"parameter set from byte {start} to {position} of {len(record)}")
        if position > start:
            units.append(record[start:position])
    return units, position


def join_length_prefixed(units: list[bytes]) -> bytes:
    """The NAL units with lengths of 4 bytes in front, as MP4 and FLV store them."""
    parts = []
    for unit in units:
        parts.append(len(unit).to_bytes(4, "big"))
        parts.append(unit)
    return b"".join(parts)


def join_annex_b(units: list[bytes]) -> bytes:
    """The NAL units with start codes of 4 bytes in front."""
    return b"\0\0\0\1" + b"\0\0\0\1".join(units) if units else b""


def without_emulation_prevention(unit: bytes) -> bytes:
    """The unit with the 3 removed from each 0 0 3 (ITU-T H.264 section 7.4.1)."""
    # bytes.replace() scans on after what it replaced, as the standard wants: 0 0 3 0 0 3 holds two.
    return unit.replace(b"\0\0\3", b"\0\0") if b"\0\0\3" in unit else unit


def replace_set(sets: tuple[bytes, ...], unit: bytes, id_of: Callable[[bytes], int]) -> tuple[bytes, ...]:
    """The parameter sets with `unit` in the place of the one with its id, or else behind them all.

    When there are too many, the first one goes.
    """
    unit_id = id_of(unit)
    for index, known in enumerate(sets):
        if id_of(known) == unit_id:
            return (*sets[:index], unit, *sets[index + 1 :])
    return (*sets, unit)[-MAX_PARAMETER_SETS:]
