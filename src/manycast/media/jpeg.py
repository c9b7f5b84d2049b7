"""Baseline JPEG images (ITU-T T.81) as far as they are all of one kind: what RFC 2435 leaves out of packets."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import Self

from manycast.media.bits import MalformedBitstream
from manycast.media.track import JpegParameters

MAX_SEGMENTS = 256  # before the picture; cameras write some ten, with a segment of 64 kB of EXIF at most
MAX_RTP_SIDE = 2040  # pixels: RFC 2435 counts blocks of 8 in a byte

SOI, EOI = b"\xff\xd8", b"\xff\xd9"
_SOF0, _SOF1, _DHT, _SOS, _DQT, _DRI = 0xC0, 0xC1, 0xC4, 0xDA, 0xDB, 0xDD
_OTHER_FRAMES = frozenset(range(0xC2, 0xD0)) - {_DHT, 0xC8, 0xCC}
_END_OF_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")  # a marker that is no restart

# The typical Huffman tables of annex K.3, as a DHT segment has them: class and number, counts by length, values.
_HUFFMAN_TABLES = {
    0x00: bytes.fromhex("00010501010101010100000000000000000102030405060708090a0b"),
    0x10: bytes.fromhex(
        "0002010303020403050504040000017d"
        "01020300041105122131410613516107227114328191a1082342b1c11552d1f02433627282090a161718191a25262728292a34353637"
        "38393a434445464748494a535455565758595a636465666768696a737475767778797a838485868788898a92939495969798999aa2a3"
        "a4a5a6a7a8a9aab2b3b4b5b6b7b8b9bac2c3c4c5c6c7c8c9cad2d3d4d5d6d7d8d9dae1e2e3e4e5e6e7e8e9eaf1f2f3f4f5f6f7f8f9fa"
    ),
    0x01: bytes.fromhex("00030101010101010101010000000000000102030405060708090a0b"),
    0x11: bytes.fromhex(
        "00020102040403040705040400010277"
        "000102031104052131061241510761711322328108144291a1b1c109233352f0156272d10a162434e125f11718191a262728292a3536"
        "3738393a434445464748494a535455565758595a636465666768696a737475767778797a82838485868788898a92939495969798999a"
        "a2a3a4a5a6a7a8a9aab2b3b4b5b6b7b8b9bac2c3c4c5c6c7c8c9cad2d3d4d5d6d7d8d9dae2e3e4e5e6e7e8e9eaf2f3f4f5f6f7f8f9fa"
    ),
}
# Annexes K.1 and K.2 in zigzag order.
_LUMINANCE = bytes.fromhex(
    "100b0c0e0c0a100e0d0e1211101318281a181616183123251d283a333d3c3933"
    "383740485c4e404457453738506d51575f626768673e4d71797064785c656763"
)
_CHROMINANCE = bytes.fromhex("1112121815182f1a1a2f634238426363") + b"\x63" * 48


class Sampling(Enum):
    """How many samples of luminance share one of each chrominance; the value is that component's T.81 factors."""

    YUV422 = 0x21
    YUV420 = 0x22


