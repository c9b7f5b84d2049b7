"""The recorded packets of real senders, and what the tests do with packets."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from hypothesis import strategies as st

from manycast.media.clock import Unwrapper
from manycast.media.frame import Frame
from manycast.wire.rtp.packet import RtpPacket
from manycast.wire.rtp.payload import Depacketiser, Packetiser, RtpMap
from manycast.wire.rtp.static import static_rtpmap

VECTORS = Path(__file__).parents[1] / "vectors" / "rtp"


def read_packets(name: str) -> list[RtpPacket]:
    """The packets of a .rtp file, timestamps unwrapped."""
    data = (VECTORS / f"{name}.rtp").read_bytes()
    unwrapper = Unwrapper(32)
    packets = []
    position = 0
    while position < len(data):
        start = position + 2
        position = start + int.from_bytes(data[position:start], "big")
        packet = RtpPacket.parse(data[start:position])
        packet.timestamp = unwrapper.unwrap(packet.timestamp)
        packets.append(packet)
    return packets


def read_rtpmap(name: str) -> RtpMap:
    """The one media description of a .sdp file. Knows only what these files hold."""
    encoding, fmtp, payload_type = "", "", 0
    for line in (VECTORS / f"{name}.sdp").read_text().splitlines():
        if line.startswith("m="):
            payload_type = int(line.split()[3])
        elif line.startswith("a=rtpmap:"):
            encoding = line.split(" ", 1)[1]
        elif line.startswith("a=fmtp:"):
            fmtp = line.split(" ", 1)[1]
    if not encoding:
        rtpmap = static_rtpmap(payload_type)
        assert rtpmap is not None
        return rtpmap
    encoding_name, rate, *channels = encoding.split("/")
    pairs = [part.strip().partition("=") for part in fmtp.split(";") if part.strip()]
    return RtpMap(
        payload_type=payload_type,
        encoding_name=encoding_name,
        clock_rate_hz=int(rate),
        channels=int(channels[0]) if channels else None,
        fmtp={parameter.lower(): value for parameter, _, value in pairs},
    )


def packets_of(packetiser: Packetiser, frames: Iterable[Frame], *, payload_type: int = 96) -> list[RtpPacket]:
    packets: list[RtpPacket] = []
    for frame in frames:
        for data, offset, marker in packetiser.packetise(frame):
            packets.append(
                RtpPacket(
                    payload_type=payload_type,
                    sequence=len(packets) & 0xFFFF,
                    timestamp=frame.pts_ticks + offset,
                    ssrc=1,
                    marker=marker,
                    payload=data,
                )
            )
    return packets


def rtp_packet(payload: bytes, *, timestamp: int = 0, marker: bool = False) -> RtpPacket:
    return RtpPacket(payload_type=96, sequence=0, timestamp=timestamp, ssrc=1, marker=marker, payload=payload)


def push_all(depacketiser: Depacketiser, packets: Iterable[RtpPacket]) -> list[Frame]:
    return [frame for packet in packets for frame in depacketiser.push(packet)]


def push_with_gap(depacketiser: Depacketiser, packets: Sequence[RtpPacket], lost: range) -> list[Frame]:
    """Push all packets but those lost, telling the depacketiser of the gap as a receiver does."""
    frames = push_all(depacketiser, packets[: lost.start])
    depacketiser.reset()
    return frames + push_all(depacketiser, packets[lost.stop :])


def video_frame(units: Sequence[bytes], *, pts_ticks: int = 0) -> Frame:
    return Frame(track_index=0, dts_ticks=pts_ticks, pts_ticks=pts_ticks, keyframe=False, units=list(units))


def audio_frame(data: bytes, *, pts_ticks: int = 0) -> Frame:
    return Frame(track_index=0, dts_ticks=pts_ticks, pts_ticks=pts_ticks, keyframe=True, units=[data])


def bodies(longest: int, *, shortest: int = 0) -> st.SearchStrategy[bytes]:
    """Bytes of every length alike; st.binary() prefers short ones, which are never cut in fragments."""
    return st.builds(
        lambda size, start: bytes((start + index) & 0xFF for index in range(size)),
        st.integers(shortest, longest),
        st.integers(0, 255),
    )
