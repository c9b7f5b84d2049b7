"""Opus in RTP (RFC 7587): one packet in each, always on a clock of 48 kHz."""

from __future__ import annotations

from manycast.media.frame import Frame
from manycast.media.track import AudioParameters, Codec, Track
from manycast.wire.rtp.packet import RtpPacket
from manycast.wire.rtp.payload import (
    Depacketiser,
    MalformedPayload,
    Packetiser,
    PayloadFormat,
    RtpMap,
    RtpPayload,
    UnsupportedFormat,
)

CLOCK_RATE_HZ = 48_000
MAX_FRAMES_IN_PACKET = 48  # 120 ms of 2.5 ms (RFC 6716 section 3.2.5)

# Of a frame, by the five bits of its configuration (RFC 6716 table 2).
_FRAME_TICKS = (480, 960, 1920, 2880) * 3 + (480, 960) * 2 + (120, 240, 480, 960) * 4


class OpusPacketiser:
    """Passes packets on. One over the limit is sent as the single frames it is made of."""

    __slots__ = ("_limit",)

    def __init__(self, limit: int) -> None:
        self._limit = limit

    def packetise(self, frame: Frame) -> list[RtpPayload]:
        payloads = []
        for unit in frame.units:
            if 0 < len(unit) <= self._limit:
                payloads.append(RtpPayload(unit, 0, False))
            elif unit:
                payloads += self._cut(unit)
        return payloads

    def _cut(self, packet: bytes) -> list[RtpPayload]:
        try:
            frames = split_packet(packet)
        except MalformedPayload:
            return []  # no decoder could play it
        ticks = _FRAME_TICKS[packet[0] >> 3]
        toc = bytes((packet[0] & 0xFC,))
        return [
            RtpPayload(toc + frame, index * ticks, False)
            for index, frame in enumerate(frames)
            if len(frame) < self._limit  # a frame cannot be cut
        ]


class OpusDepacketiser:
    """Each packet is a frame. The marker only says that a talk spurt begins."""

    __slots__ = ("_track_index",)

    def __init__(self, track_index: int) -> None:
        self._track_index = track_index

    def push(self, packet: RtpPacket) -> list[Frame]:
        if not packet.payload:
            return []
        return [
            Frame(
                track_index=self._track_index,
                dts_ticks=packet.timestamp,
                pts_ticks=packet.timestamp,
                keyframe=True,
                units=[packet.payload],
            )
        ]

    def reset(self) -> None:
        pass


def split_packet(packet: bytes) -> list[bytes]:
    """The frames of an Opus packet, without its TOC byte (RFC 6716 section 3.2). Raises MalformedPayload.

    |  config 5 |s| c |   c 0: one frame, 1: two of one size, 2: two, the first with its size, 3: M, see there
    """
    if not packet:
        raise MalformedPayload("Opus packet of 0 bytes")
    code = packet[0] & 3
    position, end = 1, len(packet)
    if code == 0:
        return [packet[1:]]
    if code == 1:
        return _equal_parts(packet[1:], 2)
    if code == 2:
        size, position = _frame_size(packet, 1)
        if position + size > end:
            raise MalformedPayload(f"Opus frame of {size} bytes, {end - position} left")
        return [packet[position : position + size], packet[position + size :]]
    if end < 2:
        raise MalformedPayload("Opus packet of code 3 without a frame count")
    variable, padded, count = packet[1] & 0x80, packet[1] & 0x40, packet[1] & 0x3F
    position = 2
    if not 0 < count <= MAX_FRAMES_IN_PACKET:
        raise MalformedPayload(f"Opus packet of {count} frames, wanted 1 to {MAX_FRAMES_IN_PACKET}")
    while padded:
        if position >= end:
            raise MalformedPayload("Opus padding without an end")
        size = packet[position]
        position += 1
        end -= min(size, 254)
        padded = size == 255
    sizes = []
    for _ in range(count - 1 if variable else 0):
        size, position = _frame_size(packet, position)
        sizes.append(size)
    if position + sum(sizes) > end:
        raise MalformedPayload(f"Opus frames of {sum(sizes)} bytes, {end - position} left")
    if not variable:
        return _equal_parts(packet[position:end], count)
    frames = []
    for size in sizes:
        frames.append(packet[position : position + size])
        position += size
    frames.append(packet[position:end])
    return frames


def describe(track: Track, payload_type: int) -> RtpMap:
    parameters = track.parameters
    assert isinstance(parameters, AudioParameters)
    return RtpMap(
        payload_type=payload_type,
        encoding_name="opus",
        clock_rate_hz=CLOCK_RATE_HZ,
        channels=2,  # whatever the stream has (RFC 7587 section 7)
        fmtp={"sprop-stereo": "1" if parameters.channels > 1 else "0"},
    )


def track(rtpmap: RtpMap) -> Track:
    if rtpmap.clock_rate_hz != CLOCK_RATE_HZ:
        raise UnsupportedFormat(f"opus with a clock of {rtpmap.clock_rate_hz} Hz, wanted {CLOCK_RATE_HZ}")
    # Without sprop-stereo mono is only likely, and two channels can hold both.
    channels = 1 if rtpmap.fmtp.get("sprop-stereo", "1").strip() == "0" else 2
    return Track(
        codec=Codec.OPUS,
        clock_rate_hz=CLOCK_RATE_HZ,
        parameters=AudioParameters(sample_rate_hz=CLOCK_RATE_HZ, channels=channels),
    )


def _equal_parts(data: bytes, count: int) -> list[bytes]:
    size, surplus = divmod(len(data), count)
    if surplus:
        raise MalformedPayload(f"{count} Opus frames of one size in {len(data)} bytes")
    return [data[index * size : (index + 1) * size] for index in range(count)]


def _frame_size(packet: bytes, position: int) -> tuple[int, int]:
    """A frame's size (RFC 6716 section 3.2.1), and where it ends."""
    head = packet[position : position + 2]
    if not head or (head[0] >= 252 and len(head) < 2):
        raise MalformedPayload(f"Opus packet ends at byte {len(packet)}, within a frame's size")
    return (head[0], position + 1) if head[0] < 252 else (head[0] + 4 * head[1], position + 2)


def _packetiser(_track: Track, limit: int) -> Packetiser:
    return OpusPacketiser(limit)


def _depacketiser(_track: Track, track_index: int) -> Depacketiser:
    return OpusDepacketiser(track_index)


OPUS = PayloadFormat(
    codec=Codec.OPUS,
    encoding_names=("opus",),
    static_payload_type=None,
    describe=describe,
    track=track,
    packetiser=_packetiser,
    depacketiser=_depacketiser,
)
