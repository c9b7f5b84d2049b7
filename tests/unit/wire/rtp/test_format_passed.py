"""Payloads that nobody understands."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.rtp_vectors import packets_of, push_all, push_with_gap, read_packets, rtp_packet

from manycast.media.frame import Frame
from manycast.media.track import Codec, MediaKind, PassedParameters, Track
from manycast.wire.rtp.formats import format_for_codec, passed_on
from manycast.wire.rtp.packet import RtpPacket
from manycast.wire.rtp.passed import MAX_PACKETS, PASSED
from manycast.wire.rtp.payload import MAX_FRAME_BYTES, RtpMap, UnsupportedFormat

RTPMAP = RtpMap(
    payload_type=111, encoding_name="X-Thing", clock_rate_hz=48_000, channels=2, fmtp={"b": "2", "a": "1", "flag": ""}
)
SOUND = passed_on(RTPMAP, MediaKind.AUDIO)[0]
PICTURES = passed_on(RTPMAP, MediaKind.VIDEO)[0]

Told = tuple[int, bool, bytes]  # timestamp, marker, payload


def told(packets: list[RtpPacket]) -> list[Told]:
    return [(packet.timestamp, packet.marker, packet.payload) for packet in packets]


def again(frames: list[Frame]) -> list[Told]:
    """What is sent of these frames."""
    return told(packets_of(PASSED.packetiser(SOUND, 1388), frames))


packet_rows = st.lists(
    st.builds(
        rtp_packet, st.binary(max_size=20), timestamp=st.integers(0, 3).map(lambda n: 900 * n), marker=st.booleans()
    ),
    max_size=20,
)


@given(packet_rows)
def test_sound_goes_on_packet_by_packet(packets: list[RtpPacket]) -> None:
    depacketiser = PASSED.depacketiser(SOUND, 3)
    for packet in packets:
        (frame,) = depacketiser.push(packet)
        assert (frame.track_index, frame.keyframe) == (3, True)
        assert again([frame]) == told([packet])


@given(packet_rows)
def test_pictures_go_on_untouched_frame_by_frame(packets: list[RtpPacket]) -> None:
    end = rtp_packet(b"end", timestamp=90_000, marker=True)
    frames = push_all(PASSED.depacketiser(PICTURES, 0), [*packets, end])
    assert again(frames) == told([*packets, end])
    for frame in frames:
        assert frame.keyframe
        assert frame.units
        assert not any(unit[0] for unit in frame.units[:-1]), "a marker ends a frame"


@pytest.mark.parametrize("name", ["h264_ffmpeg", "h265_gstreamer"])
def test_pictures_of_real_senders_are_frames(name: str) -> None:
    packets = read_packets(name)
    frames = push_all(PASSED.depacketiser(PICTURES, 0), packets)
    assert again(frames) == told(packets)
    assert len(frames) == len({packet.timestamp for packet in packets}) == 26


def test_the_length_of_a_payload_does_not_matter() -> None:
    packet = rtp_packet(bytes(60_000), marker=True)
    assert again(PASSED.depacketiser(PICTURES, 0).push(packet)) == told([packet])


@pytest.mark.parametrize("markers", [True, False])
@pytest.mark.parametrize("lost", range(9))
def test_a_frame_with_a_part_lost_is_not_sent_as_if_it_were_whole(lost: int, markers: bool) -> None:
    packets = [
        rtp_packet(bytes((number,)), timestamp=number // 3, marker=markers and number % 3 == 2) for number in range(12)
    ]
    if not markers:
        packets.append(rtp_packet(b"", timestamp=4))
    frames = push_with_gap(PASSED.depacketiser(PICTURES, 0), packets, range(lost, lost + 1))
    sent = again(frames)
    for timestamp in range(4):
        parts = [payload[0] for time, _marker, payload in sent if time == timestamp]
        assert parts in ([], [3 * timestamp, 3 * timestamp + 1, 3 * timestamp + 2])
    assert len(sent) >= 6


@pytest.mark.parametrize(
    ("size", "count"), [(60_000, MAX_FRAME_BYTES // 60_001 + 1), (0, MAX_PACKETS)], ids=["bytes", "packets"]
)
def test_a_frame_without_an_end_is_cut(size: int, count: int) -> None:
    depacketiser = PASSED.depacketiser(PICTURES, 0)
    packet = rtp_packet(bytes(size))
    for _ in range(count - 1):
        assert depacketiser.push(packet) == []
    assert len(depacketiser.push(packet)[0].units) == count


def test_the_description_stays_as_it_was() -> None:
    assert (
        Track(
            codec=Codec.UNKNOWN,
            clock_rate_hz=48_000,
            parameters=PassedParameters(
                kind=MediaKind.AUDIO,
                payload_type=111,
                encoding_name="X-Thing",
                channels=2,
                fmtp=(("b", "2"), ("a", "1"), ("flag", "")),
            ),
        )
        == SOUND
    )
    assert (SOUND.kind, PICTURES.kind) == (MediaKind.AUDIO, MediaKind.VIDEO)
    assert SOUND.parameters.complete
    assert format_for_codec(Codec.UNKNOWN).describe(SOUND, 96) == RTPMAP


def test_only_the_payload_type_can_change() -> None:
    parameters = PassedParameters(kind=MediaKind.VIDEO, payload_type=None, encoding_name="Y")
    track = Track(codec=Codec.UNKNOWN, clock_rate_hz=90_000, parameters=parameters)
    assert PASSED.describe(track, 97) == RtpMap(payload_type=97, encoding_name="Y", clock_rate_hz=90_000)


def test_without_a_clock_nothing_can_be_passed_on() -> None:
    with pytest.raises(UnsupportedFormat, match="'Z' with a clock of 0 Hz"):
        passed_on(RtpMap(payload_type=96, encoding_name="Z", clock_rate_hz=0), MediaKind.AUDIO)
    assert PASSED.track(RTPMAP).kind is MediaKind.APPLICATION  # where no m= line tells
