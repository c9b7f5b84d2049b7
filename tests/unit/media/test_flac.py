"""FLAC: STREAMINFO and headers of frames, by RFC 9639 and by FFmpeg's encoder."""

from __future__ import annotations

from itertools import pairwise

import av
import pytest
from av.audio.codeccontext import AudioCodecContext
from hypothesis import given
from hypothesis import strategies as st
from support.movies import SAMPLE_RATE_HZ, coded_audio

from manycast.media.audio_duration import frame_ticks
from manycast.media.bits import MalformedBitstream
from manycast.media.flac import (
    BLOCK_HEADER,
    MARKER,
    FrameHeader,
    StreamInfo,
    frame_samples,
    parameters_from_config,
    split_frames,
)
from manycast.media.track import Codec, FlacParameters

# The file of RFC 9639 appendix D.1.1.
EXAMPLE = bytes.fromhex(
    "664c6143800000221000100000000f00000f0ac442f0000000013e84b41807dc690307586a3dad1a2e0ffff869180000bf0358fd03128baa9a"
)
STREAMINFO, FRAME = EXAMPLE[8:42], EXAMPLE[42:]


def test_the_example_of_the_rfc() -> None:
    info = StreamInfo.parse(STREAMINFO)
    assert (info.sample_rate_hz, info.channels, info.bits_per_sample) == (44_100, 2, 16)
    assert (info.least_block_samples, info.most_block_samples) == (4096, 4096)
    assert (info.least_frame_bytes, info.most_frame_bytes) == (15, 15)
    assert frame_samples(FRAME) == 1


def test_what_holds_for_a_whole_file_only_is_left_out() -> None:
    kept = StreamInfo.parse(STREAMINFO).serialize()
    assert kept[:13] == STREAMINFO[:13]
    assert kept[13:] == b"\xf0" + bytes(20)
    assert StreamInfo.parse(kept) == StreamInfo.parse(STREAMINFO)


@pytest.mark.parametrize(
    "config",
    [
        STREAMINFO,
        BLOCK_HEADER + STREAMINFO,
        MARKER + BLOCK_HEADER + STREAMINFO,
        MARKER + b"\0\0\0\x22" + STREAMINFO + bytes.fromhex("84000004 00000000"),  # comments follow
    ],
)
def test_streaminfo_is_found_behind_what_containers_put_in_front(config: bytes) -> None:
    parameters = parameters_from_config(config)
    assert parameters == FlacParameters(
        streaminfo=StreamInfo.parse(STREAMINFO).serialize(), sample_rate_hz=44_100, channels=2
    )


@pytest.mark.parametrize(
    "config",
    [
        b"",
        MARKER,
        MARKER + BLOCK_HEADER + STREAMINFO[:-1],
        MARKER + b"\x84" + BLOCK_HEADER[1:] + STREAMINFO,  # another kind of block
        b"OpusHead" + STREAMINFO,
        bytes(34),
        STREAMINFO[:2] + b"\x0f\xff" + STREAMINFO[4:],  # the largest block is smaller than the smallest one
        STREAMINFO[:10] + bytes(2) + b"\x02" + STREAMINFO[13:],  # no sample rate
        STREAMINFO[:12] + b"\x40\x20" + STREAMINFO[14:],  # 3 bits
    ],
)
def test_what_is_no_streaminfo_is_refused(config: bytes) -> None:
    with pytest.raises(MalformedBitstream):
        parameters_from_config(config)


def test_frames_of_an_encoder_tell_how_long_they_are() -> None:
    track, frames = coded_audio(Codec.FLAC)
    lengths = [frame_ticks(track, frame.units[0]) for frame in frames]
    steps = [after.dts_ticks - before.dts_ticks for before, after in pairwise(frames)]
    assert lengths[:-1] == steps
    assert sum(length or 0 for length in lengths) >= 2 * SAMPLE_RATE_HZ


