"""The coded packets of the short streams kept beside the RTP vectors."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import av
from av.video.codeccontext import VideoCodecContext

from manycast.decoder_packet import decoder_packet
from support.rtp_vectors import VECTORS


@dataclass(frozen=True, slots=True)
class CodedPacket:
    data: bytes
    pts_ms: float
    keyframe: bool


@cache
def coded_packets(name: str) -> tuple[CodedPacket, ...]:
    """What a Matroska file holds, in decoding order."""
    with av.open(str(VECTORS / f"{name}.mkv")) as container:
        return tuple(
            CodedPacket(bytes(packet), float(packet.pts * packet.time_base * 1000), packet.is_keyframe)
            for packet in container.demux(0)
            if packet.pts is not None
        )


def decode(codec: str, packets: list[bytes], extradata: bytes = b"") -> list[bytes]:
    """The planes of luminance of the pictures a decoder makes of them."""
    decoder = av.CodecContext.create(codec, "r")
    assert isinstance(decoder, VideoCodecContext)
    if extradata:
        decoder.extradata = extradata
    frames = [frame for packet in packets for frame in decoder.decode(decoder_packet(packet))]
    return [bytes(frame.planes[0]) for frame in [*frames, *decoder.decode(None)]]
