"""RTSP requests and responses (RFC 2326 sections 4 to 7).

Text is read as UTF-8 with surrogateescape: nearly all of it is ASCII, addresses typed by hand are UTF-8, and
bytes that are neither never raise here and go out again as they came. Show such text to people with `!r`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Self

from manycast.wire.masking import masked, masked_line
from manycast.wire.rtsp.errors import (
    BadRequest,
    HttpOnRtspPort,
    RequestEntityTooLarge,
    RequestUriTooLarge,
    RtspError,
    VersionNotSupported,
)

VERSION = "RTSP/1.0"

MAX_HEADER_LINES = 100  # ten times what any known client sends; lookups are linear
MAX_URI_CHARS = 8 * 1024  # file systems end at 4 KiB, percent-encoding triples only a part of it
MAX_BODY_BYTES = 1024 * 1024  # an SDP of 32 media with all parameter sets has some 64 KiB

_MAX_DIGITS = 18  # of a number in a header: enough for any, and cheap to convert

_TOKEN = frozenset("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
_BLANKS = " \t"
_SECRET_HEADERS = frozenset({"authorization", "proxy-authorization"})

REASONS = {  # RFC 2326 section 7.1.1
    100: "Continue",
    200: "OK",
    201: "Created",
    250: "Low on Storage Space",
    300: "Multiple Choices",
    301: "Moved Permanently",
    302: "Moved Temporarily",
    303: "See Other",
    304: "Not Modified",
    305: "Use Proxy",
    400: "Bad Request",
    401: "Unauthorized",
    402: "Payment Required",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    406: "Not Acceptable",
    407: "Proxy Authentication Required",
    408: "Request Time-out",
    410: "Gone",
    411: "Length Required",
    412: "Precondition Failed",
    413: "Request Entity Too Large",
    414: "Request-URI Too Large",
    415: "Unsupported Media Type",
    451: "Parameter Not Understood",
    452: "Conference Not Found",
    453: "Not Enough Bandwidth",
    454: "Session Not Found",
    455: "Method Not Valid in This State",
    456: "Header Field Not Valid for Resource",
    457: "Invalid Range",
    458: "Parameter Is Read-Only",
    459: "Aggregate operation not allowed",
    460: "Only aggregate operation allowed",
    461: "Unsupported transport",
    462: "Destination unreachable",
    463: "Key management Failure",
    500: "Internal Server Error",
    501: "Not Implemented",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Time-out",
    505: "RTSP Version not supported",
    508: "Loop Detected",
    551: "Option not supported",
}


class Headers:
    """The header fields of one message: names compared without regard to case, order and spelling kept."""

    __slots__ = ("_fields",)

    def __init__(self, fields: Iterable[tuple[str, str]] = ()) -> None:
        self._fields = list(fields)

    @classmethod
    def parse(cls, lines: Iterable[str]) -> Self:
        """Read the lines after the start line, without line ends and the empty one. Raises BadRequest."""
        fields: list[tuple[str, str]] = []
        for count, line in enumerate(lines, 1):
            if count > MAX_HEADER_LINES:
                raise BadRequest(f"more than {MAX_HEADER_LINES} header lines")
            if "\r" in line or "\0" in line:  # could not be sent on, nor echoed
                raise BadRequest(f"control character in header {masked_line(line)!r}")
            if line[0] in _BLANKS:  # folded, RFC 2616 section 2.2
                if not fields:
                    raise BadRequest(f"continuation {masked_line(line)!r} of no header")
                name, value = fields[-1]
                fields[-1] = name, f"{value} {line.strip(_BLANKS)}".strip(_BLANKS)
                continue
            name, colon, value = line.partition(":")
            name = name.rstrip(_BLANKS)
            if not colon or not _is_token(name):
                raise BadRequest(f"header {masked_line(line)!r} is no 'name: value'")
            fields.append((name, value.strip(_BLANKS)))
        return cls(fields)

    def get(self, name: str) -> str | None:
        """The first value under this name."""
        wanted = name.lower()
        return next((value for key, value in self._fields if key.lower() == wanted), None)

    def get_all(self, name: str) -> list[str]:
        wanted = name.lower()
        return [value for key, value in self._fields if key.lower() == wanted]

    def add(self, name: str, value: str) -> None:
        """Append a field, beside those of the same name."""
        self._fields.append((name, value))

    def set(self, name: str, value: str) -> None:
        """Put one field in the place of all those of this name."""
        wanted = name.lower()
        places = [index for index, (key, _) in enumerate(self._fields) if key.lower() == wanted]
        if not places:
            self._fields.append((name, value))
            return
        self._fields[places[0]] = name, value
        for index in reversed(places[1:]):
            del self._fields[index]

    def serialize(self) -> str:
        """The fields as lines. What would break a line is our own mistake: ValueError."""
        lines = []
        for name, value in self._fields:
            if not _is_token(name):
                raise ValueError(f"header name {name!r}")
            lines.append(f"{name}: {_one_line(value)}\r\n")
        return "".join(lines)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.get(name) is not None

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Headers) and self._fields == other._fields

    __hash__ = None  # type: ignore[assignment]  # mutable

    def __repr__(self) -> str:
        shown = [(name, "..." if name.lower() in _SECRET_HEADERS else value) for name, value in self._fields]
        return f"Headers({shown!r})"


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it is on the wire; `method` is compared with regard to case (RFC 2326 section 6.1)."""

    method: str
    uri: str
    version: str = VERSION
    headers: Headers = field(default_factory=Headers)
    body: bytes = b""

    @property
    def cseq(self) -> int | None:
        """The number that joins request and response; None when it is missing or no number."""
        return cseq_of(self.headers)

    def serialize(self) -> bytes:
        """The bytes to send; `Content-Length` is added where it is due."""
        return _serialize(f"{self.method} {self.uri} {self.version}", self.headers, self.body)

    def __str__(self) -> str:
        return f"{self.method} {masked(self.uri)!r} CSeq {self.cseq}, {len(self.body)} bytes of body"


