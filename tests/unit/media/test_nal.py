from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.bit_writer import with_emulation_prevention

from manycast.media.bits import BitReader, MalformedBitstream
from manycast.media.nal import (
    MAX_PARAMETER_SETS,
    MAX_UNITS,
    join_annex_b,
    join_length_prefixed,
    replace_set,
    split_annex_b,
    split_length_prefixed,
    without_emulation_prevention,
)

# A NAL unit: no start code inside, no zero at its end.
units_strategy = st.lists(
    st.binary(min_size=1, max_size=40).map(lambda data: with_emulation_prevention(data.rstrip(b"\0") + b"\x80")),
    max_size=6,
)


@given(units_strategy, st.lists(st.booleans(), min_size=6, max_size=6), st.binary(max_size=3))
def test_annex_b_units_come_back_behind_start_codes_of_both_lengths(
    units: list[bytes], long: list[bool], junk: bytes
) -> None:
    stream = b"".join((b"\0\0\0\1" if four else b"\0\0\1") + unit for unit, four in zip(units, long, strict=False))
    assert split_annex_b(stream) == units
    assert split_annex_b(join_annex_b(units)) == units
    assert split_annex_b(junk.replace(b"\0", b"") + stream + b"\0\0\0") == units


def test_what_stands_before_the_first_start_code_is_dropped() -> None:
    assert split_annex_b(b"\x09\xf0") == []
    assert split_annex_b(b"") == []
    assert split_annex_b(b"\xff\0\0\1\x09\xf0\0\0\1\0\0\1\x41") == [b"\x09\xf0", b"\x41"]


@given(units_strategy, st.sampled_from([1, 2, 4]))
def test_length_prefixed_units_come_back(units: list[bytes], length_size: int) -> None:
    data = b"".join(len(unit).to_bytes(length_size, "big") + unit for unit in units)
    assert split_length_prefixed(data, length_size) == units
    assert split_length_prefixed(join_length_prefixed(units)) == units


@given(units_strategy.filter(bool))
def test_every_prefix_of_length_prefixed_units_is_whole_or_refused(units: list[bytes]) -> None:
    data = join_length_prefixed(units)
    edges = {sum(len(unit) + 4 for unit in units[:count]): units[:count] for count in range(len(units) + 1)}
    for end in range(len(data) + 1):
        if end in edges:
            assert split_length_prefixed(data[:end]) == edges[end]
        else:
            with pytest.raises(MalformedBitstream):
                split_length_prefixed(data[:end])


def test_a_flood_of_units_is_refused() -> None:
    with pytest.raises(MalformedBitstream, match="NAL units"):
        split_annex_b(b"\0\0\1\x41" * (MAX_UNITS + 1))
    with pytest.raises(MalformedBitstream, match="NAL units"):
        split_length_prefixed(b"\0\0\0\1\x41" * (MAX_UNITS + 1))


@given(st.lists(st.sampled_from([0, 0, 0, 1, 2, 3, 0x80])).map(bytes))
def test_emulation_prevention_is_undone(rbsp: bytes) -> None:
    assert without_emulation_prevention(with_emulation_prevention(rbsp)) == rbsp


@given(st.lists(st.tuples(st.integers(0, 3), st.binary(max_size=3)), max_size=30))
def test_a_parameter_set_takes_the_place_of_the_one_with_its_id(sets: list[tuple[int, bytes]]) -> None:
    known: tuple[bytes, ...] = ()
    latest: dict[int, bytes] = {}  # keeps the place of the first
    for set_id, body in sets:
        unit = bytes((set_id,)) + body
        latest[set_id] = unit
        known = replace_set(known, unit, lambda unit: unit[0])
        assert known == tuple(latest.values())


def test_parameter_sets_do_not_pile_up() -> None:
    known: tuple[bytes, ...] = ()
    for set_id in range(MAX_PARAMETER_SETS + 3):
        known = replace_set(known, bytes((set_id,)), lambda unit: unit[0])
    assert known == tuple(bytes((set_id,)) for set_id in range(3, MAX_PARAMETER_SETS + 3))


def test_exp_golomb_codes_are_those_of_the_standard() -> None:
    bits = BitReader(bytes((0b1_010_011_0, 0b0100_0010, 0b1_00110_00)))  # table 9-2
    assert [bits.ue() for _ in range(6)] == [0, 1, 2, 3, 4, 5]
    bits = BitReader(bytes((0b1_010_011_0, 0b0100_0010, 0b1_0000000)))  # table 9-3
    assert [bits.se() for _ in range(5)] == [0, 1, -1, 2, -2]


def test_reading_past_the_end_is_an_error() -> None:
    for data in (b"", b"\0", b"\0" * 100, b"\0\0\0\0\0\0\0\1"):
        with pytest.raises(MalformedBitstream):
            BitReader(data).ue()
    with pytest.raises(MalformedBitstream):
        BitReader(b"\xff").u(9)
    with pytest.raises(MalformedBitstream, match="at most 3"):
        BitReader(b"\x28").ue(3)
