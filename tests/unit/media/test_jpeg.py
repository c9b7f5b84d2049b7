"""What a JPEG image is, by what stands before its picture; and what a track of such images is."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manycast.media.bits import MalformedBitstream
from manycast.media.frame import Frame
from manycast.media.jpeg import parameters_of
from manycast.media.normalise import normalise
from manycast.media.track import Codec, JpegParameters, Track

VECTORS = Path(__file__).parents[2] / "vectors" / "jpeg"
TRACK = Track(codec=Codec.MJPEG, clock_rate_hz=90_000, parameters=JpegParameters())
FAULTS = {
    "plain": "",
    "optimised": "Huffman tables other than the typical ones of annex K.3",
    "full": "sampling 1x1,1x1,1x1, wanted 2x1,1x1,1x1 (4:2:2) or 2x2,1x1,1x1 (4:2:0)",
    "grey": "1 components of 8 bits, wanted 3 of 8",
    "progressive": "coding process 2, wanted baseline",
}


def image(kind: str) -> bytes:
    return (VECTORS / f"{kind}.jpg").read_bytes()


def seen(track: Track, *images: bytes) -> JpegParameters:
    """What a track has become by some images."""
    for data in images:
        track = normalise(Frame(track_index=0, dts_ticks=0, pts_ticks=0, keyframe=True, units=[data]), track)
    assert isinstance(track.parameters, JpegParameters)
    return track.parameters


@pytest.mark.parametrize(("kind", "fault"), FAULTS.items())
def test_an_image_says_its_size_and_why_rtp_cannot_carry_it(kind: str, fault: str) -> None:
    assert parameters_of(image(kind)) == JpegParameters(width=320, height=240, fault=fault)


@pytest.mark.parametrize(("side", "fits"), [(2040, True), (2041, False), (0, False)])
def test_rtp_carries_so_many_pixels(side: int, fits: bool) -> None:
    start = image("plain").index(b"\xff\xc0") + 5
    for place in (start, start + 2):
        data = bytearray(image("plain"))
        data[place : place + 2] = side.to_bytes(2)
        assert (parameters_of(bytes(data)).fault == "") is fits


def test_a_track_is_unknown_before_its_first_whole_image() -> None:
    assert not seen(TRACK, b"\xff\xd8 a picture \xff\xd9").complete
    assert seen(TRACK, b"", image("plain")[:100], image("plain")).complete


def test_one_odd_image_makes_the_track_odd_for_good() -> None:
    assert seen(TRACK, image("plain"), image("full"), image("plain")).fault == FAULTS["full"]
    assert seen(TRACK, image("full"), image("grey")).fault == FAULTS["full"]


@pytest.mark.parametrize("kind", FAULTS)
def test_every_prefix_is_broken_or_has_all_its_headers(kind: str) -> None:
    data = image(kind)
    whole = parameters_of(data)
    for size in range(data.index(b"\xff\xda") + 30):
        try:
            assert parameters_of(data[:size]) == whole
        except MalformedBitstream:
            continue


@given(st.sampled_from(sorted(FAULTS)), st.lists(st.tuples(st.integers(0, 700), st.integers(0, 255)), max_size=6))
def test_hostile_images_raise_malformed_bitstream_only(kind: str, changes: list[tuple[int, int]]) -> None:
    data = bytearray(image(kind))
    for place, value in changes:
        data[place] = value
    try:
        found = parameters_of(bytes(data))
    except MalformedBitstream:
        return
    assert 0 <= found.width <= 0xFFFF
    assert 0 <= found.height <= 0xFFFF
