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
_MOST_NUMBER_BYTES = 7  # of the coded number: 36 bits (section 9.1.5)
_MAX_HEADER_BYTES = 4 + _MOST_NUMBER_BYTES + 2 + 2 + 1
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


def frame_samples(frame: bytes) -> int:
    """How many samples of each channel a frame has, by its header (section 9.1). Raises MalformedBitstream.

    |  sync code, 15 bits  |s| size  | rate  |channels| bits|0|  number, 1 to 7 bytes | size? | rate? | CRC-8 |
    """
    reader = BitReader(frame[:_MAX_HEADER_BYTES])
    if reader.u(15) != _SYNC_CODE:
        raise MalformedBitstream("FLAC frame without its sync code")
    reader.u(1)  # blocking strategy
    size_code, rate_code = reader.u(4), reader.u(4)
    channels, bits, reserved = reader.u(4), reader.u(3), reader.u(1)
    if size_code == 0 or rate_code == 0xF or channels > 10 or bits == 3 or reserved:
        raise MalformedBitstream("FLAC frame header with reserved values")
    reader.u(8 * (_number_bytes(reader.u(8)) - 1))
    if size_code == _EIGHT_BITS:
        samples = reader.u(8) + 1
    elif size_code == _SIXTEEN_BITS:
        samples = reader.u(16) + 1
    else:
        samples = _BLOCK_SAMPLES[size_code]
    if samples > _MAX_BLOCK_SAMPLES:
        raise MalformedBitstream(f"FLAC frame of {samples} samples")
    reader.u({0xC: 8, 0xD: 16, 0xE: 16}.get(rate_code, 0))
    end = min(len(frame), _MAX_HEADER_BYTES) - reader.bits_left // 8
    checksum = 0
    for byte in frame[:end]:
        checksum = _CRC8[checksum ^ byte]
    if checksum != reader.u(8):
        raise MalformedBitstream("FLAC frame header with a wrong checksum")
    return samples


def _number_bytes(first: int) -> int:
    """How long a coded number is, by its first byte: as many as that begins with ones, or one."""
    ones = 8 - (first ^ 0xFF).bit_length()
    if ones in (1, 8):
        raise MalformedBitstream("FLAC frame without a number")
    return ones or 1
