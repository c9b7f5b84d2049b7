"""Headers of AC-3."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.bit_writer import BitWriter
from support.rtp_vectors import VECTORS, audio_frame

from manycast.media.ac3 import HEADER_BYTES, Ac3Header
from manycast.media.bits import MalformedBitstream
from manycast.media.normalise import normalise
from manycast.media.track import AudioParameters, Codec, Track


def header(
    *, rate: int = 0, size: int = 20, bsid: int = 8, mode: int = 2, low: int = 0, sync_word: int = 0x0B77
) -> bytes:
    """By ATSC A/52 sections 5.4.1 and 5.4.2."""
    writer = BitWriter()
    writer.u(16, sync_word)
    writer.u(16, 0xABCD)
    writer.u(2, rate)
    writer.u(6, size)
    writer.u(5, bsid)
    writer.u(3, 0)
    writer.u(3, mode)
    if mode in (3, 5, 7):
        writer.u(2, 3)
    if mode >= 4:
        writer.u(2, 3)
    if mode == 2:
        writer.u(2, 3)
    writer.u(1, low)
    return writer.done().ljust(HEADER_BYTES, b"\0")


@pytest.mark.parametrize(("name", "channels", "frame_bytes"), [("sound.ac3", 2, 384), ("sound_640k.ac3", 6, 2560)])
def test_headers_lead_through_a_file(name: str, channels: int, frame_bytes: int) -> None:
    data = (VECTORS / name).read_bytes()
    for position in range(0, len(data), frame_bytes):
        found = Ac3Header.parse(data[position:])
        assert (found.sample_rate_hz, found.channels, found.frame_bytes) == (48_000, channels, frame_bytes)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"rate": 0, "size": 0}, (48_000, 2, 128)),
        ({"rate": 1, "size": 0}, (44_100, 2, 138)),
        ({"rate": 1, "size": 1}, (44_100, 2, 140)),
        ({"rate": 1, "size": 37}, (44_100, 2, 2788)),
        ({"rate": 2, "size": 36}, (32_000, 2, 3840)),
        ({"mode": 1}, (48_000, 1, 768)),
        ({"mode": 0, "low": 1}, (48_000, 3, 768)),
        ({"mode": 3}, (48_000, 3, 768)),
        ({"mode": 6, "low": 1}, (48_000, 5, 768)),
        ({"mode": 7, "low": 1}, (48_000, 6, 768)),
        ({"mode": 7, "low": 0}, (48_000, 5, 768)),
        ({"bsid": 10}, (12_000, 2, 768)),
    ],
)
def test_headers(fields: dict[str, int], expected: tuple[int, int, int]) -> None:
    found = Ac3Header.parse(header(**fields))
    assert (found.sample_rate_hz, found.channels, found.frame_bytes) == expected


@pytest.mark.parametrize("fields", [{"rate": 3}, {"size": 38}, {"bsid": 11}, {"bsid": 16}, {"sync_word": 0x770B}])
def test_what_is_no_ac3_is_refused(fields: dict[str, int]) -> None:
    with pytest.raises(MalformedBitstream):
        Ac3Header.parse(header(**fields))


@given(st.binary(max_size=10) | st.binary(max_size=10).map(lambda tail: b"\x0b\x77" + tail))
def test_hostile_headers_raise_the_one_error_only(data: bytes) -> None:
    try:
        assert Ac3Header.parse(data).frame_bytes >= 64
    except MalformedBitstream:
        pass


def test_a_track_learns_channels_from_its_frames() -> None:
    unknown = AudioParameters(sample_rate_hz=48_000)
    track = Track(codec=Codec.AC3, clock_rate_hz=48_000, parameters=unknown)
    assert not unknown.complete
    track = normalise(audio_frame((VECTORS / "sound_640k.ac3").read_bytes()[:2560]), track)
    assert track.parameters == AudioParameters(sample_rate_hz=48_000, channels=6)
    assert track.parameters.complete
