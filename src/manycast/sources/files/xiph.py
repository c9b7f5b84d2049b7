"""The headers of Theora and Vorbis as containers keep them."""

from __future__ import annotations

from manycast.media.bits import MalformedBitstream
from manycast.media.track import Codec, XiphParameters
from manycast.media.xiph import with_headers

_IDENTIFICATION_BYTES = (30, 42)  # of Vorbis and Theora
_HEADERS = 3


def parameters_from_extradata(codec: Codec, extradata: bytes) -> XiphParameters:
    """The three header packets, by FFmpeg's extradata.

    Matroska has them in Xiph lacing: the number of packets less one, the sizes of all but the last in sums of bytes
    up to the first that is not 255, the packets. Others have a size of 16 bits before each.
    Raises MalformedBitstream.
    """
    if len(extradata) > 2 and int.from_bytes(extradata[:2]) in _IDENTIFICATION_BYTES:
        headers = _split_sized(extradata)
    elif extradata[:1] == bytes([_HEADERS - 1]):
        headers = _split_laced(extradata)
    else:
        raise MalformedBitstream(f"{len(extradata)} bytes, which are no headers of {codec.value}")
    identification, comment, setup = headers
    return with_headers(codec, identification, comment, setup)


def _split_sized(data: bytes) -> list[bytes]:
    headers = []
    position = 0
    for _ in range(_HEADERS):
        size = int.from_bytes(data[position : position + 2])
        position += 2
        if position + size > len(data):
            raise MalformedBitstream(f"header of {size} bytes, {len(data) - position} left")
        headers.append(data[position : position + size])
        position += size
    return headers


def _split_laced(data: bytes) -> list[bytes]:
    position = 1
    sizes = []
    for _ in range(_HEADERS - 1):
        end = position
        while data[end : end + 1] == b"\xff":
            end += 1
        if end >= len(data):
            raise MalformedBitstream("the sizes of the headers have no end")
        sizes.append(255 * (end - position) + data[end])
        position = end + 1
    if position + sum(sizes) > len(data):
        raise MalformedBitstream(f"headers of {sizes} bytes, {len(data) - position} left")
    first, second = sizes
    return [
        data[position : position + first],
        data[position + first : position + first + second],
        data[position + first + second :],
    ]
