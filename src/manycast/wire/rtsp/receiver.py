"""The bytes of one RTSP connection, cut into messages and interleaved packets."""

from __future__ import annotations

from dataclasses import dataclass, replace

from manycast.wire.rtsp.errors import BadRequest, RequestUriTooLarge, RtspError, TlsOnPlainPort
from manycast.wire.rtsp.message import (
    Request,
    Response,
    content_length,
    cseq_of,
    parse_head,
    parse_start_line,
)

MAX_HEAD_BYTES = 64 * 1024  # start line and headers; a head with a URI of full length has some 9 KiB

_DOLLAR = 0x24
_LINE_ENDS = b"\r\n"


@dataclass(frozen=True, slots=True)
class RequestReceived:
    request: Request


@dataclass(frozen=True, slots=True)
class ResponseReceived:
    response: Response


@dataclass(slots=True)  # not frozen: one is made for every packet
class InterleavedReceived:
    """One packet of the connection's media (RFC 2326 section 10.12)."""

    channel: int  # 0..255
    payload: bytes


@dataclass(frozen=True, slots=True)
class PeerFailed:
    """The last event: the rest cannot be understood. `cseq` is that of the request to refuse, if known."""

    error: RtspError
    cseq: int | None = None


RtspEvent = RequestReceived | ResponseReceived | InterleavedReceived | PeerFailed


class RtspReceiver:
    """Bytes of one RTSP connection in, events out. Knows no socket and no clock."""

    def __init__(self) -> None:
        self._held = bytearray()  # the beginning of one message or packet; empty between them
        self._wanted_bytes = 0  # what `_held` must have before looking at it again is worth it
        self._searched_bytes = 0  # of `_held`, without the end of a head
        self._cseq: int | None = None
        self._failed = False

    @property
    def pending(self) -> bool:
        """Whether a message or packet has begun and its end has not come."""
        return bool(self._held)

    def receive(self, data: bytes) -> list[RtspEvent]:
        """Feed what the socket gave; the events do not depend on how it was cut."""
        if self._failed:
            return []
        if self._held:
            self._held += data
            if len(self._held) < self._wanted_bytes:
                return []
            data = bytes(self._held)
        events: list[RtspEvent] = []
        try:
            position = self._take_all(data, events)
        except RtspError as error:
            self._failed = True
            events.append(PeerFailed(error, self._cseq))
            position = len(data)
        if self._held or position < len(data):
            self._held = bytearray(data[position:])
        return events

    def _take_all(self, data: bytes, events: list[RtspEvent]) -> int:
        """Append what is complete to `events`; return where the incomplete rest begins."""
        position, size = 0, len(data)
        append = events.append
        while position < size:
            # This loop runs for every packet of every publisher over TCP: keep it free of calls.
            while size - position >= 4 and data[position] == _DOLLAR:
                end = position + 4 + (data[position + 2] << 8 | data[position + 3])
                if end > size:
                    self._wanted_bytes = end - position
                    return position
                append(InterleavedReceived(data[position + 1], data[position + 4 : end]))
                position = end
            if position == size:
                break
            first = data[position]
            if first == _DOLLAR:
                self._wanted_bytes = 4
                return position
            if first in _LINE_ENDS:  # between messages: RFC 2616 section 4.1; some end a body with one
                position += 1
                continue
            message_end = self._take_message(data, position, events)
            if message_end is None:
                return position
            position = message_end
        return position

    def _take_message(self, data: bytes, position: int, events: list[RtspEvent]) -> int | None:
        """Append the message that begins here and return its end; None while it is incomplete."""
        self._cseq = None
        _refuse_binary(data, position)
        head_end = self._find_head_end(data, position)
        if head_end is None:
            return None
        start_line, headers = parse_head(data[position:head_end])
        self._cseq = cseq_of(headers)
        message = parse_start_line(start_line, headers)
        end = head_end + content_length(headers)
        if end > len(data):
            self._wanted_bytes = end - position
            return None
        message = replace(message, body=data[head_end:end])
        events.append(RequestReceived(message) if isinstance(message, Request) else ResponseReceived(message))
        self._searched_bytes = 0
        return end

    def _find_head_end(self, data: bytes, position: int) -> int | None:
        """Where the empty line ends; lines may end in LF alone. Raises when no head can be that long."""
        limit = position + MAX_HEAD_BYTES
        start = position + self._searched_bytes
        end = data.find(b"\n\r\n", start, limit)
        bare = data.find(b"\n\n", start, limit if end < 0 else end)
        if bare >= 0:
            return bare + 2
        if end >= 0:
            return end + 3
        if len(data) >= limit:
            if data.find(b"\n", position, limit) < 0:
                raise RequestUriTooLarge(f"no end of the first line in {MAX_HEAD_BYTES} bytes")
            raise BadRequest(f"no end of headers in {MAX_HEAD_BYTES} bytes")
        self._wanted_bytes = 0
        self._searched_bytes = max(len(data) - position - 2, 0)  # the last two may begin the empty line
        return None


def _refuse_binary(data: bytes, position: int) -> None:
    """Raise at once for what cannot become a message; it would else wait for a line end until the cap."""
    first = data[position]
    if first == 0x16:  # TLS handshake record, then version 3.x (RFC 8446 section 5.1)
        if len(data) - position > 1:
            if data[position + 1] == 0x03:
                raise TlsOnPlainPort("TLS on the plain port")
            raise BadRequest("message begins with byte 0x16")
    elif first <= 0x20 or first >= 0x7F:
        raise BadRequest(f"message begins with byte {first:#04x}")
