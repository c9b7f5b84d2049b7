"""VP8 in RTP (RFC 7741): the descriptor and its extensions."""

from __future__ import annotations

import pytest
from support.rtp_vectors import push_all, rtp_packet, video_frame

from manycast.media.track import Codec, PlainParameters, Track
from manycast.wire.rtp.formats import format_for_codec
from manycast.wire.rtp.payload import MalformedPayload

TRACK = Track(codec=Codec.VP8, clock_rate_hz=90_000, parameters=PlainParameters())
FORMAT = format_for_codec(Codec.VP8)
KEY = bytes.fromhex("d04a009d012ab0009000") + b"key"  # the start of a key frame, from the recorded ones
INTER = b"\xd1\x02\x00inter"


def test_a_frame_is_cut_behind_a_descriptor_of_one_byte() -> None:
    payloads = FORMAT.packetiser(TRACK, 5).packetise(video_frame([b"0123456789"]))
    assert [payload.data for payload in payloads] == [b"\x100123", b"\x004567", b"\x0089"]


@pytest.mark.parametrize(
    "descriptor",
    [
        b"\x10",
        b"\x30",  # N: nothing refers to it
        b"\x90\x00",
        b"\x90\x80\x7f",  # PictureID of 7 bits
        b"\x90\x80\xff\xff",  # of 15
        b"\x90\x40\x01",
        b"\x90\x20\x40",
        b"\x90\x10\x0a",
        b"\x90\x30\x4a",  # T and K share a byte
        b"\x90\xf0\x80\x01\x02\x03",
    ],
)
@pytest.mark.parametrize(("frame", "keyframe"), [(KEY, True), (INTER, False)])
def test_every_descriptor_is_passed_over(descriptor: bytes, frame: bytes, keyframe: bool) -> None:
    (found,) = FORMAT.depacketiser(TRACK, 0).push(rtp_packet(descriptor + frame, marker=True))
    assert (found.units, found.keyframe) == ([frame], keyframe)


@pytest.mark.parametrize("end", range(7))
def test_a_descriptor_past_the_end_is_refused(end: int) -> None:
    depacketiser = FORMAT.depacketiser(TRACK, 0)
    depacketiser.push(rtp_packet(b"\x10" + KEY, timestamp=1, marker=True))
    descriptor = b"\x90\xf0\x80\x01\x02\x03"
    packet = rtp_packet(descriptor[:end], timestamp=2, marker=True)
    if end == len(descriptor):  # a frame of nothing
        assert depacketiser.push(packet) == []
        return
    with pytest.raises(MalformedPayload):
        depacketiser.push(packet)


def test_partitions_that_begin_within_a_frame_do_not_begin_another() -> None:
    packets = [rtp_packet(b"\x10" + KEY), rtp_packet(b"\x11second"), rtp_packet(b"\x12third", marker=True)]
    (frame,) = push_all(FORMAT.depacketiser(TRACK, 0), packets)
    assert frame.units == [KEY + b"secondthird"]


@pytest.mark.parametrize(
    "payloads", [[b"\x10" + KEY, b"\x10" + KEY], [b"\x00rest"]], ids=["a second start", "no start"]
)
def test_a_frame_begins_once(payloads: list[bytes]) -> None:
    depacketiser = FORMAT.depacketiser(TRACK, 0)
    depacketiser.push(rtp_packet(b"\x10" + KEY, timestamp=1, marker=True))
    with pytest.raises(MalformedPayload, match="frame"):
        push_all(depacketiser, [rtp_packet(payload, timestamp=2) for payload in payloads])
    assert depacketiser.push(rtp_packet(b"\x00more", timestamp=2, marker=True)) == []
    (frame,) = depacketiser.push(rtp_packet(b"\x10" + INTER, timestamp=3, marker=True))
    assert frame.units == [INTER]
