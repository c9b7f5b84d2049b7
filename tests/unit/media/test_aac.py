from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.bit_writer import BitWriter

from manycast.media.aac import (
    MAX_ADTS_FRAMES,
    SAMPLE_RATES_HZ,
    AdtsHeader,
    AudioSpecificConfig,
    parameters_from_config,
    split_adts,
)
from manycast.media.bits import MalformedBitstream

VECTORS = Path(__file__).parents[2] / "vectors" / "rtp"

# Configuration; object type, core rate, output rate, core channels, output channels, samples in a frame.
CONFIGS = {
    "LC 44100 stereo": ("1210", (2, 44100, 44100, 2, 2, 1024)),
    "LC 48000 mono": ("1188", (2, 48000, 48000, 1, 1, 1024)),
    "LC 48000 5.1": ("11b0", (2, 48000, 48000, 6, 6, 1024)),
    "LC 48000 7.1": ("11b8", (2, 48000, 48000, 8, 8, 1024)),
    "LC 960 samples": ("1194", (2, 48000, 48000, 2, 2, 960)),
    "ffmpeg's, without SBR": ("121056e500", (2, 44100, 44100, 2, 2, 1024)),
    "HE-AAC, hierarchical": ("2b920800", (2, 22050, 44100, 2, 2, 1024)),
    "HE-AAC, compatible": ("139056e5a0", (2, 22050, 44100, 2, 2, 1024)),
    "HE-AAC v2, hierarchical": ("eb8a0800", (2, 22050, 44100, 1, 2, 1024)),
    "HE-AAC v2, compatible": ("138856e5a54880", (2, 22050, 44100, 1, 2, 1024)),
    "explicit rate": ("1780158c10", (2, 11032, 11032, 2, 2, 1024)),
    "LD 480 samples": ("b9940000", (23, 48000, 48000, 2, 2, 480)),
    "ELD": ("f8e6200000", (39, 48000, 48000, 1, 1, 512)),
}


@pytest.mark.parametrize(("config", "expected"), CONFIGS.values(), ids=CONFIGS)
def test_known_configurations(config: str, expected: tuple[int, ...]) -> None:
    parsed = AudioSpecificConfig.parse(bytes.fromhex(config))
    assert (
        parsed.object_type,
        parsed.core_rate_hz,
        parsed.sample_rate_hz,
        parsed.core_channels,
        parsed.channels,
        parsed.core_frame_samples,
    ) == expected
    parameters = parameters_from_config(bytes.fromhex(config))
    assert parameters.config.hex() == config
    assert (parameters.sample_rate_hz, parameters.channels) == (expected[2], expected[4])


@given(
    st.sampled_from([1, 2, 3, 4, 6, 17, 20, 23]),
    st.one_of(st.sampled_from(SAMPLE_RATES_HZ), st.integers(1, 192_000)),
    st.sampled_from([(1, 1), (2, 2), (3, 3), (6, 6), (7, 8), (11, 7), (12, 8)]),
    st.booleans(),
    st.one_of(st.none(), st.sampled_from(SAMPLE_RATES_HZ), st.integers(1, 192_000)),
    st.booleans(),
)
def test_configurations_come_back_from_their_bytes(
    object_type: int,
    rate_hz: int,
    channels: tuple[int, int],
    short: bool,
    sbr_rate_hz: int | None,
    stereo: bool,
) -> None:
    long_samples, short_samples = (512, 480) if object_type == 23 else (1024, 960)
    config = AudioSpecificConfig(
        object_type=object_type,
        core_rate_hz=rate_hz,
        channel_configuration=channels[0],
        core_channels=channels[1],
        core_frame_samples=short_samples if short else long_samples,
        sbr_rate_hz=sbr_rate_hz,
        parametric_stereo=stereo and sbr_rate_hz is not None,
    )
    data = config.serialize()
    assert AudioSpecificConfig.parse(data) == config
    for end in range(len(data)):
        try:
            AudioSpecificConfig.parse(data[:end])
        except MalformedBitstream:
            continue
        # What is left out can only be the filling bits of the last byte.
        assert end >= len(data) - 1


@pytest.mark.parametrize("channels", range(1, 9))
def test_simple_configurations_of_all_channel_counts(channels: int) -> None:
    parsed = AudioSpecificConfig.parse(AudioSpecificConfig.simple(48000, channels).serialize())
    assert (parsed.channels, parsed.sample_rate_hz) == (channels, 48000)


@pytest.mark.parametrize(("rate_hz", "channels"), [(48000, 0), (48000, 9), (0, 2), (200_000, 2)])
def test_impossible_simple_configurations_are_refused(rate_hz: int, channels: int) -> None:
    with pytest.raises(MalformedBitstream):
        AudioSpecificConfig.simple(rate_hz, channels)


def program_config(w: BitWriter, elements: list[bool], low_frequency: int) -> None:
    """A program_config_element up to its byte alignment: the front elements, pairs where True."""
    w.u(10, 0b0000_01_0011)
    w.u(4, len(elements))
    w.u(4, 0)
    w.u(4, 0)
    w.u(2, low_frequency)
    w.u(3, 1)
    w.u(4, 1)
    w.u(1, 0)
    w.u(1, 1)
    w.u(4, 9)
    w.u(1, 0)
    for pair in elements:
        w.u(1, pair)
        w.u(4, 1)
    w.u(4 * low_frequency, 0)
    w.u(4, 2)
    w.u(5, 3)