@dataclass(frozen=True, slots=True)
class Response:
    """A response. An empty `reason` is sent as the one RFC 2326 gives the status."""

    status: int  # 100..999
    reason: str = ""
    headers: Headers = field(default_factory=Headers)
    body: bytes = b""

    @classmethod
    def of_error(cls, error: RtspError) -> Self:
        """The answer an error asks for, without the headers every answer has (CSeq, Server, Date)."""
        return cls(error.status, headers=Headers(error.headers()), body=error.body())

    @property
    def cseq(self) -> int | None:
        """The number that joins request and response; None when it is missing or no number."""
        return cseq_of(self.headers)

    def serialize(self) -> bytes:
        """The bytes to send; `Content-Length` is added where it is due."""
        reason = self.reason or REASONS.get(self.status, "")
        return _serialize(f"{VERSION} {self.status:03d} {reason}", self.headers, self.body)

    def __str__(self) -> str:
        return f"{self.status} {self.reason!r} CSeq {self.cseq}, {len(self.body)} bytes of body"


def parse_head(head: bytes) -> tuple[str, Headers]:
    """Split what stands before the empty line into start line and headers. Raises BadRequest.

    A line may end in LF alone: embedded clients do so.
    """
    lines = [line.removesuffix("\r") for line in head.decode("utf-8", "surrogateescape").split("\n")]
    return lines[0], Headers.parse(line for line in lines[1:] if line)


def parse_start_line(line: str, headers: Headers, body: bytes = b"") -> Request | Response:
    """Build the message a start line opens. Raises RtspError with the status to answer."""
    if line[:5].upper() == "RTSP/":
        return _parse_status_line(line, headers, body)
    if line.startswith("HTTP/"):
        raise HttpOnRtspPort(f"HTTP on the RTSP port: {masked_line(line)!r}")
    method, _, rest = line.strip(" ").partition(" ")
    # The address is all between the first and the last space: people type names with spaces into players.
    uri, _, version = rest.rpartition(" ")
    uri = uri.strip(" ")
    if version.startswith("HTTP/"):
        raise HttpOnRtspPort(f"HTTP on the RTSP port: {masked_line(line)!r}")
    if not _is_token(method) or not uri or version[:5].upper() != "RTSP/":
        raise BadRequest(f"start line {masked_line(line)!r} is no 'method URI {VERSION}'")
    if len(uri) > MAX_URI_CHARS:
        raise RequestUriTooLarge(f"URI of {len(uri)} characters, at most {MAX_URI_CHARS}")
    if any(character < " " or character == "\x7f" for character in uri):
        raise BadRequest(f"control character in URI {masked_line(uri)!r}")
    return Request(method, uri, _checked_version(version), headers, body)


def _parse_status_line(line: str, headers: Headers, body: bytes) -> Response:
    version, _, rest = line.partition(" ")
    status, _, reason = rest.strip(" ").partition(" ")
    if "\r" in reason or "\0" in reason:
        raise BadRequest(f"control character in status line {masked_line(line)!r}")
    if len(status) != 3 or not _is_number(status) or status < "100":
        raise BadRequest(f"status line {masked_line(line)!r} is no '{VERSION} status reason'")
    _checked_version(version)
    return Response(int(status), reason.strip(" "), headers, body)


def _checked_version(version: str) -> str:
    if version.upper() != VERSION:
        raise VersionNotSupported(f"version {masked_line(version)!r}, wanted {VERSION}")
    return VERSION


def content_length(headers: Headers) -> int:
    """The size of the body in bytes, 0 when unsaid (RFC 2326 section 12.14).

    Raises BadRequest for a value that is no number, or two that differ: where they end would be a guess.
    Raises RequestEntityTooLarge above MAX_BODY_BYTES.
    """
    sizes = set()
    for value in headers.get_all("Content-Length"):
        if not value.isascii() or not value.isdigit():
            raise BadRequest(f"Content-Length {value[:80]!r} is no number")
        if len(value) > _MAX_DIGITS:
            raise RequestEntityTooLarge(f"body of {value[:80]} bytes, at most {MAX_BODY_BYTES}")
        sizes.add(int(value))
    if len(sizes) > 1:
        raise BadRequest(f"differing Content-Length {sorted(sizes)}")
    size = max(sizes, default=0)
    if size > MAX_BODY_BYTES:
        raise RequestEntityTooLarge(f"body of {size} bytes, at most {MAX_BODY_BYTES}")
    return size


def cseq_of(headers: Headers) -> int | None:
    """The number of `CSeq` (RFC 2326 section 12.17); None when it is missing or no number."""
    value = headers.get("CSeq")
    return int(value) if value is not None and _is_number(value) else None


def _serialize(start_line: str, headers: Headers, body: bytes) -> bytes:
    declared = headers.get_all("Content-Length")
    if any(value != str(len(body)) for value in declared):
        raise ValueError(f"Content-Length {declared} for a body of {len(body)} bytes")
    missing = f"Content-Length: {len(body)}\r\n" if body and not declared else ""
    head = f"{_one_line(start_line)}\r\n{headers.serialize()}{missing}\r\n"
    return head.encode("utf-8", "surrogateescape") + body


def _one_line(text: str) -> str:
    if "\r" in text or "\n" in text or "\0" in text:
        raise ValueError(f"line break or NUL in {text!r}")
    return text


def _is_token(text: str) -> bool:
    return bool(text) and _TOKEN.issuperset(text)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS
