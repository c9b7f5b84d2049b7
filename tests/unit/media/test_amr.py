"""AMR frames in storage format."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.rtp_vectors import VECTORS

from manycast.media.amr import MAX_FRAMES, frame_ticks, split_storage
from manycast.media.bits import MalformedBitstream
from manycast.media.track import Codec

# RFC 4867 section 3.6 and table 1: frame sizes in bytes of the modes, as files have them.
NARROW_BYTES = [13, 14, 16, 18, 20, 21, 27, 32, 6]
WIDE_BYTES = [18, 24, 33, 37, 41, 47, 51, 59, 61, 6]


@pytest.mark.parametrize(
    ("name", "codec", "magic", "size"),
    [("speech.amr", Codec.AMR, 6, 32), ("speech_wb.amr", Codec.AMR_WB, 9, 18)],
)
def test_files_are_cut_into_frames(name: str, codec: Codec, magic: int, size: int) -> None:
    data = (VECTORS / name).read_bytes()[magic:]
    frames = split_storage(data, codec)
    assert [len(frame) for frame in frames] == [size] * 75
    assert b"".join(frames) == data


@pytest.mark.parametrize(("codec", "sizes"), [(Codec.AMR, NARROW_BYTES), (Codec.AMR_WB, WIDE_BYTES)])
def test_the_sizes_of_all_modes(codec: Codec, sizes: list[int]) -> None:
    row = [bytes((frame_type << 3 | 4,)) + bytes(size - 1) for frame_type, size in enumerate(sizes)]
    row.append(b"\x7c")  # no data
    assert split_storage(b"".join(row), codec) == row


def test_a_frame_lasts_20_ms() -> None:
    assert (frame_ticks(Codec.AMR), frame_ticks(Codec.AMR_WB)) == (160, 320)


@pytest.mark.parametrize(
    ("data", "codec"),
    [
        (b"\x3c" + bytes(30), Codec.AMR),
        (b"\x4c" + bytes(60), Codec.AMR),  # type 9
        (b"\x54" + bytes(60), Codec.AMR_WB),  # type 10
        (b"\x7c" * (MAX_FRAMES + 1), Codec.AMR),
    ],
)
def test_what_is_no_row_of_frames_is_refused(data: bytes, codec: Codec) -> None:
    with pytest.raises(MalformedBitstream):
        split_storage(data, codec)


@given(st.binary(max_size=300), st.sampled_from([Codec.AMR, Codec.AMR_WB]))
def test_hostile_rows_raise_the_one_error_only(data: bytes, codec: Codec) -> None:
    try:
        assert b"".join(split_storage(data, codec)) == data
    except MalformedBitstream:
        pass
