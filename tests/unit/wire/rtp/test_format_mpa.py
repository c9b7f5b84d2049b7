"""MPEG audio in RTP."""

from __future__ import annotations

from itertools import pairwise

import pytest
from support.rtp_vectors import (
    VECTORS,
    audio_frame,
    packets_of,
    push_all,
    push_with_gap,
    read_packets,
    read_rtpmap,
    rtp_packet,
)

from manycast.media.track import AudioParameters, Codec, Track
from manycast.wire.rtp.formats import static_rtpmap, track_from_rtpmap
from manycast.wire.rtp.mpa import MPA
from manycast.wire.rtp.packet import RtpPacket
from manycast.wire.rtp.payload import MalformedPayload, RtpMap, UnsupportedFormat

TRACK = Track(codec=Codec.MP3, clock_rate_hz=90_000, parameters=AudioParameters())
MONO_44100 = bytes.fromhex("fffb90c4") + bytes(413)


def packet(data: bytes, *, offset: int = 0, timestamp: int = 0) -> RtpPacket:
    return rtp_packet(bytes(2) + offset.to_bytes(2) + data, timestamp=timestamp)


@pytest.mark.parametrize(
    ("name", "file", "samples", "rate_hz"),
    [
        ("mp3_ffmpeg", "sound.mp3", 1152, 44_100),
        ("mp3_gstreamer", "sound.mp3", 1152, 44_100),
        ("mp2_32000_384k_ffmpeg", "sound_32000.mp2", 1152, 32_000),
        ("mp2_32000_384k_gstreamer", "sound_32000.mp2", 1152, 32_000),
    ],
)
def test_frames_of_real_senders(name: str, file: str, samples: int, rate_hz: int) -> None:
    track, payload_format = track_from_rtpmap(read_rtpmap(name))
    assert track == TRACK
    frames = push_all(payload_format.depacketiser(track, 3), read_packets(name))
    sent = b"".join(frame.units[0] for frame in frames)
    original = (VECTORS / file).read_bytes()
    assert original.startswith(sent)
    assert len(original) - len(sent) < 4000  # what ffmpeg keeps back at the end
    for before, after in pairwise(frames):
        assert abs(after.pts_ticks - before.pts_ticks - samples * 90_000 / rate_hz) <= 1
    assert all(frame.keyframe and frame.track_index == 3 and frame.dts_ticks == frame.pts_ticks for frame in frames)


@pytest.mark.parametrize("name", ["mp3_gstreamer", "mp2_32000_384k_gstreamer"])
@pytest.mark.parametrize("limit", [100, 422, 1388])
def test_frames_come_back_in_the_packets_we_send(name: str, limit: int) -> None:
    frames = push_all(MPA.depacketiser(TRACK, 0), read_packets(name))
    packets = packets_of(MPA.packetiser(TRACK, limit), frames)
    assert all(len(packet.payload) <= limit and not packet.marker for packet in packets)
    for before, after in pairwise(packets):
        if after.payload[2:4] != b"\0\0":  # a fragment follows
            assert len(before.payload) == limit
            assert after.timestamp == before.timestamp
    assert push_all(MPA.depacketiser(TRACK, 0), packets) == frames


def test_the_header_tells_where_a_fragment_belongs() -> None:
    payloads = MPA.packetiser(TRACK, 204).packetise(audio_frame(MONO_44100))
    assert [(payload.data[:4].hex(), len(payload.data)) for payload in payloads] == [
        ("00000000", 204),
        ("000000c8", 204),
        ("00000190", 21),
    ]


def test_what_is_longer_than_an_offset_can_tell_is_left_out() -> None:
    assert MPA.packetiser(TRACK, 1388).packetise(audio_frame(bytes(70_000))) == []


@pytest.mark.parametrize("lost", [0, 1, 2])
def test_a_lost_fragment_costs_its_frame_only(lost: int) -> None:
    frames = [audio_frame(MONO_44100, pts_ticks=2351 * index) for index in range(3)]
    packets = packets_of(MPA.packetiser(TRACK, 204), frames)
    at = 3 + lost
    assert push_with_gap(MPA.depacketiser(TRACK, 0), packets, range(at, at + 1)) == [frames[0], frames[2]]


def test_a_fragment_that_does_not_fit_is_told_once() -> None:
    depacketiser = MPA.depacketiser(TRACK, 0)
    with pytest.raises(MalformedPayload, match="offset 200, wanted 0"):
        depacketiser.push(packet(bytes(10), offset=200))
    assert depacketiser.push(packet(bytes(10), offset=210)) == []
    assert depacketiser.push(packet(MONO_44100))[0].units == [MONO_44100]


@pytest.mark.parametrize("data", [b"", b"ID3\x04" + bytes(50), bytes.fromhex("fffb0064") + bytes(50)])
def test_what_is_no_mpeg_audio_is_refused(data: bytes) -> None:
    with pytest.raises(MalformedPayload):
        MPA.depacketiser(TRACK, 0).push(packet(data))


def test_whole_frames_before_a_fault_are_kept() -> None:
    frames = MPA.depacketiser(TRACK, 0).push(packet(MONO_44100 * 2 + b"garbage", timestamp=90))
    assert [frame.pts_ticks for frame in frames] == [90, 90 + 2351]


def test_the_description_is_the_static_one() -> None:
    assert MPA.describe(TRACK, 96) == static_rtpmap(14)
    with pytest.raises(UnsupportedFormat, match="44100"):
        track_from_rtpmap(RtpMap(payload_type=96, encoding_name="MPA", clock_rate_hz=44_100))
