"""The packets of a file's frames with the numbers and times of each viewer."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from manycast.hub.burst import Burst, NumberedFrame, timestamp_of
from manycast.hub.rtp_packager import interleave
from manycast.hub.udp_viewer import SEGMENT_BYTES, runs_of
from manycast.media.frame import Frame
from manycast.wire.rtp.packet import RtpPacket
from manycast.wire.rtp.payload import RtpPayload
from manycast.wire.rtp.sender import RtpTrackSender

BASES = (11, 12)

payloads = st.lists(st.binary(min_size=0, max_size=40) | st.just(bytes(SEGMENT_BYTES - 12)), max_size=8)
Described = list[tuple[int, list[bytes], int]]  # track, payloads, pts
described_frames = st.lists(st.tuples(st.integers(0, 1), payloads, st.integers(0, 2**34)), min_size=1, max_size=5)
sequences = st.lists(st.integers(0, 2**20), min_size=2, max_size=2)


class Pieces:
    """A packetiser that sends each unit of a frame as one packet, the last one marked."""

    def __init__(self, spacing_ticks: int) -> None:
        self._spacing_ticks = spacing_ticks

    def packetise(self, frame: Frame) -> list[RtpPayload]:
        last = len(frame.units) - 1
        return [RtpPayload(unit, index * self._spacing_ticks, index == last) for index, unit in enumerate(frame.units)]


def make_burst(described: Described, spacing_ticks: int = 0) -> Burst:
    senders = [
        RtpTrackSender(
            Pieces(spacing_ticks),
            clock_rate_hz=90_000,
            payload_type=96 + track,
            ssrc=7 + track,
            first_sequence=0,
            timestamp_offset=BASES[track],
            cname="me",
        )
        for track in (0, 1)
    ]
    frames = [
        Frame(track_index=track, dts_ticks=0, pts_ticks=pts_ticks, keyframe=True, units=units)
        for track, units, pts_ticks in described
    ]
    return Burst(frames, senders, 0)


def alone(
    described: Described, first: Sequence[int], bases: Sequence[int], spacing_ticks: int = 0
) -> list[tuple[int, list[bytes]]]:
    """Each frame's track and packets, as a viewer would get them who is the only one."""
    following = list(first)
    packed = []
    for track, units, pts_ticks in described:
        packets = [
            RtpPacket(
                payload_type=96 + track,
                sequence=following[track] + index & 0xFFFF,
                timestamp=pts_ticks + bases[track] + index * spacing_ticks & 0xFFFFFFFF,
                ssrc=7 + track,
                marker=index == len(units) - 1,
                payload=unit,
            ).serialize()
            for index, unit in enumerate(units)
        ]
        following[track] += len(units)
        packed.append((track, packets))
    return packed


def bytes_of(packed: list[tuple[int, list[bytes]]], channels: tuple[int | None, ...]) -> bytes:
    return b"".join(
        interleave(channel, packets) for track, packets in packed if (channel := channels[track]) is not None
    )


@given(described_frames, sequences, sequences, st.integers(0, 2**33), st.sampled_from([0, 160]), st.booleans())
def test_whoever_counts_in_whatever_way_gets_what_he_would_get_alone(
    described: Described, first: list[int], own: list[int], later: int, spacing_ticks: int, shared_first: bool
) -> None:
    own_bases = tuple(base + later for base in BASES)
    burst = make_burst(described, spacing_ticks)
    for channels in ((0, 2), (6, 4), (None, 0), (0, None)):
        form = burst.form(channels)
        usual = bytes_of(alone(described, first, BASES, spacing_ticks), channels)
        for is_shared in (shared_first, not shared_first, shared_first):
            following = list(first if is_shared else own)
            if is_shared:
                assert form.shared(following, BASES) == usual
            else:
                data = form.numbered(following, own_bases, 1.0)
                assert data == bytes_of(alone(described, own, own_bases, spacing_ticks), channels)
            counts = [sum(len(units) for track, units, _ in described if track == index) for index in (0, 1)]
            assert [b - a for a, b in zip(first if is_shared else own, following, strict=True)] == [
                count if channel is not None else 0 for count, channel in zip(counts, channels, strict=True)
            ]
        assert form.shared(list(first), BASES) is form.shared(list(first), BASES)
        octets = [sum(len(unit) for of, units, _ in described for unit in units if of == track) for track in (0, 1)]
        assert list(burst.octets(channels)) == [
            size if channel is not None else 0 for size, channel in zip(octets, channels, strict=True)
        ]
        assert list(burst.octets(None)) == octets


@given(described_frames, sequences, sequences, st.integers(0, 2**33))
def test_datagrams_are_the_same_packets(described: Described, first: list[int], own: list[int], later: int) -> None:
    following, own_following = list(first), list(own)
    own_bases = tuple(base + later for base in BASES)
    usual, expected = alone(described, first, BASES), alone(described, own, own_bases)
    for stored, (track, packets), (_, own_packets) in zip(make_burst(described).each, usual, expected, strict=True):
        for _ in range(2):
            timestamp = timestamp_of(stored.frame, BASES, 1.0)
            assert NumberedFrame(stored, following[track], timestamp, shared=True).runs() == runs_of(packets)
        numbered = NumberedFrame(stored, own_following[track], timestamp_of(stored.frame, own_bases, 1.0), shared=False)
        assert numbered.packets == own_packets
        assert numbered.runs() == runs_of(own_packets)
        assert numbered.interleaved(4) == interleave(4, own_packets)
        following[track] += len(packets)
        own_following[track] += len(packets)


def test_a_scale_stretches_the_times() -> None:
    burst = make_burst([(0, [b"a"], 9000), (0, [b"b"], 18000)])
    for _ in range(2):  # when it is made, and from what was made
        data = burst.form((0, None)).numbered([5, 5], (100, 0), -2.0)
        packets = [RtpPacket.parse(data[4:17]), RtpPacket.parse(data[21:])]
        assert [packet.timestamp for packet in packets] == [(100 - 4500) & 0xFFFFFFFF, (100 - 9000) & 0xFFFFFFFF]
