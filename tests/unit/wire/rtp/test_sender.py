"""Frames in, RTP packets and reports out."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from manycast.media.clock import ntp_from_unix
from manycast.media.frame import Frame
from manycast.wire.rtp.packet import HEADER_BYTES, RtpPacket
from manycast.wire.rtp.payload import RtpPayload, UnsupportedFormat
from manycast.wire.rtp.rtcp import Goodbye, ReceiverReport, SenderReport, SourceDescription, parse_compound
from manycast.wire.rtp.sender import RtpTrackSender


class Pieces:
    """A packetiser that sends each unit of a frame as one packet, 10 ticks apart, the last one marked."""

    def packetise(self, frame: Frame) -> list[RtpPayload]:
        last = len(frame.units) - 1
        return [RtpPayload(unit, 10 * index, index == last) for index, unit in enumerate(frame.units)]


class Picky:
    """A packetiser that cannot carry frames of more than one unit."""

    def packetise(self, frame: Frame) -> list[RtpPayload]:
        if len(frame.units) > 1:
            raise UnsupportedFormat(f"{len(frame.units)} units")
        return [RtpPayload(frame.units[0], 0, True)]


def make_sender(*, first_sequence: int = 100, timestamp_offset: int = 1000) -> RtpTrackSender:
    return RtpTrackSender(
        Pieces(),
        clock_rate_hz=90_000,
        payload_type=96,
        ssrc=0xABCD,
        first_sequence=first_sequence,
        timestamp_offset=timestamp_offset,
        cname="me",
    )


def frame(*units: bytes, pts_ticks: int = 0) -> Frame:
    return Frame(track_index=0, dts_ticks=pts_ticks, pts_ticks=pts_ticks, keyframe=True, units=list(units))


def test_packets_carry_what_the_packetiser_says() -> None:
    sender = make_sender()
    packets = [RtpPacket.parse(data) for data in sender.packets(frame(b"a", b"bc", pts_ticks=50))]
    assert packets == [
        RtpPacket(payload_type=96, sequence=100, timestamp=1050, ssrc=0xABCD, marker=False, payload=b"a"),
        RtpPacket(payload_type=96, sequence=101, timestamp=1060, ssrc=0xABCD, marker=True, payload=b"bc"),
    ]
    assert (sender.packet_count, sender.octet_count, sender.sequence) == (2, 3, 102)


def test_a_later_loop_shifts_the_timestamp_only() -> None:
    (data,) = make_sender().packets(frame(b"a", pts_ticks=50), shift_ticks=900_000)
    packet = RtpPacket.parse(data)
    assert (packet.timestamp, packet.sequence) == (901_050, 100)


@given(st.integers(0, 0xFFFF), st.integers(0, 0xFFFFFFFF), st.lists(st.integers(1, 5), max_size=20))
def test_sequence_numbers_have_no_gap_and_wrap(first: int, offset: int, sizes: list[int]) -> None:
    sender = make_sender(first_sequence=first, timestamp_offset=offset)
    sequences = []
    for number, size in enumerate(sizes):
        for data in sender.packets(frame(*[b"x"] * size, pts_ticks=3600 * number)):
            packet = RtpPacket.parse(data)
            assert (packet.timestamp - offset - 3600 * number) & 0xFFFFFFFF < 50
            sequences.append(packet.sequence)
    assert sequences == [(first + index) & 0xFFFF for index in range(len(sequences))]


@given(st.integers(-(1 << 40), 1 << 40))
def test_timestamps_wrap(ticks: int) -> None:
    assert make_sender().rtp_timestamp(ticks) == (ticks + 1000) % (1 << 32)


def test_a_sender_report_ties_the_timeline_to_the_wall_clock() -> None:
    sender = make_sender()
    sender.packets(frame(b"abc"))
    report, description = parse_compound(sender.sender_report(unix_s=1_700_000_000.5, ticks=90_000))
    assert report == SenderReport(
        ssrc=0xABCD, ntp=ntp_from_unix(1_700_000_000.5), rtp_timestamp=91_000, packet_count=1, octet_count=3
    )
    assert description == SourceDescription(ssrc=0xABCD, cname="me")


def test_a_goodbye_begins_with_a_report_as_all_compound_packets_must() -> None:
    report, description, goodbye = parse_compound(make_sender().goodbye())
    assert isinstance(report, ReceiverReport)
    assert isinstance(description, SourceDescription)
    assert goodbye == Goodbye(ssrcs=(0xABCD,))


def test_a_frame_of_nothing_makes_no_packets() -> None:
    sender = make_sender()
    assert sender.packets(frame()) == []
    assert sender.sequence == 100
    assert HEADER_BYTES == 12


def test_a_frame_that_the_format_cannot_carry_is_left_out_and_counted() -> None:
    reasons: list[str] = []
    sender = RtpTrackSender(
        Picky(),
        clock_rate_hz=90_000,
        payload_type=26,
        ssrc=1,
        first_sequence=7,
        timestamp_offset=0,
        cname="me",
        on_refusal=reasons.append,
    )
    assert len(sender.packets(frame(b"a"))) == 1
    assert (sender.refused_frames, reasons) == (0, [])
    assert sender.packets(frame(b"b", b"c")) == []
    assert sender.packets(frame(b"b", b"c", b"d")) == []
    assert (sender.refused_frames, reasons) == (2, ["2 units"])
    (packet,) = [RtpPacket.parse(data) for data in sender.packets(frame(b"d"))]
    assert (packet.sequence, packet.payload) == (8, b"d")
