"""The seam every payload format plugs into: one module per format, listed in `formats.py`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from manycast.errors import ProtocolError
from manycast.media.frame import Frame
from manycast.media.track import Codec, Track
from manycast.wire.rtp.packet import RtpPacket

FIRST_DYNAMIC_PAYLOAD_TYPE = 96  # RFC 3551 section 6
MAX_FRAME_BYTES = 8 * 1024 * 1024  # an access unit above it is hostile or broken: 8 MiB is a 4K intra frame at 2 Gbit/s


class MalformedPayload(ProtocolError):
    """An RTP payload that does not follow its format."""


class UnsupportedFormat(ProtocolError):
    """A media description whose encoding or parameters Manycast cannot carry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RtpMap:
    """How SDP describes a payload type: `a=rtpmap` and `a=fmtp` (RFC 8866 sections 6.6 and 6.15)."""

    payload_type: int  # 0..127
    encoding_name: str  # as written; compared without regard to case
    clock_rate_hz: int
    channels: int | None = None
    fmtp: dict[str, str] = field(default_factory=dict)  # names in lower case, values as written; order kept


class RtpPayload(NamedTuple):
    """What goes behind one RTP header."""

    data: bytes
    timestamp_offset_ticks: int  # from the frame's pts; not 0 only where one frame spans several timestamps
    marker: bool


class Packetiser(Protocol):
    """Cuts the frames of one track into RTP payloads."""

    def packetise(self, frame: Frame) -> list[RtpPayload]:
        """Return the payloads of one frame, in order, none longer than the limit it was made with, unless they are
        passed on as they came.

        All but the last fragment of one NAL unit have exactly the limit's size, which lets the kernel cut a
        whole run of packets out of one buffer.
        Raises UnsupportedFormat for a frame that the format cannot carry, saying what it could.
        """


class Depacketiser(Protocol):
    """Rebuilds the frames of one track from the RTP packets of one SSRC, in sequence order."""

    def push(self, packet: RtpPacket) -> list[Frame]:
        """Return the frames this packet completes: none, one or several.

        `packet.timestamp` is unwrapped. The frames' dts equals their pts; `normalise` mends that.
        Raises MalformedPayload; it drops the frame under way and is clean for the next one.
        """

    def reset(self) -> None:
        """Forget the frame under way, and wait for the next one's start, after a gap that nothing filled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PayloadFormat:
    """One payload format. `encoding_names` are in lower case; `describe` writes the name as its RFC does."""

    codec: Codec
    encoding_names: tuple[str, ...]
    describe: Callable[[Track, int], RtpMap]  # track, its payload type where RFC 3551 gives none
    track: Callable[[RtpMap], Track]  # raises UnsupportedFormat
    packetiser: Callable[[Track, int], Packetiser]  # track, limit of a payload in bytes
    depacketiser: Callable[[Track, int], Depacketiser]  # track, its index in the stream
