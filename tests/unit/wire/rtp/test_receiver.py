"""Packets in, frames on one timeline out: order, holes, sources that change, hostile bytes."""

from __future__ import annotations

import random
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st
from support.clips import make_clip

from manycast.media.clock import ntp_from_unix
from manycast.media.frame import Frame
from manycast.media.track import AudioParameters, Codec, H264Parameters, Track
from manycast.wire.rtp.formats import format_for_codec
from manycast.wire.rtp.packet import RtpPacket, header
from manycast.wire.rtp.receiver import RtpSessionReceiver
from manycast.wire.rtp.rtcp import (
    FullIntraRequest,
    Goodbye,
    PictureLossIndication,
    ReceiverReport,
    SourceDescription,
    parse_compound,
)
from manycast.wire.rtp.sender import RtpTrackSender

VIDEO = Track(codec=Codec.H264, clock_rate_hz=90_000, parameters=H264Parameters())
AUDIO = Track(codec=Codec.G711A, clock_rate_hz=8000, parameters=AudioParameters(sample_rate_hz=8000, channels=1))

CLIP = make_clip()


def make_receiver(*, ordered: bool = False) -> RtpSessionReceiver:
    receiver = RtpSessionReceiver([VIDEO, AUDIO], ssrc=1, cname="me")
    receiver.add_track(0, 96, format_for_codec(Codec.H264), ordered=ordered)
    receiver.add_track(1, 8, format_for_codec(Codec.G711A), ordered=ordered)
    return receiver


def make_sender(*, ssrc: int = 5, first_sequence: int = 65_530, limit: int = 100) -> RtpTrackSender:
    return RtpTrackSender(
        format_for_codec(Codec.H264).packetiser(VIDEO, limit),
        clock_rate_hz=90_000,
        payload_type=96,
        ssrc=ssrc,
        first_sequence=first_sequence,
        timestamp_offset=0xFFFF_F000,
        cname="you",
    )


def picture(number: int, size: int = 450) -> Frame:
    """A slice whose bytes tell which one it is."""
    unit = bytes((0x65 if number == 0 else 0x41, 0x88)) + bytes((number + 1,)) * size
    return Frame(track_index=0, dts_ticks=3600 * number, pts_ticks=3600 * number, keyframe=False, units=[unit])


def packets_of(count: int, *, sender: RtpTrackSender | None = None) -> list[bytes]:
    sender = sender or make_sender()
    return [packet for number in range(count) for packet in sender.packets(picture(number))]


def receive_all(receiver: RtpSessionReceiver, packets: list[bytes], *, now_s: float = 0.0) -> list[Frame]:
    frames = [frame for data in packets for frame in receiver.receive_rtp(0, data, now_s=now_s)]
    for _ in packets:
        if (deadline_s := receiver.next_deadline_s()) is None:
            break
        frames += receiver.handle_timer(now_s=deadline_s)
    return frames


def units(frames: list[Frame]) -> list[list[bytes]]:
    return [frame.units for frame in frames]


def test_frames_come_out_as_they_went_in_on_a_timeline_from_zero() -> None:
    frames = receive_all(make_receiver(), packets_of(5))
    assert units(frames) == units([picture(number) for number in range(5)])
    assert [frame.pts_ticks for frame in frames] == [3600 * number for number in range(5)]
    assert [frame.dts_ticks for frame in frames] == sorted(frame.dts_ticks for frame in frames)


@given(st.integers(0, 2**32), st.integers(1, 8))
@settings(max_examples=50)
def test_packets_out_of_order_are_put_in_order(seed: int, depth: int) -> None:
    packets = packets_of(8)
    source = random.Random(seed)
    keyed = sorted(
        ((index + source.randrange(depth) if index else -1), index, data) for index, data in enumerate(packets)
    )
    frames = receive_all(make_receiver(), [data for _, _, data in keyed])
    assert units(frames) == units([picture(number) for number in range(8)])


