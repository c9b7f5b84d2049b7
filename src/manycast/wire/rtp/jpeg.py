"""JPEG images in RTP (RFC 2435): the entropy-coded data, with what a receiver needs to write the headers before it.

| type-specific 8 |        fragment offset 24        |
|     type 8      |   Q 8   | width/8 8 | height/8 8 |
|  restart interval 16  |F|L|   restart count 14    |   types 64 to 127 only
| MBZ 8 | precision 8   |          length 16         |   Q 128 to 255, first packet only; then the tables
"""

from __future__ import annotations

from manycast.media.bits import MalformedBitstream
from manycast.media.frame import Frame
from manycast.media.jpeg import MAX_RTP_SIDE, JpegImage, Sampling, scaled_tables
from manycast.media.track import Codec
from manycast.wire.rtp.payload import MalformedPayload, RtpPayload, UnsupportedFormat
from manycast.wire.rtp.pictures import Picture, PictureDepacketiser, marked_payloads
from manycast.wire.rtp.plain import plain_format

HEADER_BYTES = 8
RESTART_BYTES = 4
TABLES_BYTES = 4  # the header of the quantisation tables
MAX_OFFSET = 0xFFFFFF

_RESTARTS = 64  # added to a type
_TYPES = {0: Sampling.YUV422, 1: Sampling.YUV420}
_NUMBERS = {sampling: number for number, sampling in _TYPES.items()}
_FIRST_IN_BAND_Q, _UNCACHED_Q = 128, 255
_WHOLE_FRAME = b"\xff\xff"  # F, L and a count of 0x3FFF: fragments are not cut at restart intervals


