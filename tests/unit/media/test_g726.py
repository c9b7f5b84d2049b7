"""The two packings of G.726."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manycast.media.g726 import BIT_RATES, block, code_bits, from_i366


def packed_i366(codes: list[int], bits: int) -> bytes:
    """ITU-T I.366.2 Annex E: one code behind the other, most significant bit first."""
    text = "".join(f"{code:0{bits}b}" for code in codes)
    return int(text, 2).to_bytes(len(text) // 8, "big")


def packed_rfc3551(codes: list[int], bits: int) -> bytes:
    """RFC 3551 section 4.5.4: each byte filled from its least significant bit."""
    value = sum(code << index * bits for index, code in enumerate(codes))
    return value.to_bytes(len(codes) * bits // 8, "little")


@given(st.sampled_from(BIT_RATES), st.lists(st.integers(0, 31), min_size=8, max_size=80))
def test_codes_stay_what_they_are(bit_rate: int, codes: list[int]) -> None:
    bits = code_bits(bit_rate)
    codes = [code & (1 << bits) - 1 for code in codes[: len(codes) // 8 * 8]]
    assert from_i366(packed_i366(codes, bits), bit_rate) == packed_rfc3551(codes, bits)


def test_the_figure_of_rfc_3551() -> None:
    """Section 4.5.4: in G726-24 the third code lies across two bytes, its low bits in the first."""
    a, b, c = 0b001, 0b010, 0b110
    packed = packed_rfc3551([a, b, c, 0, 0, 0, 0, 0], 3)
    assert packed == bytes((0b10_010_001, 0b1, 0))


@pytest.mark.parametrize(
    ("bit_rate", "expected"), [(16_000, (1, 4)), (24_000, (3, 8)), (32_000, (1, 2)), (40_000, (5, 8))]
)
def test_blocks_hold_whole_codes(bit_rate: int, expected: tuple[int, int]) -> None:
    assert block(bit_rate) == expected