@dataclass(frozen=True, slots=True, kw_only=True)
class JpegImage:
    """A picture of three components in one scan, with the typical Huffman tables, and nothing beside it."""

    width: int
    height: int
    sampling: Sampling
    quantisation: tuple[bytes, ...]  # of luminance and chrominance, in zigzag order: 64 bytes, or 128 for 16 bits
    restart_interval: int = 0  # in MCUs; 0: no restart markers
    scan: bytes  # the entropy-coded data, without EOI

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read an image. Raises MalformedBitstream for a broken one and for one of another kind, saying which."""
        reader = _Segments(data)
        reader.read()
        if reader.fault:
            raise MalformedBitstream(reader.fault)
        frame, scan = reader.frame, reader.scan()
        return cls(
            height=int.from_bytes(frame[1:3]),
            width=int.from_bytes(frame[3:5]),
            sampling=Sampling(frame[7]),
            quantisation=(reader.tables[frame[8]], reader.tables[frame[11]]),
            restart_interval=reader.restart_interval,
            scan=scan,
        )

    def serialize(self) -> bytes:
        """A whole JFIF image."""
        tables = [bytes(((len(table) > 64) << 4 | number,)) + table for number, table in enumerate(self.quantisation)]
        chroma_table = len(tables) - 1
        frame = bytes((8,)) + self.height.to_bytes(2) + self.width.to_bytes(2)
        frame += bytes((3, 1, self.sampling.value, 0, 2, 0x11, chroma_table, 3, 0x11, chroma_table))
        wide = any(len(table) > 64 for table in self.quantisation)  # which a baseline frame must not have
        segments = [
            SOI,
            _segment(0xE0, b"JFIF\0\1\1\0\0\1\0\1\0\0"),
            *(_segment(_DQT, table) for table in tables),
            *([_segment(_DRI, self.restart_interval.to_bytes(2))] if self.restart_interval else []),
            _segment(_SOF1 if wide else _SOF0, frame),
            _HUFFMAN_SEGMENTS,
            _segment(_SOS, b"\3\1\0\2\x11\3\x11\0\x3f\0"),
            self.scan,
        ]
        if not self.scan.endswith(EOI):
            segments.append(EOI)
        return b"".join(segments)


def parameters_of(data: bytes) -> JpegParameters:
    """What an image is, by all that stands before its picture. Raises MalformedBitstream for what is no image."""
    reader = _Segments(data)
    reader.read()
    height, width = int.from_bytes(reader.frame[1:3]), int.from_bytes(reader.frame[3:5])
    fault = reader.fault
    if not fault and not (0 < width <= MAX_RTP_SIDE and 0 < height <= MAX_RTP_SIDE):
        fault = f"{width}x{height}, wanted at most {MAX_RTP_SIDE}x{MAX_RTP_SIDE}"
    return JpegParameters(width=width, height=height, fault=fault)


def scaled_tables(quality: int) -> tuple[bytes, bytes]:
    """The tables of annex K for a quality of 1 to 99, by the formula of RFC 2435 appendix A."""
    factor = 5000 // quality if quality < 50 else 200 - 2 * quality
    luminance, chrominance = (
        bytes(min(max((value * factor + 50) // 100, 1), 255) for value in table) for table in (_LUMINANCE, _CHROMINANCE)
    )
    return luminance, chrominance


class _Segments:
    """All before the entropy-coded data."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._scan_at = 0
        self.tables: dict[int, bytes] = {}
        self._huffman: dict[int, bytes] = {}
        self.restart_interval = 0
        self.frame = b""  # the frame header
        self.fault = ""  # why the image is not of the one kind

    def read(self) -> None:
        """Raises MalformedBitstream for a broken image."""
        data = self._data
        if not data.startswith(SOI):
            raise MalformedBitstream(f"an image that begins with {data[:2].hex()}, wanted {SOI.hex()}")
        position = len(SOI)
        for _ in range(MAX_SEGMENTS):
            while data[position : position + 2] == b"\xff\xff":  # fill bytes
                position += 1
            head = data[position : position + 4]
            end = position + 2 + int.from_bytes(head[2:])
            if len(head) < 4 or head[0] != 0xFF or end < position + 4 or end > len(data):
                raise MalformedBitstream(f"no segment at byte {position} of {len(data)}")
            body = data[position + 4 : end]
            if head[1] == _SOS:
                self._scan_at = end
                self._check(body)
                return
            self._take(head[1], body)
            position = end
        raise MalformedBitstream(f"no picture within {MAX_SEGMENTS} segments")

    def scan(self) -> bytes:
        """The entropy-coded data. Raises MalformedBitstream where it is not all there is."""
        end = _END_OF_SCAN.search(self._data, self._scan_at)
        if end is not None and end.group() not in (EOI, b"\xff\xfe"):
            raise MalformedBitstream(f"marker {end.group().hex()} behind the first scan, wanted the image's end")
        return self._data[self._scan_at : end.start() if end else len(self._data)]

    def _take(self, marker: int, body: bytes) -> None:
        if marker == _DQT:
            self._take_quantisation(body)
        elif marker == _DHT:
            self._take_huffman(body)
        elif marker == _DRI:
            self.restart_interval = int.from_bytes(body[:2])
        elif marker in (_SOF0, _SOF1) or marker in _OTHER_FRAMES:
            self.frame = body
            if marker != _SOF0:
                self._refuse(f"coding process {marker - _SOF0}, wanted baseline")

    def _refuse(self, fault: str) -> None:
        self.fault = self.fault or fault

    def _take_quantisation(self, body: bytes) -> None:
        position = 0
        while position < len(body):
            precision, number = body[position] >> 4, body[position] & 15
            size = 128 if precision else 64
            table = body[position + 1 : position + 1 + size]
            if len(table) < size:
                raise MalformedBitstream(f"quantisation table of precision {precision} and {len(table)} bytes")
            if precision:
                self._refuse("a quantisation table of 16 bits, wanted 8")
            self.tables[number] = table
            position += 1 + size

    def _take_huffman(self, body: bytes) -> None:
        position = 0
        while position < len(body):
            count = sum(body[position + 1 : position + 17])
            self._huffman[body[position]] = body[position + 1 : position + 17 + count]
            position += 17 + count

    def _check(self, scan_header: bytes) -> None:
        """See whether it is of the one kind. Raises MalformedBitstream for a broken image."""
        frame = self.frame
        if len(frame) < 6 or len(frame) != 6 + 3 * frame[5]:
            raise MalformedBitstream(f"frame header of {len(frame)} bytes")
        if frame[0] != 8 or frame[5] != 3:
            self._refuse(f"{frame[5]} components of {frame[0]} bits, wanted 3 of 8")
            return
        factors = (frame[7], frame[10], frame[13])
        if factors not in ((0x21, 0x11, 0x11), (0x22, 0x11, 0x11)):
            wanted = "2x1,1x1,1x1 (4:2:2) or 2x2,1x1,1x1 (4:2:0)"
            found = ",".join(f"{factor >> 4}x{factor & 15}" for factor in factors)
            self._refuse(f"sampling {found}, wanted {wanted}")
        numbers = (frame[8], frame[11], frame[14])
        if numbers[1] != numbers[2]:
            self._refuse("two tables of quantisation for chrominance, wanted one")
        if any(number not in self.tables for number in numbers):
            raise MalformedBitstream(f"quantisation tables {numbers} are not all there")
        components = bytes((frame[6], 0x00, frame[9], 0x11, frame[12], 0x11))
        if scan_header[:7] != b"\3" + components:
            self._refuse("a scan that is not of all components with Huffman tables 0,1,1")
        if any(_HUFFMAN_TABLES.get(number) != table for number, table in self._huffman.items()):
            self._refuse("Huffman tables other than the typical ones of annex K.3")


def _segment(marker: int, body: bytes) -> bytes:
    return bytes((0xFF, marker)) + (len(body) + 2).to_bytes(2) + body


_HUFFMAN_SEGMENTS = b"".join(_segment(_DHT, bytes((number,)) + table) for number, table in _HUFFMAN_TABLES.items())
