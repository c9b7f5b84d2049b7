"""The table of formats, their descriptions, and the two that need no parser: G.711 and Opus."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.rtp_vectors import VECTORS, audio_frame, bodies, packets_of, push_all, read_packets, read_rtpmap

from manycast.media.bits import MalformedBitstream
from manycast.media.h265 import H265Sps
from manycast.media.opus import split_packet
from manycast.media.track import (
    AacParameters,
    AudioParameters,
    Codec,
    H264Parameters,
    H265Parameters,
    Track,
)
from manycast.wire.rtp.formats import CARRIED, FORMATS, format_for_codec, static_rtpmap, track_from_rtpmap
from manycast.wire.rtp.payload import RtpMap, UnsupportedFormat


def audio_track(codec: Codec, rate_hz: int, channels: int) -> Track:
    return Track(
        codec=codec,
        clock_rate_hz=rate_hz,
        parameters=AudioParameters(sample_rate_hz=rate_hz, channels=channels),
    )


@pytest.mark.parametrize("name", sorted(path.stem for path in VECTORS.glob("*_ffmpeg.sdp")))
def test_our_descriptions_are_those_of_ffmpeg(name: str) -> None:
    rtpmap = read_rtpmap(name)
    track, _payload_format = track_from_rtpmap(rtpmap)
    ours = format_for_codec(track.codec).describe(track, rtpmap.payload_type)
    if name.startswith("latm"):
        assert ours.encoding_name == "MPEG4-GENERIC"
        return
    if name.startswith("aal2"):
        assert f"AAL2-{ours.encoding_name}" == rtpmap.encoding_name
        return
    assert (ours.payload_type, ours.encoding_name) == (rtpmap.payload_type, rtpmap.encoding_name)
    assert ours.clock_rate_hz == rtpmap.clock_rate_hz
    assert (ours.channels or 1) == (rtpmap.channels or 1)
    expected = dict(rtpmap.fmtp)
    if track.codec is Codec.H264:
        expected["packetization-mode"] = "1"
    elif track.codec is Codec.AAC:
        expected["streamtype"] = "5"
    elif track.codec is Codec.OPUS:
        expected["sprop-stereo"] = "1"  # which two channels may always say
    elif track.codec is Codec.MPEG4:
        expected["profile-level-id"] = "241"  # what the configuration says; FFmpeg never reads it
    elif track.codec in (Codec.THEORA, Codec.VORBIS):  # FFmpeg leaves out the comment, and names it otherwise
        assert len(ours.fmtp["configuration"]) > len(expected["configuration"])
        expected["configuration"] = ours.fmtp["configuration"]
    assert ours.fmtp == expected


@pytest.mark.parametrize("name", sorted(path.stem for path in VECTORS.glob("*.sdp")))
def test_our_own_descriptions_make_the_same_track(name: str) -> None:
    track, _payload_format = track_from_rtpmap(read_rtpmap(name))
    described = format_for_codec(track.codec).describe(track, 96)
    again, payload_format = track_from_rtpmap(described)
    assert again == track
    assert payload_format.codec is track.codec


def test_every_codec_that_is_carried_has_a_format_to_be_sent_in() -> None:
    assert Codec.FLAC not in CARRIED
    for codec in CARRIED:
        payload_format = format_for_codec(codec)
        assert payload_format.codec is codec
        assert payload_format in FORMATS


def test_parameters_that_are_unknown_are_left_out() -> None:
    h264 = Track(codec=Codec.H264, clock_rate_hz=90_000, parameters=H264Parameters())
    assert format_for_codec(Codec.H264).describe(h264, 96).fmtp == {"packetization-mode": "1"}
    h265 = Track(codec=Codec.H265, clock_rate_hz=90_000, parameters=H265Parameters())
    assert format_for_codec(Codec.H265).describe(h265, 96).fmtp == {}


def test_several_parameter_sets_go_into_one_list() -> None:
    sps, pps = bytes.fromhex("6742c01fd9005005bbff0003000410000003001000000303c0f1832480"), b"\x68\xcb"
    track = Track(codec=Codec.H264, clock_rate_hz=90_000, parameters=H264Parameters(sps=(sps,), pps=(pps, b"\x68\x5b")))
    described = format_for_codec(Codec.H264).describe(track, 96)
    assert described.fmtp["profile-level-id"] == "42C01F"
    assert described.fmtp["sprop-parameter-sets"].count(",") == 2
    assert track_from_rtpmap(described)[0] == track


@pytest.mark.parametrize(
    ("encoding_name", "codec"),
    [
        ("h264", Codec.H264),
        ("H265", Codec.H265),
        ("HEVC", Codec.H265),
        ("pcmu", Codec.G711U),
        ("PcmA", Codec.G711A),
    ],
)
def test_encoding_names_are_compared_without_case(encoding_name: str, codec: Codec) -> None:
    rate_hz = 8000 if codec in (Codec.G711A, Codec.G711U) else 90_000
    rtpmap = RtpMap(payload_type=96, encoding_name=encoding_name, clock_rate_hz=rate_hz)
    assert track_from_rtpmap(rtpmap)[0].codec is codec


@pytest.mark.parametrize(
    ("encoding", "rate_hz", "channels", "fmtp"),
    [
        ("H263", 90_000, None, {}),
        ("VP8", 48_000, None, {}),
        ("AV1", 8000, None, {}),
        ("theora", 90_000, None, {"configuration": "AAAA"}),
        ("vorbis", 48_000, None, {"configuration": "!"}),
        ("", 90_000, None, {}),
        ("H264", 48_000, None, {}),
        ("H264", 90_000, None, {"packetization-mode": "2"}),
        ("H265", 0, None, {}),
        ("H265", 90_000, None, {"sprop-max-don-diff": "1"}),
        ("PCMU", 0, None, {}),
        ("PCMA", 8000, 99, {}),
        ("opus", 16_000, 2, {}),
    ],
)
def test_unsupported_descriptions_are_refused_by_name(
    encoding: str, rate_hz: int, channels: int | None, fmtp: dict[str, str]
) -> None:
    rtpmap = RtpMap(payload_type=96, encoding_name=encoding, clock_rate_hz=rate_hz, channels=channels, fmtp=fmtp)
    with pytest.raises(UnsupportedFormat, match=encoding or "encoding ''"):
        track_from_rtpmap(rtpmap)


SPS, PPS = "Z0LAH9kAUAW7/wADAAQQAAADABAAAAMDwPGDJIA=", "aMuDyyA="


@pytest.mark.parametrize(
    ("sprop", "found"),
    [
        (f"{SPS},{PPS}", (1, 1)),
        (f"{PPS},{SPS}", (1, 1)),
        (f" {SPS} , {PPS} ", (1, 1)),
        (f"{SPS.rstrip('=')},{PPS.rstrip('=')}", (1, 1)),  # padding left out
        (f"AAAAA{PPS[:0]}WjLg8sg", (0, 1)),  # 0 0 0 1 in front, as some cameras send
        (f"{SPS},", (1, 0)),
        ("", (0, 0)),
        ("!!!,%%%", (0, 0)),
        ("é,Z", (0, 0)),
        (f"Z0LA,{PPS}", (0, 1)),  # an SPS that is none
    ],
)
def test_sprop_parameter_sets_as_they_are_met(sprop: str, found: tuple[int, int]) -> None:
    rtpmap = RtpMap(
        payload_type=96,
        encoding_name="H264",
        clock_rate_hz=90_000,
        fmtp={"sprop-parameter-sets": sprop},
    )
    parameters = track_from_rtpmap(rtpmap)[0].parameters
    assert isinstance(parameters, H264Parameters)
    assert (len(parameters.sps), len(parameters.pps)) == found


@given(
    st.sampled_from([*(name for payload_format in FORMATS for name in payload_format.encoding_names), "x"]),
    st.integers(-1, 200_000) | st.sampled_from([8000, 48_000, 90_000]),
    st.none() | st.integers(0, 300),
    st.dictionaries(
        st.sampled_from(
            [
                "sprop-parameter-sets",
                "sprop-vps",
                "sprop-sps",
                "packetization-mode",
                "config",
                "configuration",
                "cpresent",
                "sizelength",
                "sprop-stereo",
                "octet-align",
                "interleaving",
            ]
        ),
        st.text(max_size=30) | st.binary(max_size=20).map(bytes.hex),
    ),
)
def test_hostile_descriptions_raise_the_one_error_only(
    encoding: str, rate_hz: int, channels: int | None, fmtp: dict[str, str]
) -> None:
    rtpmap = RtpMap(payload_type=96, encoding_name=encoding, clock_rate_hz=rate_hz, channels=channels, fmtp=fmtp)
    try:
        track, payload_format = track_from_rtpmap(rtpmap)
    except UnsupportedFormat:
        return
    payload_format.depacketiser(track, 0)


def test_sprop_sets_of_h265_come_back() -> None:
    track, _payload_format = track_from_rtpmap(read_rtpmap("h265_gstreamer"))
    assert isinstance(track.parameters, H265Parameters)
    assert track.parameters.complete
    sps = H265Sps.parse(track.parameters.sps[0])
    assert (sps.width, sps.height) == (176, 144)


def test_aac_is_described_as_its_rfc_wants() -> None:
    track = Track(
        codec=Codec.AAC,
        clock_rate_hz=48000,
        parameters=AacParameters(config=b"\x11\xb0", sample_rate_hz=48000, channels=6),
    )
    assert format_for_codec(Codec.AAC).describe(track, 97) == RtpMap(
        payload_type=97,
        encoding_name="MPEG4-GENERIC",
        clock_rate_hz=48000,
        channels=6,
        fmtp={
            "streamtype": "5",
            "profile-level-id": "1",
            "mode": "AAC-hbr",
            "sizelength": "13",
            "indexlength": "3",
            "indexdeltalength": "3",
            "config": "11B0",
        },
    )


# G.711


def test_static_payload_types() -> None:
    for payload_type, codec in ((0, Codec.G711U), (8, Codec.G711A)):
        rtpmap = static_rtpmap(payload_type)
        assert rtpmap is not None
        track, payload_format = track_from_rtpmap(rtpmap)
        assert track == audio_track(codec, 8000, 1)
        assert payload_format.describe(track, 99) == rtpmap
    assert static_rtpmap(1) is None
    assert static_rtpmap(96) is None


@pytest.mark.parametrize(
    ("name", "track"),
    [
        ("pcmu_ffmpeg", audio_track(Codec.G711U, 8000, 1)),
        ("pcma_gstreamer", audio_track(Codec.G711A, 8000, 1)),
        ("pcma_16000_stereo_ffmpeg", audio_track(Codec.G711A, 16000, 2)),
    ],
)
def test_g711_of_real_senders(name: str, track: Track) -> None:
    announced, payload_format = track_from_rtpmap(read_rtpmap(name))
    assert announced == track
    frames = push_all(payload_format.depacketiser(track, 2), read_packets(name))
    assert isinstance(track.parameters, AudioParameters)
    channels = track.parameters.channels
    for before, after in pairwise(frames):
        assert after.pts_ticks == before.pts_ticks + len(before.units[0]) // channels
    assert all(frame.keyframe and frame.track_index == 2 for frame in frames)


@given(bodies(500), st.integers(1, 8), st.integers(8, 100))
def test_g711_frames_are_cut_between_samples(data: bytes, channels: int, limit: int) -> None:
    track = audio_track(Codec.G711U, 8000, channels)
    data = data[: len(data) - len(data) % channels]
    payload_format = format_for_codec(Codec.G711U)
    packets = packets_of(payload_format.packetiser(track, limit), [audio_frame(data, pts_ticks=1000)])
    assert all(0 < len(packet.payload) <= limit and not packet.marker for packet in packets)
    frames = push_all(payload_format.depacketiser(track, 0), packets)
    assert b"".join(frame.units[0] for frame in frames) == data
    position = 0
    for frame in frames:
        assert frame.pts_ticks == 1000 + position // channels
        assert len(frame.units[0]) % channels == 0
        position += len(frame.units[0])


def test_half_a_sample_at_the_end_of_a_g711_packet_is_dropped() -> None:
    track = audio_track(Codec.G711A, 8000, 2)
    packet = read_packets("pcma_gstreamer")[0]
    packet.payload = b"lrlrl"
    depacketiser = format_for_codec(Codec.G711A).depacketiser(track, 0)
    assert depacketiser.push(packet)[0].units == [b"lrlr"]
    packet.payload = b"l"
    assert depacketiser.push(packet) == []
    depacketiser.reset()


# Opus


@pytest.mark.parametrize("name", ["opus_mono_ffmpeg", "opus_stereo_ffmpeg", "opus_gstreamer"])
def test_opus_of_real_senders(name: str) -> None:
    track, payload_format = track_from_rtpmap(read_rtpmap(name))
    packets = read_packets(name)
    frames = push_all(payload_format.depacketiser(track, 0), packets)
    assert track.parameters == AudioParameters(sample_rate_hz=48_000, channels=2)
    assert [frame.units for frame in frames] == [[packet.payload] for packet in packets]
    assert [frame.pts_ticks for frame in frames] == [packet.timestamp for packet in packets]
    again = packets_of(payload_format.packetiser(track, 1388), frames)
    assert [packet.payload for packet in again] == [packet.payload for packet in packets]
    assert not any(packet.marker for packet in again)


@pytest.mark.parametrize(("sprop", "channels"), [("0", 1), ("1", 2), (None, 2)])
def test_opus_is_mono_only_where_it_says_so(sprop: str | None, channels: int) -> None:
    fmtp = {} if sprop is None else {"sprop-stereo": sprop}
    rtpmap = RtpMap(payload_type=96, encoding_name="OPUS", clock_rate_hz=48_000, channels=2, fmtp=fmtp)
    track, payload_format = track_from_rtpmap(rtpmap)
    assert track == audio_track(Codec.OPUS, 48_000, channels)
    described = payload_format.describe(track, 111)
    assert (described.encoding_name, described.channels) == ("opus", 2)
    assert described.fmtp == {"sprop-stereo": str(channels - 1)}


def size_field(size: int) -> bytes:
    return bytes((size,)) if size < 252 else bytes((252 + size % 4, (size - 252 - size % 4) // 4))


@given(
    st.integers(0, 31),
    st.lists(bodies(600), min_size=1, max_size=6),
    st.booleans(),
    st.sampled_from([0, 1, 5, 253, 254, 255, 300]),
)
def test_frames_of_opus_packets_are_found(config: int, frames: list[bytes], stereo: bool, padding: int) -> None:
    toc = config << 3 | stereo << 2
    packets = []
    if len(frames) == 1:
        packets.append(bytes((toc,)) + frames[0])
    if len(frames) == 2:
        packets.append(bytes((toc | 2,)) + size_field(len(frames[0])) + b"".join(frames))
    pad, fill = b"", b""
    if padding:
        whole, rest = divmod(padding, 254)
        pad, fill = b"\xff" * whole + bytes((rest,)), bytes(padding)
    head = bytes((toc | 3, 0x80 | (0x40 if padding else 0) | len(frames)))
    packets.append(head + pad + b"".join(size_field(len(f)) for f in frames[:-1]) + b"".join(frames) + fill)
    for packet in packets:
        assert split_packet(packet) == frames
    equal = [frames[0]] * len(frames)
    head = bytes((toc | 3, (0x40 if padding else 0) | len(frames)))
    assert split_packet(head + pad + b"".join(equal) + fill) == equal
    if len(frames) == 2:
        assert split_packet(bytes((toc | 1,)) + b"".join(equal)) == equal


def test_an_opus_packet_over_the_limit_is_sent_frame_by_frame() -> None:
    frames = [bytes((index,)) * 40 for index in range(3)]
    packet = bytes((0x7B | 4, 0x83, 40, 40)) + b"".join(frames)  # 15: hybrid, 20 ms
    packetiser = format_for_codec(Codec.OPUS).packetiser(audio_track(Codec.OPUS, 48_000, 2), 60)
    assert [tuple(p) for p in packetiser.packetise(audio_frame(packet))] == [
        (b"\x7c" + frame, 960 * index, False) for index, frame in enumerate(frames)
    ]
    assert packetiser.packetise(audio_frame(b"\x7c" + bytes(100))) == []  # a frame cannot be cut
    assert packetiser.packetise(audio_frame(b"\x7f" + bytes(100))) == []  # no Opus


@given(st.binary(max_size=30))
def test_hostile_opus_packets_raise_the_one_error_only(data: bytes) -> None:
    try:
        assert sum(map(len, split_packet(data))) < len(data)
    except MalformedBitstream:
        pass