@given(st.sets(st.integers(1, 60), max_size=12), st.booleans())
@settings(max_examples=100)
def test_a_frame_with_a_hole_is_dropped_and_no_other_is_touched(lost: set[int], ordered: bool) -> None:
    sender = make_sender()
    per_frame = [sender.packets(picture(number)) for number in range(10)]
    whole = list(range(10))
    position = 0
    sent: list[bytes] = []
    for number, packets in enumerate(per_frame):
        keep = [data for offset, data in enumerate(packets) if position + offset not in lost]
        if len(keep) != len(packets):
            whole.remove(number)
        position += len(packets)
        sent += keep
    originals = units([picture(number) for number in range(10)])
    got = units(receive_all(make_receiver(ordered=ordered), sent))
    assert all(frame in originals for frame in got), "nothing is passed on broken"
    wanted = [originals[number] for number in whole]
    assert [frame for frame in got if frame in wanted] == got
    missing = [number for number in whole if originals[number] not in got]
    # The frame right behind a hole may go too where its beginning cannot be told.
    assert all(number - 1 not in whole for number in missing)


def test_a_wrong_payload_type_is_counted_and_dropped() -> None:
    receiver = make_receiver()
    packets = packets_of(2)
    strange = header(97, 0, 0, 5, True) + b"\x41abc"
    frames = receive_all(receiver, [packets[0], strange, *packets[1:]])
    assert len(frames) == 2
    assert receiver.tracks[0].counters.wrong_payload_type == 1


def test_a_stray_packet_of_another_source_does_not_disturb() -> None:
    receiver = make_receiver()
    packets = packets_of(3)
    stray = header(96, 9, 9, 0xBAD, True) + b"\x41abc"
    frames = receive_all(receiver, [packets[0], stray, *packets[1:]])
    assert len(frames) == 3
    assert receiver.tracks[0].counters.wrong_source == 1


def complete(number: int) -> Frame:
    """As `picture`, with parameter sets in front of keyframes."""
    frame = picture(number)
    if number == 0:
        sets = CLIP.track.parameters
        assert isinstance(sets, H264Parameters)
        frame.units = [*sets.sps, *sets.pps, *frame.units]
    return frame


def test_another_source_takes_over_with_its_second_packet_and_loses_none() -> None:
    receiver = make_receiver()
    frames = receive_all(receiver, packets_of(3))
    restarted = make_sender(ssrc=77, first_sequence=3)
    later = [data for number in range(4) for data in restarted.packets(complete(number))]
    more = receive_all(receiver, later, now_s=1.0)
    assert units(more) == units([complete(number) for number in range(4)])
    assert receiver.tracks[0].statistics is not None
    assert receiver.tracks[0].statistics.ssrc == 77
    assert receiver.tracks[0].counters.wrong_source == 0
    assert min(frame.pts_ticks for frame in more) >= max(frame.pts_ticks for frame in frames)


def test_of_another_source_pictures_come_from_its_first_keyframe_on() -> None:
    receiver = make_receiver()
    receive_all(receiver, packets_of(3))
    assert not receiver.waits_for_keyframe
    restarted = make_sender(ssrc=77)
    before = [data for number in (5, 6, 7) for data in restarted.packets(complete(number))]
    assert receive_all(receiver, before, now_s=1.0) == []
    assert receiver.waits_for_keyframe
    sets, slice_only = complete(0), picture(0)
    sets.units = sets.units[:-1]
    sets.pts_ticks, slice_only.pts_ticks = 8 * 3600, 9 * 3600  # a picture's sets may come in front of it
    later = [data for frame in (sets, slice_only, picture(10)) for data in restarted.packets(frame)]
    more = receive_all(receiver, later, now_s=1.1)
    assert units(more) == units([complete(0), picture(10)])
    assert not receiver.waits_for_keyframe


