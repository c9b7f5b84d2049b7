"""What a server's description says of its media: how they are asked for, and what can be carried of them."""

from __future__ import annotations

from dataclasses import dataclass

from manycast.errors import ProtocolError
from manycast.wire.mikey import MalformedMikey, MikeyMessage, parse_key_mgmt_attribute
from manycast.wire.rtsp.described import CarriedMedia, read_media, read_offers, without_clashes
from manycast.wire.rtsp.url import join_control
from manycast.wire.sdp import MAX_SDP_BYTES, Direction, MalformedSdp, MediaDescription, SessionDescription


class SourceRefused(ProtocolError):
    """The server does not give the stream; the message says why, and never holds a password."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceMedia:
    """One medium of the server's description. `carried` is None, and `refusal` says why, for what cannot be taken."""

    url: str
    kind: str
    carried: CarriedMedia | None
    refusal: str
    group: str | None = None  # address and port of the multicast group, where the description names it
    group_port: int = 0
    range: str | None = None  # what of it there is to play, as `parse_range` reads it
    key: MikeyMessage | None = None  # what its packets are protected with, if they are
    spoken: tuple[CarriedMedia, ...] = ()  # of a back channel: what we may send, the server's favourite first


def read_description(body: bytes, base: str, address: str) -> tuple[str, tuple[SourceMedia, ...]]:
    """What requests for the whole stream go to, and the media. `base` is what the answer says that it is relative to;
    `address` is what was asked for. Raises SourceRefused."""
    if len(body) > MAX_SDP_BYTES:
        raise SourceRefused(f"a description of {len(body)} bytes, at most {MAX_SDP_BYTES}")
    try:
        description = SessionDescription.parse(body)
    except MalformedSdp as error:
        raise SourceRefused(f"what describes the stream is no SDP: {error}") from error
    if not description.media:
        raise SourceRefused("the server describes a stream without media")
    if "://" not in base:
        base = join_control(address, base)
    # An absolute control of the session is what the controls of its media are relative to; so take it ffmpeg and
    # LIVE555, and servers behind another address count on it.
    base_url = join_control(base, description.control)
    media_base = base_url if description.control and "://" in description.control else base
    found = [read_media(section) for section in description.media]
    settled = without_clashes([carried for carried, _ in found])
    return base_url, tuple(
        _source_media(section, media_base, carried, refusal, description)
        for section, carried, (_, refusal) in zip(description.media, settled, found, strict=True)
    )


def _source_media(
    section: MediaDescription,
    base: str,
    carried: CarriedMedia | None,
    refusal: str,
    description: SessionDescription,
) -> SourceMedia:
    if section.direction is Direction.INACTIVE:
        carried, refusal = None, f"{section.kind} is inactive"
    speech = _is_speech(section, description)
    if speech:
        carried, refusal = None, f"{section.kind} for the other direction: a back channel"
    key, secure = None, section.protocol.upper().startswith("RTP/SAVP")
    if secure:
        key = _key_of(section, description)
        if key is None:
            carried, refusal = None, f"{section.kind} by SRTP without a key that can be read"
    connection = section.connection or description.connection
    return SourceMedia(
        url=join_control(base, section.control),
        kind=section.kind,
        carried=carried,
        refusal=refusal,
        group=None if connection is None else connection.address,
        group_port=section.port,
        range=section.range or description.range,
        key=key,
        spoken=read_offers(section) if speech and secure == (key is not None) else (),
    )


def _is_speech(section: MediaDescription, description: SessionDescription) -> bool:
    """Whether we would be the sender (ONVIF Streaming Specification, "Back channel connection").

    There the other media say that they are for us. Servers that call all of theirs `sendonly` mean their own view.
    """
    others = [other for other in description.media if other is not section]
    return (
        section.kind == "audio"
        and section.direction is Direction.SENDONLY
        and all(other.direction is not Direction.SENDONLY or other.kind == "audio" for other in others)
        and any(other.direction is Direction.RECVONLY for other in others)
    )


def _key_of(section: MediaDescription, description: SessionDescription) -> MikeyMessage | None:
    """The first key that can be read; a medium's own go before those of the session (RFC 4567 section 3.1)."""
    for name, value in (*section.attributes, *description.attributes):
        if name.lower() == "key-mgmt" and value is not None:
            try:
                message = parse_key_mgmt_attribute(value)
            except MalformedMikey:
                continue
            if message is not None:
                return message
    return None
