"""AC-3 in RTP (RFC 4184): whole frames, or one in fragments.

|   MBZ 6   |FT 2|  number of frames, or of fragments of one, 8  |
"""

from __future__ import annotations

from enum import IntEnum

from manycast.media.ac3 import FRAME_SAMPLES, Ac3Header
from manycast.media.bits import MalformedBitstream
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

CLOCK_RATES_HZ = (32_000, 44_100, 48_000)
MAX_CHANNELS = 6
HEADER_BYTES = 2


class FrameType(IntEnum):
    """What a payload holds (section 4.1.1)."""

    WHOLE = 0
    START = 1  # with the first 5/8 of the frame, which can be decoded by themselves
    SHORT_START = 2
    REST = 3


class Ac3Packetiser:
    """One frame in each packet; one over the limit in fragments of the limit's size."""

    __slots__ = ("_step",)

    def __init__(self, limit: int) -> None:
        self._step = limit - HEADER_BYTES
        assert self._step > 0

    def packetise(self, frame: Frame) -> list[RtpPayload]:
        payloads = []
        for unit in frame.units:
            if len(unit) <= self._step:
                payloads.append(RtpPayload(bytes((FrameType.WHOLE, 1)) + unit, 0, True))
            else:
                payloads += self._cut(unit)
        return payloads

    def _cut(self, unit: bytes) -> list[RtpPayload]:
        step = self._step
        count = -(-len(unit) // step)
        if count > 255:
            return []  # the largest legal frame has 3840 bytes
        start = FrameType.START if 8 * step >= 5 * len(unit) else FrameType.SHORT_START
        return [
            RtpPayload(
                bytes((FrameType.REST if index else start, count)) + unit[index * step : (index + 1) * step],
                0,
                index == count - 1,
            )
            for index in range(count)
        ]


class Ac3Depacketiser:
    """A frame is whole when it has the size its header tells."""

    __slots__ = ("_begun", "_clock_rate_hz", "_frame_bytes", "_timestamp", "_track_index", "_unsure")

    def __init__(self, clock_rate_hz: int, track_index: int) -> None:
        self._clock_rate_hz = clock_rate_hz
        self._track_index = track_index
        self._begun = b""  # a frame's fragments so far
        self._frame_bytes = 0  # what it will have
        self._timestamp = 0
        self._unsure = False  # fragments may follow whose start was lost

    def push(self, packet: RtpPacket) -> list[Frame]:
        payload, begun = packet.payload, self._begun
        self._begun = b""
        if len(payload) <= HEADER_BYTES:
            raise MalformedPayload(f"AC-3 payload of {len(payload)} bytes, wanted over {HEADER_BYTES}")
        data = payload[HEADER_BYTES:]
        match payload[0] & 3:
            case FrameType.WHOLE:
                self._unsure = False
                return self._split(data, packet.timestamp)
            case FrameType.REST if self._unsure:
                return []
            case FrameType.REST if not begun:
                self._unsure = True
                raise MalformedPayload("AC-3 fragment without a start")
            case FrameType.REST:
                return self._collect(begun + data)
        self._unsure = False
        self._timestamp = packet.timestamp
        self._frame_bytes = _header(data).frame_bytes
        return self._collect(data)

    def reset(self) -> None:
        self._begun = b""
        self._unsure = True

    def _collect(self, data: bytes) -> list[Frame]:
        if len(data) > self._frame_bytes:
            raise MalformedPayload(f"AC-3 fragments of {len(data)} bytes, the frame has {self._frame_bytes}")
        if len(data) == self._frame_bytes:
            return [self._frame(data, self._timestamp)]
        self._begun = data
        return []

    def _split(self, data: bytes, timestamp: int) -> list[Frame]:
        frames: list[Frame] = []
        position = ticks = 0
        while position < len(data):
            header = _header(data[position:])
            unit = data[position : position + header.frame_bytes]
            if len(unit) < header.frame_bytes:
                raise MalformedPayload(f"AC-3 frame of {header.frame_bytes} bytes, {len(unit)} left")
            frames.append(self._frame(unit, timestamp + ticks))
            position += header.frame_bytes
            ticks += FRAME_SAMPLES * self._clock_rate_hz // header.sample_rate_hz
        return frames

    def _frame(self, unit: bytes, time: int) -> Frame:
        return Frame(track_index=self._track_index, dts_ticks=time, pts_ticks=time, keyframe=True, units=[unit])


def _header(data: bytes) -> Ac3Header:
    try:
        return Ac3Header.parse(data)
    except MalformedBitstream as error:
        raise MalformedPayload(str(error)) from error


def describe(track: Track, payload_type: int) -> RtpMap:
    parameters = track.parameters
    assert isinstance(parameters, AudioParameters)
    return RtpMap(
        payload_type=payload_type,
        encoding_name="ac3",
        clock_rate_hz=track.clock_rate_hz,
        channels=parameters.channels or None,
    )


def track(rtpmap: RtpMap) -> Track:
    """Channels that the description leaves out stay unknown until the first frame."""
    if rtpmap.clock_rate_hz not in CLOCK_RATES_HZ or (rtpmap.channels or 1) > MAX_CHANNELS:
        raise UnsupportedFormat(f"ac3 of {rtpmap.channels} channels at {rtpmap.clock_rate_hz} Hz")
    return Track(
        codec=Codec.AC3,
        clock_rate_hz=rtpmap.clock_rate_hz,
        parameters=AudioParameters(sample_rate_hz=rtpmap.clock_rate_hz, channels=rtpmap.channels or 0),
    )


def _packetiser(_track: Track, limit: int) -> Packetiser:
    return Ac3Packetiser(limit)


def _depacketiser(track: Track, track_index: int) -> Depacketiser:
    return Ac3Depacketiser(track.clock_rate_hz, track_index)


AC3 = PayloadFormat(
    codec=Codec.AC3,
    encoding_names=("ac3",),
    describe=describe,
    track=track,
    packetiser=_packetiser,
    depacketiser=_depacketiser,
)
