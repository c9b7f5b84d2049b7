"""Viewers who ask for keyframes, and see when they come."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from manycast.sources.demo import DemoSource
from manycast.wire.rtp.packet import RtpPacket
from manycast.wire.rtp.rtcp import FullIntraRequest, PictureLossIndication, ReceiverReport

VIEWER_SSRC = 0x0BAD_CAFE
SOON_S = 1.0  # after the keyframe before; without being asked, encoders make one every 2 s
MAX_KEYFRAMES = 20

Request = Callable[[int], bytes]  # of an SSRC


def picture_loss(ssrc: int) -> bytes:
    loss = PictureLossIndication(ssrc=VIEWER_SSRC, media_ssrc=ssrc)
    return ReceiverReport(ssrc=VIEWER_SSRC).serialize() + loss.serialize()


def full_intra(ssrc: int) -> bytes:
    """Without a report in front of it (RFC 5506)."""
    return FullIntraRequest(ssrc=VIEWER_SSRC, requests=((1, 0), (ssrc, 7))).serialize()


def small_demo() -> DemoSource:
    return DemoSource(width=320, height=180, bit_rate_bps=300_000)


def begins_idr(packet: RtpPacket) -> bool:
    """An IDR picture of H.264 begins in it: by itself, among others, or as the first fragment (RFC 6184 section 5)."""
    payload = packet.payload
    match payload[0] & 0x1F if len(payload) > 1 else 0:
        case 28:
            return payload[1] & 0x9F == 0x85
        case 24:
            return 5 in _types_in(payload[1:])
        case nal_unit_type:
            return nal_unit_type == 5


def _types_in(units: bytes) -> Iterator[int]:
    """Of NAL units behind their sizes in 16 bits."""
    while units:
        yield units[2] & 0x1F
        units = units[2 + int.from_bytes(units[:2]) :]


def wait_for_soon_keyframe(packets: Iterator[RtpPacket], send: Callable[[bytes], object], request: Request) -> None:
    """Ask behind each keyframe for another one, until one comes before its time.

    How soon says its timestamp, so a busy machine changes nothing; and it may hold up a request now and then.
    """
    last: int | None = None
    found = 0
    for packet in packets:
        if packet.timestamp == last or not begins_idr(packet):
            continue
        if last is not None and (packet.timestamp - last & 0xFFFFFFFF) < SOON_S * 90_000:
            return
        last = packet.timestamp
        found += 1
        assert found < MAX_KEYFRAMES, "all keyframes come at their usual times"
        send(request(packet.ssrc))
