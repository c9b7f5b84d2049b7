"""Vorbis (RFC 5215) and Theora in RTP: configurations, fragments, packets that share a payload."""

from __future__ import annotations

import base64
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.coded import coded_packets
from support.rtp_vectors import (
    audio_frame,
    bodies,
    packets_of,
    push_all,
    push_with_gap,
    read_packets,
    read_rtpmap,
    rtp_packet,
    video_frame,
)

from manycast.media.bits import MalformedBitstream
from manycast.media.normalise import normalise
from manycast.media.theora import TheoraHeader
from manycast.media.track import Codec, Track, XiphParameters
from manycast.media.vorbis import PacketTimer
from manycast.media.xiph import MAX_COMMENT_BYTES, empty_comment, take_headers, with_headers
from manycast.wire.rtp.formats import format_for_codec, track_from_rtpmap
from manycast.wire.rtp.payload import Depacketiser, MalformedPayload, RtpMap, UnsupportedFormat
from manycast.wire.rtp.xiph import MAX_FRAGMENTS

VORBIS, FORMAT = track_from_rtpmap(read_rtpmap("vorbis_gstreamer"))
THEORA, _ = track_from_rtpmap(read_rtpmap("theora_gstreamer"))
IDENT = b"\x01\x02\x03"


def parameters_of(track: Track) -> XiphParameters:
    assert isinstance(track.parameters, XiphParameters)
    return track.parameters


def headers_of(track: Track) -> tuple[bytes, bytes, bytes]:
    parameters = parameters_of(track)
    return parameters.identification, parameters.comment, parameters.setup


def payload(flags: int, *packets: bytes, ident: bytes = IDENT) -> bytes:
    return ident + bytes((flags,)) + b"".join(len(packet).to_bytes(2) + packet for packet in packets)


def depacketiser(track: Track = THEORA) -> Depacketiser:
    return format_for_codec(track.codec).depacketiser(track, 0)


def packed(*headers: bytes, ident: bytes = IDENT, count: int = 1) -> bytes:
    lengths = b"".join(bytes((len(h) >> 7 | 0x80, len(h) & 0x7F)) for h in headers[:-1])
    return (
        count.to_bytes(4)
        + ident
        + sum(map(len, headers)).to_bytes(2)
        + bytes((len(headers) - 1,))
        + lengths
        + b"".join(headers)
    )


def described(configuration: bytes | str, encoding: str = "theora") -> RtpMap:
    text = configuration if isinstance(configuration, str) else base64.b64encode(configuration).decode()
    rate_hz = 90_000 if encoding == "theora" else 48_000
    return RtpMap(payload_type=96, encoding_name=encoding, clock_rate_hz=rate_hz, fmtp={"configuration": text})


@pytest.mark.parametrize("name", ["vorbis_ffmpeg", "vorbis_gstreamer"])
def test_vorbis_of_real_senders(name: str) -> None:
    track, payload_format = track_from_rtpmap(read_rtpmap(name))
    assert (parameters_of(track).sample_rate_hz, parameters_of(track).channels) == (48_000, 2)
    packets = read_packets(name)
    frames = push_all(payload_format.depacketiser(track, 1), packets)
    original = coded_packets("vorbis")
    assert 5 < len(frames) <= len(original)
    assert [frame.units for frame in frames] == [[packet.data] for packet in original[: len(frames)]]
    assert all(frame.keyframe and frame.track_index == 1 for frame in frames)
    for frame, packet in zip(frames, original, strict=False):
        assert (frame.pts_ticks - frames[0].pts_ticks) / 48 == pytest.approx(packet.pts_ms - original[0].pts_ms, abs=5)
    again = packets_of(payload_format.packetiser(track, 1388), frames)
    assert not any(packet.marker for packet in again)
    assert [frame.units for frame in push_all(payload_format.depacketiser(track, 1), again)] == [
        frame.units for frame in frames
    ]


def test_packets_that_share_a_payload_follow_one_another() -> None:
    """Blocks of 256 and 2048 samples: a packet adds a quarter of its own and of the one before."""
    identification, _comment, setup = headers_of(VORBIS)
    timer = PacketTimer(identification, setup)
    short, long = b"\x00", b"\x02"
    assert [timer.samples(packet) for packet in (short, short, long, long, short)] == [128, 128, 576, 1024, 576]
    frames = depacketiser(VORBIS).push(rtp_packet(payload(3, short, long, long), timestamp=1000))
    assert [frame.pts_ticks for frame in frames] == [1000, 1128, 1704]


