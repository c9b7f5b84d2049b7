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

    fscod: int
    frmsizecod: int
    bsid: int
    bsmod: int
    acmod: int
    lfeon: bool

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read the header at the start of `data`. Raises MalformedBitstream."""
        reader = BitReader(data[:HEADER_BYTES])
        if (sync_word := reader.u(16)) != _SYNC_WORD:
            raise MalformedBitstream(f"AC-3 sync word {sync_word:#06x}, wanted {_SYNC_WORD:#06x}")
        reader.u(16)  # crc1
        fscod, frmsizecod = reader.u(2), reader.u(6)
        bsid, bsmod = reader.u(5), reader.u(3)
        if bsid > MAX_BSID:
            raise MalformedBitstream(f"AC-3 bitstream version {bsid}, at most {MAX_BSID}")
        if fscod == 3 or frmsizecod >= 2 * len(_KBPS):
            raise MalformedBitstream(f"AC-3 sample rate code {fscod}, frame size code {frmsizecod}")
        acmod = reader.u(3)
        if acmod & 1 and acmod != 1:
            reader.u(2)  # cmixlev
        if acmod & 4:
            reader.u(2)  # surmixlev
        if acmod == 2:
            reader.u(2)  # dsurmod
        return cls(fscod=fscod, frmsizecod=frmsizecod, bsid=bsid, bsmod=bsmod, acmod=acmod, lfeon=reader.flag())

    @property
    def sample_rate_hz(self) -> int:
        return _RATES_HZ[self.fscod] >> max(0, self.bsid - 8)  # versions 9 and 10 are half and a quarter of the rate

    @property
    def channels(self) -> int:
        """With that of the low frequencies."""
        return _CHANNELS[self.acmod] + self.lfeon

    @property
    def frame_bytes(self) -> int:
        rate_hz = _RATES_HZ[self.fscod]
        words = FRAME_SAMPLES * 1000 * _KBPS[self.frmsizecod >> 1] // (16 * rate_hz)
        return 2 * (words + (self.frmsizecod & 1 if rate_hz == 44_100 else 0))


def parameters_of(frame: bytes) -> AudioParameters:
    """What a frame's header says. Raises MalformedBitstream."""
    header = Ac3Header.parse(frame)
    return AudioParameters(sample_rate_hz=header.sample_rate_hz, channels=header.channels)
