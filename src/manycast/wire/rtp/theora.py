"""Theora in RTP (draft-ietf-avt-rtp-theora-00): the packets of `xiph.py`, the headers in the description."""

from __future__ import annotations

from manycast.media.bits import MalformedBitstream
from manycast.media.theora import TheoraHeader, is_keyframe
from manycast.media.track import Codec, Track, XiphParameters
from manycast.wire.rtp.payload import Depacketiser, Packetiser, PayloadFormat, RtpMap, UnsupportedFormat
from manycast.wire.rtp.xiph import (
    Placed,
    Placer,
    XiphDepacketiser,
    XiphPacketiser,
    pack_configuration,
    unpack_configuration,
)

CLOCK_RATE_HZ = 90_000
_DEFAULT_FRAME_TICKS = CLOCK_RATE_HZ // 25


def describe(track: Track, payload_type: int) -> RtpMap:
    parameters = track.parameters
    assert isinstance(parameters, XiphParameters)
    fmtp = {}
    if parameters.complete:
        fmtp["delivery-method"] = "inline"
        try:
            header = TheoraHeader.parse(parameters.identification)
        except MalformedBitstream:
            pass  # the configuration tells all the same
        else:
            fmtp |= {"width": str(header.width), "height": str(header.height), "sampling": header.sampling}
        fmtp["configuration"] = pack_configuration(parameters)
    return RtpMap(payload_type=payload_type, encoding_name="theora", clock_rate_hz=CLOCK_RATE_HZ, fmtp=fmtp)


def track(rtpmap: RtpMap) -> Track:
    """Without headers in the description the track is incomplete until they come in band."""
    if rtpmap.clock_rate_hz != CLOCK_RATE_HZ:
        raise UnsupportedFormat(f"theora with a clock of {rtpmap.clock_rate_hz} Hz, wanted {CLOCK_RATE_HZ}")
    parameters = XiphParameters()
    if configuration := rtpmap.fmtp.get("configuration"):
        try:
            parameters = unpack_configuration(Codec.THEORA, configuration)
        except MalformedBitstream as error:
            raise UnsupportedFormat(f"theora: {error}") from error
    return Track(codec=Codec.THEORA, clock_rate_hz=CLOCK_RATE_HZ, parameters=parameters)


def _packetiser(_track: Track, limit: int) -> Packetiser:
    return XiphPacketiser(limit, marked=True)


def _placer(parameters: XiphParameters) -> Placer:
    frame_ticks = _DEFAULT_FRAME_TICKS
    try:
        if rate := TheoraHeader.parse(parameters.identification).frame_rate:
            frame_ticks = round(CLOCK_RATE_HZ / rate)
    except MalformedBitstream:
        pass

    def place(packets: list[bytes], time: int) -> list[Placed]:
        return [Placed(time + index * frame_ticks, is_keyframe(packet)) for index, packet in enumerate(packets)]

    return place


def _depacketiser(track: Track, track_index: int) -> Depacketiser:
    assert isinstance(track.parameters, XiphParameters)
    return XiphDepacketiser(Codec.THEORA, track_index, track.parameters, _placer)


THEORA = PayloadFormat(
    codec=Codec.THEORA,
    encoding_names=("theora",),
    describe=describe,
    track=track,
    packetiser=_packetiser,
    depacketiser=_depacketiser,
)
