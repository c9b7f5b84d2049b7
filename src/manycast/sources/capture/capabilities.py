"""What pictures a camera can give, as its driver tells (linux/videodev2.h), and which of it is asked for."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from manycast.media.track import Codec

MAX_ENTRIES = 64  # of one list; drivers have some twenty
RATE_TOLERANCE = 0.5  # pictures/s: 29.97 is 30

_ENUM_FMT = 0xC0405602  # VIDIOC_ENUM_FMT, struct v4l2_fmtdesc
_ENUM_FRAMESIZES = 0xC02C564A  # VIDIOC_ENUM_FRAMESIZES, struct v4l2_frmsizeenum
_ENUM_FRAMEINTERVALS = 0xC034564B  # VIDIOC_ENUM_FRAMEINTERVALS, struct v4l2_frmivalenum
_FORMAT = struct.Struct("=III32s4sI12x")  # index, type, flags, description, pixelformat, mbus_code
_SIZE = struct.Struct("=I4sIII20x")  # index, pixel_format, type, width, height
_INTERVAL = struct.Struct("=I4sIIIII16x8x")  # index, pixel_format, width, height, type, numerator, denominator
_VIDEO_CAPTURE = 1
_DISCRETE = 1
_CODED = {b"MJPG": Codec.MJPEG, b"JPEG": Codec.MJPEG, b"H264": Codec.H264, b"HEVC": Codec.H265}
_EASIEST = (Codec.MJPEG, Codec.H264, Codec.H265)  # to decode

Control = Callable[[int, bytes], bytes]  # the number of a request and its structure; OSError where the list ends


@dataclass(frozen=True, slots=True, kw_only=True)
class Mode:
    """One format and size."""

    name: str
    codec: Codec | None  # None: raw
    size: tuple[int, int] | None  # None: any
    rates: tuple[float, ...] = ()  # pictures/s; empty where the driver does not tell

    def __str__(self) -> str:
        if self.size is None:
            return f"{self.name}, any size"
        rates = ", ".join(f"{rate:g}" for rate in self.rates)
        return f"{self.name}, {self.size[0]}x{self.size[1]}" + (f", {rates} pictures/s" if rates else "")

    def fits(self, rate: float, size: tuple[int, int] | None) -> bool:
        fast_enough = not self.rates or max(self.rates) > rate - RATE_TOLERANCE
        return fast_enough and (size is None or self.size is None or size == self.size)


def camera_modes(address: str) -> list[Mode]:
    """None where the device cannot be asked."""
    try:
        import fcntl

        with Path(address).open("rb", buffering=0) as device:
            return list(modes(lambda request, structure: fcntl.ioctl(device, request, structure)))
    except (ImportError, OSError):
        return []


def modes(control: Control) -> Iterator[Mode]:
    for entry in _entries(control, _ENUM_FMT, lambda index: _FORMAT.pack(index, _VIDEO_CAPTURE, 0, b"", b"", 0)):
        _, _, _, description, pixel_format, _ = _FORMAT.unpack(entry)
        name = description.partition(b"\0")[0].decode(errors="replace")
        for size, rates in _sizes(control, pixel_format):
            yield Mode(name=name, codec=_CODED.get(pixel_format), size=size, rates=rates)


def coded_form(found: Sequence[Mode], codec: Codec | None, rate: float, size: tuple[int, int] | None) -> Codec | None:
    """The codec in which a camera is asked for pictures; None: raw.

    What is wanted in the end need not be encoded. Else raw pictures are best, but at larger sizes cameras have few of
    them a second.
    """
    fitting = [mode.codec for mode in found if mode.fits(rate, size)]
    if codec is not None and codec in fitting:
        return codec
    if None in fitting:
        return None
    return next((easy for easy in _EASIEST if easy in fitting), None)


def _sizes(control: Control, pixel_format: bytes) -> Iterator[tuple[tuple[int, int] | None, tuple[float, ...]]]:
    for entry in _entries(control, _ENUM_FRAMESIZES, lambda index: _SIZE.pack(index, pixel_format, 0, 0, 0)):
        _, _, kind, width, height = _SIZE.unpack(entry)
        if kind != _DISCRETE:
            yield None, ()
            return
        yield (width, height), tuple(_rates(control, pixel_format, width, height))


def _rates(control: Control, pixel_format: bytes, width: int, height: int) -> Iterator[float]:
    for entry in _entries(
        control,
        _ENUM_FRAMEINTERVALS,
        lambda index: _INTERVAL.pack(index, pixel_format, width, height, 0, 0, 0),
    ):
        _, _, _, _, kind, numerator, denominator = _INTERVAL.unpack(entry)
        if kind != _DISCRETE or not numerator:
            return
        yield denominator / numerator


def _entries(control: Control, request: int, structure: Callable[[int], bytes]) -> Iterator[bytes]:
    for index in range(MAX_ENTRIES):
        try:
            yield control(request, structure(index))
        except OSError:
            return
