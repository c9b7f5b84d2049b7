"""The bytes of a frame are built once, and every viewer gets that very object."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from manycast.hub.fanout import BacklogLimit
from manycast.hub.rtp_packager import InterleavedLayout, RtpFrame, RtpPackager, UdpLayout, interleave
from manycast.media.frame import Frame
from manycast.media.track import AudioParameters, Codec, H264Parameters, Track
from manycast.wire.rtp.packet import RtpPacket
from manycast.wire.rtp.rtcp import Goodbye, SenderReport, parse_compound

VIDEO = Track(codec=Codec.H264, clock_rate_hz=90_000, parameters=H264Parameters(sps=(b"\x67sps",), pps=(b"\x68p",)))
AUDIO = Track(codec=Codec.G711A, clock_rate_hz=8000, parameters=AudioParameters(sample_rate_hz=8000, channels=1))
BOTH = InterleavedLayout(((0, 1), (2, 3)))


class Notes:
    """A viewer that keeps what it is given."""

    def __init__(self) -> None:
        self.first: list[object] = []
        self.waits_for_keyframe: bool | None = None
        self.frames: list[tuple[object, bool]] = []
        self.controls: list[object] = []

    def begin(self, chunks: Sequence[object], *, wait_for_keyframe: bool) -> None:
        self.first = list(chunks)
        self.waits_for_keyframe = wait_for_keyframe

    def offer(self, chunk: object, joinable: bool) -> None:
        self.frames.append((chunk, joinable))

    def clear(self) -> None:
        self.first = []

    def control(self, chunk: object) -> None:
        self.controls.append(chunk)


def video(number: int, *, keyframe: bool = False, size: int = 3000) -> Frame:
    unit = bytes((0x65 if keyframe else 0x41,)) + bytes((number,)) * size
    ticks = 3600 * number
    return Frame(track_index=0, dts_ticks=ticks, pts_ticks=ticks, keyframe=keyframe, units=[unit])


def audio(number: int) -> Frame:
    return Frame(track_index=1, dts_ticks=160 * number, pts_ticks=160 * number, keyframe=True, units=[b"a" * 160])


def make_packager(*cached: Frame, tracks: Sequence[Track] = (VIDEO, AUDIO)) -> RtpPackager:
    return RtpPackager(tracks, cached, BacklogLimit(), "live")


def test_viewers_of_one_layout_get_the_very_same_object() -> None:
    packager = make_packager(video(0, keyframe=True))
    viewers = [Notes() for _ in range(3)]
    for viewer in viewers:
        packager.join(viewer, InterleavedLayout(((0, 1), (2, 3))), unix_s=0.0)
    packager.push(video(1))
    chunks = [viewer.frames[0][0] for viewer in viewers]
    assert chunks[0] is chunks[1] is chunks[2]
    assert viewers[0].first[-1] is viewers[1].first[-1]


def test_viewers_over_udp_share_their_runs() -> None:
    packager = make_packager()
    first, second = Notes(), Notes()
    packager.join(first, UdpLayout((True, True)), unix_s=0.0)
    packager.join(second, UdpLayout((True, False)), unix_s=0.0)
    packager.push(video(0, keyframe=True))
    one, other = first.frames[0][0], second.frames[0][0]
    assert one.runs is other.runs  # type: ignore[attr-defined]


def test_all_transports_carry_the_same_packets() -> None:
    packager = make_packager()
    tcp, udp = Notes(), Notes()
    packager.join(tcp, InterleavedLayout(((4, 5), None)), unix_s=0.0)
    packager.join(udp, UdpLayout((True, True)), unix_s=0.0)
    packager.push(video(0, keyframe=True))
    (datagrams, joinable), (interleaved, _) = udp.frames[0], tcp.frames[0]
    run = b"".join(datagrams.runs)  # type: ignore[attr-defined]
    packets = [run[start : start + 1400] for start in range(0, len(run), 1400)]
    assert interleaved == interleave(4, packets)
    assert joinable


def test_a_viewer_starts_with_the_latest_keyframe_and_all_since() -> None:
    packager = make_packager(video(0, keyframe=True), video(1), video(2, keyframe=True), audio(5), video(3))
    viewer = Notes()
    packager.join(viewer, BOTH, unix_s=0.0)
    assert viewer.waits_for_keyframe is False
    units = [first_byte_after_fragments(chunk) for chunk in viewer.first]
    assert units == [2, ord("a"), 3]


def test_sound_of_a_time_before_the_keyframe_is_left_out_and_the_starts_are_of_one_moment() -> None:
    late, early = audio(1), audio(5)
    packager = make_packager(video(2, keyframe=True), late, video(3), early)
    viewer = Notes()
    packager.join(viewer, BOTH, unix_s=0.0)
    assert [first_byte_after_fragments(chunk) for chunk in viewer.first] == [2, 3, ord("a")]
    starts = [packager.start_of(index, unix_s=0.0) for index in range(2)]
    times = [
        (start.rtp_timestamp - sender.rtp_timestamp(0)) % 2**32 / sender.clock_rate_hz
        for start, sender in zip(starts, packager.senders, strict=True)
    ]
    assert times[0] == pytest.approx(times[1], abs=0.001)
    assert starts[1].sequence == (packager.senders[1].sequence - 1) & 0xFFFF


def first_byte_after_fragments(chunk: object) -> int:
    """Which of the tests' frames an interleaved chunk carries, by its content."""
    assert isinstance(chunk, bytes)
    size = int.from_bytes(chunk[2:4])
    return RtpPacket.parse(chunk[4 : 4 + size]).payload[10]


