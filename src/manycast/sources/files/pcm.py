"""Plain samples of any width, made into those that L16 carries."""

from __future__ import annotations

import re
import sys
from array import array
from collections.abc import Callable
from functools import partial

from manycast.media.bits import MalformedBitstream

_NAME = re.compile(r"pcm_(?P<kind>[suf])(?P<bits>8|16|24|32|64)(?P<order>le|be)?")
_SIGN_FLIPPED = bytes(value ^ 0x80 for value in range(256))


def is_plain(codec_name: str) -> bool:
    """Whether a codec, by FFmpeg's name, is samples and nothing else."""
    return _NAME.fullmatch(codec_name) is not None


def loses_bits(codec_name: str) -> bool:
    """Whether samples of such a codec are more than 16 bits make."""
    match = _NAME.fullmatch(codec_name)
    return match is not None and int(match["bits"]) > 16


def l16_converter(codec_name: str) -> Callable[[bytes], bytes]:
    """What turns samples of such a codec into 16 bits in network order.

    Wider samples lose their lower bits. What it returns raises MalformedBitstream for broken samples.
    """
    match = _NAME.fullmatch(codec_name)
    assert match is not None
    width = int(match["bits"]) // 8
    if match["kind"] == "f":
        return partial(_from_floats, typecode="f" if width == 4 else "d", big=match["order"] == "be")
    high, low = (0, 1) if match["order"] == "be" else (width - 1, width - 2)
    return partial(_from_integers, width=width, high=high, low=low, signed=match["kind"] == "s")


def _from_integers(data: bytes, *, width: int, high: int, low: int, signed: bool) -> bytes:
    _check(data, width)
    made = bytearray(len(data) // width * 2)
    made[0::2] = data[high::width] if signed else data[high::width].translate(_SIGN_FLIPPED)
    if width > 1:
        made[1::2] = data[low::width]
    return bytes(made)


def _from_floats(data: bytes, *, typecode: str, big: bool) -> bytes:
    samples = array(typecode)
    _check(data, samples.itemsize)
    samples.frombytes(data)
    if big != (sys.byteorder == "big"):
        samples.byteswap()
    # The order of the arguments makes what is no number the loudest sample instead of an error.
    made = array("h", [int(max(-32768.0, min(32767.0, sample * 32768.0))) for sample in samples])
    if sys.byteorder == "little":
        made.byteswap()
    return made.tobytes()


def _check(data: bytes, width: int) -> None:
    if len(data) % width:
        raise MalformedBitstream(f"{len(data)} bytes of samples of {width} bytes")