class JpegPacketiser:
    """Takes an image apart; its tables go in band, with the Q that says so."""

    __slots__ = ("_limit",)

    def __init__(self, limit: int) -> None:
        assert limit > HEADER_BYTES + RESTART_BYTES + TABLES_BYTES + 128
        self._limit = limit

    def packetise(self, frame: Frame) -> list[RtpPayload]:
        """Raises UnsupportedFormat for images that RFC 2435 has no type for."""
        return [payload for unit in frame.units for payload in marked_payloads(self._cut(unit))]

    def _cut(self, unit: bytes) -> list[bytes]:
        try:
            image = JpegImage.parse(unit)
        except MalformedBitstream as error:
            raise UnsupportedFormat(
                f"a JPEG image that RTP cannot carry: {error}. Encode it as baseline 4:2:0 with standard Huffman tables"
            ) from error
        if not (0 < image.width <= MAX_RTP_SIDE and 0 < image.height <= MAX_RTP_SIDE):
            raise UnsupportedFormat(
                f"a JPEG image of {image.width}x{image.height}: RTP carries up to {MAX_RTP_SIDE}x{MAX_RTP_SIDE}. "
                "Scale it down, or encode it as H.264"
            )
        if len(image.scan) > MAX_OFFSET:
            raise UnsupportedFormat(f"a JPEG image of {len(image.scan)} bytes: RTP carries up to {MAX_OFFSET}")
        number = _NUMBERS[image.sampling] | (_RESTARTS if image.restart_interval else 0)
        fields = bytes((number, _UNCACHED_Q, (image.width + 7) // 8, (image.height + 7) // 8))
        if image.restart_interval:
            fields += image.restart_interval.to_bytes(2) + _WHOLE_FRAME
        tables = b"".join(image.quantisation)
        first = b"\0\0" + len(tables).to_bytes(2) + tables
        scan = image.scan
        datas: list[bytes] = []
        position = 0
        while position < len(scan) or not datas:
            header = position.to_bytes(4) + fields + (b"" if position else first)
            part = scan[position : position + self._limit - len(header)]
            datas.append(header + part)
            position += len(part)
        return datas


class JpegReader:
    """Puts the data together and the headers before it."""

    __slots__ = ("_cached_tables", "_parts", "_size", "_tables", "_what")

    def __init__(self) -> None:
        self._cached_tables: dict[int, tuple[bytes, ...]] = {}  # by Q; at most 127
        self._parts: list[bytes] = []
        self._size = 0  # of the parts
        self._what = (0, 0, 0, 0)  # type, width and height in blocks, restart interval
        self._tables: tuple[bytes, ...] = ()

    def begins(self, payload: bytes) -> bool:
        return len(payload) >= HEADER_BYTES and not any(payload[1:4])

    def add(self, payload: bytes) -> None:
        if len(payload) < HEADER_BYTES:
            raise MalformedPayload(f"JPEG payload of {len(payload)} bytes, wanted {HEADER_BYTES}")
        offset = int.from_bytes(payload[1:4])
        if offset != self._size:
            raise MalformedPayload(f"JPEG fragment at offset {offset}, wanted {self._size}")
        number, quality = payload[4], payload[5]
        position = HEADER_BYTES
        restart_interval = 0
        if number & _RESTARTS:
            restart_interval = int.from_bytes(payload[position : position + 2])
            position += RESTART_BYTES
        if not offset:
            self._what = (number, payload[6], payload[7], restart_interval)
            if number & ~_RESTARTS not in _TYPES:
                raise MalformedPayload(f"JPEG of type {number}, which is not supported: 0, 1, 64 and 65 are")
            if not payload[6] or not payload[7]:
                raise MalformedPayload(f"JPEG of a size over {MAX_RTP_SIDE}x{MAX_RTP_SIDE}, which RTP cannot carry")
            if quality >= _FIRST_IN_BAND_Q:
                position = self._take_tables(payload, position, quality)
            elif 1 <= quality <= 99:
                self._tables = scaled_tables(quality)
            else:
                raise MalformedPayload(f"JPEG with the reserved Q {quality}")
        if position > len(payload):
            raise MalformedPayload(f"JPEG payload of {len(payload)} bytes, its headers need {position}")
        self._parts.append(payload[position:])
        self._size += len(payload) - position

    def take(self) -> list[Picture]:
        if not self._size:
            self.clear()
            return [Picture([], True)]
        number, width, height, restart_interval = self._what
        image = JpegImage(
            width=8 * width,
            height=8 * height,
            sampling=_TYPES[number & ~_RESTARTS],
            quantisation=self._tables,
            restart_interval=restart_interval,
            scan=b"".join(self._parts),
        )
        self.clear()
        return [Picture([image.serialize()], True)]

    def clear(self) -> None:
        self._parts = []
        self._size = 0

    def _take_tables(self, payload: bytes, position: int, quality: int) -> int:
        """Read the quantisation tables (section 3.1.8); return where they end."""
        head = payload[position : position + TABLES_BYTES]
        precision, length = head[1] if len(head) == TABLES_BYTES else 0, int.from_bytes(head[2:])
        start = position + TABLES_BYTES
        if not length:  # as in an earlier picture of this Q
            found = self._cached_tables.get(quality) if quality != _UNCACHED_Q else None
            if found is None:
                raise MalformedPayload(f"JPEG with Q {quality}, for which no tables have come")
            self._tables = found
            return start
        data = payload[start : start + length]
        tables: list[bytes] = []
        at = 0
        while at < len(data) and len(tables) < 2:
            size = 128 if precision >> len(tables) & 1 else 64
            tables.append(data[at : at + size])
            at += size
        if not tables or at > len(data) or len(data) < length:
            raise MalformedPayload(f"JPEG quantisation tables of {length} bytes, {len(data)} came")
        self._tables = tuple(tables)
        if quality != _UNCACHED_Q:
            self._cached_tables[quality] = self._tables
        return start + length


JPEG = plain_format(
    Codec.MJPEG,
    "JPEG",
    packetiser=JpegPacketiser,
    depacketiser=lambda track_index: PictureDepacketiser(JpegReader(), track_index),
)
