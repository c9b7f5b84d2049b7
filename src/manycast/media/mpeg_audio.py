"""MPEG audio of layers I to III: MPEG-1 (ISO/IEC 11172-3), MPEG-2 (ISO/IEC 13818-3) and its half rates, called 2.5."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from manycast.media.bits import MalformedBitstream
from manycast.media.track import AudioParameters

HEADER_BYTES = 4

_RATES_HZ = (44_100, 48_000, 32_000)
_HALVINGS = (2, None, 1, 0)  # of the sample rate, by the two bits of the version; 1 is reserved
# In kbit/s by bitrate_index - 1 (ISO/IEC 11172-3 section 2.4.2.3, ISO/IEC 13818-3 section 2.4.2.3).
_KBPS_1 = {
    1: (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    2: (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    3: (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
}
_KBPS_2_LOW = (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_KBPS_2 = {1: (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256), 2: _KBPS_2_LOW, 3: _KBPS_2_LOW}
_MONO = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class MpegAudioHeader:
    """The four bytes before each frame."""

    layer: int  # 1 to 3
    sample_rate_hz: int
    channels: int
    frame_bytes: int  # with the header
    frame_samples: int  # per channel

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read the header at the start of `data`. Raises MalformedBitstream, also for free format.

        |  sync 11 |ver 2|layer 2|p| bitrate 4 | rate 2 |pad|x| mode 2 | extension 2 |c|o| emphasis 2 |
        """
        if len(data) < HEADER_BYTES:
            raise MalformedBitstream(f"MPEG audio header of {len(data)} bytes, wanted {HEADER_BYTES}")
        word = int.from_bytes(data[:HEADER_BYTES], "big")
        halvings = _HALVINGS[word >> 19 & 3]
        layer = 4 - (word >> 17 & 3)
        bitrate_index, rate_index = word >> 12 & 15, word >> 10 & 3
        if word >> 21 != 0x7FF or halvings is None or layer == 4 or bitrate_index == 15 or rate_index == 3:
            raise MalformedBitstream(f"no MPEG audio header: {data[:HEADER_BYTES].hex()}")
        if bitrate_index == 0:
            raise MalformedBitstream("MPEG audio of free format, whose frames do not tell their size")
        sample_rate_hz = _RATES_HZ[rate_index] >> halvings
        bit_rate = 1000 * (_KBPS_2 if halvings else _KBPS_1)[layer][bitrate_index - 1]
        padding = word >> 9 & 1
        if layer == 1:
            frame_samples, frame_bytes = 384, (12 * bit_rate // sample_rate_hz + padding) * 4
        else:
            frame_samples = 576 if layer == 3 and halvings else 1152
            frame_bytes = frame_samples // 8 * bit_rate // sample_rate_hz + padding
        return cls(
            layer=layer,
            sample_rate_hz=sample_rate_hz,
            channels=1 if word >> 6 & 3 == _MONO else 2,
            frame_bytes=frame_bytes,
            frame_samples=frame_samples,
        )


def parameters_of(frame: bytes) -> AudioParameters:
    """What a frame's header says. Raises MalformedBitstream."""
    header = MpegAudioHeader.parse(frame)
    return AudioParameters(sample_rate_hz=header.sample_rate_hz, channels=header.channels)
