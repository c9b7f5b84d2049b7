"""The SRTP keys that a DESCRIBE tells."""

from __future__ import annotations

import time
from dataclasses import replace

from manycast.hub.srtp import SrtpOffer, SrtpOffers
from manycast.hub.stored import StoredMedia
from manycast.hub.stream import Stream
from manycast.media.clock import ntp_from_unix
from manycast.wire.mikey import serialize_key_mgmt_attribute
from manycast.wire.sdp import MediaDescription

SECURE_PROTOCOL = "RTP/SAVP"


class ToldKeys:
    """What one DESCRIBE tells: a key for a stream or file, and keys for what is at its side."""

    def __init__(self, offers: SrtpOffers, found: Stream | StoredMedia) -> None:
        self._tracks = len(found.tracks)
        self._main = offers.shared(found) if isinstance(found, Stream) else offers.own(self._tracks, live=False)
        self._beside = offers.own(2, live=True)  # metadata and back channel; they have SSRCs of their own

    def of(self, track_index: int) -> tuple[SrtpOffer, int]:
        """The key for a track of the session, and the track's number in it."""
        if track_index < self._tracks:
            return self._main, track_index
        return self._beside, track_index - self._tracks

    def secure(self, section: MediaDescription, track_index: int) -> MediaDescription:
        """A media section for RTP in the clear, made one for SRTP."""
        offer, number = self.of(track_index)
        messages = offer.messages(number, ntp=ntp_from_unix(time.time()))
        lines = tuple(("key-mgmt", serialize_key_mgmt_attribute(message)) for message in messages)
        return replace(section, protocol=SECURE_PROTOCOL, attributes=(*section.attributes, *lines))
