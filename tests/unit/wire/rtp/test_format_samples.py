"""G.722, G.726 and L16 in RTP; G.711 is in test_formats."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.rtp_vectors import (
    VECTORS,
    audio_frame,
    bodies,
    packets_of,
    push_all,
    read_packets,
    read_rtpmap,
    rtp_packet,
)

from manycast.media.g726 import BIT_RATES, block, from_i366
from manycast.media.track import AudioParameters, Codec, G726Parameters, Track
from manycast.wire.rtp.formats import format_for_codec, static_rtpmap, track_from_rtpmap
from manycast.wire.rtp.g722 import G722
from manycast.wire.rtp.g726 import G726
from manycast.wire.rtp.l16 import L16
from manycast.wire.rtp.payload import RtpMap, UnsupportedFormat

G722_TRACK = Track(codec=Codec.G722, clock_rate_hz=8000, parameters=AudioParameters(sample_rate_hz=16_000, channels=1))


def g726_track(bit_rate: int) -> Track:
    return Track(codec=Codec.G726, clock_rate_hz=8000, parameters=G726Parameters(bit_rate=bit_rate))


def l16_track(rate_hz: int, channels: int) -> Track:
    parameters = AudioParameters(sample_rate_hz=rate_hz, channels=channels)
    return Track(codec=Codec.L16, clock_rate_hz=rate_hz, parameters=parameters)


VECTORS_AND_TRACKS = [
    ("g722_ffmpeg", G722_TRACK),
    ("g722_gstreamer", G722_TRACK),
    *((f"g726_{rate // 1000}_ffmpeg", g726_track(rate)) for rate in BIT_RATES),
    *((f"aal2_g726_{rate // 1000}_ffmpeg", g726_track(rate)) for rate in BIT_RATES),
    ("g726_32_gstreamer", g726_track(32_000)),
    ("l16_44100_stereo_ffmpeg", l16_track(44_100, 2)),
    ("l16_44100_stereo_gstreamer", l16_track(44_100, 2)),
    ("l16_48000_ffmpeg", l16_track(48_000, 1)),
]
ALL_TRACKS = [G722_TRACK, *map(g726_track, BIT_RATES), l16_track(44_100, 1), l16_track(48_000, 2), l16_track(8000, 6)]


def block_of(track: Track) -> tuple[int, int]:
    """The bytes that hold whole samples of all channels, and the ticks they last."""
    if isinstance(track.parameters, G726Parameters):
        return block(track.parameters.bit_rate)
    assert isinstance(track.parameters, AudioParameters)
    return (2 * track.parameters.channels, 1) if track.codec is Codec.L16 else (1, 1)


def lasts(track: Track, data: bytes) -> int:
    block_bytes, ticks = block_of(track)
    assert len(data) % block_bytes == 0
    return len(data) // block_bytes * ticks


@pytest.mark.parametrize(("name", "track"), VECTORS_AND_TRACKS)
def test_samples_of_real_senders(name: str, track: Track) -> None:
    announced, payload_format = track_from_rtpmap(read_rtpmap(name))
    assert announced == track
    frames = push_all(payload_format.depacketiser(track, 2), read_packets(name))
    for before, after in pairwise(frames):
        assert after.pts_ticks == before.pts_ticks + lasts(track, before.units[0])
    assert all(frame.keyframe and frame.track_index == 2 for frame in frames)


def test_g722_comes_as_it_was_coded() -> None:
    frames = push_all(G722.depacketiser(G722_TRACK, 0), read_packets("g722_ffmpeg"))
    assert b"".join(frame.units[0] for frame in frames) == (VECTORS / "g722.g722").read_bytes()


@pytest.mark.parametrize("bit_rate", BIT_RATES)
def test_both_packings_of_g726_make_the_same_frames(bit_rate: int) -> None:
    frames = []
    for prefix in ("", "aal2_"):
        name = f"{prefix}g726_{bit_rate // 1000}_ffmpeg"
        track, payload_format = track_from_rtpmap(read_rtpmap(name))
        frames.append([frame.units for frame in push_all(payload_format.depacketiser(track, 0), read_packets(name))])
    assert frames[0] == frames[1]
    assert [units[0] for units in frames[0]] == [
        packet.payload for packet in read_packets(f"g726_{bit_rate // 1000}_ffmpeg")
    ]


def test_gstreamer_packs_as_aal2_under_the_other_name_unless_told_otherwise() -> None:
    """Which no receiver can know: what is announced counts."""
    right, wrong = (read_packets(f"g726_32{name}_gstreamer") for name in ("", "_default"))
    assert read_rtpmap("g726_32_default_gstreamer").encoding_name == "G726-32"
    assert [from_i366(packet.payload, 32_000) for packet in wrong] == [packet.payload for packet in right]


@given(st.sampled_from(ALL_TRACKS), bodies(600), st.integers(16, 100))
def test_frames_are_cut_between_samples(track: Track, data: bytes, limit: int) -> None:
    data = data[: len(data) - len(data) % block_of(track)[0]]
    payload_format = format_for_codec(track.codec)
    packets = packets_of(payload_format.packetiser(track, limit), [audio_frame(data, pts_ticks=1000)])
    assert all(0 < len(packet.payload) <= limit and not packet.marker for packet in packets)
    frames = push_all(payload_format.depacketiser(track, 0), packets)
    assert b"".join(frame.units[0] for frame in frames) == data
    time = 1000
    for frame in frames:
        assert frame.pts_ticks == time
        time += lasts(track, frame.units[0])


@pytest.mark.parametrize("track", ALL_TRACKS)
def test_part_of_a_sample_at_the_end_is_dropped(track: Track) -> None:
    payload_format = format_for_codec(track.codec)
    block_bytes = block_of(track)[0]
    depacketiser = payload_format.depacketiser(track, 0)
    packet = rtp_packet(bytes(2 * block_bytes - 1))
    depacketiser.reset()
    expected = [bytes(block_bytes)] if block_bytes > 1 else [b"\0"]
    assert depacketiser.push(packet)[0].units == expected
    packet.payload = b""
    assert depacketiser.push(packet) == []


@pytest.mark.parametrize(
    ("payload_type", "track"),
    [(9, G722_TRACK), (10, l16_track(44_100, 2)), (11, l16_track(44_100, 1)), (2, g726_track(32_000))],
)
def test_static_payload_types(payload_type: int, track: Track) -> None:
    rtpmap = static_rtpmap(payload_type)
    assert rtpmap is not None
    assert track_from_rtpmap(rtpmap)[0] == track
    if payload_type != 2:  # which is received only
        assert format_for_codec(track.codec).describe(track, 99) == rtpmap


@pytest.mark.parametrize("track", [l16_track(48_000, 2), l16_track(44_100, 6), g726_track(32_000)])
def test_all_others_get_a_dynamic_one(track: Track) -> None:
    described = format_for_codec(track.codec).describe(track, 99)
    assert described.payload_type == 99
    assert track_from_rtpmap(described)[0] == track


@pytest.mark.parametrize(
    ("encoding", "rate_hz", "channels"),
    [
        ("G722", 16_000, None),
        ("G722", 8000, 2),
        ("G726-32", 16_000, None),
        ("AAL2-G726-40", 8000, 2),
        ("G726-48", 8000, None),
        ("L16", 48_000, 65),
        ("L16", 0, 1),
    ],
)
def test_unsupported_descriptions_are_refused_by_name(encoding: str, rate_hz: int, channels: int | None) -> None:
    with pytest.raises(UnsupportedFormat, match=encoding):
        track_from_rtpmap(RtpMap(payload_type=96, encoding_name=encoding, clock_rate_hz=rate_hz, channels=channels))


def test_formats_are_named_as_their_rfc_does() -> None:
    assert G726.describe(g726_track(24_000), 96).encoding_name == "G726-24"
    assert L16.describe(l16_track(8000, 1), 96).encoding_name == "L16"
