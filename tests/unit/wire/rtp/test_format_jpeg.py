"""JPEG in RTP (RFC 2435): headers written from what packets tell, and what cannot be carried."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.coded import coded_packets, decode
from support.rtp_vectors import packets_of, push_all, read_packets, rtp_packet, video_frame

from manycast.media.bits import MalformedBitstream
from manycast.media.jpeg import JpegImage, Sampling, scaled_tables
from manycast.media.track import Codec, PlainParameters, Track
from manycast.wire.rtp.formats import format_for_codec
from manycast.wire.rtp.payload import MalformedPayload, UnsupportedFormat

TRACK = Track(codec=Codec.MJPEG, clock_rate_hz=90_000, parameters=PlainParameters())
IMAGE = coded_packets("mjpeg")[0].data
PACKETISER = format_for_codec(Codec.MJPEG).packetiser(TRACK, 1388)


def received(*payloads: bytes) -> list[JpegImage]:
    """The images that packets of one timestamp each make, the marker on every one."""
    depacketiser = format_for_codec(Codec.MJPEG).depacketiser(TRACK, 0)
    packets = [rtp_packet(payload, timestamp=index, marker=True) for index, payload in enumerate(payloads)]
    return [JpegImage.parse(frame.units[0]) for frame in push_all(depacketiser, packets)]


def payload(number: int = 1, quality: int = 50, rest: bytes = b"scan", width: int = 20, height: int = 15) -> bytes:
    return bytes((0, 0, 0, 0, number, quality, width, height)) + rest


def in_band(*tables: bytes, precision: int = 0) -> bytes:
    data = b"".join(tables)
    return bytes((0, precision)) + len(data).to_bytes(2) + data


@pytest.mark.parametrize(
    ("name", "sampling", "restart_interval"),
    [
        ("mjpeg_422_gstreamer", Sampling.YUV422, 0),
        ("mjpeg_q50_gstreamer", Sampling.YUV420, 0),
        ("mjpeg_restarts_gstreamer", Sampling.YUV420, 11),
    ],
)
def test_images_of_real_senders_can_be_decoded(name: str, sampling: Sampling, restart_interval: int) -> None:
    frames = push_all(format_for_codec(Codec.MJPEG).depacketiser(TRACK, 0), read_packets(name))
    assert len(frames) >= 2
    for frame in frames:
        image = JpegImage.parse(frame.units[0])
        assert (image.sampling, image.restart_interval) == (sampling, restart_interval)
        (picture,) = decode("mjpeg", frame.units)
        assert len(set(picture)) > 50
        assert frame.keyframe


def test_a_quality_stands_for_the_tables_of_the_standard() -> None:
    """Those of quality 50 are annex K's own, in zigzag order; the values below are of its first and last places."""
    (image,) = received(payload(quality=50))
    luminance, chrominance = image.quantisation
    assert (luminance[:8], luminance[-2:]) == (bytes((16, 11, 12, 14, 12, 10, 16, 14)), bytes((103, 99)))
    assert (chrominance[:8], chrominance[-1]) == (bytes((17, 18, 18, 24, 21, 24, 47, 26)), 99)
    assert (image.width, image.height) == (160, 120)


@pytest.mark.parametrize(
    ("quality", "first", "last"), [(1, 255, 255), (25, 32, 198), (75, 8, 50), (90, 3, 20), (99, 1, 2)]
)
def test_tables_are_scaled_by_quality(quality: int, first: int, last: int) -> None:
    luminance, _chrominance = scaled_tables(quality)
    assert (luminance[0], luminance[-1]) == (first, last)


@pytest.mark.parametrize("quality", [0, 100, 127])
def test_reserved_qualities_are_refused(quality: int) -> None:
    with pytest.raises(MalformedPayload, match=f"reserved Q {quality}"):
        received(payload(quality=quality))


@pytest.mark.parametrize("number", [2, 63, 66, 127, 128, 255])
def test_types_that_nobody_sends_are_refused(number: int) -> None:
    with pytest.raises(MalformedPayload, match=f"type {number}"):
        received(payload(number=number, rest=bytes(8)))


@pytest.mark.parametrize(("width", "height"), [(0, 15), (20, 0)])
def test_sizes_over_the_limit_are_refused(width: int, height: int) -> None:
    with pytest.raises(MalformedPayload, match="2040x2040"):
        received(payload(width=width, height=height))


A, B = bytes(range(64)), bytes(range(64, 128))


def test_tables_in_band_are_remembered_by_their_q() -> None:
    images = received(
        payload(quality=128, rest=in_band(A, B) + b"1"),
        payload(quality=129, rest=in_band(B, A) + b"2"),
        payload(quality=128, rest=in_band() + b"3"),
    )
    assert [image.quantisation for image in images] == [(A, B), (B, A), (A, B)]
    assert [image.scan for image in images] == [b"1", b"2", b"3"]


def test_one_table_serves_for_both() -> None:
    assert received(payload(quality=255, rest=in_band(A) + b"1"))[0].quantisation == (A, A)


@pytest.mark.parametrize(
    "payloads",
    [
        [payload(quality=128, rest=in_band() + b"1")],  # none have come yet
        [payload(quality=255, rest=in_band(A, B) + b"1"), payload(quality=255, rest=in_band() + b"2")],
        [payload(quality=200, rest=b"\0\0\0\x80" + A)],  # cut off
        [payload(quality=200, rest=in_band(A[:40]))],
        [payload(quality=200, rest=b"\0\0")],
        [payload(number=65, rest=b"\0\1")],
        [payload(), payload()[:7]],
        [payload(), b""],
    ],
)
def test_broken_headers_raise(payloads: list[bytes]) -> None:
    with pytest.raises(MalformedPayload):
        received(*payloads)


