"""Compressed bodies."""

from __future__ import annotations

import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manycast.onvif.content_coding import CODINGS, Damaged, TooLarge, unpack

LIMIT = 1000


@given(st.binary(max_size=LIMIT))
def test_what_was_packed_comes_back(content: bytes) -> None:
    assert unpack(gzip.compress(content), "gzip", LIMIT) == content
    assert unpack(zlib.compress(content), "deflate", LIMIT) == content
    assert unpack(zlib.compress(content, wbits=-zlib.MAX_WBITS), "deflate", LIMIT) == content


@pytest.mark.parametrize("size", [LIMIT + 1, 10_000_000])
def test_what_is_too_large_is_refused(size: int) -> None:
    with pytest.raises(TooLarge):
        unpack(gzip.compress(bytes(size)), "gzip", LIMIT)


@given(st.binary(max_size=100), st.sampled_from(CODINGS))
def test_any_bytes_are_unpacked_within_the_limit_or_refused(data: bytes, coding: str) -> None:
    try:
        assert len(unpack(data, coding, LIMIT)) <= LIMIT
    except (Damaged, TooLarge):
        pass


@given(st.binary(min_size=1, max_size=100), st.data())
def test_what_is_damaged_is_refused(content: bytes, data: st.DataObject) -> None:
    packed = bytearray(gzip.compress(content))
    position = data.draw(st.integers(len(packed) - 8, len(packed) - 1))  # in the checksum or the length (RFC 1952)
    packed[position] ^= data.draw(st.integers(1, 255))
    with pytest.raises(Damaged):
        unpack(bytes(packed), "gzip", LIMIT)


def test_what_ends_too_early_is_refused() -> None:
    with pytest.raises(Damaged):
        unpack(gzip.compress(b"content")[:-1], "gzip", LIMIT)
