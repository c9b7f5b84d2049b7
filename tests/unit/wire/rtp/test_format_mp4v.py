"""MPEG-4 part 2 video in RTP (RFC 6416): configuration, VOPs that share a packet."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.bit_writer import BitWriter
from support.coded import coded_packets
from support.rtp_vectors import push_all, read_packets, read_rtpmap, rtp_packet

from manycast.media import mpeg4
from manycast.media.dts import DtsEstimator
from manycast.media.mpeg4 import VopClock, VopType
from manycast.media.track import Codec, Mpeg4Parameters, Track
from manycast.wire.rtp.formats import format_for_codec, track_from_rtpmap
from manycast.wire.rtp.payload import MalformedPayload, RtpMap, UnsupportedFormat

FORMAT = format_for_codec(Codec.MPEG4)
CONFIG = bytes.fromhex(read_rtpmap("mpeg4_gstreamer").fmtp["config"])
TRACK = Track(codec=Codec.MPEG4, clock_rate_hz=90_000, parameters=Mpeg4Parameters(config=CONFIG))


def layer(
    *, object_type: int = 1, low_delay: bool | None = None, resolution: int = 25, verid: int = 0, aspect: int = 1
) -> bytes:
    """The start of a VideoObjectLayer; `low_delay` None leaves out the control parameters."""
    writer = BitWriter()
    writer.u(1, 0)
    writer.u(8, object_type)
    writer.u(1, verid > 0)
    if verid:
        writer.u(4, verid)
        writer.u(3, 1)
    writer.u(4, aspect)
    if aspect == 15:
        writer.u(16, 0x0403)
    writer.u(1, low_delay is not None)
    if low_delay is not None:
        writer.u(2, 1)
        writer.u(1, low_delay)
        writer.u(1, 1)  # vbv_parameters
        writer.u(79, 0)
    writer.u(2, 0)
    writer.u(1, 1)
    writer.u(16, resolution)
    return b"\0\0\1\x20" + writer.done() + bytes(20)


def vop(kind: VopType, increment: int, *, seconds: int = 0, resolution: int = 25) -> bytes:
    writer = BitWriter()
    writer.u(2, kind)
    for _ in range(seconds):
        writer.u(1, 1)
    writer.u(1, 0)
    writer.u(1, 1)
    writer.u(max(1, (resolution - 1).bit_length()), increment)
    return b"\0\0\1\xb6" + writer.done() + b"\xff\xff"


I, P, B = VopType.I, VopType.P, VopType.B  # noqa: E741


def test_the_description_has_the_configuration_and_what_it_says() -> None:
    described = FORMAT.describe(TRACK, 97)
    assert described == RtpMap(
        payload_type=97,
        encoding_name="MP4V-ES",
        clock_rate_hz=90_000,
        fmtp={"profile-level-id": "241", "config": CONFIG.hex().upper()},
    )
    assert track_from_rtpmap(described)[0] == TRACK
    layer_only = Track(codec=Codec.MPEG4, clock_rate_hz=90_000, parameters=Mpeg4Parameters(config=layer()))
    assert FORMAT.describe(layer_only, 97).fmtp["profile-level-id"] == "1"


@pytest.mark.parametrize("config", ["", "zz", "000001", "000001b001", CONFIG.hex()[:3]])
def test_without_a_configuration_the_pictures_have_to_tell(config: str) -> None:
    rtpmap = RtpMap(payload_type=96, encoding_name="mp4v-es", clock_rate_hz=90_000, fmtp={"config": config})
    track, _ = track_from_rtpmap(rtpmap)
    assert not track.parameters.complete
    assert FORMAT.describe(track, 96).fmtp == {}


def test_another_clock_is_refused() -> None:
    with pytest.raises(UnsupportedFormat, match="25000 Hz"):
        track_from_rtpmap(RtpMap(payload_type=96, encoding_name="MP4V-ES", clock_rate_hz=25_000))


def test_vops_that_share_a_packet_get_times_of_their_own() -> None:
    units = [vop(P, 12), vop(B, 10), b"\0\0\1\xb2user" + vop(B, 11)]
    receiver = FORMAT.depacketiser(Track(codec=Codec.MPEG4, clock_rate_hz=90_000, parameters=Mpeg4Parameters()), 0)
    receiver.push(rtp_packet(layer() + vop(I, 9), timestamp=0, marker=True))
    frames = receiver.push(rtp_packet(b"".join(units), timestamp=10_800, marker=True))
    assert [(frame.units[0], frame.pts_ticks) for frame in frames] == [
        (units[0], 10_800),
        (units[1], 3600),
        (units[2], 7200),
    ]


def test_more_vops_in_a_packet_than_can_be_are_refused() -> None:
    with pytest.raises(MalformedPayload, match="100 VOPs"):
        FORMAT.depacketiser(TRACK, 0).push(rtp_packet(vop(P, 1) * 100, marker=True))


@pytest.mark.parametrize("name", ["mpeg4_ffmpeg", "mpeg4_gstreamer"])
def test_b_vops_get_their_dts(name: str) -> None:
    frames = push_all(FORMAT.depacketiser(TRACK, 0), read_packets(name))
    estimator = DtsEstimator.for_track(TRACK)
    dts = [estimator.push(frame.pts_ticks) for frame in frames]
    assert all(before < after for before, after in pairwise(dts))
    assert dts[1:] == sorted(frame.pts_ticks for frame in frames)[:-1]


@pytest.mark.parametrize(
    ("configuration", "expected"),
    [
        (layer(low_delay=True), False),
        (layer(low_delay=False), True),
        (layer(low_delay=False, verid=2, aspect=15), True),
        (layer(low_delay=True, verid=2, aspect=15), False),
        (layer(object_type=1), False),  # of the simple profile, which has none
        (layer(object_type=17), True),
        (b"", True),
        (b"\0\0\1\x20", True),
        (CONFIG, True),
    ],
)
def test_whether_vops_may_be_out_of_order(configuration: bytes, expected: bool) -> None:
    assert mpeg4.has_b_vops(configuration) is expected
    track = Track(codec=Codec.MPEG4, clock_rate_hz=90_000, parameters=Mpeg4Parameters(config=configuration))
    assert DtsEstimator.for_track(track).reorder_depth == int(expected)


@pytest.mark.parametrize("resolution", [1, 2, 25, 30_000, 65_535])
def test_vops_tell_their_times(resolution: int) -> None:
    clock = VopClock(layer(resolution=resolution, low_delay=False, verid=1, aspect=15), 90_000)
    last = resolution - 1
    pushed = [
        (vop(I, 0, resolution=resolution), 0.0),
        (vop(P, 0, seconds=1, resolution=resolution), 1.0),
        (vop(B, last, resolution=resolution), last / resolution),
        (vop(P, last, resolution=resolution), 1 + last / resolution),
        (vop(P, 0, seconds=2, resolution=resolution), 3.0),
        (b"\0\0\1\xb3" + bytes.fromhex("08b08000") + vop(I, 0, resolution=resolution), 3600 + 5 * 60 + 2.0),
    ]
    for data, expected in pushed:
        assert clock.push(data) == int(expected * 90_000 + 1e-6)


def test_a_clock_without_a_configuration_stands() -> None:
    clock = VopClock(b"", 90_000)
    assert clock.push(vop(I, 3)) == clock.push(vop(P, 7)) == 0
    assert clock.push(b"rubbish") == 0
    assert clock.push(b"\0\0\1\xb6") == 0


def test_configurations_end_where_pictures_begin() -> None:
    first = coded_packets("mpeg4")[0].data
    assert mpeg4.configuration_of(CONFIG + first) == CONFIG
    assert mpeg4.configuration_of(b"\0" + CONFIG + first) == CONFIG
    assert mpeg4.configuration_of(first) == b""
    assert mpeg4.configuration_of(layer() + bytes(5000) + vop(I, 0)) == b""
    assert mpeg4.profile_and_level(CONFIG) == 0xF1
    assert mpeg4.profile_and_level(b"\0\0\1\xb0") is None


@given(
    st.lists(st.sampled_from([vop(I, 0), vop(P, 3), vop(B, 2), b"\0\0\1\xb3\x00\x10\x00", layer(), b"x"]), max_size=8)
)
def test_splitting_keeps_every_byte(parts: list[bytes]) -> None:
    data = b"".join(parts)
    vops = mpeg4.split_vops(data)
    assert b"".join(vops) == data
    assert all(found.count(b"\0\0\1\xb6") == 1 for found in vops) or data.count(b"\0\0\1\xb6") == 0


@given(st.binary(max_size=80))
def test_hostile_bitstreams_are_survived(data: bytes) -> None:
    for start in (b"", b"\0\0\1\x20", b"\0\0\1\xb6", CONFIG):
        mpeg4.has_b_vops(start + data)
        mpeg4.vop_type(start + data)
        mpeg4.configuration_of(start + data)
        VopClock(start + data, 90_000).push(b"\0\0\1\xb6" + data)
