"""RTCP packets: examples, round trip, every prefix, hostile bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manycast.wire.rtp.rtcp import (
    MAX_FULL_INTRA_REQUESTS,
    FullIntraRequest,
    Goodbye,
    MalformedRtcp,
    PictureLossIndication,
    ReceiverReport,
    ReportBlock,
    RtcpPacket,
    SenderReport,
    SourceDescription,
    is_rtcp,
    parse_compound,
)

words = st.integers(0, 0xFFFFFFFF)
blocks = st.builds(
    ReportBlock,
    ssrc=words,
    fraction_lost=st.integers(0, 255),
    cumulative_lost=st.integers(-0x800000, 0x7FFFFF),
    highest_sequence=words,
    jitter_ticks=words,
    last_sender_report=words,
    delay_since_last_sender_report=words,
)
block_rows = st.lists(blocks, max_size=4).map(tuple)
packets: st.SearchStrategy[RtcpPacket] = st.one_of(
    st.builds(
        SenderReport,
        ssrc=words,
        ntp=st.integers(0, (1 << 64) - 1),
        rtp_timestamp=words,
        packet_count=words,
        octet_count=words,
        reports=block_rows,
    ),
    st.builds(ReceiverReport, ssrc=words, reports=block_rows),
    st.builds(SourceDescription, ssrc=words, cname=st.text(st.characters(codec="ascii"), max_size=255)),
    st.builds(Goodbye, ssrcs=st.lists(words, min_size=1, max_size=31).map(tuple)),
    st.builds(PictureLossIndication, ssrc=words, media_ssrc=words),
    st.builds(
        FullIntraRequest,
        ssrc=words,
        requests=st.lists(st.tuples(words, st.integers(0, 255)), min_size=1, max_size=MAX_FULL_INTRA_REQUESTS).map(
            tuple
        ),
    ),
)


def test_a_sender_report_of_ffmpeg_is_read() -> None:
    data = bytes.fromhex(
        "80c80006 5d931534 dd3ab4c8 b43958f7 000ab8fc 00000103 0004f5b7"
        "81ca0007 5d931534 0114 4c61766635392e32372e313030"
        "2d6c6f63616c6f 0000"
    )
    report, description = parse_compound(data)
    assert report == SenderReport(
        ssrc=0x5D931534, ntp=0xDD3AB4C8B43958F7, rtp_timestamp=0xAB8FC, packet_count=0x103, octet_count=0x4F5B7
    )
    assert description == SourceDescription(ssrc=0x5D931534, cname="Lavf59.27.100-localo")


def test_requests_for_a_keyframe_are_read() -> None:
    loss = bytes.fromhex("81ce0002 00000009 5d931534")
    request = bytes.fromhex("84ce0004 00000009 00000000 5d931534 07000000")
    assert parse_compound(loss + request) == [
        PictureLossIndication(ssrc=9, media_ssrc=0x5D931534),
        FullIntraRequest(ssrc=9, requests=((0x5D931534, 7),)),
    ]


def test_a_lost_count_below_zero_is_read() -> None:
    block = bytes.fromhex("00000001 00ffffff 00000000 00000000 00000000 00000000")
    (report,) = parse_compound(bytes.fromhex("81c90007 00000009") + block)
    assert isinstance(report, ReceiverReport)
    assert report.reports[0].cumulative_lost == -1


@pytest.mark.parametrize(
    "data",
    [
        "81cc0001 00000001",  # APP
        "81cd0002 00000001 00000002",  # transport feedback
        "82ce0003 00000001 00000002 00000003",  # a slice is lost
        "80cf0001 00000001",  # XR
        "80ca0000",  # source description of nobody
    ],
)
def test_packets_of_other_types_are_passed_over(data: str) -> None:
    assert parse_compound(bytes.fromhex(data)) == []


def test_other_items_before_the_cname_are_passed_over() -> None:
    data = bytes.fromhex("81ca0004 00000001 0203 616263 0103 78797a 0000")
    assert parse_compound(data) == [SourceDescription(ssrc=1, cname="xyz")]


@pytest.mark.parametrize(
    "data",
    [
        "",
        "80",
        "80c800",
        "80c90001",  # the length says more than there is
        "00c90000",  # version 0
        "80c80000",  # a sender report of nothing
        "80c90000",  # a receiver report of nobody
        "81c90001 00000001",  # a report block that is not there
        "9fc80006 00000001 00000000 00000000 00000000 00000000 00000000",
        "82cb0001 00000001",  # goodbye of two, one is named
        "81ca0000",
        "81ca0002 00000001 01ff6162",  # an item longer than the packet
        "81ca0002 00000001 02016101",  # an item of which only the type is there
        "80c90001 00000001 ff",  # left over
        "81ce0001 00000001",  # picture loss of nobody
        "84ce0002 00000001 00000000",  # full intra request of nobody
        "84ce0003 00000001 00000000 00000002",  # half a full intra request
        f"84ce{2 + 2 * (MAX_FULL_INTRA_REQUESTS + 1):04x}" + "00" * 8 * (MAX_FULL_INTRA_REQUESTS + 2),
    ],
)
def test_what_is_malformed_is_refused(data: str) -> None:
    with pytest.raises(MalformedRtcp):
        parse_compound(bytes.fromhex(data))


@given(st.lists(packets, min_size=1, max_size=5))
def test_what_is_written_is_read_again(compound: list[RtcpPacket]) -> None:
    data = b"".join(packet.serialize() for packet in compound)
    assert len(data) % 4 == 0
    assert parse_compound(data) == compound
    assert is_rtcp(data)


@given(st.lists(packets, min_size=1, max_size=3))
def test_every_prefix_is_whole_packets_or_refused(compound: list[RtcpPacket]) -> None:
    parts = [packet.serialize() for packet in compound]
    data = b"".join(parts)
    edges = [sum(map(len, parts[:count])) for count in range(len(parts) + 1)]
    for size in range(len(data)):
        if size in edges and size:
            assert parse_compound(data[:size]) == compound[: edges.index(size)]
        else:
            with pytest.raises(MalformedRtcp):
                parse_compound(data[:size])


@given(st.binary(max_size=300))
def test_hostile_bytes_raise_nothing_else(data: bytes) -> None:
    try:
        found = parse_compound(data)
    except MalformedRtcp:
        return
    assert len(found) <= len(data) // 4


@given(st.sampled_from([200, 201, 202, 203, 206]), st.integers(0, 31), st.binary(max_size=120))
def test_hostile_bodies_of_known_types_raise_nothing_else(packet_type: int, count: int, body: bytes) -> None:
    body += bytes(-len(body) % 4)
    data = bytes((0x80 | count, packet_type)) + (len(body) // 4).to_bytes(2) + body
    try:
        packets = parse_compound(data)
    except MalformedRtcp:
        return
    for packet in packets:
        assert parse_compound(packet.serialize()) == [packet]


@given(
    st.integers(-(1 << 40), 1 << 40),
    st.integers(0, 1 << 40),
    st.integers(0, 1 << 40),
    st.integers(0, 1 << 40),
)
def test_numbers_too_large_for_the_wire_are_bounded(lost: int, highest: int, jitter: int, delay: int) -> None:
    block = ReportBlock(
        ssrc=1,
        fraction_lost=0,
        cumulative_lost=lost,
        highest_sequence=highest,
        jitter_ticks=jitter,
        last_sender_report=0,
        delay_since_last_sender_report=delay,
    )
    (report,) = parse_compound(ReceiverReport(ssrc=1, reports=(block,)).serialize())
    assert isinstance(report, ReceiverReport)
    assert report.reports[0].cumulative_lost == max(-0x800000, min(0x7FFFFF, lost))


def test_a_very_long_name_is_cut_to_what_fits() -> None:
    (description,) = parse_compound(SourceDescription(ssrc=1, cname="ü" * 300).serialize())
    assert isinstance(description, SourceDescription)
    assert len(description.cname) >= 127


@pytest.mark.parametrize(("second_byte", "answer"), [(200, True), (203, True), (96, False), (224, False), (0, False)])
def test_rtcp_is_told_from_rtp(second_byte: int, answer: bool) -> None:
    assert is_rtcp(bytes((0x80, second_byte))) is answer
    assert not is_rtcp(b"\x80")
