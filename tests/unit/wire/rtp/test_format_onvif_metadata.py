"""ONVIF metadata in RTP."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.rtp_vectors import audio_frame, bodies, packets_of, push_all, push_with_gap, rtp_packet

from manycast.media.track import Codec, MediaKind, PlainParameters, Track
from manycast.wire.rtp.formats import track_from_rtpmap
from manycast.wire.rtp.onvif_metadata import MAX_DOCUMENT_BYTES, MAX_PACKETS, ONVIF_METADATA
from manycast.wire.rtp.payload import MalformedPayload, RtpMap, UnsupportedFormat

TRACK = Track(codec=Codec.METADATA, clock_rate_hz=90_000, parameters=PlainParameters())
DOCUMENT = b'<?xml version="1.0" encoding="UTF-8"?><tt:MetadataStream/>'


@given(st.lists(bodies(500, shortest=1), max_size=5), st.integers(1, 100))
def test_documents_come_back_in_the_packets_we_send(documents: list[bytes], limit: int) -> None:
    frames = [audio_frame(document, pts_ticks=90 * index) for index, document in enumerate(documents)]
    packets = packets_of(ONVIF_METADATA.packetiser(TRACK, limit), frames)
    assert all(0 < len(packet.payload) <= limit for packet in packets)
    assert all(len(packet.payload) == limit for packet in packets if not packet.marker)
    assert sum(packet.marker for packet in packets) == len(documents)
    assert push_all(ONVIF_METADATA.depacketiser(TRACK, 0), packets) == frames


def test_a_document_may_stay_open_over_several_timestamps() -> None:
    depacketiser = ONVIF_METADATA.depacketiser(TRACK, 0)
    assert depacketiser.push(rtp_packet(DOCUMENT[:20], timestamp=100)) == []
    assert depacketiser.push(rtp_packet(DOCUMENT[20:], timestamp=200)) == []
    assert depacketiser.push(rtp_packet(b"", timestamp=300, marker=True)) == [audio_frame(DOCUMENT, pts_ticks=100)]


def test_an_empty_document_is_none() -> None:
    assert ONVIF_METADATA.depacketiser(TRACK, 0).push(rtp_packet(b"", marker=True)) == []


@pytest.mark.parametrize(("lost", "come"), [(0, [1, 2]), (1, [0, 2]), (2, [0, 2]), (3, [0, 1])])
def test_a_lost_packet_costs_its_document(lost: int, come: list[int]) -> None:
    frames = [audio_frame(DOCUMENT[: size or None], pts_ticks=index) for index, size in enumerate((10, 0, 10))]
    packets = packets_of(ONVIF_METADATA.packetiser(TRACK, 30), frames)
    assert [packet.marker for packet in packets] == [True, False, True, True]
    got = push_with_gap(ONVIF_METADATA.depacketiser(TRACK, 0), packets, range(lost, lost + 1))
    assert [frame.pts_ticks for frame in got] == come


def test_after_a_loss_documents_without_a_prolog_wait_for_an_end() -> None:
    depacketiser = ONVIF_METADATA.depacketiser(TRACK, 0)
    depacketiser.reset()
    assert depacketiser.push(rtp_packet(b"<half/>", marker=True)) == []
    assert depacketiser.push(rtp_packet(b"<whole/>", marker=True)) == [audio_frame(b"<whole/>")]


@pytest.mark.parametrize(("part", "count"), [(4096, MAX_DOCUMENT_BYTES // 4096), (1, MAX_PACKETS)])
def test_a_document_without_an_end_is_given_up(part: int, count: int) -> None:
    depacketiser = ONVIF_METADATA.depacketiser(TRACK, 0)
    for _ in range(count):
        assert depacketiser.push(rtp_packet(bytes(part))) == []
    with pytest.raises(MalformedPayload, match="document of over"):
        depacketiser.push(rtp_packet(bytes(part)))
    assert depacketiser.push(rtp_packet(b"rest", marker=True)) == []
    assert depacketiser.push(rtp_packet(DOCUMENT, marker=True)) == [audio_frame(DOCUMENT)]


def test_descriptions() -> None:
    assert TRACK.kind is MediaKind.APPLICATION
    rtpmap = RtpMap(payload_type=107, encoding_name="vnd.onvif.metadata", clock_rate_hz=90_000)
    assert track_from_rtpmap(rtpmap)[0] == TRACK
    assert ONVIF_METADATA.describe(TRACK, 107) == rtpmap
    with pytest.raises(UnsupportedFormat, match="1000"):
        track_from_rtpmap(RtpMap(payload_type=107, encoding_name="VND.ONVIF.METADATA", clock_rate_hz=1000))
