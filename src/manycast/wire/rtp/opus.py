"""Opus in RTP (RFC 7587): one packet in each, always on a clock of 48 kHz."""

from __future__ import annotations

from manycast.media.bits import MalformedBitstream
from manycast.media.frame import Frame
from manycast.media.opus import frame_samples, split_packet
from manycast.media.track import AudioParameters, Codec, Track
from manycast.wire.rtp.packet import RtpPacket
from manycast.wire.rtp.payload import (
    Depacketiser,
    Packetiser,
    PayloadFormat,
    RtpMap,
    RtpPayload,
    UnsupportedFormat,
)

CLOCK_RATE_HZ = 48_000


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
        except MalformedBitstream:
            return []  # no decoder could play it
        ticks = frame_samples(packet)
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


def _packetiser(_track: Track, limit: int) -> Packetiser:
    return OpusPacketiser(limit)


def _depacketiser(_track: Track, track_index: int) -> Depacketiser:
    return OpusDepacketiser(track_index)


OPUS = PayloadFormat(
    codec=Codec.OPUS,
    encoding_names=("opus",),
    describe=describe,
    track=track,
    packetiser=_packetiser,
    depacketiser=_depacketiser,
)
