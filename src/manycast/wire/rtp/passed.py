"""Payloads that nobody here understands (RFC 3550 section 5.1 tells all we know), passed on as they are.

A frame is the packets of one timestamp, up to the marker, as formats of pictures have it; of sound it is one packet.
A unit is a payload behind a byte that is 1 where the packet had the marker.
"""

from __future__ import annotations

from manycast.media.frame import Frame
from manycast.media.track import Codec, MediaKind, PassedParameters, Track
from manycast.wire.rtp.packet import RtpPacket
from manycast.wire.rtp.payload import (
    MAX_FRAME_BYTES,
    Depacketiser,
    Packetiser,
    PayloadFormat,
    RtpMap,
    RtpPayload,
    UnsupportedFormat,
)

MAX_PACKETS = 16_384  # of one frame: MAX_FRAME_BYTES in packets of 512 bytes

_MARKED, _UNMARKED = b"\1", b"\0"


class PassedPacketiser:
    """Sends each payload in a packet again, whatever its length: where to cut it only its codec knows."""

    def packetise(self, frame: Frame) -> list[RtpPayload]:
        return [RtpPayload(unit[1:], 0, unit[:1] == _MARKED) for unit in frame.units]


class PassedDepacketiser:
    """Keeps together what has one timestamp, and drops it when a part was lost: our packets would hide the gap."""

    __slots__ = ("_at_once", "_damaged", "_size", "_timestamp", "_track_index", "_units", "_unsure")

    def __init__(self, track_index: int, *, at_once: bool) -> None:
        """With `at_once` every packet is a frame."""
        self._track_index = track_index
        self._at_once = at_once
        self._units: list[bytes] = []
        self._size = 0
        self._timestamp = 0
        self._unsure = False  # a packet was lost, perhaps the first one of what comes next
        self._damaged: int | None = None  # timestamp of the frame that it belongs to

    def push(self, packet: RtpPacket) -> list[Frame]:
        unit = (_MARKED if packet.marker else _UNMARKED) + packet.payload
        timestamp = packet.timestamp
        if self._at_once:
            return [self._frame([unit], timestamp)]
        if self._unsure:
            self._unsure = False
            self._damaged = timestamp
        if timestamp == self._damaged:
            if packet.marker:
                self._damaged = None
            return []
        self._damaged = None
        frames = [self._finish()] if self._units and timestamp != self._timestamp else []
        self._timestamp = timestamp
        self._units.append(unit)
        self._size += len(unit)
        if packet.marker or self._size > MAX_FRAME_BYTES or len(self._units) == MAX_PACKETS:
            frames.append(self._finish())
        return frames

    def reset(self) -> None:
        self._units = []
        self._size = 0
        self._unsure = True

    def _finish(self) -> Frame:
        units, self._units, self._size = self._units, [], 0
        return self._frame(units, self._timestamp)

    def _frame(self, units: list[bytes], time: int) -> Frame:
        # Any may be the one with which a decoder can start; none can be told from it.
        return Frame(track_index=self._track_index, dts_ticks=time, pts_ticks=time, keyframe=True, units=units)


def describe(track: Track, payload_type: int) -> RtpMap:
    parameters = track.parameters
    assert isinstance(parameters, PassedParameters)
    return RtpMap(
        payload_type=payload_type if parameters.payload_type is None else parameters.payload_type,
        encoding_name=parameters.encoding_name,
        clock_rate_hz=track.clock_rate_hz,
        channels=parameters.channels,
        fmtp=dict(parameters.fmtp),
    )


def passed_track(rtpmap: RtpMap, kind: MediaKind) -> Track:
    """A track of whatever this is; `kind` is that of its m= line. Raises UnsupportedFormat."""
    if rtpmap.clock_rate_hz < 1:
        raise UnsupportedFormat(f"{rtpmap.encoding_name!r} with a clock of {rtpmap.clock_rate_hz} Hz")
    return Track(
        codec=Codec.UNKNOWN,
        clock_rate_hz=rtpmap.clock_rate_hz,
        parameters=PassedParameters(
            kind=kind,
            payload_type=rtpmap.payload_type,
            encoding_name=rtpmap.encoding_name,
            channels=rtpmap.channels,
            fmtp=tuple(rtpmap.fmtp.items()),
        ),
    )


def _track(rtpmap: RtpMap) -> Track:
    """Of a description without its m= line."""
    return passed_track(rtpmap, MediaKind.APPLICATION)


def _packetiser(_track: Track, _limit: int) -> Packetiser:
    return PassedPacketiser()


def _depacketiser(track: Track, track_index: int) -> Depacketiser:
    return PassedDepacketiser(track_index, at_once=track.kind is MediaKind.AUDIO)


PASSED = PayloadFormat(
    codec=Codec.UNKNOWN,
    encoding_names=(),
    describe=describe,
    track=_track,
    packetiser=_packetiser,
    depacketiser=_depacketiser,
)
