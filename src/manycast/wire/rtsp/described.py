"""The media of an SDP, of a publisher or of a server, and which of them Manycast can carry."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from manycast.media.track import MediaKind, PassedParameters, Track
from manycast.wire.rtp.formats import passed_on, static_rtpmap, track_from_rtpmap
from manycast.wire.rtp.payload import FIRST_DYNAMIC_PAYLOAD_TYPE, PayloadFormat, RtpMap, UnsupportedFormat
from manycast.wire.rtsp.feedback import KeyframeFeedback, read_keyframe_feedback
from manycast.wire.sdp import MediaDescription, parse_fmtp

_KINDS = {kind.value: kind for kind in MediaKind}


@dataclass(frozen=True, slots=True)
class CarriedMedia:
    track: Track
    payload_type: int
    payload_format: PayloadFormat
    feedback: KeyframeFeedback | None = None  # how its sender can be asked for a keyframe, if it can


def read_media(section: MediaDescription) -> tuple[CarriedMedia | None, str]:
    """The first payload type of a section that is understood.

    Where none is, a reason, and the section as it is to be passed on untouched, or None where even that cannot be.
    """
    refusal = f"{section.kind} section without a payload type"
    for payload_type in section.payload_types:
        rtpmap = _rtpmap_of(section, payload_type)
        if rtpmap is None:
            refusal = f"{section.kind} payload type {payload_type} has no rtpmap"
            continue
        try:
            track, payload_format = track_from_rtpmap(rtpmap)
        except UnsupportedFormat as error:
            refusal = str(error)
            continue
        feedback = read_keyframe_feedback(section, payload_type) if track.kind is MediaKind.VIDEO else None
        return CarriedMedia(track, payload_type, payload_format, feedback), ""
    return _pass_on(section), refusal


def read_offers(section: MediaDescription) -> tuple[CarriedMedia, ...]:
    """Every payload type of a section that is understood, in its order."""
    offers = []
    for payload_type in section.payload_types:
        rtpmap = _rtpmap_of(section, payload_type)
        if rtpmap is None:
            continue
        try:
            track, payload_format = track_from_rtpmap(rtpmap)
        except UnsupportedFormat:
            continue
        offers.append(CarriedMedia(track, payload_type, payload_format))
    return tuple(offers)


def without_clashes(media: Sequence[CarriedMedia | None]) -> list[CarriedMedia | None]:
    """Media passed on keep their payload type where no other track can get that number from us."""
    count = sum(item is not None for item in media)
    taken = set(range(FIRST_DYNAMIC_PAYLOAD_TYPE, FIRST_DYNAMIC_PAYLOAD_TYPE + count))
    settled = []
    for carried in media:
        if carried is not None and isinstance(carried.track.parameters, PassedParameters):
            if carried.payload_type in taken:
                parameters = replace(carried.track.parameters, payload_type=None)
                carried = replace(carried, track=replace(carried.track, parameters=parameters))
            taken.add(carried.payload_type)
        settled.append(carried)
    return settled


def _rtpmap_of(section: MediaDescription, payload_type: int) -> RtpMap | None:
    """What a payload type is, by the description or by RFC 3551; None where neither tells."""
    rtpmap = section.rtpmaps.get(payload_type) or static_rtpmap(payload_type)
    if rtpmap is None or payload_type in section.rtpmaps:
        return rtpmap
    for name, value in section.attributes:  # a static type may have parameters, too: a=fmtp:18 annexb=no
        number, _, text = (value or "").partition(" ")
        if name.lower() == "fmtp" and number == str(payload_type):
            rtpmap = replace(rtpmap, fmtp=parse_fmtp(text))
    return rtpmap


def _pass_on(section: MediaDescription) -> CarriedMedia | None:
    """Its first payload type that has an rtpmap, untouched; None where there is none, or the kind is none of ours."""
    kind = _KINDS.get(section.kind)
    if kind is None:
        return None
    for payload_type in section.payload_types:
        rtpmap = _rtpmap_of(section, payload_type)
        if rtpmap is not None:
            track, payload_format = passed_on(rtpmap, kind)
            return CarriedMedia(track, payload_type, payload_format)
    return None
