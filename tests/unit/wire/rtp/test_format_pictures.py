"""What all formats of pictures must do, each with the packets of real senders."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.coded import coded_packets, decode
from support.rtp_vectors import packets_of, push_all, push_with_gap, read_packets, read_rtpmap, rtp_packet

from manycast.media import av1
from manycast.media.frame import Frame
from manycast.media.normalise import normalise
from manycast.media.track import Codec, Mpeg4Parameters, Track
from manycast.wire.rtp.formats import format_for_codec, track_from_rtpmap
from manycast.wire.rtp.payload import MAX_FRAME_BYTES, MalformedPayload, UnsupportedFormat
from manycast.wire.rtp.pictures import MAX_PACKETS

# Recorded packets, and the stream they were made of.
SENT = {
    "mpeg4_ffmpeg": "mpeg4",
    "mpeg4_gstreamer": "mpeg4",
    "mpeg4_in_band_gstreamer": "mpeg4",
    "mpeg1_ffmpeg": "mpeg1",
    "mpeg2_ffmpeg": "mpeg2",
    "mpeg2_gstreamer": "mpeg2",
    "mjpeg_ffmpeg": "mjpeg",
    "mjpeg_gstreamer": "mjpeg",
    "mjpeg_restarts_gstreamer": "mjpeg_restarts",
    "vp8_ffmpeg": "vp8",
    "vp8_gstreamer": "vp8",
    "vp9_ffmpeg": "vp9",
    "vp9_gstreamer": "vp9",
    "av1_pyav": "av1",
    "theora_ffmpeg": "theora",
    "theora_gstreamer": "theora",
    "theora_in_band_gstreamer": "theora",
}
STREAMS = sorted(set(SENT.values()))
VECTOR_OF = {stream: name for name, stream in SENT.items() if "in_band" not in name}
UNSENT = {"theora": 1}  # both senders keep the last frame
LIMIT = 1388


@dataclass(frozen=True)
class Received:
    track: Track
    frames: list[Frame]


def received(name: str) -> Received:
    """What comes of recorded packets, as a stream has it."""
    track, payload_format = track_from_rtpmap(read_rtpmap(name))
    frames = push_all(payload_format.depacketiser(track, 3), read_packets(name))
    for frame in frames:
        track = normalise(frame, track)
    return Received(track, frames)


@pytest.mark.parametrize("name", SENT)
def test_the_frames_of_real_senders_are_those_they_sent(name: str) -> None:
    original = coded_packets(SENT[name])
    track, frames = received(name).track, received(name).frames
    assert track.parameters.complete
    assert len(frames) == len(original) - UNSENT.get(SENT[name], 0)
    assert all(frame.track_index == 3 for frame in frames)
    for frame, packet in zip(frames, original, strict=False):
        assert frame.keyframe == packet.keyframe
        assert (frame.pts_ticks - frames[0].pts_ticks) / 90 == pytest.approx(packet.pts_ms - original[0].pts_ms, abs=1)
        if track.codec is Codec.AV1:
            assert frame.units == av1.split_obus(packet.data)
        elif track.codec is Codec.MJPEG:
            assert decode("mjpeg", frame.units) == decode("mjpeg", [packet.data])
        else:
            (unit,) = frame.units
            assert unit.endswith(packet.data)
            assert len(unit) == len(packet.data) or frame.keyframe


@pytest.mark.parametrize("stream", STREAMS)
@pytest.mark.parametrize("limit", [300, 777, LIMIT, 100_000])
def test_what_we_send_comes_back_the_same(stream: str, limit: int) -> None:
    sent = received(VECTOR_OF[stream])
    payload_format = format_for_codec(sent.track.codec)
    packets = packets_of(payload_format.packetiser(sent.track, limit), sent.frames)
    assert all(0 < len(packet.payload) <= limit for packet in packets)
    frames = push_all(payload_format.depacketiser(sent.track, 3), packets)
    assert [replace(frame, dts_ticks=frame.pts_ticks) for frame in frames] == [
        replace(frame, dts_ticks=frame.pts_ticks) for frame in sent.frames
    ]


@pytest.mark.parametrize("stream", [stream for stream in STREAMS if not stream.startswith("mpeg")])
def test_all_packets_of_a_frame_but_the_last_one_have_one_size(stream: str) -> None:
    sent = received(VECTOR_OF[stream])
    packetiser = format_for_codec(sent.track.codec).packetiser(sent.track, LIMIT)
    sizes = [[len(payload.data) for payload in packetiser.packetise(frame)] for frame in sent.frames]
    assert any(len(of_frame) > 2 for of_frame in sizes)
    assert all(size == LIMIT for of_frame in sizes for size in of_frame[:-1])


@pytest.mark.parametrize("stream", STREAMS)
def test_the_marker_is_on_the_last_packet_of_a_frame(stream: str) -> None:
    sent = received(VECTOR_OF[stream])
    packetiser = format_for_codec(sent.track.codec).packetiser(sent.track, 500)
    for frame in sent.frames:
        markers = [payload.marker for payload in packetiser.packetise(frame)]
        assert markers == [False] * (len(markers) - 1) + [True]


@pytest.mark.parametrize("stream", STREAMS)
@given(data=st.data())
def test_a_frame_with_a_hole_is_dropped_and_no_other_is_harmed(stream: str, data: st.DataObject) -> None:
    sent = received(VECTOR_OF[stream])
    payload_format = format_for_codec(sent.track.codec)
    packets = packets_of(payload_format.packetiser(sent.track, 400), sent.frames)
    first = data.draw(st.integers(0, len(packets) - 1))
    lost = range(first, data.draw(st.integers(first + 1, min(len(packets), first + 8))))
    harmed = {packet.timestamp for packet in packets[lost.start : lost.stop]}
    frames = push_with_gap(payload_format.depacketiser(sent.track, 3), packets, lost)
    by_time = {frame.pts_ticks: frame for frame in sent.frames}
    assert not harmed & {frame.pts_ticks for frame in frames}
    assert all(frame.units == by_time[frame.pts_ticks].units for frame in frames)
    missing = len(sent.frames) - len(frames) - len(harmed)
    # Of AV1 a packet does not tell whether it is its temporal unit's first, so that one more may go.
    assert missing == 0 or (stream == "av1" and missing == 1)


@pytest.mark.parametrize("stream", STREAMS)
def test_who_comes_in_the_middle_of_a_frame_gets_the_next_one(stream: str) -> None:
    sent = received(VECTOR_OF[stream])
    payload_format = format_for_codec(sent.track.codec)
    packets = packets_of(payload_format.packetiser(sent.track, 400), sent.frames)
    frames = push_all(payload_format.depacketiser(sent.track, 3), packets[1:])
    assert [frame.units for frame in frames] == [frame.units for frame in sent.frames[1:]]


@pytest.mark.parametrize("stream", [stream for stream in STREAMS if stream != "theora"])
def test_a_sender_without_markers_is_understood(stream: str) -> None:
    sent = received(VECTOR_OF[stream])
    payload_format = format_for_codec(sent.track.codec)
    packets = packets_of(payload_format.packetiser(sent.track, 400), sent.frames)
    for packet in packets:
        packet.marker = False
    frames = push_all(payload_format.depacketiser(sent.track, 3), packets)
    assert [frame.units for frame in frames] == [frame.units for frame in sent.frames[:-1]]


@pytest.mark.parametrize("stream", STREAMS)
@given(
    packets=st.lists(
        st.none()
        | st.tuples(
            st.integers(0, 3),  # a byte to change, counted from the start
            st.integers(0, 255),
            st.integers(0, 500),  # where it is cut off
            st.integers(0, 4),  # timestamp
            st.booleans(),
        ),
        max_size=20,
    ),
    noise=st.lists(st.binary(max_size=40), max_size=4),
)
def test_hostile_payloads_raise_the_one_error_only(
    stream: str, packets: list[tuple[int, int, int, int, bool] | None], noise: list[bytes]
) -> None:
    recorded = read_packets(VECTOR_OF[stream])
    track, payload_format = track_from_rtpmap(read_rtpmap(VECTOR_OF[stream]))
    depacketiser = payload_format.depacketiser(track, 0)
    packetiser = payload_format.packetiser(track, 300)
    payloads = [rtp_packet(payload, timestamp=index) for index, payload in enumerate(noise)]
    for index, change in enumerate(packets):
        if change is None:
            depacketiser.reset()
            continue
        position, value, end, timestamp, marker = change
        payload = bytearray(recorded[index % len(recorded)].payload[:end])
        payload[position : position + 1] = bytes((value,))
        payloads.append(rtp_packet(bytes(payload), timestamp=timestamp, marker=marker))
    for packet in payloads:
        try:
            frames = depacketiser.push(packet)
        except MalformedPayload:
            continue
        for frame in frames:
            track = normalise(frame, track)
            try:
                assert all(len(payload.data) <= 300 for payload in packetiser.packetise(frame))
            except UnsupportedFormat:
                assert track.codec is Codec.MJPEG


@pytest.mark.parametrize("stream", STREAMS)
def test_a_frame_without_an_end_is_bounded(stream: str) -> None:
    sent = received(VECTOR_OF[stream])
    payload_format = format_for_codec(sent.track.codec)
    depacketiser = payload_format.depacketiser(sent.track, 0)
    big = replace(sent.frames[0], units=[*sent.frames[0].units[:-1], sent.frames[0].units[-1] + bytes(MAX_FRAME_BYTES)])
    if stream.startswith("mjpeg"):
        first, *_, second_last, _last = read_packets(VECTOR_OF[stream])[:4]
        packets = [first, second_last]
        with pytest.raises(MalformedPayload, match="offset"):
            push_all(depacketiser, packets)
        return
    packets = packets_of(payload_format.packetiser(sent.track, 60_000), [big])
    with pytest.raises(MalformedPayload, match="over"):
        push_all(depacketiser, packets)


def test_a_frame_of_many_tiny_packets_is_bounded() -> None:
    track = Track(codec=Codec.MPEG4, clock_rate_hz=90_000, parameters=Mpeg4Parameters())
    depacketiser = format_for_codec(Codec.MPEG4).depacketiser(track, 0)
    depacketiser.push(rtp_packet(b"\0\0\1\xb6\x10"))
    with pytest.raises(MalformedPayload, match="over"):
        for _ in range(MAX_PACKETS):
            depacketiser.push(rtp_packet(b"x"))
