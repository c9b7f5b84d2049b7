"""What a publisher has announced: the media of its SDP, and which of them Manycast can carry."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from manycast.hub.rtp_packager import FIRST_DYNAMIC_PAYLOAD_TYPE
from manycast.media.track import MediaKind, PassedParameters, Track
from manycast.wire.mikey import MalformedMikey, MikeyMessage, parse_key_mgmt_attribute
from manycast.wire.rtp.formats import passed_on, static_rtpmap, track_from_rtpmap
from manycast.wire.rtp.payload import PayloadFormat, RtpMap, UnsupportedFormat
from manycast.wire.rtsp.errors import BadRequest, KeyManagementFailure, UnsupportedMediaType
from manycast.wire.sdp import MalformedSdp, MediaDescription, SessionDescription, parse_fmtp

_KINDS = {kind.value: kind for kind in MediaKind}


@dataclass(frozen=True, slots=True)
class CarriedMedia:
    track: Track
    payload_type: int
    payload_format: PayloadFormat


@dataclass(frozen=True, slots=True)
class AnnouncedMedia:
    """One media section.

    Where its description is not understood, `refusal` says why; it is passed on as it is then, or, where even that
    cannot be, `carried` is None.
    """

    control: str | None
    carried: CarriedMedia | None
    refusal: str = ""
    key: MikeyMessage | None = None  # what its packets are protected with, where SETUP says nothing else


@dataclass(frozen=True, slots=True)
class Announcement:
    path: str
    base_url: str  # what relative controls are joined to
    media: Sequence[AnnouncedMedia]


def read_announcement(path: str, base_url: str, body: bytes) -> Announcement:
    """Read an ANNOUNCE's body.

    Raises BadRequest for what is no SDP, UnsupportedMediaType when nothing is usable, KeyManagementFailure for a key
    that cannot be read.
    """
    try:
        description = SessionDescription.parse(body)
    except MalformedSdp as error:
        raise BadRequest(f"SDP: {error}") from error
    if not description.media:
        raise BadRequest("the SDP announces no media")
    read = [replace(_read_media(section), key=_key_of(section, description)) for section in description.media]
    media = _without_clashes(read)
    if not any(item.carried for item in media):
        raise UnsupportedMediaType("; ".join(item.refusal for item in media))
    return Announcement(path, base_url, media)


def _read_media(section: MediaDescription) -> AnnouncedMedia:
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
        return AnnouncedMedia(section.control, CarriedMedia(track, payload_type, payload_format))
    return AnnouncedMedia(section.control, _pass_on(section), refusal)


def _key_of(section: MediaDescription, description: SessionDescription) -> MikeyMessage | None:
    """A medium's own key goes before that of the session (RFC 4567 section 3.1)."""
    if not section.protocol.startswith("RTP/SAVP"):
        return None
    for name, value in (*section.attributes, *description.attributes):
        if name.lower() == "key-mgmt" and value is not None:
            try:
                message = parse_key_mgmt_attribute(value)
            except MalformedMikey as error:
                raise KeyManagementFailure(f"key-mgmt: {error}") from error
            if message is not None:
                return message
    return None


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


def _without_clashes(media: Sequence[AnnouncedMedia]) -> tuple[AnnouncedMedia, ...]:
    """Media passed on keep their payload type where no other track can get that number from us."""
    count = sum(item.carried is not None for item in media)
    taken = set(range(FIRST_DYNAMIC_PAYLOAD_TYPE, FIRST_DYNAMIC_PAYLOAD_TYPE + count))
    settled = []
    for item in media:
        carried = item.carried
        if carried is not None and isinstance(carried.track.parameters, PassedParameters):
            if carried.payload_type in taken:
                parameters = replace(carried.track.parameters, payload_type=None)
                carried = replace(carried, track=replace(carried.track, parameters=parameters))
                item = replace(item, carried=carried)
            taken.add(carried.payload_type)
        settled.append(item)
    return tuple(settled)
