"""The two ways of packing G.726 codes of 2 to 5 bits into bytes."""

from __future__ import annotations

from typing import Final

BIT_RATES: Final = (16_000, 24_000, 32_000, 40_000)
SAMPLE_RATE_HZ = 8000


def code_bits(bit_rate: int) -> int:
    return bit_rate // SAMPLE_RATE_HZ


def block(bit_rate: int) -> tuple[int, int]:
    """The fewest bytes that hold whole codes, and how many they hold."""
    bits = code_bits(bit_rate)
    return (1, 8 // bits) if 8 % bits == 0 else (bits, 8)


def from_i366(data: bytes, bit_rate: int) -> bytes:
    """From the packing of ITU-T I.366.2 Annex E, a byte's first code in its highest bits, to that of RFC 3551
    section 4.5.4, first code in the lowest. `data` is whole blocks."""
    bits = code_bits(bit_rate)
    if 8 % bits == 0:
        return data.translate(_BYTES[bits])
    mask = (1 << bits) - 1
    repacked = bytearray()
    for position in range(0, len(data), bits):  # eight codes in as many bytes as a code has bits
        value = int.from_bytes(data[position : position + bits], "big")
        turned = 0
        for _ in range(8):
            turned = turned << bits | value & mask
            value >>= bits
        repacked += turned.to_bytes(bits, "little")
    return bytes(repacked)


def _turned(byte: int, bits: int) -> int:
    mask = (1 << bits) - 1
    return sum((byte >> shift & mask) << (8 - bits - shift) for shift in range(0, 8, bits))


_BYTES = {bits: bytes(_turned(byte, bits) for byte in range(256)) for bits in (2, 4)}
