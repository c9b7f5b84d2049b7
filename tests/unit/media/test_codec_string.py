"""Names of codecs, and what is read from AV1 and VP9 for them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.bit_writer import BitWriter
from support.movies import HEIGHT, WIDTH, coded_video, normalised

from manycast.media.aac import AudioSpecificConfig, parameters_from_config
from manycast.media.audio_duration import frame_ticks
from manycast.media.av1_format import Av1Format
from manycast.media.bits import MalformedBitstream
from manycast.media.codec_string import codec_string
from manycast.media.flac import parameters_from_config as flac_parameters
from manycast.media.track import AudioParameters, Av1Parameters, Codec, H264Parameters, PlainParameters, Track
from manycast.media.vp9 import Vp9Format

FLAC = Track(
    codec=Codec.FLAC,
    clock_rate_hz=44_100,
    parameters=flac_parameters(bytes.fromhex("100010000000000000000ac442f0") + bytes(20)),
)


def aac(config: AudioSpecificConfig) -> Track:
    parameters = parameters_from_config(config.serialize())
    return Track(codec=Codec.AAC, clock_rate_hz=parameters.sample_rate_hz, parameters=parameters)


def sound(codec: Codec, rate_hz: int, clock_rate_hz: int = 0) -> Track:
    parameters = AudioParameters(sample_rate_hz=rate_hz, channels=2)
    return Track(codec=codec, clock_rate_hz=clock_rate_hz or rate_hz, parameters=parameters)


def he_aac(*, parametric_stereo: bool) -> AudioSpecificConfig:
    return AudioSpecificConfig(
        core_rate_hz=24_000,
        channel_configuration=1,
        core_channels=1,
        sbr_rate_hz=48_000,
        parametric_stereo=parametric_stereo,
    )


@pytest.mark.parametrize(
    ("track", "name", "ticks"),
    [
        (aac(AudioSpecificConfig.simple(44_100, 2)), "mp4a.40.2", 1024),
        (aac(he_aac(parametric_stereo=False)), "mp4a.40.5", 2048),
        (aac(he_aac(parametric_stereo=True)), "mp4a.40.29", 2048),
        (sound(Codec.MP3, 44_100, 90_000), "mp4a.6B", 2351),
        (sound(Codec.MP3, 22_050, 90_000), "mp4a.69", 2351),
        (sound(Codec.OPUS, 48_000), "opus", 960),
        (sound(Codec.AC3, 48_000), "ac-3", 1536),
        (FLAC, "flac", 4096),
        (sound(Codec.G711A, 8000), None, None),
    ],
)
def test_sound(track: Track, name: str | None, ticks: int | None) -> None:
    frames = {
        Codec.MP3: bytes.fromhex("fffb9064") + bytes(413),
        Codec.OPUS: b"\xfc\x01\x02",
        Codec.FLAC: bytes.fromhex("fff8c91800c2"),
    }
    assert codec_string(track) == name
    assert frame_ticks(track, frames.get(track.codec, b"frame")) == ticks


def test_a_broken_frame_has_no_length() -> None:
    assert frame_ticks(sound(Codec.OPUS, 48_000), b"") is None
    assert frame_ticks(sound(Codec.MP3, 48_000), b"no header") is None


def test_what_is_not_known_has_no_name() -> None:
    for parameters in (H264Parameters(), H264Parameters(sps=(b"\x67",), pps=(b"\x68",)), Av1Parameters()):
        codec = Codec.H264 if isinstance(parameters, H264Parameters) else Codec.AV1
        assert codec_string(Track(codec=codec, clock_rate_hz=90_000, parameters=parameters)) is None
    vp9 = Track(codec=Codec.VP9, clock_rate_hz=90_000, parameters=PlainParameters())
    assert codec_string(vp9) is None
    assert codec_string(vp9, b"no keyframe") is None


def av1_header(*, profile: int, level: int, tier: int, high: bool, twelve: bool, operating_points: int) -> bytes:
    """A sequence header with everything that may be in it (section 5.5.1)."""
    bits = BitWriter()
    bits.u(3, profile)
    bits.u(2, 0)  # still_picture, reduced_still_picture_header
    bits.u(1, 1)  # timing_info_present_flag
    bits.u(32, 1)
    bits.u(32, 50)
    bits.u(1, 1)
    bits.ue(1)
    bits.u(1, 1)  # decoder_model_info_present_flag
    bits.u(5, 9)
    bits.u(32, 1)
    bits.u(10, 0)
    bits.u(1, 1)  # initial_display_delay_present_flag
    bits.u(5, operating_points - 1)
    for index in range(operating_points):
        bits.u(12, index)
        bits.u(5, level)
        if level > 7:
            bits.u(1, tier)
        bits.u(1, 1)
        bits.u(21, 0)
        bits.u(1, 1)
        bits.u(4, 9)
    bits.u(4, 10)
    bits.u(4, 10)
    bits.u(11, 1919)
    bits.u(11, 1079)
    bits.u(1, 1)  # frame_id_numbers_present_flag
    bits.u(7, 0)
    bits.u(3, 0)
    bits.u(4, 0)
    bits.u(1, 1)  # enable_order_hint
    bits.u(2, 0)
    bits.u(1, 0)  # seq_choose_screen_content_tools
    bits.u(1, 1)
    bits.u(1, 0)  # seq_choose_integer_mv
    bits.u(1, 0)
    bits.u(3, 6)
    bits.u(3, 0)
    bits.u(1, high)
    if profile == 2 and high:
        bits.u(1, twelve)
    if profile != 1:
        bits.u(1, 0)
    bits.u(1, 1)
    bits.u(24, 0x090E09)
    bits.u(1, 0)
    if profile == 2 and high and twelve:
        bits.u(2, 0b11)
    if profile == 0 or (profile == 2 and high and twelve):
        bits.u(2, 1)
    bits.u(2, 0)
    bits.stop()
    return b"\x08" + bits.done()


@pytest.mark.parametrize("operating_points", [1, 3])
@pytest.mark.parametrize(
    ("profile", "level", "tier", "high", "twelve", "name", "sampling"),
    [
        (0, 8, 0, False, False, "av01.0.08M.08", (1, 1, 1)),
        (0, 13, 1, True, False, "av01.0.13H.10", (1, 1, 1)),
        (1, 5, 0, False, False, "av01.1.05M.08", (0, 0, 0)),
        (2, 9, 0, True, False, "av01.2.09M.10", (1, 0, 0)),
        (2, 9, 0, True, True, "av01.2.09M.12", (1, 1, 1)),
    ],
)
def test_av1(
    profile: int,
    level: int,
    tier: int,
    high: bool,
    twelve: bool,
    name: str,
    sampling: tuple[int, int, int],
    operating_points: int,
) -> None:
    header = av1_header(
        profile=profile, level=level, tier=tier, high=high, twelve=twelve, operating_points=operating_points
    )
    form = Av1Format.parse(header)
    assert (form.width, form.height) == (1920, 1080)
    assert (form.subsampling_x, form.subsampling_y, form.chroma_sample_position) == sampling
    parameters = Av1Parameters(sequence_header=header)
    assert codec_string(Track(codec=Codec.AV1, clock_rate_hz=90_000, parameters=parameters)) == name


def test_vp9_of_a_high_profile() -> None:
    bits = BitWriter()
    for count, value in ((2, 2), (1, 1), (1, 1), (1, 0), (1, 0), (1, 0), (1, 1), (1, 0), (24, 0x498342)):
        bits.u(count, value)
    for count, value in ((1, 0), (3, 5), (1, 1), (1, 1), (1, 0), (1, 0), (16, 3839), (16, 2159)):
        bits.u(count, value)
    bits.u(8, 0)
    frame = bits.done()
    form = Vp9Format.parse(frame)
    assert (form.profile, form.bit_depth, form.color_space, form.full_range) == (3, 10, 5, True)
    assert (form.subsampling_x, form.subsampling_y, form.width, form.height) == (1, 0, 3840, 2160)
    vp9 = Track(codec=Codec.VP9, clock_rate_hz=90_000, parameters=PlainParameters())
    assert codec_string(vp9, frame) == "vp09.03.51.10"


def test_formats_of_real_pictures() -> None:
    _, frames = normalised(Codec.VP9, coded_video(Codec.VP9))
    form = Vp9Format.parse(frames[0].units[0])
    assert (form.width, form.height, form.bit_depth) == (WIDTH, HEIGHT, 8)
    with pytest.raises(MalformedBitstream):
        Vp9Format.parse(frames[1].units[0])
    track, _ = normalised(Codec.AV1, coded_video(Codec.AV1))
    assert isinstance(track.parameters, Av1Parameters)
    header = track.parameters.sequence_header
    assert (Av1Format.parse(header).width, Av1Format.parse(header).height) == (WIDTH, HEIGHT)
    for end in range(len(header) - 1):
        with pytest.raises(MalformedBitstream):
            Av1Format.parse(header[:end])


@given(st.binary(max_size=40))
def test_hostile_bytes(data: bytes) -> None:
    for parse in (Av1Format.parse, Vp9Format.parse):
        try:
            form = parse(data)
        except MalformedBitstream:
            continue
        assert 1 <= form.width <= 65_536
        assert 1 <= form.height <= 65_536
        assert form.bit_depth in (8, 10, 12)