@pytest.mark.parametrize("rate_hz", [8000, 22_050, 44_100, 48_000, 50_000, 65_000, 96_000, 192_000])
@pytest.mark.parametrize("samples", [1, 16, 192, 256, 300, 512])
def test_all_forms_of_sizes_and_rates(rate_hz: int, samples: int) -> None:
    encoder = av.CodecContext.create("flac", "w")
    assert isinstance(encoder, AudioCodecContext)
    encoder.sample_rate, encoder.layout, encoder.format = rate_hz, "mono", "s16"
    block = av.AudioFrame("s16", "mono", samples)
    block.planes[0].update(bytes(2 * samples))
    block.sample_rate, block.pts = rate_hz, 0
    packets = [*encoder.encode(block), *encoder.encode(None)]  # the last one is empty
    assert [frame_samples(bytes(packet)) for packet in packets if packet.size] == [samples]
    assert parameters_from_config(bytes(encoder.extradata or b"")).sample_rate_hz == rate_hz


def test_frames_that_come_together_are_taken_apart() -> None:
    units = [frame.units[0] for frame in coded_audio(Codec.FLAC)[1]]
    assert split_frames(b"".join(units)) == units
    assert split_frames(units[5] + units[7]) == [units[5] + units[7]]  # the second is not the next one
    headers = [FrameHeader.parse(unit) for unit in units]
    assert [header.number for header in headers] == list(range(len(units)))


@pytest.mark.parametrize(
    ("coded", "number"),
    [
        ("00", 0),
        ("7f", 127),
        ("c280", 128),
        ("dfbf", 0x7FF),
        ("efbfbf", 0xFFFF),
        ("f7bfbfbf", 0x1F_FFFF),
        ("fbbfbfbfbf", 0x3FF_FFFF),
        ("fdbfbfbfbfbf", 0x7FFF_FFFF),
        ("febfbfbfbfbfbf", 0xF_FFFF_FFFF),
    ],
)
def test_numbers_of_all_lengths(coded: str, number: int) -> None:
    """Each the largest of its length, section 9.1.5; of variable frames, which count samples."""
    header = FrameHeader.parse(with_checksum(bytes.fromhex("fff9c918" + coded)))
    assert (header.is_variable, header.number, header.samples) == (True, number, 4096)


def with_checksum(header: bytes) -> bytes:
    """CRC-8 of the polynomial x^8 + x^2 + x + 1, bit by bit (section 9.1.8)."""
    checksum = 0
    for byte in header:
        checksum ^= byte
        for _ in range(8):
            checksum = checksum << 1 & 0xFF ^ (7 if checksum & 0x80 else 0)
    return header + bytes((checksum,))


def test_sync_codes_without_number_are_no_end_of_searching() -> None:
    with pytest.raises(MalformedBitstream, match="sync codes"):
        split_frames(FRAME + b"\xff\xf8" * 100_000)


@pytest.mark.parametrize("position", range(7))
def test_a_changed_header_is_refused(position: int) -> None:
    changed = bytearray(FRAME)
    changed[position] ^= 0x10
    with pytest.raises(MalformedBitstream):
        frame_samples(bytes(changed))


@given(st.binary(max_size=20) | st.binary(max_size=20).map(lambda tail: b"\xff\xf8" + tail))
def test_hostile_frames_raise_the_one_error_only(data: bytes) -> None:
    try:
        assert 1 <= frame_samples(data) <= 65_535
        assert b"".join(split_frames(data)) == data
    except MalformedBitstream:
        pass


@given(
    st.binary(min_size=34, max_size=34) | st.binary(max_size=50),
    st.sampled_from([b"", BLOCK_HEADER, MARKER, MARKER + BLOCK_HEADER]),
)
def test_hostile_configurations_raise_the_one_error_only(data: bytes, lead: bytes) -> None:
    try:
        parameters = parameters_from_config(lead + data)
    except MalformedBitstream:
        return
    assert parameters_from_config(parameters.streaminfo) == parameters