def test_without_a_keyframe_a_viewer_waits_for_one() -> None:
    packager = make_packager(video(1))
    viewer = Notes()
    packager.join(viewer, BOTH, unix_s=0.0)
    assert viewer.waits_for_keyframe is True
    assert viewer.first == []


def test_sound_alone_can_be_joined_anywhere() -> None:
    packager = make_packager(tracks=(AUDIO,))
    viewer = Notes()
    packager.join(viewer, InterleavedLayout(((0, 1),)), unix_s=0.0)
    assert viewer.waits_for_keyframe is False
    frame = audio(1)
    frame.track_index = 0
    packager.push(frame)
    assert viewer.frames[0][1] is True


def test_beside_video_sound_is_no_place_to_join() -> None:
    packager = make_packager(video(0, keyframe=True))
    viewer = Notes()
    packager.join(viewer, BOTH, unix_s=0.0)
    packager.push(audio(1))
    assert viewer.frames[0][1] is False


def test_a_track_that_was_not_set_up_is_not_sent() -> None:
    packager = make_packager()
    viewer = Notes()
    packager.join(viewer, InterleavedLayout((None, (0, 1))), unix_s=0.0)
    packager.push(video(0, keyframe=True))
    assert viewer.frames == []
    packager.push(audio(1))
    assert len(viewer.frames) == 1


def test_the_start_that_is_announced_is_the_first_packet_that_comes() -> None:
    packager = make_packager(video(0, keyframe=True), video(1))
    start = packager.start_of(0, unix_s=0.0)
    viewer = Notes()
    packager.join(viewer, BOTH, unix_s=0.0)
    chunk = viewer.first[0]
    assert isinstance(chunk, bytes)
    packet = RtpPacket.parse(chunk[4 : 4 + int.from_bytes(chunk[2:4])])
    assert (packet.sequence, packet.timestamp) == (start.sequence, start.rtp_timestamp)


def test_who_left_gets_nothing_more() -> None:
    packager = make_packager(video(0, keyframe=True))
    first, second = Notes(), Notes()
    for viewer in (first, second):
        packager.join(viewer, BOTH, unix_s=0.0)
    assert packager.viewers == 2
    packager.leave(first, BOTH)
    packager.push(video(1))
    assert (len(first.frames), len(second.frames), packager.viewers) == (0, 1, 1)


def test_reports_tie_every_track_to_one_wall_clock() -> None:
    packager = make_packager(video(0, keyframe=True))
    packager.set_clock(1000.0)
    viewer = Notes()
    packager.join(viewer, BOTH, unix_s=1002.0)
    reports = []
    for chunk in viewer.first[:2]:
        assert isinstance(chunk, bytes)
        report = parse_compound(chunk[4:])[0]
        assert isinstance(report, SenderReport)
        reports.append(report)
    assert reports[0].ntp == reports[1].ntp
    for report, sender, ticks in zip(reports, packager.senders, (180_000, 16_000), strict=True):
        assert report.rtp_timestamp == sender.rtp_timestamp(ticks)


def test_reports_come_every_few_seconds() -> None:
    packager = make_packager(video(0, keyframe=True))
    viewer = Notes()
    packager.join(viewer, BOTH, unix_s=0.0)
    packager.set_clock(0.0)
    for now_s in range(100, 120):
        packager.handle_timer(now_s=float(now_s), unix_s=float(now_s))
    assert len(viewer.controls) == 2 * 4


def test_the_end_is_said_on_every_track() -> None:
    packager = make_packager(video(0, keyframe=True))
    viewer = Notes()
    packager.join(viewer, BOTH, unix_s=0.0)
    packager.end()
    goodbyes = []
    for chunk in viewer.controls:
        assert isinstance(chunk, bytes)
        goodbyes += [packet for packet in parse_compound(chunk[4:]) if isinstance(packet, Goodbye)]
    assert {ssrc for goodbye in goodbyes for ssrc in goodbye.ssrcs} == {sender.ssrc for sender in packager.senders}


def test_each_form_of_a_frame_is_made_once() -> None:
    frame = RtpFrame(0, [b"a" * 20, b"b" * 20], 0, True)
    assert frame.interleaved(0) is frame.interleaved(0)
    assert frame.interleaved(0) != frame.interleaved(2)
    assert frame.runs() is frame.runs()
    assert frame.size_bytes == 40
