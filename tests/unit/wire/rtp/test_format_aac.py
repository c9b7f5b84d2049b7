"""MPEG4-GENERIC and MP4A-LATM."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.rtp_vectors import (
    VECTORS,
    audio_frame,
    bodies,
    packets_of,
    push_all,
    push_with_gap,
    read_packets,
    read_rtpmap,
)

from manycast.media.aac import AudioSpecificConfig, parameters_from_config, split_adts
from manycast.media.bits import MalformedBitstream
from manycast.media.frame import Frame
from manycast.media.track import AacParameters, Codec, Track
from manycast.wire.rtp.aac_units import unit_ticks
from manycast.wire.rtp.formats import format_for_codec, track_from_rtpmap
from manycast.wire.rtp.latm import LATM, MAX_ELEMENT_BYTES, StreamMuxConfig
from manycast.wire.rtp.mpeg4_generic import MAX_UNITS_IN_PACKET
from manycast.wire.rtp.packet import RtpPacket
from manycast.wire.rtp.payload import Depacketiser, MalformedPayload, RtpMap, UnsupportedFormat

TRACK = Track(
    codec=Codec.AAC,
    clock_rate_hz=48000,
    parameters=AacParameters(config=b"\x11\x90", sample_rate_hz=48000, channels=2),
)
LIMIT = 60


def packet(timestamp: int, payload: bytes, *, marker: bool = True) -> RtpPacket:
    return RtpPacket(payload_type=96, sequence=0, timestamp=timestamp, ssrc=1, marker=marker, payload=payload)


def generic(fmtp: str, *, clock_rate_hz: int = 48000, config: str = "1190") -> Depacketiser:
    fields = dict(part.split("=") for part in fmtp.split(";") if part)
    rtpmap = RtpMap(
        payload_type=96,
        encoding_name="mpeg4-generic",
        clock_rate_hz=clock_rate_hz,
        channels=2,
        fmtp=fields | {"config": config},
    )
    track, payload_format = track_from_rtpmap(rtpmap)
    return payload_format.depacketiser(track, 1)


HBR = "mode=AAC-hbr;sizelength=13;indexlength=3;indexdeltalength=3"


def times_and_units(frames: list[Frame]) -> list[tuple[int, bytes]]:
    assert all(len(frame.units) == 1 and frame.keyframe for frame in frames)
    assert all(frame.dts_ticks == frame.pts_ticks for frame in frames)
    return [(frame.pts_ticks, frame.units[0]) for frame in frames]


# Real senders


NAMES = [
    ("aac_ffmpeg", "aac"),
    ("aac_mono_22050_ffmpeg", "aac_mono_22050"),
    ("aac_5_1_ffmpeg", "aac_5_1"),
    ("aac_gstreamer", "aac"),
    ("aac_5_1_gstreamer", "aac_5_1"),
    ("latm_ffmpeg", "aac"),
    ("latm_5_1_ffmpeg", "aac_5_1"),
    ("latm_gstreamer", "aac"),
    ("latm_5_1_gstreamer", "aac_5_1"),
]


@pytest.mark.parametrize(("name", "source"), NAMES)
def test_what_real_senders_send_is_what_was_coded(name: str, source: str) -> None:
    track, payload_format = track_from_rtpmap(read_rtpmap(name))
    frames = push_all(payload_format.depacketiser(track, 0), read_packets(name))
    coded = split_adts((VECTORS / f"{source}.adts").read_bytes())
    got = [frame.units[0] for frame in frames]
    # FFmpeg does not send the packet it was filling when the file ended; GStreamer leaves out what is before 0.
    first = coded.index(got[0])
    assert first <= 1
    assert got == coded[first : first + len(got)]
    assert len(got) >= len(coded) // 2
    steps = {b.pts_ticks - a.pts_ticks for a, b in pairwise(frames[2:])}
    assert steps <= {1023, 1024, 1025}
    assert isinstance(track.parameters, AacParameters)
    expected = {"aac": (44100, 2), "aac_mono_22050": (22050, 1), "aac_5_1": (48000, 6)}[source]
    assert (track.parameters.sample_rate_hz, track.parameters.channels) == expected
    assert track.clock_rate_hz == expected[0]


@pytest.mark.parametrize(("name", "_source"), NAMES)
def test_no_loss_makes_a_frame_of_a_real_sender_that_was_not_sent(name: str, _source: str) -> None:
    track, payload_format = track_from_rtpmap(read_rtpmap(name))
    packets = read_packets(name)
    whole = times_and_units(push_all(payload_format.depacketiser(track, 0), packets))
    for length in (1, 2):
        for start in range(len(packets)):
            lost = range(start, start + length)
            frames = push_with_gap(payload_format.depacketiser(track, 0), packets, lost)
            got = times_and_units(frames)
            assert [frame for frame in whole if frame in got] == got


# Mode AAC-hbr, ours

frames_strategy = st.lists(bodies(4 * LIMIT, shortest=1), min_size=1, max_size=8).map(
    lambda units: [audio_frame(unit, pts_ticks=1024 * index) for index, unit in enumerate(units)]
)


@given(frames_strategy, st.integers(5, 2 * LIMIT))
def test_generated_frames_come_back(frames: list[Frame], limit: int) -> None:
    payload_format = format_for_codec(Codec.AAC)
    packets = packets_of(payload_format.packetiser(TRACK, limit), frames)
    assert all(len(one.payload) <= limit for one in packets)
    assert times_and_units(push_all(payload_format.depacketiser(TRACK, 0), packets)) == times_and_units(frames)
    assert sum(one.marker for one in packets) == len(frames)


@given(frames_strategy, st.data())
def test_no_loss_makes_a_frame_that_was_not_sent(frames: list[Frame], data: st.DataObject) -> None:
    payload_format = format_for_codec(Codec.AAC)
    packets = packets_of(payload_format.packetiser(TRACK, LIMIT), frames)
    start = data.draw(st.integers(0, len(packets)))
    lost = range(start, data.draw(st.integers(start, len(packets))))
    got = times_and_units(push_with_gap(payload_format.depacketiser(TRACK, 0), packets, lost))
    hit = {packets[index].timestamp for index in lost}
    under_way = {packets[start - 1].timestamp} if start and not packets[start - 1].marker else set()
    assert got == [frame for frame in times_and_units(frames) if frame[0] not in hit | under_way]


def test_what_a_packet_looks_like() -> None:
    packetiser = format_for_codec(Codec.AAC).packetiser(TRACK, LIMIT)
    assert [tuple(p) for p in packetiser.packetise(audio_frame(b"abc"))] == [(b"\x00\x10\x00\x18abc", 0, True)]
    payloads = packetiser.packetise(audio_frame(bytes(100)))
    assert [(len(data), marker) for data, _offset, marker in payloads] == [(60, False), (48, True)]
    assert {data[:4] for data, _offset, _marker in payloads} == {b"\x00\x10\x03\x20"}
    assert packetiser.packetise(audio_frame(bytes(8192))) == []  # its size does not fit the field


# Layouts of others


@pytest.mark.parametrize(
    ("fmtp", "payload", "expected"),
    [
        pytest.param(HBR, "0020 0010 0018 6161 626262", [(0, b"aa"), (1024, b"bbb")], id="two_units"),
        pytest.param(
            "mode=AAC-lbr;sizelength=6;indexlength=2;indexdeltalength=2",
            "0010 08 0c 6161 626262",
            [(0, b"aa"), (1024, b"bbb")],
            id="lbr",
        ),
        pytest.param(
            "sizelength=13;indexlength=3;indexdeltalength=3;ctsdeltalength=4;dtsdeltalength=4",
            # The second header has a CTS delta: 13 bits of size, 3 of index, flags, and filling bits.
            "0028 0010 0006 5c 6161 626262",
            [(0, b"aa"), (1024, b"bbb")],
            id="time_deltas",
        ),
        pytest.param(
            "sizelength=7;randomaccessindication=1;streamstateindication=8",
            "0010 0502 6161",
            [(0, b"aa")],
            id="random_access_and_state",
        ),
        pytest.param(f"{HBR};auxiliarydatasizelength=8", "0010 0010 05f8 6161", [(0, b"aa")], id="auxiliary_data"),
        pytest.param("constantsize=2", "6161 6262", [(0, b"aa"), (1024, b"bb")], id="constant_size"),
        pytest.param("", "616161", [(0, b"aaa")], id="no_headers"),
        pytest.param(HBR, "0010 0010 6161 0000", [(0, b"aa")], id="surplus_bytes"),
        pytest.param(HBR, "0020 0000 0010 6161", [(1024, b"aa")], id="empty_unit"),
        pytest.param(HBR, "0000", [], id="no_unit"),
    ],
)
def test_layouts_of_headers(fmtp: str, payload: str, expected: list[tuple[int, bytes]]) -> None:
    assert times_and_units(generic(fmtp).push(packet(0, bytes.fromhex(payload)))) == expected


def test_units_without_a_size_end_at_the_marker() -> None:
    depacketiser = generic("")
    assert depacketiser.push(packet(0, b"ab", marker=False)) == []
    assert times_and_units(depacketiser.push(packet(0, b"cd"))) == [(0, b"abcd")]
    assert depacketiser.push(packet(1024, b"ab", marker=False)) == []
    assert times_and_units(depacketiser.push(packet(2048, b"cd"))) == [(2048, b"cd")]


@pytest.mark.parametrize(
    ("config", "clock_rate_hz", "ticks"),
    [("1190", 48000, 1024), ("1190", 90000, 1920), ("2b920800", 44100, 2048), ("2b920800", 22050, 1024)],
)
def test_units_of_a_packet_are_as_far_apart_as_they_last(config: str, clock_rate_hz: int, ticks: int) -> None:
    depacketiser = generic(HBR, clock_rate_hz=clock_rate_hz, config=config)
    frames = depacketiser.push(packet(5, bytes.fromhex("0030 0008 0008 0008 616263")))
    assert [frame.pts_ticks for frame in frames] == [5, 5 + ticks, 5 + 2 * ticks]


def test_adts_headers_of_cameras_that_leave_them_in_are_dropped() -> None:
    unit = bytes.fromhex("fff14c80017ffc") + b"abcd"
    depacketiser = generic(HBR)
    for timestamp in (0, 1024):
        frames = depacketiser.push(packet(timestamp, b"\x00\x10\x00\x58" + unit))
        assert times_and_units(frames) == [(timestamp, b"abcd")]
    with pytest.raises(MalformedPayload):
        depacketiser.push(packet(2048, b"\x00\x10\x00\x10ab"))


def test_a_last_fragment_without_a_marker_still_ends_its_unit() -> None:
    depacketiser = generic(HBR)
    assert depacketiser.push(packet(0, b"\x00\x10\x00\x20ab", marker=False)) == []
    assert times_and_units(depacketiser.push(packet(0, b"\x00\x10\x00\x20cd", marker=False))) == [(0, b"abcd")]


def test_fragments_over_their_unit_s_size_are_refused_at_once() -> None:
    depacketiser = generic(HBR)
    assert depacketiser.push(packet(0, b"\x00\x10\x00\x20abc", marker=False)) == []
    with pytest.raises(MalformedPayload, match="6 bytes in 2 fragments"):
        depacketiser.push(packet(0, b"\x00\x10\x00\x20def", marker=False))


def test_fragments_of_two_timestamps_are_not_joined() -> None:
    depacketiser = generic(HBR)
    assert depacketiser.push(packet(0, b"\x00\x10\x00\x20ab", marker=False)) == []
    assert depacketiser.push(packet(1024, b"\x00\x10\x00\x20AB", marker=False)) == []
    assert times_and_units(depacketiser.push(packet(1024, b"\x00\x10\x00\x20CD"))) == [(1024, b"ABCD")]


@pytest.mark.parametrize(
    ("fmtp", "payloads"),
    [
        pytest.param(HBR, ["00"], id="half_a_length"),
        pytest.param(HBR, ["0020 0010"], id="headers_past_end"),
        pytest.param(HBR, ["0011 001061 6161"], id="half_a_header"),
        pytest.param(HBR, ["0020 0010 0020 6161"], id="second_unit_past_end"),
        pytest.param(HBR, ["0010 0020 6161"], id="fragment_with_marker"),
        pytest.param(f"{HBR};auxiliarydatasizelength=8", ["0010 0010 ff 61"], id="auxiliary_data_past_end"),
        pytest.param("indexlength=3;indexdeltalength=3", ["0006 00 6161"], id="two_units_of_unknown_size"),
    ],
)
def test_malformed_payloads_leave_nothing_behind(fmtp: str, payloads: list[str]) -> None:
    depacketiser = generic(fmtp)
    for payload in payloads[:-1]:
        depacketiser.push(packet(0, bytes.fromhex(payload), marker=False))
    with pytest.raises(MalformedPayload):
        depacketiser.push(packet(0, bytes.fromhex(payloads[-1])))
    if fmtp == HBR:
        assert len(depacketiser.push(packet(1024, b"\x00\x10\x00\x10aa"))) == 1


def test_floods_are_refused() -> None:
    with pytest.raises(MalformedPayload, match=str(MAX_UNITS_IN_PACKET)):
        generic(HBR).push(packet(0, (16 * 300).to_bytes(2, "big") + bytes(600)))
    with pytest.raises(MalformedPayload, match=str(MAX_UNITS_IN_PACKET)):
        generic("constantsize=1").push(packet(0, bytes(1000)))
    depacketiser = generic(HBR)
    with pytest.raises(MalformedPayload, match="fragments"):
        for _ in range(2000):
            depacketiser.push(packet(0, b"\x00\x10\xff\xf8", marker=False))
    depacketiser = generic("")
    with pytest.raises(MalformedPayload, match="fragments"):
        for _ in range(2000):
            depacketiser.push(packet(0, b"", marker=False))


@given(
    st.sampled_from([HBR, "sizelength=6;indexlength=2;indexdeltalength=2", "", "constantsize=3"])
    | st.lists(st.integers(0, 32), min_size=8, max_size=8).map(
        lambda n: (
            f"sizelength={n[0]};indexlength={n[1]};indexdeltalength={n[2]};ctsdeltalength={n[3]};"
            f"dtsdeltalength={n[4]};randomaccessindication={n[5] % 2};streamstateindication={n[6]};"
            f"auxiliarydatasizelength={n[7]}"
        )
    ),
    st.lists(
        st.tuples(
            st.integers(0, 2),
            st.sampled_from([b"", b"\x00\x10\x00\x20", b"\x00\x20\x00\x10\x00\x10"]),
            st.binary(max_size=12),
            st.booleans(),
        )
    ),
)
def test_hostile_payloads_raise_the_one_error_only(fmtp: str, payloads: list[tuple[int, bytes, bytes, bool]]) -> None:
    depacketiser = generic(fmtp)
    for timestamp, head, data, marker in payloads:
        try:
            for frame in depacketiser.push(packet(timestamp, head + data, marker=marker)):
                assert frame.units[0]
        except MalformedPayload:
            pass


@given(st.dictionaries(st.sampled_from(["sizelength", "constantsize", "maxdisplacement"]), st.text()))
def test_hostile_layouts_raise_the_one_error_only(fmtp: dict[str, str]) -> None:
    rtpmap = RtpMap(payload_type=96, encoding_name="mpeg4-generic", clock_rate_hz=8000, fmtp=fmtp | {"config": "1190"})
    try:
        track, _ = track_from_rtpmap(rtpmap)
    except UnsupportedFormat:
        return
    assert track.parameters == AacParameters(config=b"\x11\x90", sample_rate_hz=48_000, channels=2)


@pytest.mark.parametrize(
    "fmtp",
    [
        {},
        {"config": ""},
        {"config": "xyz"},
        {"config": "4210"},
        {"config": "1190", "maxdisplacement": "5"},
        {"config": "1190", "sizelength": "33"},
        {"config": "1190", "sizelength": "-1"},
        {"config": "1190", "sizelength": "13", "constantsize": "5"},
    ],
)
def test_unsupported_descriptions_are_refused(fmtp: dict[str, str]) -> None:
    rtpmap = RtpMap(payload_type=96, encoding_name="MPEG4-GENERIC", clock_rate_hz=48000, fmtp=fmtp)
    with pytest.raises(UnsupportedFormat, match="MPEG4-GENERIC"):
        track_from_rtpmap(rtpmap)


# LATM


def latm(fmtp: dict[str, str], *, clock_rate_hz: int = 48000, channels: int = 2) -> Depacketiser:
    rtpmap = RtpMap(
        payload_type=96,
        encoding_name="MP4A-LATM",
        clock_rate_hz=clock_rate_hz,
        channels=channels,
        fmtp=fmtp,
    )
    track, payload_format = track_from_rtpmap(rtpmap)
    return payload_format.depacketiser(track, 1)


OUT_OF_BAND = {"cpresent": "0", "config": "400023203fc0"}


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ("400023203fc0", ("1190", 48000, 2, 1)),  # as FFmpeg writes it
        ("40002320adca00", ("119056e500", 48000, 2, 1)),  # as GStreamer does, with a sync extension
        ("40002320", ("1190", 48000, 2, 1)),  # as GStreamer does, without
        ("420023203fc0", ("1190", 48000, 2, 3)),  # three access units in an element
        ("40005724101fe0", ("2b920800", 44100, 2, 1)),  # HE-AAC: audio object type 5
    ],
)
def test_stream_mux_configs(config: str, expected: tuple[str, int, int, int]) -> None:
    parsed = StreamMuxConfig.parse(bytes.fromhex(config))
    assert (
        parsed.config.hex(),
        parsed.audio.sample_rate_hz,
        parsed.audio.channels,
        parsed.sub_frames,
    ) == expected
    assert parameters_from_config(parsed.config).sample_rate_hz == expected[1]


@given(
    st.lists(bodies(600, shortest=1), min_size=1, max_size=4),
    st.integers(1, 700),
)
def test_latm_elements_come_back_however_they_were_cut(units: list[bytes], step: int) -> None:
    depacketiser = latm(OUT_OF_BAND)
    frames = []
    for index, unit in enumerate(units):
        element = b"\xff" * (len(unit) // 255) + bytes((len(unit) % 255,)) + unit
        for start in range(0, len(element), step):
            last = start + step >= len(element)
            frames += depacketiser.push(packet(1024 * index, element[start : start + step], marker=last))
    assert times_and_units(frames) == [(1024 * index, unit) for index, unit in enumerate(units)]


def test_several_units_of_a_latm_packet_get_their_own_timestamps() -> None:
    assert times_and_units(latm(OUT_OF_BAND).push(packet(7, b"\x02aa\x01b"))) == [(7, b"aa"), (1031, b"b")]
    depacketiser = latm({"cpresent": "0", "config": "420023203fc0"})
    assert len(depacketiser.push(packet(0, b"\x01a\x01b\x01c"))) == 3


def test_latm_of_a_sender_without_markers_ends_at_the_next_timestamp() -> None:
    depacketiser = latm(OUT_OF_BAND)
    assert depacketiser.push(packet(0, b"\x04ab", marker=False)) == []
    assert depacketiser.push(packet(0, b"cd", marker=False)) == []
    assert times_and_units(depacketiser.push(packet(1024, b"\x01", marker=False))) == [(0, b"abcd")]


def in_band(unit: bytes, config: str | None) -> bytes:
    """An AudioMuxElement with its useSameStreamMux bit, everything behind it shifted by it."""
    bits = "1" if config is None else "0" + config
    for byte in b"\xff" * (len(unit) // 255) + bytes((len(unit) % 255,)) + unit:
        bits += f"{byte:08b}"
    bits += "0" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big")


CONFIG_BITS = f"{0x400023203FC0:048b}"[:44]  # up to crcCheckPresent, 45 bits of which the first is 0


@pytest.mark.parametrize("fmtp", [{}, {"cpresent": "1"}, {"cpresent": "1", "config": "400023203fc0"}])
def test_latm_with_its_configuration_in_band(fmtp: dict[str, str]) -> None:
    depacketiser = latm(fmtp)
    known = depacketiser.push(packet(0, in_band(b"early", None)))
    assert times_and_units(known) == ([(0, b"early")] if "config" in fmtp else [])
    whole = in_band(b"a" * 300, CONFIG_BITS)
    assert times_and_units(depacketiser.push(packet(1024, whole))) == [(1024, b"a" * 300)]
    assert times_and_units(depacketiser.push(packet(2048, in_band(b"bc", None)))) == [(2048, b"bc")]


def test_a_configuration_in_band_that_is_not_the_announced_one_is_refused() -> None:
    depacketiser = latm({}, clock_rate_hz=44100)
    with pytest.raises(MalformedPayload, match="announced"):
        depacketiser.push(packet(0, in_band(b"a", CONFIG_BITS)))


def test_latm_after_a_gap_waits_for_the_next_timestamp_but_one() -> None:
    depacketiser = latm(OUT_OF_BAND)
    assert depacketiser.push(packet(0, b"\x05ab", marker=False)) == []
    depacketiser.reset()
    assert depacketiser.push(packet(0, b"cde")) == []
    assert depacketiser.push(packet(1024, b"\x01a")) == []  # may be the tail of a longer one
    assert len(depacketiser.push(packet(2048, b"\x01a"))) == 1


@pytest.mark.parametrize("payload", [b"", b"\xff", b"\x05abc", b"\x01a\x05"])
def test_malformed_latm_leaves_nothing_behind(payload: bytes) -> None:
    depacketiser = latm(OUT_OF_BAND)
    if payload:
        with pytest.raises(MalformedPayload):
            depacketiser.push(packet(0, payload))
    else:
        assert depacketiser.push(packet(0, payload)) == []
    assert len(depacketiser.push(packet(1024, b"\x01a"))) == 1


def test_a_latm_flood_is_refused() -> None:
    depacketiser = latm(OUT_OF_BAND)
    with pytest.raises(MalformedPayload, match=str(MAX_ELEMENT_BYTES // 60_000 * 120_000)):
        for _ in range(3):
            depacketiser.push(packet(0, bytes(60_000), marker=False))
    assert depacketiser.push(packet(0, bytes(60_000), marker=False)) == []
    with pytest.raises(MalformedPayload, match="fragments"):
        for _ in range(2000):
            depacketiser.push(packet(1024, b"", marker=False))


@given(st.binary(max_size=40), st.booleans())
def test_hostile_stream_mux_configs_raise_the_one_error_only(data: bytes, plausible: bool) -> None:
    try:
        found = StreamMuxConfig.parse(b"\x40\x00" + data if plausible else data)
    except MalformedBitstream:
        return
    assert 1 <= found.sub_frames <= 64
    assert found.frame_length_bytes is None or 20 <= found.frame_length_bytes < 20 + 512
    assert len(found.config) <= 3 + len(data)


@given(
    st.sampled_from([{}, OUT_OF_BAND]),
    st.lists(st.tuples(st.integers(0, 2), st.binary(max_size=20), st.booleans())),
)
def test_hostile_latm_raises_the_one_error_only(fmtp: dict[str, str], payloads: list[tuple[int, bytes, bool]]) -> None:
    depacketiser = latm(fmtp)
    for timestamp, payload, marker in payloads:
        try:
            frames = depacketiser.push(packet(timestamp, payload, marker=marker))
        except MalformedPayload:
            continue
        assert len(frames) <= MAX_UNITS_IN_PACKET
        assert sum(frame.size_bytes for frame in frames) <= sum(len(data) for _, data, _ in payloads)


@pytest.mark.parametrize(
    "fmtp",
    [
        {"cpresent": "0"},
        {"cpresent": "0", "config": "zz"},
        {"cpresent": "0", "config": "c00023203fc0"},  # audioMuxVersionA
        {"cpresent": "0", "config": "400823203fc0"},  # two layers
        {"cpresent": "0", "config": "400084203fc0"},  # CELP
    ],
)
def test_unsupported_latm_is_refused(fmtp: dict[str, str]) -> None:
    rtpmap = RtpMap(payload_type=96, encoding_name="MP4A-LATM", clock_rate_hz=48000, fmtp=fmtp)
    with pytest.raises(UnsupportedFormat, match="MP4A-LATM"):
        track_from_rtpmap(rtpmap)


def test_latm_is_not_sent() -> None:
    with pytest.raises(UnsupportedFormat):
        LATM.describe(TRACK, 96)
    with pytest.raises(UnsupportedFormat):
        LATM.packetiser(TRACK, 1400)
    assert unit_ticks(TRACK) == 1024
    assert AudioSpecificConfig.parse(b"\x11\x90").channels == 2
