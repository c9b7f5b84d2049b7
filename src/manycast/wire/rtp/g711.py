"""G.711 in RTP (RFC 3551 section 4.5.14): PCMU and PCMA, a byte a sample."""

from __future__ import annotations

from manycast.media.frame import Frame
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

MAX_CHANNELS = 8
MAX_RATE_HZ = 192_000

_NAMES = {Codec.G711U: "PCMU", Codec.G711A: "PCMA"}


class G711Packetiser:
    """Cuts samples into packets, each with its own timestamp and beginning with the first channel."""

    __slots__ = ("_channels", "_step")

    def __init__(self, channels: int, limit: int) -> None:
        self._channels = channels
        self._step = limit - limit % channels
        assert self._step > 0

    def packetise(self, frame: Frame) -> list[RtpPayload]:
        channels, step = self._channels, self._step
        return [
            RtpPayload(data[position : position + step], position // channels, False)
            for data in frame.units
            for position in range(0, len(data), step)
        ]


class G711Depacketiser:
    """Each packet is a frame. The marker only says that a talk spurt begins."""

    __slots__ = ("_channels", "_track_index")

    def __init__(self, channels: int, track_index: int) -> None:
        self._channels = channels
        self._track_index = track_index

    def push(self, packet: RtpPacket) -> list[Frame]:
        data = packet.payload
        if surplus := len(data) % self._channels:
            data = data[:-surplus]  # half a sample would swap the channels of all that follow
        if not data:
            return []
        return [
            Frame(
                track_index=self._track_index,
                dts_ticks=packet.timestamp,
                pts_ticks=packet.timestamp,
                keyframe=True,
                units=[data],
            )
        ]

    def reset(self) -> None:
        pass


def describe(track: Track, payload_type: int) -> RtpMap:
    channels = _channels(track)
    return RtpMap(
        payload_type=payload_type,
        encoding_name=_NAMES[track.codec],
        clock_rate_hz=track.clock_rate_hz,
        channels=channels if channels > 1 else None,
    )


def _channels(track: Track) -> int:
    assert isinstance(track.parameters, AudioParameters)
    return track.parameters.channels


def _track(codec: Codec, rtpmap: RtpMap) -> Track:
    channels = rtpmap.channels or 1
    if channels > MAX_CHANNELS or not 0 < rtpmap.clock_rate_hz <= MAX_RATE_HZ:
        raise UnsupportedFormat(f"{_NAMES[codec]} of {channels} channels at {rtpmap.clock_rate_hz} Hz")
    return Track(
        codec=codec,
        clock_rate_hz=rtpmap.clock_rate_hz,
        parameters=AudioParameters(sample_rate_hz=rtpmap.clock_rate_hz, channels=channels),
    )


def _packetiser(track: Track, limit: int) -> Packetiser:
    return G711Packetiser(_channels(track), limit)


def _depacketiser(track: Track, track_index: int) -> Depacketiser:
    return G711Depacketiser(_channels(track), track_index)


def _format(codec: Codec, payload_type: int) -> PayloadFormat:
    return PayloadFormat(
        codec=codec,
        encoding_names=(_NAMES[codec].lower(),),
        static_payload_type=payload_type,
        describe=describe,
        track=lambda rtpmap: _track(codec, rtpmap),
        packetiser=_packetiser,
        depacketiser=_depacketiser,
    )


PCMU = _format(Codec.G711U, 0)
PCMA = _format(Codec.G711A, 8)
