"""What a publisher has announced: the media of its SDP, and which of them Manycast can carry."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from manycast.media.track import Track
from manycast.wire.rtp.formats import static_rtpmap, track_from_rtpmap
from manycast.wire.rtp.payload import PayloadFormat, UnsupportedFormat
from manycast.wire.rtsp.errors import BadRequest, UnsupportedMediaType
from manycast.wire.sdp import MalformedSdp, MediaDescription, SessionDescription


@dataclass(frozen=True, slots=True)
class CarriedMedia:
    track: Track
    payload_type: int
    payload_format: PayloadFormat


@dataclass(frozen=True, slots=True)
class AnnouncedMedia:
    """One media section; `carried` is None where its codec cannot be carried, and `refusal` says why."""

    control: str | None
    carried: CarriedMedia | None
    refusal: str = ""


@dataclass(frozen=True, slots=True)
class Announcement:
    path: str
    base_url: str  # what relative controls are joined to
    media: Sequence[AnnouncedMedia]


def read_announcement(path: str, base_url: str, body: bytes) -> Announcement:
    """Read an ANNOUNCE's body. Raises BadRequest for what is no SDP, UnsupportedMediaType when nothing is usable."""
    try:
        description = SessionDescription.parse(body)
    except MalformedSdp as error:
        raise BadRequest(f"SDP: {error}") from error
    if not description.media:
        raise BadRequest("the SDP announces no media")
    media = tuple(_read_media(section) for section in description.media)
    if not any(item.carried for item in media):
        raise UnsupportedMediaType("; ".join(item.refusal for item in media))
    return Announcement(path, base_url, media)


def _read_media(section: MediaDescription) -> AnnouncedMedia:
    refusal = f"{section.kind} section without a payload type"
    for payload_type in section.payload_types:
        rtpmap = section.rtpmaps.get(payload_type) or static_rtpmap(payload_type)
        if rtpmap is None:
            refusal = f"{section.kind} payload type {payload_type} has no rtpmap"
            continue
        try:
            track, payload_format = track_from_rtpmap(rtpmap)
        except UnsupportedFormat as error:
            refusal = str(error)
            continue
        return AnnouncedMedia(section.control, CarriedMedia(track, payload_type, payload_format))
    return AnnouncedMedia(section.control, None, refusal)
