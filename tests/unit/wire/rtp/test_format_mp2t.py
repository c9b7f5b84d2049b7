"""MPEG transport streams in RTP."""

from __future__ import annotations

import pytest
from support.rtp_vectors import audio_frame, packets_of, push_all, read_packets, read_rtpmap, rtp_packet

from manycast.media.track import Codec, MediaKind, PlainParameters, Track
from manycast.wire.rtp.formats import static_rtpmap, track_from_rtpmap
from manycast.wire.rtp.mp2t import MP2T
from manycast.wire.rtp.payload import MalformedPayload, RtpMap, UnsupportedFormat

TRACK = Track(codec=Codec.MPEG_TS, clock_rate_hz=90_000, parameters=PlainParameters())


def ts_packets(count: int) -> bytes:
    return b"".join(b"\x47" + bytes((index,)) * 187 for index in range(count))


@pytest.mark.parametrize("name", ["mpegts_ffmpeg", "mpegts_gstreamer"])
def test_packets_of_real_senders(name: str) -> None:
    track, payload_format = track_from_rtpmap(read_rtpmap(name))
    assert track == TRACK
    assert track.kind is MediaKind.VIDEO
    packets = read_packets(name)
    frames = push_all(payload_format.depacketiser(track, 0), packets)
    assert [frame.units for frame in frames] == [[packet.payload] for packet in packets]
    assert [frame.pts_ticks for frame in frames] == [packet.timestamp for packet in packets]
    assert all(frame.keyframe for frame in frames)
    again = packets_of(payload_format.packetiser(track, 1388), frames)
    assert [(packet.payload, packet.timestamp) for packet in again] == [
        (packet.payload, packet.timestamp) for packet in packets
    ]


@pytest.mark.parametrize(("limit", "counts"), [(1388, [7, 7, 6]), (1315, [6, 6, 6, 2]), (1400 * 2, [7, 7, 6])])
def test_frames_are_cut_between_transport_stream_packets(limit: int, counts: list[int]) -> None:
    data = ts_packets(20)
    packets = packets_of(MP2T.packetiser(TRACK, limit), [audio_frame(data, pts_ticks=5)])
    assert [len(packet.payload) / 188 for packet in packets] == counts
    assert {packet.timestamp for packet in packets} == {5}
    assert not any(packet.marker for packet in packets)
    assert b"".join(packet.payload for packet in packets) == data


@pytest.mark.parametrize("payload", [b"", b"\x47" + bytes(100), bytes(188), ts_packets(1) + bytes(188)])
def test_what_is_no_transport_stream_is_refused(payload: bytes) -> None:
    with pytest.raises(MalformedPayload):
        MP2T.depacketiser(TRACK, 0).push(rtp_packet(payload))


def test_part_of_a_packet_at_the_end_is_dropped() -> None:
    depacketiser = MP2T.depacketiser(TRACK, 0)
    depacketiser.reset()
    (frame,) = depacketiser.push(rtp_packet(ts_packets(2) + b"\x47"))
    assert frame.units == [ts_packets(2)]


def test_the_description_is_the_static_one() -> None:
    assert MP2T.describe(TRACK, 96) == static_rtpmap(33)
    with pytest.raises(UnsupportedFormat, match="48000"):
        track_from_rtpmap(RtpMap(payload_type=96, encoding_name="MP2T", clock_rate_hz=48_000))