def test_a_sender_at_another_place_is_taken_at_once_whatever_its_ssrc() -> None:
    receiver = make_receiver(ordered=True)
    before = receive_all(receiver, packets_of(3))
    receiver.sender_changed(0)
    again = make_sender(first_sequence=30_000)
    (frame,) = receive_all(receiver, again.packets(complete(0)), now_s=100.0)
    assert frame.units == complete(0).units
    assert frame.pts_ticks == 100 * 90_000, "as much later as it came later, whatever its timestamps"
    assert frame.dts_ticks > before[-1].dts_ticks
    assert receiver.tracks[0].counters.holes == 0


def test_times_do_not_go_back_when_the_sender_before_was_ahead_of_time() -> None:
    receiver = make_receiver(ordered=True)
    frames = receive_all(receiver, packets_of(100))  # four seconds in one
    restarted = make_sender(ssrc=77)
    frames += receive_all(receiver, [data for n in range(5) for data in restarted.packets(complete(n))], now_s=1.0)
    assert len(frames) == 105
    assert all(after.dts_ticks > before.dts_ticks for before, after in pairwise(frames))
    assert all(frame.pts_ticks >= frame.dts_ticks for frame in frames)


def test_sound_of_another_source_waits_for_nothing() -> None:
    receiver = make_receiver(ordered=True)
    receiver.receive_rtp(1, header(8, 1, 0, 6, True) + bytes(160), now_s=0.0)
    packets = [header(8, number, 160 * number, 7, False) + bytes(160) for number in range(3)]
    frames = [frame for data in packets for frame in receiver.receive_rtp(1, data, now_s=1.0)]
    assert len(frames) == 3
    assert not receiver.waits_for_keyframe


def test_malformed_packets_are_counted_and_dropped() -> None:
    receiver = make_receiver()
    assert receiver.receive_rtp(0, b"", now_s=0.0) == []
    assert receiver.receive_rtp(0, bytes(12), now_s=0.0) == []
    receiver.receive_rtcp(0, b"\x80", now_s=0.0)
    counters = receiver.tracks[0].counters
    assert counters.malformed == 3
    assert counters.last_fault


def test_broken_payloads_are_counted_and_the_next_frame_is_whole() -> None:
    receiver = make_receiver()
    broken = header(96, 65_529, 0, 5, True) + b"\x78\xff\xff"  # an aggregate that ends early
    frames = receive_all(receiver, [broken, *packets_of(2)])
    assert units(frames) == units([picture(0), picture(1)])
    assert receiver.tracks[0].counters.broken_payloads == 1


def test_tracks_are_put_in_step_by_their_reports() -> None:
    receiver = make_receiver(ordered=True)
    sender = make_sender()
    receive_all(receiver, sender.packets(picture(0)), now_s=0.0)
    audio = header(8, 1, 4000, 6, True) + bytes(160)
    receiver.receive_rtp(1, audio, now_s=0.5)  # half a second on the way
    receiver.receive_rtcp(0, sender.sender_report(unix_s=1000.0, ticks=0), now_s=0.6)
    audio_sender = RtpTrackSender(
        format_for_codec(Codec.G711A).packetiser(AUDIO, 1000),
        clock_rate_hz=8000,
        payload_type=8,
        ssrc=6,
        first_sequence=0,
        timestamp_offset=4000,
        cname="you",
    )
    receiver.receive_rtcp(1, audio_sender.sender_report(unix_s=1000.0, ticks=0), now_s=0.6)
    (frame,) = receiver.receive_rtp(1, header(8, 2, 4160, 6, False) + bytes(160), now_s=0.7)
    assert frame.pts_ticks == 160


def test_goodbye_of_all_tracks_ends_the_session() -> None:
    receiver = make_receiver()
    receive_all(receiver, packets_of(1))
    receiver.receive_rtp(1, header(8, 1, 0, 6, True) + bytes(160), now_s=0.0)
    assert not receiver.said_goodbye
    receiver.receive_rtcp(0, Goodbye(ssrcs=(5,)).serialize(), now_s=0.0)
    assert not receiver.said_goodbye
    receiver.receive_rtcp(1, Goodbye(ssrcs=(4, 6)).serialize(), now_s=0.0)
    assert receiver.said_goodbye


