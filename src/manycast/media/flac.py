"""FLAC (RFC 9639)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from manycast.media.bits import BitReader, MalformedBitstream
from manycast.media.track import FlacParameters

MARKER = b"fLaC"  # in front of the metadata of a stream (section 6)
STREAMINFO_BYTES = 34
BLOCK_HEADER = bytes((0x80, 0)) + STREAMINFO_BYTES.to_bytes(2)  # of STREAMINFO, which is the last block (section 8.1)

_BLOCK_HEADER_BYTES = 4
_LAST_BLOCK = 0x80
_LEAST_BLOCK_SAMPLES = 16  # of all blocks but the last one (section 8.2)
_LEAST_BITS = 4
_MOST_BITS = 32
_SYNC_CODE = 0b111_1111_1111_1100
_MAX_HEADER_BYTES = 4 + 7 + 2 + 2 + 1  # with a number of 7 bytes, a size and a rate
_MAX_SYNC_CODES = 1000  # in what comes at once: each is looked at
_MAX_BLOCK_SAMPLES = 65_535
_BLOCK_SAMPLES = {1: 192, **{code: 144 << code for code in range(2, 6)}, **{code: 1 << code for code in range(8, 16)}}
_EIGHT_BITS, _SIXTEEN_BITS = 6, 7  # codes of a block size that stands behind the coded number


def _crc8(value: int) -> int:
    for _ in range(8):
        value = value << 1 ^ (0x107 if value & 0x80 else 0)
    return value


_CRC8 = bytes(map(_crc8, range(256)))  # x^8 + x^2 + x + 1 (section 9.1.8)


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamInfo:
    """What STREAMINFO says of all frames (section 8.2).

    How many samples there are and their checksum are left out: they are of a whole file, and who listens may begin and
    end anywhere.
    """

    least_block_samples: int
    most_block_samples: int
    least_frame_bytes: int  # 0: not known
    most_frame_bytes: int  # 0: not known
    sample_rate_hz: int
    channels: int
    bits_per_sample: int

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read the block's 34 bytes. Raises MalformedBitstream."""
        if len(data) != STREAMINFO_BYTES:
            raise MalformedBitstream(f"FLAC STREAMINFO of {len(data)} bytes, wanted {STREAMINFO_BYTES}")
        reader = BitReader(data)
        found = cls(
            least_block_samples=reader.u(16),
            most_block_samples=reader.u(16),
            least_frame_bytes=reader.u(24),
            most_frame_bytes=reader.u(24),
            sample_rate_hz=reader.u(20),
            channels=reader.u(3) + 1,
            bits_per_sample=reader.u(5) + 1,
        )
        if not _LEAST_BLOCK_SAMPLES <= found.least_block_samples <= found.most_block_samples:
            raise MalformedBitstream(
                f"FLAC blocks of {found.least_block_samples} to {found.most_block_samples} samples"
            )
        if not found.sample_rate_hz or not _LEAST_BITS <= found.bits_per_sample <= _MOST_BITS:
            raise MalformedBitstream(f"FLAC of {found.bits_per_sample} bits at {found.sample_rate_hz} Hz")
        return found

    def serialize(self) -> bytes:
        """The block's 34 bytes; number and checksum of the samples are 0: not known."""
        value = self.sample_rate_hz << 8 | (self.channels - 1) << 5 | (self.bits_per_sample - 1)
        return b"".join(
            (
                self.least_block_samples.to_bytes(2),
                self.most_block_samples.to_bytes(2),
                self.least_frame_bytes.to_bytes(3),
                self.most_frame_bytes.to_bytes(3),
                (value << 36).to_bytes(8),
                bytes(16),
            )
        )