def test_tables_of_16_bits_make_an_extended_image() -> None:
    """Which a baseline image must not have; ours says so, and cannot be sent again."""
    wide = bytes(128)
    depacketiser = format_for_codec(Codec.MJPEG).depacketiser(TRACK, 0)
    packet = rtp_packet(payload(quality=255, rest=in_band(wide, B, precision=1) + b"scan"), marker=True)
    (frame,) = depacketiser.push(packet)
    assert b"\xff\xdb\0\x83\x10" + wide in frame.units[0]
    assert b"\xff\xc1" in frame.units[0]
    with pytest.raises(MalformedBitstream, match="quantisation table of 16 bits"):
        JpegImage.parse(frame.units[0])


def test_a_fragment_in_the_wrong_place_drops_the_image() -> None:
    depacketiser = format_for_codec(Codec.MJPEG).depacketiser(TRACK, 0)
    first, second, *_rest = [packet.payload for packet in packets_of(PACKETISER, [video_frame([IMAGE])])]
    assert depacketiser.push(rtp_packet(first)) == []
    assert depacketiser.push(rtp_packet(second)) == []
    with pytest.raises(MalformedPayload, match="offset"):
        depacketiser.push(rtp_packet(second))
    assert depacketiser.push(rtp_packet(second, marker=True)) == []


def changed(old: bytes, new: bytes) -> bytes:
    assert old in IMAGE
    return IMAGE.replace(old, new, 1)


HUGE = changed(b"\xff\xc0\0\x11\x08\0\x90\0\xb0", b"\xff\xc0\0\x11\x08\x08\x70\x0f\x00")  # 3840x2160


@pytest.mark.parametrize(
    ("image", "why"),
    [
        (HUGE, "3840x2160: RTP carries up to 2040x2040. Scale it down"),
        (changed(b"\xff\xc0", b"\xff\xc2"), "coding process 2, wanted baseline"),
        (changed(b"\x01\x22\x00", b"\x01\x11\x00"), r"sampling 1x1,1x1,1x1, wanted"),
        (changed(b"\xff\xc0\0\x11\x08", b"\xff\xc0\0\x11\x0c"), "3 components of 12 bits"),
        (changed(bytes.fromhex("00010501010101010100"), bytes.fromhex("00010501010101010001")), "Huffman tables"),
        (IMAGE[:300], "no segment|no picture"),
        (b"GIF89a", "begins with 4749"),
        (b"\xff\xd8" + b"\xff\xfe\0\2" * 300, "256 segments"),
        (b"", "begins with"),
    ],
)
def test_images_that_cannot_be_carried_are_refused_with_advice(image: bytes, why: str) -> None:
    with pytest.raises(UnsupportedFormat, match=why):
        PACKETISER.packetise(video_frame([image]))


def test_an_image_of_grey_is_refused() -> None:
    with pytest.raises(UnsupportedFormat, match="frame header"):
        PACKETISER.packetise(video_frame([changed(b"\x03\x01\x22", b"\x01\x01\x22")]))


def test_what_is_behind_the_image_is_left_out() -> None:
    assert PACKETISER.packetise(video_frame([IMAGE + b"rubbish"])) == PACKETISER.packetise(video_frame([IMAGE]))


def test_an_image_without_huffman_tables_has_the_typical_ones() -> None:
    """As frames of AVI files have."""
    start = IMAGE.index(b"\xff\xc4")
    size = int.from_bytes(IMAGE[start + 2 : start + 4]) + 2
    bare = IMAGE[:start] + IMAGE[start + size :]
    assert PACKETISER.packetise(video_frame([bare])) == PACKETISER.packetise(video_frame([IMAGE]))


@given(
    st.integers(1, 2040),
    st.integers(1, 2040),
    st.sampled_from(Sampling),
    st.integers(0, 0xFFFF),
    st.binary(max_size=300).map(lambda data: data.replace(b"\xff", b"\xff\0") + b"."),
    st.integers(160, 400),
)
def test_an_image_comes_back_in_whole_blocks(
    width: int, height: int, sampling: Sampling, restart_interval: int, scan: bytes, limit: int
) -> None:
    image = JpegImage(
        width=width,
        height=height,
        sampling=sampling,
        quantisation=(A, B),
        restart_interval=restart_interval,
        scan=scan,
    )
    assert JpegImage.parse(image.serialize()) == image
    packets = packets_of(
        format_for_codec(Codec.MJPEG).packetiser(TRACK, limit), [video_frame([image.serialize()], pts_ticks=7)]
    )
    assert all(len(packet.payload) <= limit for packet in packets)
    (frame,) = push_all(format_for_codec(Codec.MJPEG).depacketiser(TRACK, 0), packets)
    found = JpegImage.parse(frame.units[0])
    assert (found.width, found.height) == (-(-width // 8) * 8, -(-height // 8) * 8)
    assert (found.sampling, found.restart_interval, found.quantisation) == (sampling, restart_interval, (A, B))
    assert found.scan == scan


@given(st.binary(max_size=80) | st.integers(0, 800).map(lambda size: IMAGE[:size]), st.binary(max_size=40))
def test_hostile_images_raise_the_one_error_only(start: bytes, rest: bytes) -> None:
    try:
        image = JpegImage.parse(b"\xff\xd8" + start + rest)
    except MalformedBitstream:
        return
    assert all(len(table) in (64, 128) for table in image.quantisation)
    assert len(image.scan) <= len(start + rest)
