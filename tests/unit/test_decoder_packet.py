from __future__ import annotations

import ctypes

import pytest

from manycast.decoder_packet import decoder_packet

PADDING_BYTES = 64  # AV_INPUT_BUFFER_PADDING_SIZE


@pytest.mark.parametrize("size", [1, 3, 64, 100_000])
def test_zeros_are_behind_the_data(size: int) -> None:
    """Not so, now and then, a whole MPEG-4 picture was taken for a broken one."""
    data = bytes(0xFF - index % 7 for index in range(size))
    packet = decoder_packet(data)
    assert bytes(packet) == data
    assert ctypes.string_at(packet.buffer_ptr, size + PADDING_BYTES) == data + bytes(PADDING_BYTES)


def test_nothing_is_an_empty_packet() -> None:
    assert decoder_packet(b"").size == 0
