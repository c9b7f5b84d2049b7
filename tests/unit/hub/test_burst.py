"""The packets of a file's frames with the numbers and times of each viewer."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from manycast.hub.burst import Burst, NumberedFrame, PackedFrame
from manycast.hub.rtp_packager import interleave
from manycast.hub.udp_viewer import SEGMENT_BYTES, runs_of
from manycast.wire.rtp.packet import RtpPacket

SSRCS = (7, 8)

payloads = st.lists(st.binary(min_size=0, max_size=40) | st.just(bytes(SEGMENT_BYTES - 12)), max_size=8)
frames = st.lists(st.tuples(st.integers(0, 1), payloads, st.integers(0, 2**34)), min_size=1, max_size=5)
sequences = st.lists(st.integers(0, 2**20), min_size=2, max_size=2)


def rtp(track: int, sequence: int, timestamp: int, payload: bytes, *, marker: bool) -> bytes:
    return RtpPacket(
        payload_type=96 + track,
        sequence=sequence & 0xFFFF,
        timestamp=timestamp & 0xFFFFFFFF,
        ssrc=SSRCS[track],
        marker=marker,
        payload=payload,
    ).serialize()


def packets_of(
    described: list[tuple[int, list[bytes], int]], first: list[int], bases: tuple[int, int], spacing_ticks: int = 0
) -> list[PackedFrame]:
    following = list(first)
    packed = []
    for track, parts, pts_ticks in described:
        packets = [
            rtp(
                track,
                following[track] + index,
                pts_ticks + bases[track] + index * spacing_ticks,
                part,
                marker=index == len(parts) - 1,
            )
            for index, part in enumerate(parts)
        ]
        following[track] += len(parts)
        packed.append(PackedFrame(track, packets, 0, pts_ticks, True))
    return packed


def bytes_of(packed: list[PackedFrame], channels: tuple[int | None, ...]) -> bytes:
    return b"".join(
        interleave(channel, frame.packets) for frame in packed if (channel := channels[frame.track_index]) is not None
    )


@given(frames, sequences, sequences, st.integers(0, 2**33), st.sampled_from([0, 160]))
def test_whoever_counts_in_whatever_way_gets_what_he_would_get_alone(
    described: list[tuple[int, list[bytes], int]], first: list[int], own: list[int], later: int, spacing_ticks: int
) -> None:
    packed = packets_of(described, first, (11, 12), spacing_ticks)
    alone = packets_of(described, own, (11 + later, 12 + later), spacing_ticks)
    burst = Burst(packed, 2)
    for channels in ((0, 2), (6, 4), (None, 0), (0, None)):
        form = burst.form(channels)
        for _ in range(2):
            following = list(own)
            assert form.numbered(following, (11 + later, 12 + later), 1.0) == bytes_of(alone, channels)
            following = list(first)
            assert form.packed(following) == bytes_of(packed, channels)
        counts = [sum(len(frame.packets) for frame in packed if frame.track_index == track) for track in (0, 1)]
        assert [b - a for a, b in zip(first, following, strict=True)] == [
            count if channel is not None else 0 for count, channel in zip(counts, channels, strict=True)
        ]
    assert [list(frame.unpack().packets) for frame in burst.frames] == [list(frame.packets) for frame in packed]


@given(frames, sequences, sequences, st.integers(0, 2**33))
def test_datagrams_are_the_same_packets(
    described: list[tuple[int, list[bytes], int]], first: list[int], own: list[int], later: int
) -> None:
    packed = packets_of(described, first, (11, 12))
    alone = packets_of(described, own, (11 + later, 12 + later))
    following = list(own)
    for frame, before, expected in zip(Burst(packed, 2).frames, packed, alone, strict=True):
        assert frame.runs(frame.sequence, frame.timestamp) == runs_of(before.packets)
        sequence, timestamp = following[frame.track_index] & 0xFFFF, frame.timestamp + later
        following[frame.track_index] += frame.count
        numbered = NumberedFrame(frame, sequence, timestamp)
        assert numbered.packets == list(expected.packets)
        assert numbered.runs() == runs_of(expected.packets)
        assert numbered.interleaved(4) == interleave(4, expected.packets)


def test_a_scale_stretches_the_times() -> None:
    packed = packets_of([(0, [b"a"], 9000), (0, [b"b"], 18000)], [5, 5], (0, 0))
    data = Burst(packed, 2).form((0, None)).numbered([5, 5], (100, 0), -2.0)
    packets = [RtpPacket.parse(data[4:17]), RtpPacket.parse(data[21:])]
    assert [packet.timestamp for packet in packets] == [(100 - 4500) & 0xFFFFFFFF, (100 - 9000) & 0xFFFFFFFF]