def parameters_from_config(config: bytes) -> FlacParameters:
    """Of STREAMINFO alone, behind its block header, or behind the stream's marker too; other metadata may follow.

    Raises MalformedBitstream.
    """
    block = config.removeprefix(MARKER)
    if len(block) != STREAMINFO_BYTES:
        kind, size = block[:1], int.from_bytes(block[1:_BLOCK_HEADER_BYTES])
        if not kind or kind[0] & ~_LAST_BLOCK or size != STREAMINFO_BYTES:
            raise MalformedBitstream("FLAC metadata that does not begin with STREAMINFO")
        block = block[_BLOCK_HEADER_BYTES : _BLOCK_HEADER_BYTES + size]
    info = StreamInfo.parse(block)
    return FlacParameters(streaminfo=info.serialize(), sample_rate_hz=info.sample_rate_hz, channels=info.channels)


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameHeader:
    """What the start of a frame says of it (section 9.1).

    |  sync code, 15 bits  |s| size  | rate  |channels| bits|0|  number, 1 to 7 bytes | size? | rate? | CRC-8 |
    """

    is_variable: bool  # s: numbers count samples, and frames are not all as long
    form: tuple[int, int]  # codes of the rate and of the bits, which are those of all frames
    number: int
    samples: int  # of each channel

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read the header at the start of `data`. Raises MalformedBitstream."""
        head = data[:_MAX_HEADER_BYTES]
        reader = BitReader(head)
        if reader.u(15) != _SYNC_CODE:
            raise MalformedBitstream("FLAC frame without its sync code")
        is_variable = reader.flag()
        size_code, rate_code = reader.u(4), reader.u(4)
        channels, bits, reserved = reader.u(4), reader.u(3), reader.u(1)
        if size_code == 0 or rate_code == 0xF or channels > 10 or bits == 3 or reserved:
            raise MalformedBitstream("FLAC frame header with reserved values")
        number = _coded_number(reader)
        if size_code == _EIGHT_BITS:
            samples = reader.u(8) + 1
        elif size_code == _SIXTEEN_BITS:
            samples = reader.u(16) + 1
        else:
            samples = _BLOCK_SAMPLES[size_code]
        if samples > _MAX_BLOCK_SAMPLES:
            raise MalformedBitstream(f"FLAC frame of {samples} samples")
        reader.u({0xC: 8, 0xD: 16, 0xE: 16}.get(rate_code, 0))
        checksum = 0
        for byte in head[: len(head) - reader.bits_left // 8]:
            checksum = _CRC8[checksum ^ byte]
        if checksum != reader.u(8):
            raise MalformedBitstream("FLAC frame header with a wrong checksum")
        return cls(is_variable=is_variable, form=(rate_code, bits), number=number, samples=samples)

    def follows(self, other: FrameHeader) -> bool:
        """Whether it is the next frame's."""
        number = other.number + (other.samples if other.is_variable else 1)
        return (self.is_variable, self.form, self.number) == (other.is_variable, other.form, number)


def frame_samples(frame: bytes) -> int:
    """How many samples of each channel a frame has. Raises MalformedBitstream."""
    return FrameHeader.parse(frame).samples


def split_frames(data: bytes) -> list[bytes]:
    """The frames that follow each other in `data`. Raises MalformedBitstream.

    A frame does not say where it ends: the next one begins where its header is found.
    """
    header, start, position = FrameHeader.parse(data), 0, 0
    found: list[bytes] = []
    for _ in range(_MAX_SYNC_CODES):
        position = data.find(data[:2], position + 2)  # sync code and strategy, now and then found in the sound itself
        if position < 0:
            return [*found, data[start:]]
        try:
            following = FrameHeader.parse(data[position : position + _MAX_HEADER_BYTES])
        except MalformedBitstream:
            continue
        if following.follows(header):
            found.append(data[start:position])
            header, start = following, position
    raise MalformedBitstream(f"more than {_MAX_SYNC_CODES} sync codes in {len(data)} bytes of FLAC")


def _coded_number(reader: BitReader) -> int:
    """As UTF-8 codes characters, up to 36 bits (section 9.1.5)."""
    first = reader.u(8)
    ones = 8 - (first ^ 0xFF).bit_length()
    if ones in (1, 8):
        raise MalformedBitstream("FLAC frame without a number")
    number = first & 0x7F >> ones
    for _ in range(ones - 1):
        number = number << 6 | reader.u(8) & 0x3F
    return number
