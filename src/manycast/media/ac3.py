"""AC-3 (ATSC A/52 section 5)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from manycast.media.bits import BitReader, MalformedBitstream
from manycast.media.track import AudioParameters

HEADER_BYTES = 7  # up to the bit `lfeon`, where it stands latest
FRAME_SAMPLES = 1536  # six blocks of 256, always
MAX_BSID = 10  # above it is E-AC-3

_SYNC_WORD = 0x0B77
_RATES_HZ = (48_000, 44_100, 32_000)
_KBPS = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 640)
_CHANNELS = (2, 1, 2, 3, 3, 4, 4, 5)  # by acmod (table 5.8)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ac3Header:
    """What the start of a frame says of it."""

    sample_rate_hz: int
    channels: int  # with that of the low frequencies
    frame_bytes: int

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read the header at the start of `data`. Raises MalformedBitstream."""
        reader = BitReader(data[:HEADER_BYTES])
        if (sync_word := reader.u(16)) != _SYNC_WORD:
            raise MalformedBitstream(f"AC-3 sync word {sync_word:#06x}, wanted {_SYNC_WORD:#06x}")
        reader.u(16)  # crc1
        rate_code, size_code = reader.u(2), reader.u(6)
        bsid = reader.u(5)
        reader.u(3)  # bsmod
        if bsid > MAX_BSID:
            raise MalformedBitstream(f"AC-3 bitstream version {bsid}, at most {MAX_BSID}")
        if rate_code == 3 or size_code >= 2 * len(_KBPS):
            raise MalformedBitstream(f"AC-3 sample rate code {rate_code}, frame size code {size_code}")
        mode = reader.u(3)
        if mode & 1 and mode != 1:
            reader.u(2)  # cmixlev
        if mode & 4:
            reader.u(2)  # surmixlev
        if mode == 2:
            reader.u(2)  # dsurmod
        rate_hz, bit_rate = _RATES_HZ[rate_code], 1000 * _KBPS[size_code >> 1]
        words = FRAME_SAMPLES * bit_rate // (16 * rate_hz)
        if rate_hz == 44_100:
            words += size_code & 1
        return cls(
            sample_rate_hz=rate_hz >> max(0, bsid - 8),  # 9 and 10 are half and a quarter of the rate
            channels=_CHANNELS[mode] + reader.u(1),
            frame_bytes=2 * words,
        )


def parameters_of(frame: bytes) -> AudioParameters:
    """What a frame's header says. Raises MalformedBitstream."""
    header = Ac3Header.parse(frame)
    return AudioParameters(sample_rate_hz=header.sample_rate_hz, channels=header.channels)
