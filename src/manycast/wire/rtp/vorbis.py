"""Vorbis in RTP (RFC 5215): the packets of `xiph.py`, the headers in the description."""

from __future__ import annotations

from manycast.media.bits import MalformedBitstream
from manycast.media.track import Codec, Track, XiphParameters
from manycast.media.vorbis import PacketTimer
from manycast.wire.rtp.payload import Depacketiser, Packetiser, PayloadFormat, RtpMap, UnsupportedFormat
from manycast.wire.rtp.xiph import (
    Placed,
    Placer,
    XiphDepacketiser,
    XiphPacketiser,
    pack_configuration,
    unpack_configuration,
)


def describe(track: Track, payload_type: int) -> RtpMap:
    parameters = track.parameters
    assert isinstance(parameters, XiphParameters)
    return RtpMap(
        payload_type=payload_type,
        encoding_name="vorbis",
        clock_rate_hz=track.clock_rate_hz,
        channels=parameters.channels or None,
        fmtp={"configuration": pack_configuration(parameters)} if parameters.complete else {},
    )


def track(rtpmap: RtpMap) -> Track:
    """Without headers in the description the track is incomplete until they come in band."""
    if rtpmap.clock_rate_hz < 1:
        raise UnsupportedFormat(f"vorbis with a clock of {rtpmap.clock_rate_hz} Hz")
    parameters = XiphParameters(sample_rate_hz=rtpmap.clock_rate_hz, channels=rtpmap.channels or 1)
    if configuration := rtpmap.fmtp.get("configuration"):
        try:
            parameters = unpack_configuration(Codec.VORBIS, configuration)
        except MalformedBitstream as error:
            raise UnsupportedFormat(f"vorbis: {error}") from error
    return Track(codec=Codec.VORBIS, clock_rate_hz=rtpmap.clock_rate_hz, parameters=parameters)


def _packetiser(_track: Track, limit: int) -> Packetiser:
    return XiphPacketiser(limit, marked=False)  # RFC 5215 section 2.1


def _placer(parameters: XiphParameters) -> Placer:
    """Each packet of a payload begins where the one before it ends."""
    timer: PacketTimer | None = None
    try:
        timer = PacketTimer(parameters.identification, parameters.setup)
    except MalformedBitstream:  # not known yet: all have the payload's time
        pass

    def place(packets: list[bytes], time: int) -> list[Placed]:
        placed = []
        for packet in packets:
            samples = timer.samples(packet) if timer is not None else 0
            placed.append(Placed(time, True))
            time += samples
        return placed

    return place


def _depacketiser(track: Track, track_index: int) -> Depacketiser:
    assert isinstance(track.parameters, XiphParameters)
    return XiphDepacketiser(Codec.VORBIS, track_index, track.parameters, _placer)


VORBIS = PayloadFormat(
    codec=Codec.VORBIS,
    encoding_names=("vorbis",),
    describe=describe,
    track=track,
    packetiser=_packetiser,
    depacketiser=_depacketiser,
)