@given(st.lists(st.booleans(), min_size=1, max_size=15), st.integers(0, 3), st.binary(max_size=20))
def test_channels_are_counted_where_no_configuration_names_them(
    elements: list[bool], low_frequency: int, comment: bytes
) -> None:
    w = BitWriter()
    w.u(5, 2)
    w.u(4, 3)
    w.u(4, 0)
    w.u(3, 0)
    program_config(w, elements, low_frequency)
    w.u(-len(w.bits) % 8, 0)
    w.u(8, len(comment))
    data = w.done() + comment
    parsed = AudioSpecificConfig.parse(data)
    assert parsed.channels == low_frequency + sum(2 if pair else 1 for pair in elements)
    assert AudioSpecificConfig.parse(parsed.serialize()) == parsed
    for end in range(len(data)):
        with pytest.raises(MalformedBitstream):
            AudioSpecificConfig.parse(data[:end])


@pytest.mark.parametrize(
    "config",
    [
        "",
        "12",
        "1690",  # sampling frequency index 13 is reserved
        "11d0",  # channel configuration 10 is reserved
        "4210",  # object type 8 is CELP
        "1780000010",  # explicit rate of 0
    ],
)
def test_what_is_no_aac_is_refused(config: str) -> None:
    with pytest.raises(MalformedBitstream):
        AudioSpecificConfig.parse(bytes.fromhex(config))


@given(st.binary(max_size=60))
def test_hostile_bytes_raise_the_one_error_only(data: bytes) -> None:
    for parse in (
        lambda: AudioSpecificConfig.parse(data),
        lambda: AudioSpecificConfig.parse(b"\x11\x80" + data),
        lambda: AdtsHeader.parse(data),
        lambda: AdtsHeader.parse(b"\xff\xf1" + data).config(data),
        lambda: split_adts(data),
        lambda: split_adts(b"\xff\xf1" + data),
    ):
        try:
            parse()
        except MalformedBitstream:
            pass


def adts(frame: bytes, *, crc: bool = False, blocks: int = 1, configuration: int = 2) -> bytes:
    w = BitWriter()
    w.u(12, 0xFFF)
    w.u(1, 0)
    w.u(2, 0)
    w.u(1, not crc)
    w.u(2, 1)
    w.u(4, 4)
    w.u(1, 0)
    w.u(3, configuration)
    w.u(4, 0)
    w.u(13, len(frame) + (9 if crc else 7))
    w.u(11, 0x7FF)
    w.u(2, blocks - 1)
    return w.done() + (b"\xab\xcd" if crc else b"") + frame


@given(st.lists(st.tuples(st.binary(min_size=1, max_size=50), st.booleans()), max_size=5))
def test_adts_frames_lose_their_headers(frames: list[tuple[bytes, bool]]) -> None:
    data = b"".join(adts(frame, crc=crc) for frame, crc in frames)
    assert split_adts(data) == [frame for frame, _ in frames]
    edges = set()
    position = 0
    for frame, crc in frames:
        edges.add(position)
        position += len(frame) + (9 if crc else 7)
    for end in set(range(position)) - edges:
        with pytest.raises(MalformedBitstream):
            split_adts(data[:end])


def test_adts_of_ffmpeg() -> None:
    data = (VECTORS / "aac.adts").read_bytes()
    header = AdtsHeader.parse(data)
    assert (header.object_type, header.sample_rate_hz, header.channel_configuration) == (2, 44100, 2)
    assert header.config().serialize().hex() == "1210"
    assert len(split_adts(data)) == 23
    surround = (VECTORS / "aac_5_1.adts").read_bytes()
    assert AdtsHeader.parse(surround).config().channels == 6


def test_adts_without_a_channel_configuration_takes_the_channels_from_the_frame() -> None:
    w = BitWriter()
    w.u(3, 5)  # ID_PCE
    program_config(w, [True, False], 0)
    w.u(-len(w.bits) % 8, 0)
    w.u(8, 0)
    data = adts(w.done() + b"\x21\x10", configuration=0)
    (frame,) = split_adts(data)
    config = AdtsHeader.parse(data).config(frame)
    assert config.channels == 3
    assert AudioSpecificConfig.parse(config.serialize()).channels == 3
    with pytest.raises(MalformedBitstream, match="program config"):
        AdtsHeader.parse(data).config(b"\x21\x10")


@pytest.mark.parametrize("frame_bytes", [0, 6])
def test_an_adts_frame_shorter_than_its_header_is_refused(frame_bytes: int) -> None:
    data = bytearray(adts(b"abc"))
    data[3:6] = (int.from_bytes(data[3:6], "big") & ~(0x1FFF << 5) | frame_bytes << 5).to_bytes(3, "big")
    with pytest.raises(MalformedBitstream, match=f"frame of {frame_bytes} bytes"):
        split_adts(bytes(data))


def test_adts_that_cannot_be_split_is_refused() -> None:
    with pytest.raises(MalformedBitstream, match="raw data blocks"):
        split_adts(adts(b"abc", blocks=2))
    with pytest.raises(MalformedBitstream, match="ADTS frames"):
        split_adts(adts(b"a") * (MAX_ADTS_FRAMES + 1))
