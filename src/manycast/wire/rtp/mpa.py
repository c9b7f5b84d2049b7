"""MPEG audio of layers I to III in RTP (RFC 2250 section 3.2 to 3.5): whole frames, or one in fragments.

|       MBZ 16        |  offset of this fragment in its frame 16  |
"""

from __future__ import annotations

from manycast.media.bits import MalformedBitstream
from manycast.media.frame import Frame
from manycast.media.mpeg_audio import MpegAudioHeader
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

CLOCK_RATE_HZ = 90_000  # whatever the rate of the sound
HEADER_BYTES = 4
MAX_OFFSET = 0xFFFF


class MpaPacketiser:
    """One frame in each packet; one over the limit in fragments of the limit's size."""

    __slots__ = ("_step",)

    def __init__(self, limit: int) -> None:
        self._step = limit - HEADER_BYTES
        assert self._step > 0

    def packetise(self, frame: Frame) -> list[RtpPayload]:
        step = self._step
        return [
            RtpPayload(offset.to_bytes(HEADER_BYTES) + unit[offset : offset + step], 0, False)
            for unit in frame.units
            if len(unit) <= MAX_OFFSET  # the largest legal frame has 2881 bytes
            for offset in range(0, len(unit), step)
        ]


class MpaDepacketiser:
    """A frame is whole when it has the size its header tells. The marker only says that a talk spurt begins."""

    __slots__ = ("_begun", "_timestamp", "_track_index", "_unsure")

    def __init__(self, track_index: int) -> None:
        self._track_index = track_index
        self._begun = b""  # a frame's fragments so far
        self._timestamp = 0  # of that frame
        self._unsure = False  # fragments may follow whose start was lost

    def push(self, packet: RtpPacket) -> list[Frame]:
        payload, begun = packet.payload, self._begun
        self._begun = b""
        if len(payload) <= HEADER_BYTES:
            raise MalformedPayload(f"MPEG audio payload of {len(payload)} bytes, wanted over {HEADER_BYTES}")
        offset = int.from_bytes(payload[2:HEADER_BYTES], "big")
        if not offset:
            self._unsure = False
            return self._take(payload[HEADER_BYTES:], packet.timestamp)
        if self._unsure:
            return []
        if offset != len(begun):
            self._unsure = True
            raise MalformedPayload(f"MPEG audio fragment at offset {offset}, wanted {len(begun)}")
        return self._take(begun + payload[HEADER_BYTES:], self._timestamp)

    def reset(self) -> None:
        self._begun = b""
        self._unsure = True

    def _take(self, data: bytes, timestamp: int) -> list[Frame]:
        frames: list[Frame] = []
        position = samples = 0
        while position < len(data):
            try:
                header = MpegAudioHeader.parse(data[position : position + HEADER_BYTES])
            except MalformedBitstream as error:
                if frames:  # worth more than the report of a fault
                    break
                raise MalformedPayload(str(error)) from error
            time = timestamp + samples * CLOCK_RATE_HZ // header.sample_rate_hz
            unit = data[position : position + header.frame_bytes]
            if len(unit) < header.frame_bytes:
                self._begun, self._timestamp = unit, time
                break
            frames.append(
                Frame(track_index=self._track_index, dts_ticks=time, pts_ticks=time, keyframe=True, units=[unit])
            )
            position += header.frame_bytes
            samples += header.frame_samples
        return frames


def describe(_track: Track, _payload_type: int) -> RtpMap:
    return RtpMap(payload_type=14, encoding_name="MPA", clock_rate_hz=CLOCK_RATE_HZ)


def track(rtpmap: RtpMap) -> Track:
    """Rate and channels stay unknown: the description does not tell, the frames do."""
    if rtpmap.clock_rate_hz != CLOCK_RATE_HZ:
        raise UnsupportedFormat(f"MPA with a clock of {rtpmap.clock_rate_hz} Hz, wanted {CLOCK_RATE_HZ}")
    return Track(codec=Codec.MP3, clock_rate_hz=CLOCK_RATE_HZ, parameters=AudioParameters())


def _packetiser(_track: Track, limit: int) -> Packetiser:
    return MpaPacketiser(limit)


def _depacketiser(_track: Track, track_index: int) -> Depacketiser:
    return MpaDepacketiser(track_index)


MPA = PayloadFormat(
    codec=Codec.MP3,
    encoding_names=("mpa",),
    describe=describe,
    track=track,
    packetiser=_packetiser,
    depacketiser=_depacketiser,
)
