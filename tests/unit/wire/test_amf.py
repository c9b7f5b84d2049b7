"""AMF0 and AMF3."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manycast.wire.amf import MAX_DEPTH, MAX_ITEMS, EcmaArray, MalformedAmf, Value, decode, encode

CONNECT = bytes.fromhex(  # as ffmpeg sends it, shortened
    "020007636f6e6e656374003ff0000000000000"
    "030003617070020003617070000c6361706162696c697469657300402e000000000000"
    "00047479706502000a6e6f6e70726976617465000009"
)

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.floats(allow_nan=False),
    texts,
    st.just("x" * 70_000),
    st.just(datetime(2026, 1, 2, tzinfo=UTC)),
)
names = texts.filter(bool)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(names, inner, max_size=4),
        st.dictionaries(names, inner).map(EcmaArray),
    ),
    max_leaves=10,
)


def test_a_command_of_ffmpeg() -> None:
    command, number, properties = decode(CONNECT)
    assert command == "connect"
    assert number == 1
    assert properties == {"app": "app", "capabilities": 15, "type": "nonprivate"}
    assert encode(command, number, properties) == CONNECT


@given(st.lists(values, max_size=4))
def test_what_is_written_is_read(items: list[Value]) -> None:
    assert decode(encode(*items)) == items


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    for start in (b"", b"\x11"):  # the second: AMF3
        try:
            assert len(decode(start + data)) <= len(start + data)
        except MalformedAmf:
            pass


@given(st.lists(values, max_size=3), st.data())
def test_what_is_cut_short_is_refused_or_is_less(items: list[Value], data: st.DataObject) -> None:
    whole = encode(*items)
    cut = whole[: data.draw(st.integers(0, len(whole)))]
    try:
        assert len(decode(cut)) <= len(items)
    except MalformedAmf:
        pass


def test_depth_and_number_have_limits() -> None:
    deep = b"\x03\x00\x01a" * 10_000
    with pytest.raises(MalformedAmf, match="deeper"):
        decode(deep)
    with pytest.raises(MalformedAmf, match="nested deeper"):
        decode(b"\x11" + b"\x09\x03\x01" * 10_000)
    nested: Value = 1.0
    for _ in range(MAX_DEPTH):
        nested = [nested]
    assert decode(encode(nested)) == [nested]
    with pytest.raises(MalformedAmf, match="more than"):
        decode(b"\x05" * (MAX_ITEMS + 1))
    with pytest.raises(MalformedAmf, match="array of"):
        decode(b"\x0a\xff\xff\xff\xff")


def test_amf0_extras() -> None:
    assert decode(b"\x06\x0d") == [None, None]
    assert decode(b"\x0f\x00\x00\x00\x04<a/>") == ["<a/>"]
    typed = b"\x10\x00\x03Cls" + b"\x00\x01a\x01\x01" + b"\x00\x00\x09"
    assert decode(typed) == [{"a": True}]
    shared = decode(b"\x0a\x00\x00\x00\x02" + b"\x03\x00\x00\x09" + b"\x07\x00\x01")
    assert shared == [[{}, {}]]
    with pytest.raises(MalformedAmf, match="reference"):
        decode(b"\x07\x00\x05")
    assert decode(b"\x08\x00\x00\x00\x01\x00\x01a\x01\x01") == [{"a": True}]  # no end marker


def test_amf3() -> None:
    integers = decode(b"\x11\x04\x7f" + b"\x11\x04\x81\x00" + b"\x11\x04\xff\xff\xff\xff" + b"\x11\x04\xc0\x80\x80\x00")
    assert integers == [127, 128, -1, -0x1000_0000]
    # {"a": "bc", "d": "bc" by reference}, dynamic and without a class
    anonymous = b"\x11\x0a\x0b\x01" + b"\x03a\x06\x05bc" + b"\x03d\x06\x02" + b"\x01"
    assert decode(anonymous) == [{"a": "bc", "d": "bc"}]
    sealed = b"\x11\x0a\x13\x07Cls\x03x\x04\x05"
    assert decode(sealed) == [{"x": 5}]
    array = b"\x11\x09\x05\x01\x04\x01\x04\x02"
    assert decode(array) == [[1, 2]]
    mixed = b"\x11\x09\x03\x03k\x02\x01\x04\x07"
    assert decode(mixed) == [{"k": False, "0": 7}]
    twice_empty = b"\x11\x09\x05\x01" + b"\x09\x01\x01" + b"\x09\x02"  # [[], the same]
    assert decode(twice_empty) == [[[], []]]
    assert decode(b"\x11\x0c\x05ab") == [b"ab"]
    date = cast(datetime, decode(b"\x11\x08\x01" + bytes.fromhex("426d1a94a2000000"))[0])
    assert date.tzinfo is UTC
    for broken in (b"\x11\x06\x08", b"\x11\x0a\x05", b"\x11\x0a\x07", b"\x11\x20", b"\x11\x09\x04"):
        with pytest.raises(MalformedAmf):
            decode(broken)


def test_bytes_cannot_be_written() -> None:
    with pytest.raises(ValueError, match="byte arrays"):
        encode(b"x")
