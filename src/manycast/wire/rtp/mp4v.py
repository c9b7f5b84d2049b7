"""MPEG-4 part 2 video in RTP (RFC 6416 section 5): the bitstream as it is, cut anywhere, the marker at a VOP's end.

Small VOPs may share a packet. Its timestamp is taken for that of the first one; the VOPs themselves tell how far the
others are from it.
"""

from __future__ import annotations

from manycast.media.frame import Frame
from manycast.media.mpeg4 import VopClock, VopType, configuration_of, profile_and_level, split_vops, vop_type
from manycast.media.track import Codec, Mpeg4Parameters, Track
from manycast.wire.rtp.payload import (
    Depacketiser,
    MalformedPayload,
    Packetiser,
    PayloadFormat,
    RtpMap,
    RtpPayload,
    UnsupportedFormat,
)
from manycast.wire.rtp.pictures import Picture, PictureDepacketiser, marked_payloads

CLOCK_RATE_HZ = 90_000
MAX_VOPS = 64  # in one packet; of 20 bytes, as VOPs are in which nothing moves
_DEFAULT_PROFILE_AND_LEVEL = 1  # simple profile, level 1 (section 7.1)


class Mp4vPacketiser:
    """Cuts at the limit. A start code, with which a picture begins, then always begins a packet."""

    __slots__ = ("_limit",)

    def __init__(self, limit: int) -> None:
        self._limit = limit

    def packetise(self, frame: Frame) -> list[RtpPayload]:
        limit = self._limit
        return marked_payloads(
            [unit[position : position + limit] for unit in frame.units for position in range(0, len(unit), limit)]
        )


class Mp4vReader:
    """A picture is what its payloads hold, with the headers before it."""

    __slots__ = ("_clock", "_parts")

    def __init__(self, configuration: bytes) -> None:
        self._parts: list[bytes] = []
        self._clock = VopClock(configuration, CLOCK_RATE_HZ)

    def begins(self, payload: bytes) -> bool:
        return payload.startswith(b"\0\0\1")  # the resync marker of a video packet has more zeros

    def add(self, payload: bytes) -> None:
        if payload:
            self._parts.append(payload)

    def take(self) -> list[Picture]:
        vops = split_vops(b"".join(self._parts))
        self.clear()
        if len(vops) > MAX_VOPS:
            raise MalformedPayload(f"packet of {len(vops)} VOPs, at most {MAX_VOPS} are read")
        times = [self._clock.push(vop) for vop in vops]
        return [
            Picture([vop], vop_type(vop) is VopType.I, time - times[0]) for vop, time in zip(vops, times, strict=True)
        ]

    def clear(self) -> None:
        self._parts = []


def describe(track: Track, payload_type: int) -> RtpMap:
    parameters = track.parameters
    assert isinstance(parameters, Mpeg4Parameters)
    fmtp = {}
    if parameters.complete:
        level = profile_and_level(parameters.config)
        fmtp["profile-level-id"] = str(_DEFAULT_PROFILE_AND_LEVEL if level is None else level)
        fmtp["config"] = parameters.config.hex().upper()
    return RtpMap(payload_type=payload_type, encoding_name="MP4V-ES", clock_rate_hz=CLOCK_RATE_HZ, fmtp=fmtp)


def track(rtpmap: RtpMap) -> Track:
    """Without a configuration in the description, or with a broken one, it is learned from the pictures."""
    if rtpmap.clock_rate_hz != CLOCK_RATE_HZ:
        raise UnsupportedFormat(f"MP4V-ES with a clock of {rtpmap.clock_rate_hz} Hz, wanted {CLOCK_RATE_HZ}")
    try:
        config = configuration_of(bytes.fromhex(rtpmap.fmtp.get("config", "")))
    except ValueError:
        config = b""
    return Track(codec=Codec.MPEG4, clock_rate_hz=CLOCK_RATE_HZ, parameters=Mpeg4Parameters(config=config))


def _packetiser(_track: Track, limit: int) -> Packetiser:
    return Mp4vPacketiser(limit)


def _depacketiser(track: Track, track_index: int) -> Depacketiser:
    assert isinstance(track.parameters, Mpeg4Parameters)
    return PictureDepacketiser(Mp4vReader(track.parameters.config), track_index)


MP4V = PayloadFormat(
    codec=Codec.MPEG4,
    encoding_names=("mp4v-es",),
    describe=describe,
    track=track,
    packetiser=_packetiser,
    depacketiser=_depacketiser,
)