def test_the_goodbye_of_a_stranger_ends_nothing() -> None:
    receiver = make_receiver()
    receive_all(receiver, packets_of(1))
    receiver.receive_rtp(1, header(8, 1, 0, 6, True) + bytes(160), now_s=0.0)
    for track in (0, 1):
        receiver.receive_rtcp(track, Goodbye(ssrcs=(99,)).serialize(), now_s=0.0)
    assert not receiver.said_goodbye


def test_reports_begin_with_the_first_packet() -> None:
    receiver = make_receiver()
    assert receiver.report(0, now_s=0.0) is None
    packets = packets_of(3)
    receive_all(receiver, [*packets[:2], *packets[3:]])
    sender = make_sender()
    receiver.receive_rtcp(0, sender.sender_report(unix_s=1000.0, ticks=0), now_s=1.0)
    data = receiver.report(0, now_s=2.0)
    assert data is not None
    report, description = parse_compound(data)
    assert isinstance(report, ReceiverReport)
    assert description == SourceDescription(ssrc=1, cname="me")
    (block,) = report.reports
    assert (block.ssrc, block.cumulative_lost) == (5, 1)
    assert block.last_sender_report == ntp_from_unix(1000.0) >> 16 & 0xFFFFFFFF
    assert block.delay_since_last_sender_report == 65536


def test_a_keyframe_is_asked_for_behind_a_report_once_the_sender_is_known() -> None:
    receiver = make_receiver()
    assert receiver.keyframe_request(0, full_intra=False, now_s=0.0) is None
    receive_all(receiver, packets_of(1))
    loss = receiver.keyframe_request(0, full_intra=False, now_s=1.0)
    assert loss is not None
    report, description, asked = parse_compound(loss)
    assert isinstance(report, ReceiverReport)
    assert description == SourceDescription(ssrc=1, cname="me")
    assert asked == PictureLossIndication(ssrc=1, media_ssrc=5)


def test_each_command_for_a_keyframe_has_a_number_of_its_own() -> None:
    receiver = make_receiver()
    receive_all(receiver, packets_of(1))
    numbers = []
    for _ in range(300):
        data = receiver.keyframe_request(0, full_intra=True, now_s=1.0)
        assert data is not None
        command = parse_compound(data)[-1]
        assert isinstance(command, FullIntraRequest)
        ((ssrc, number),) = command.requests
        assert ssrc == 5
        numbers.append(number)
    assert all((b - a) & 0xFF == 1 for a, b in pairwise(numbers))


def test_what_is_waited_for_has_a_deadline() -> None:
    receiver = make_receiver()
    packets = packets_of(2)
    receiver.receive_rtp(0, packets[0], now_s=5.0)
    assert receiver.next_deadline_s() is None
    receiver.receive_rtp(0, packets[2], now_s=6.0)
    deadline_s = receiver.next_deadline_s()
    assert deadline_s is not None
    assert 6.0 < deadline_s < 7.0


@given(st.lists(st.tuples(st.integers(0, 1), st.booleans(), st.binary(max_size=80)), max_size=40), st.booleans())
def test_hostile_packets_raise_nothing(items: list[tuple[int, bool, bytes]], ordered: bool) -> None:
    receiver = make_receiver(ordered=ordered)
    for now_s, (track, control, data) in enumerate(items):
        if control:
            receiver.receive_rtcp(track, data, now_s=float(now_s))
        else:
            receiver.receive_rtp(track, data, now_s=float(now_s))
            payload_type = (96, 8)[track]
            valid = header(payload_type, len(data), now_s, 5, bool(len(data) % 2)) + data
            receiver.receive_rtp(track, valid, now_s=float(now_s))
        receiver.handle_timer(now_s=float(now_s))
    for track in (0, 1):
        receiver.report(track, now_s=100.0)


def test_the_packets_of_the_tests_cross_the_wrap() -> None:
    sequences = [RtpPacket.parse(data).sequence for data in packets_of(5)]
    assert max(sequences) == 0xFFFF
    assert min(sequences) == 0
