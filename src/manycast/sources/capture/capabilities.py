"""What pictures a camera can give, as its driver tells (linux/videodev2.h)."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from pathlib import Path

MAX_ENTRIES = 64  # of one list; drivers have some twenty

_ENUM_FMT = 0xC0405602  # VIDIOC_ENUM_FMT, struct v4l2_fmtdesc
_ENUM_FRAMESIZES = 0xC02C564A  # VIDIOC_ENUM_FRAMESIZES, struct v4l2_frmsizeenum
_ENUM_FRAMEINTERVALS = 0xC034564B  # VIDIOC_ENUM_FRAMEINTERVALS, struct v4l2_frmivalenum
_FORMAT = struct.Struct("=III32s4sI12x")  # index, type, flags, description, pixelformat, mbus_code
_SIZE = struct.Struct("=I4sIII20x")  # index, pixel_format, type, width, height
_INTERVAL = struct.Struct("=I4sIIIII16x8x")  # index, pixel_format, width, height, type, numerator, denominator
_VIDEO_CAPTURE = 1
_DISCRETE = 1

Control = Callable[[int, bytes], bytes]  # the number of a request and its structure; OSError where the list ends


def camera_capabilities(address: str) -> Iterator[str]:
    """A line for each format and size, with its rates; none where the device cannot be asked."""
    try:
        import fcntl

        with Path(address).open("rb", buffering=0) as device:
            yield from formats(lambda request, structure: fcntl.ioctl(device, request, structure))
    except (ImportError, OSError):
        return


def formats(control: Control) -> Iterator[str]:
    for entry in _entries(control, _ENUM_FMT, lambda index: _FORMAT.pack(index, _VIDEO_CAPTURE, 0, b"", b"", 0)):
        _, _, _, description, pixel_format, _ = _FORMAT.unpack(entry)
        name = description.partition(b"\0")[0].decode(errors="replace")
        yield from (f"{name}, {size}" for size in _sizes(control, pixel_format))


def _sizes(control: Control, pixel_format: bytes) -> Iterator[str]:
    for entry in _entries(control, _ENUM_FRAMESIZES, lambda index: _SIZE.pack(index, pixel_format, 0, 0, 0)):
        _, _, kind, width, height = _SIZE.unpack(entry)
        if kind != _DISCRETE:
            yield "any size"
            return
        rates = ", ".join(_rates(control, pixel_format, width, height))
        yield f"{width}x{height}" + (f", {rates} pictures/s" if rates else "")


def _rates(control: Control, pixel_format: bytes, width: int, height: int) -> Iterator[str]:
    for entry in _entries(
        control,
        _ENUM_FRAMEINTERVALS,
        lambda index: _INTERVAL.pack(index, pixel_format, width, height, 0, 0, 0),
    ):
        _, _, _, _, kind, numerator, denominator = _INTERVAL.unpack(entry)
        if kind != _DISCRETE or not numerator:
            return
        yield f"{denominator / numerator:g}"


def _entries(control: Control, request: int, structure: Callable[[int], bytes]) -> Iterator[bytes]:
    for index in range(MAX_ENTRIES):
        try:
            yield control(request, structure(index))
        except OSError:
            return
