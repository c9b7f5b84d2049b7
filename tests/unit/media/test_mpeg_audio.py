"""Headers of MPEG audio."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.rtp_vectors import VECTORS, audio_frame

from manycast.media.bits import MalformedBitstream
from manycast.media.mpeg_audio import MpegAudioHeader
from manycast.media.normalise import normalise
from manycast.media.track import AudioParameters, Codec, Track


def frames_in(data: bytes) -> list[MpegAudioHeader]:
    """Of a whole file: every header stands just where the frame before ends."""
    headers = []
    while data:
        header = MpegAudioHeader.parse(data)
        headers.append(header)
        data = data[header.frame_bytes :]
    return headers


@pytest.mark.parametrize(
    ("name", "layer", "rate_hz", "samples"), [("sound.mp3", 3, 44_100, 1152), ("sound_32000.mp2", 2, 32_000, 1152)]
)
def test_headers_lead_through_a_file(name: str, layer: int, rate_hz: int, samples: int) -> None:
    headers = frames_in((VECTORS / name).read_bytes())
    assert len(headers) > 10
    assert {(h.layer, h.sample_rate_hz, h.channels, h.frame_samples) for h in headers} == {(layer, rate_hz, 2, samples)}


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        # layer, rate, channels, bytes, samples
        ("fffb9064", (3, 44_100, 2, 417, 1152)),  # 128 kbit/s
        ("fffb9264", (3, 44_100, 2, 418, 1152)),  # with padding
        ("fffb90c4", (3, 44_100, 1, 417, 1152)),
        ("fff384c4", (3, 24_000, 1, 192, 576)),  # MPEG-2, 64 kbit/s
        ("ffe388c4", (3, 8000, 1, 576, 576)),  # MPEG-2.5, 64 kbit/s
        ("fffda400", (2, 48_000, 2, 576, 1152)),  # 192 kbit/s
        ("ffffe800", (1, 32_000, 2, 672, 384)),  # 448 kbit/s
        ("fff51400", (2, 24_000, 2, 48, 1152)),  # MPEG-2, 8 kbit/s
    ],
)
def test_headers(header: str, expected: tuple[int, int, int, int, int]) -> None:
    found = MpegAudioHeader.parse(bytes.fromhex(header))
    assert (found.layer, found.sample_rate_hz, found.channels, found.frame_bytes, found.frame_samples) == expected


@pytest.mark.parametrize(
    "header",
    [
        "",
        "fffb90",
        "00000000",
        "fffbf064",  # bitrate 15
        "fffb9c64",  # rate 3
        "fff99064",  # layer 0
        "ffeb9064",  # version 1
        "fedb9064",  # no sync
        "fffb0064",  # free format
    ],
)
def test_what_is_no_header_is_refused(header: str) -> None:
    with pytest.raises(MalformedBitstream):
        MpegAudioHeader.parse(bytes.fromhex(header))


def test_no_frame_is_longer_than_a_fragment_offset_can_tell() -> None:
    sizes = set()
    for second, third in product(range(0xE0, 0x100), range(256)):
        try:
            sizes.add(MpegAudioHeader.parse(bytes((0xFF, second, third, 0))).frame_bytes)
        except MalformedBitstream:
            continue
    assert min(sizes) >= 24
    assert max(sizes) == 2881


@given(st.binary(max_size=8))
def test_hostile_headers_raise_the_one_error_only(data: bytes) -> None:
    try:
        assert MpegAudioHeader.parse(data).frame_bytes > 0
    except MalformedBitstream:
        pass


def test_a_track_learns_rate_and_channels_from_its_frames() -> None:
    track = Track(codec=Codec.MP3, clock_rate_hz=90_000, parameters=AudioParameters())
    assert not track.parameters.complete
    track = normalise(audio_frame(bytes.fromhex("fffb90c4") + bytes(413)), track)
    assert track.parameters == AudioParameters(sample_rate_hz=44_100, channels=1)
    assert track.parameters.complete
    assert normalise(audio_frame(bytes.fromhex("fffb90c4") + bytes(413)), track) is track
    assert normalise(audio_frame(b"no header"), track) is track