def test_the_frames_of_theora_in_one_payload_follow_one_another() -> None:
    frames = depacketiser().push(rtp_packet(payload(3, b"\x00key", b"", b"\x40inter"), timestamp=1000))
    assert [(frame.pts_ticks, frame.keyframe) for frame in frames] == [(1000, True), (8200, False)]


@pytest.mark.parametrize("codec", [Codec.VORBIS, Codec.THEORA])
@given(st.lists(bodies(300, shortest=1), min_size=1, max_size=40), st.integers(20, 400))
def test_packets_are_packed_together_or_cut(codec: Codec, units: list[bytes], limit: int) -> None:
    track = VORBIS if codec is Codec.VORBIS else THEORA
    packetiser = format_for_codec(codec).packetiser(track, limit)
    packets = packets_of(packetiser, [video_frame([b"\x00" + unit for unit in units])])
    assert all(6 < len(packet.payload) <= limit for packet in packets)
    assert all((packet.payload[3] & 15) <= 15 for packet in packets)
    frames = push_all(depacketiser(track), packets)
    assert [frame.units for frame in frames] == [[b"\x00" + unit] for unit in units]


@pytest.mark.parametrize("track", [VORBIS, THEORA], ids=["vorbis", "theora"])
def test_descriptions_come_back(track: Track) -> None:
    payload_format = format_for_codec(track.codec)
    assert track_from_rtpmap(payload_format.describe(track, 96))[0] == track
    bare = replace(track, parameters=replace(parameters_of(track), identification=b"", comment=b"", setup=b""))
    assert "configuration" not in payload_format.describe(bare, 96).fmtp


def test_theora_says_its_size() -> None:
    fmtp = format_for_codec(Codec.THEORA).describe(THEORA, 96).fmtp
    assert (fmtp["width"], fmtp["height"], fmtp["sampling"]) == ("176", "144", "YCbCr-4:2:0")
    header = TheoraHeader.parse(parameters_of(THEORA).identification)
    assert header.frame_rate == 25


def test_a_configuration_may_have_no_comment_or_a_long_one() -> None:
    identification, _comment, setup = headers_of(THEORA)
    for comment in (b"", b"\x81theora" + bytes(MAX_COMMENT_BYTES), b"rubbish"):
        track, _ = track_from_rtpmap(described(packed(identification, comment, setup)))
        assert headers_of(track) == (identification, b"\x81theora" + bytes(8), setup)
    track, _ = track_from_rtpmap(described(packed(identification, setup)))
    assert headers_of(track) == (identification, empty_comment(Codec.THEORA), setup)


def test_of_several_configurations_the_first_one_counts() -> None:
    headers = headers_of(THEORA)
    both = packed(*headers, count=2) + packed(*headers)[4:]
    assert headers_of(track_from_rtpmap(described(both))[0]) == headers


def test_base64_without_padding_is_read() -> None:
    text = base64.b64encode(packed(*headers_of(THEORA))).decode().rstrip("=")
    assert headers_of(track_from_rtpmap(described(text))[0]) == headers_of(THEORA)


@pytest.mark.parametrize(
    "configuration",
    [
        "!",
        "AAAA",
        packed(*headers_of(THEORA))[:60],
        packed(headers_of(THEORA)[0], b"", b""),
        packed(*headers_of(VORBIS)),  # of the wrong codec
        packed(headers_of(THEORA)[0][:30], b"", headers_of(THEORA)[2]),
        b"\0\0\0\1" + IDENT + b"\0\x09\x05rubbish here",
        b"\0\0\0\1" + IDENT + b"\0\x09\x02\xff\xff\xff\xff",
    ],
)
def test_broken_configurations_are_refused(configuration: bytes | str) -> None:
    with pytest.raises(UnsupportedFormat, match="theora: "):
        track_from_rtpmap(described(configuration))


@pytest.mark.parametrize("fragmented", [False, True])
def test_headers_in_band_are_learned(fragmented: bool) -> None:
    track, payload_format = track_from_rtpmap(RtpMap(payload_type=96, encoding_name="THEORA", clock_rate_hz=90_000))
    assert not track.parameters.complete
    receiver = payload_format.depacketiser(track, 0)
    body = packed(*headers_of(THEORA))[9:]
    if fragmented:
        parts = [
            payload(flags, part) for flags, part in ((0x50, body[:900]), (0x90, body[900:2000]), (0xD0, body[2000:]))
        ]
    else:
        parts = [payload(0x11, body)]
    assert push_all(receiver, [rtp_packet(part) for part in parts]) == []
    (frame,) = receiver.push(rtp_packet(payload(0x01, b"\x00key"), timestamp=7))
    track = normalise(frame, track)
    assert track == THEORA
    assert (frame.units, frame.keyframe) == ([b"\x00key"], True)
    (frame,) = receiver.push(rtp_packet(payload(0x01, b"\x40inter"), timestamp=8))
    assert normalise(frame, track) is track
    assert frame.units == [b"\x40inter"]


