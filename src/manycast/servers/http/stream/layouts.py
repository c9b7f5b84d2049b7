"""How frames of MP4 go out, and what wraps the pieces of an endless reply."""

from __future__ import annotations

from dataclasses import dataclass

from manycast.hub.rtp_packager import Framing
from manycast.wire.fmp4.mux import Movie
from manycast.wire.websocket import binary_frame, text_frame

LAST_CHUNK = b"0\r\n\r\n"


def chunk(data: bytes) -> bytes:
    """One chunk of a reply (RFC 9112 section 7.1)."""
    return b"%x\r\n%b\r\n" % (len(data), data)


@dataclass(frozen=True, slots=True)
class ProgressiveLayout:
    """An endless file."""

    framing: Framing | None

    def start(self, movie: Movie) -> bytes:
        return self.serialize(movie.init_segment)

    def serialize(self, data: bytes) -> bytes:
        return data if self.framing is None else self.framing(data)


@dataclass(frozen=True, slots=True)
class MessageLayout:
    """WebSocket messages: the MIME type as text, the init segment, then fragments; the first two again at a change."""

    def start(self, movie: Movie) -> bytes:
        return text_frame(movie.mime_type) + binary_frame(movie.init_segment)

    def serialize(self, data: bytes) -> bytes:
        return binary_frame(data)
