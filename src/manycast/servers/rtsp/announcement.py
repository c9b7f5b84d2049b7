"""What a publisher has announced: the media of its SDP, and which of them Manycast can carry."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from manycast.wire.mikey import MalformedMikey, MikeyMessage, parse_key_mgmt_attribute
from manycast.wire.rtsp.described import CarriedMedia, read_media, without_clashes
from manycast.wire.rtsp.errors import BadRequest, KeyManagementFailure, UnsupportedMediaType
from manycast.wire.sdp import MalformedSdp, MediaDescription, SessionDescription


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
    settled = without_clashes([item.carried for item in read])
    media = tuple(replace(item, carried=carried) for item, carried in zip(read, settled, strict=True))
    if not any(item.carried for item in media):
        raise UnsupportedMediaType("; ".join(item.refusal for item in media))
    return Announcement(path, base_url, media)


def _read_media(section: MediaDescription) -> AnnouncedMedia:
    carried, refusal = read_media(section)
    return AnnouncedMedia(section.control, carried, refusal)


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