def test_the_same_headers_again_change_nothing() -> None:
    receiver = depacketiser()
    body = packed(*headers_of(THEORA))[9:]
    receiver.push(rtp_packet(payload(0x11, body)))
    (frame,) = receiver.push(rtp_packet(payload(0x01, b"\x00key")))
    assert normalise(frame, THEORA) is THEORA


def test_data_of_a_configuration_that_nobody_announced_is_refused() -> None:
    receiver = depacketiser()
    receiver.push(rtp_packet(payload(1, b"\x00key")))
    with pytest.raises(MalformedPayload, match="0x090909"):
        receiver.push(rtp_packet(payload(1, b"\x40inter", ident=b"\x09\x09\x09")))
    receiver.push(rtp_packet(payload(0x11, packed(*headers_of(THEORA))[9:], ident=b"\x09\x09\x09")))
    assert receiver.push(rtp_packet(payload(1, b"\x00key", ident=b"\x09\x09\x09")))


@pytest.mark.parametrize("flags", [0x21, 0x31])
def test_comments_and_reserved_kinds_are_passed_over(flags: int) -> None:
    assert depacketiser().push(rtp_packet(payload(flags, b"comment"))) == []


@pytest.mark.parametrize(
    "payloads",
    [
        [b""],
        [payload(1)],
        [payload(2, b"one")],
        [IDENT + b"\x01\x00\x09short"],
        [payload(0x40, b"start"), payload(0xD0, b"end of a configuration")],
        [payload(0x11, b"rubbish")],
        [payload(0x11, packed(*headers_of(VORBIS))[9:])],
    ],
)
def test_broken_payloads_raise(payloads: list[bytes]) -> None:
    with pytest.raises(MalformedPayload):
        push_all(depacketiser(), [rtp_packet(data) for data in payloads])


def test_a_packet_without_an_end_is_bounded() -> None:
    receiver = depacketiser()
    receiver.push(rtp_packet(payload(0x40, b"x")))
    with pytest.raises(MalformedPayload, match="over"):
        for _ in range(MAX_FRAGMENTS):
            receiver.push(rtp_packet(payload(0x80, b"x")))


def test_a_gap_costs_the_packet_under_way() -> None:
    frames = [audio_frame(b"\x00" + bytes(100), pts_ticks=index) for index in range(3)]
    packets = packets_of(format_for_codec(Codec.VORBIS).packetiser(VORBIS, 60), frames)
    got = push_with_gap(depacketiser(VORBIS), packets, range(2, 3))
    assert [frame.pts_ticks for frame in got] == [0, 2]


@given(st.binary(max_size=60), st.integers(0, 255))
def test_hostile_configurations_raise_the_one_error_only(data: bytes, flags: int) -> None:
    try:
        track_from_rtpmap(described(data, "vorbis"))
    except UnsupportedFormat:
        pass
    receiver = depacketiser(VORBIS)
    try:
        receiver.push(rtp_packet(payload(flags, data)))
    except MalformedPayload:
        pass


@given(st.binary(min_size=30, max_size=30), st.binary(max_size=500))
def test_hostile_setup_headers_raise_the_one_error_only(identification: bytes, setup: bytes) -> None:
    try:
        timer = PacketTimer(identification, setup)
        assert 32 <= timer.samples(b"\x00") <= 4096
    except MalformedBitstream:
        pass


@given(st.lists(st.sampled_from([*headers_of(THEORA), b"\x00key", b"\x80theora", b"", b"\x82"]), max_size=6))
def test_headers_leave_the_frame_whatever_they_are(units: list[bytes]) -> None:
    parameters, others = take_headers(Codec.THEORA, list(units))
    assert all(other not in headers_of(THEORA) for other in others)
    complete = units.count(headers_of(THEORA)[0]) and units.count(headers_of(THEORA)[2])
    if parameters is not None:
        assert complete


def test_headers_over_the_limit_are_refused() -> None:
    identification, comment, setup = headers_of(VORBIS)
    with pytest.raises(MalformedBitstream, match="over"):
        with_headers(Codec.VORBIS, identification, comment, setup + bytes(70_000))
    silent = identification[:11] + bytes(5) + identification[16:]
    with pytest.raises(MalformedBitstream, match="0 channels"):
        with_headers(Codec.VORBIS, silent, comment, setup)
