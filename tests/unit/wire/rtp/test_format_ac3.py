"""AC-3 in RTP."""

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
from manycast.wire.rtp.ac3 import AC3
from manycast.wire.rtp.formats import track_from_rtpmap
from manycast.wire.rtp.packet import RtpPacket
from manycast.wire.rtp.payload import MalformedPayload, RtpMap, UnsupportedFormat

TRACK = Track(codec=Codec.AC3, clock_rate_hz=48_000, parameters=AudioParameters(sample_rate_hz=48_000, channels=0))
FRAME = (VECTORS / "sound_640k.ac3").read_bytes()[:2560]
SMALL = (VECTORS / "sound.ac3").read_bytes()[:384]


def packet(kind: int, data: bytes, *, timestamp: int = 0) -> RtpPacket:
    return rtp_packet(bytes((kind, 1)) + data, timestamp=timestamp)


@pytest.mark.parametrize(("name", "file"), [("ac3_gstreamer", "sound.ac3"), ("ac3_640k_gstreamer", "sound_640k.ac3")])
def test_frames_of_real_senders(name: str, file: str) -> None:
    track, payload_format = track_from_rtpmap(read_rtpmap(name))
    assert track == TRACK
    frames = push_all(payload_format.depacketiser(track, 1), read_packets(name))
    assert b"".join(frame.units[0] for frame in frames) == (VECTORS / file).read_bytes()
    assert {after.pts_ticks - before.pts_ticks for before, after in pairwise(frames)} == {1536}
    assert all(frame.keyframe and frame.track_index == 1 for frame in frames)


@pytest.mark.parametrize("limit", [300, 386, 1388, 2562])
@pytest.mark.parametrize("unit", [SMALL, FRAME])
def test_frames_come_back_in_the_packets_we_send(unit: bytes, limit: int) -> None:
    frames = [audio_frame(unit, pts_ticks=1536 * index) for index in range(3)]
    packets = packets_of(AC3.packetiser(TRACK, limit), frames)
    assert all(len(packet.payload) <= limit for packet in packets)
    assert all(len(packet.payload) == limit for packet in packets if not packet.marker)
    assert sum(packet.marker for packet in packets) == 3
    assert push_all(AC3.depacketiser(TRACK, 0), packets) == frames


@pytest.mark.parametrize(
    ("limit", "headers"),
    [
        (2562, ["0001"]),
        (1602, ["0102", "0302"]),  # just five eighths in the first
        (1601, ["0202", "0302"]),
        (802, ["0204", "0304", "0304", "0304"]),
    ],
)
def test_the_header_tells_what_a_payload_holds(limit: int, headers: list[str]) -> None:
    payloads = AC3.packetiser(TRACK, limit).packetise(audio_frame(FRAME))
    assert [payload.data[:2].hex() for payload in payloads] == headers


def test_what_needs_more_fragments_than_can_be_told_is_left_out() -> None:
    assert AC3.packetiser(TRACK, 12).packetise(audio_frame(FRAME)) == []


@pytest.mark.parametrize("lost", [0, 1, 2])
def test_a_lost_fragment_costs_its_frame_only(lost: int) -> None:
    frames = [audio_frame(FRAME, pts_ticks=1536 * index) for index in range(3)]
    packets = packets_of(AC3.packetiser(TRACK, 1000), frames)
    at = 3 + lost
    assert push_with_gap(AC3.depacketiser(TRACK, 0), packets, range(at, at + 1)) == [frames[0], frames[2]]


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        (0, b""),
        (0, SMALL[:-1]),
        (0, SMALL + b"garbage"),
        (0, b"\x0b\x77" + bytes(3)),
        (1, b"no frame at all"),
        (2, SMALL + b"\0"),
        (3, SMALL[100:]),
    ],
)
def test_what_is_no_ac3_is_refused_and_the_next_frame_comes(kind: int, data: bytes) -> None:
    depacketiser = AC3.depacketiser(TRACK, 0)
    with pytest.raises(MalformedPayload):
        depacketiser.push(packet(kind, data))
    assert depacketiser.push(packet(0, SMALL, timestamp=7)) == [audio_frame(SMALL, pts_ticks=7)]


def test_fragments_longer_than_their_frame_are_refused() -> None:
    depacketiser = AC3.depacketiser(TRACK, 0)
    assert depacketiser.push(packet(2, SMALL[:100])) == []
    with pytest.raises(MalformedPayload, match="the frame has 384"):
        depacketiser.push(packet(3, SMALL[99:]))


def test_descriptions() -> None:
    rtpmap = RtpMap(payload_type=100, encoding_name="ac3", clock_rate_hz=44_100, channels=6)
    track, _payload_format = track_from_rtpmap(rtpmap)
    assert track.parameters == AudioParameters(sample_rate_hz=44_100, channels=6)
    assert AC3.describe(track, 100) == rtpmap
    assert AC3.describe(TRACK, 96) == RtpMap(payload_type=96, encoding_name="ac3", clock_rate_hz=48_000)
    for rate_hz, channels in ((22_050, 2), (48_000, 7)):
        with pytest.raises(UnsupportedFormat):
            track_from_rtpmap(RtpMap(payload_type=100, encoding_name="ac3", clock_rate_hz=rate_hz, channels=channels))
