"""The heads of HTTP/1.x messages (RFC 9112): requests in, responses out.

Only what must be known before it is decided who serves a connection; bodies are the business of whoever does.
Text is read as UTF-8 with surrogateescape, as it is in RTSP.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Self

from manycast.errors import ProtocolError
from manycast.wire.masking import masked_line

MAX_HEAD_BYTES = 16 * 1024  # browsers send 1 KiB, with many cookies 8
MAX_HEADER_LINES = 100

_TOKEN = frozenset("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
_BLANKS = " \t"

_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")

REASONS = {  # RFC 9110 section 15, RFC 6585
    101: "Switching Protocols",
    200: "OK",
    204: "No Content",
    206: "Partial Content",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    406: "Not Acceptable",
    408: "Request Timeout",
    409: "Conflict",
    414: "URI Too Long",
    416: "Range Not Satisfiable",
    426: "Upgrade Required",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    501: "Not Implemented",
    503: "Service Unavailable",
    505: "HTTP Version Not Supported",
    508: "Loop Detected",
}


class HttpError(ProtocolError):
    """A request that is refused; `status` and `headers` are what the client is told."""

    def __init__(self, status: int, text: str, headers: Iterable[tuple[str, str]] = ()) -> None:
        super().__init__(text)
        self.status = status
        self.headers = tuple(headers)


@dataclass(frozen=True, slots=True)
class RequestHead:
    """Request line and header fields."""

    method: str
    target: str
    version: tuple[int, int]  # (1, 0) or (1, 1)
    fields: tuple[tuple[str, str], ...] = field(repr=False)  # names in lower case; may hold passwords

    @classmethod
    def parse(cls, head: bytes) -> Self:
        """Read what stands before the empty line, or all with it. Raises HttpError."""
        text = head.decode("utf-8", "surrogateescape")
        lines = [line.removesuffix("\r") for line in text.rstrip("\r\n").split("\n")]
        method, target, version = _request_line(lines[0])
        if len(lines) - 1 > MAX_HEADER_LINES:
            raise HttpError(431, f"more than {MAX_HEADER_LINES} header lines")
        return cls(method, target, version, tuple(map(_header, lines[1:])))

    def get(self, name: str) -> str | None:
        """The first value of a header, whatever the case of its name."""
        wanted = name.lower()
        return next((value for key, value in self.fields if key == wanted), None)

    def tokens(self, name: str) -> list[str]:
        """The members of a header that is a list (RFC 9110 section 5.6.1), over all its lines."""
        wanted = name.lower()
        members = (part.strip(_BLANKS) for key, value in self.fields if key == wanted for part in value.split(","))
        return [member for member in members if member]

    @property
    def path(self) -> str:
        """The target without its query, nor the server's name that stands before it for proxies."""
        return origin_form(self.target).partition("?")[0]

    @property
    def content_length(self) -> int | None:
        """None when it is unsaid, or no number."""
        value = self.get("Content-Length")
        return int(value) if value is not None and value.isascii() and value.isdigit() and len(value) < 19 else None

    def check_framing(self) -> None:
        """What must be right for a server to know whom a request is for and where it ends.

        Raises HttpError (RFC 9112 sections 3.2 and 6.3).
        """
        hosts = [value for key, value in self.fields if key == "host"]
        if len(hosts) > 1 or (not hosts and self.version >= (1, 1)):
            raise HttpError(400, "a request by HTTP/1.1 has one Host header")
        lengths = set(self.tokens("Content-Length"))
        if len(lengths) > 1 or (lengths and self.get("Transfer-Encoding") is not None):
            raise HttpError(400, "a request says one length of its body")
        if lengths and self.content_length is None:
            raise HttpError(400, "Content-Length is no number")

    @property
    def expects_continue(self) -> bool:
        """Whether the client waits for a word before it sends the body (RFC 9110 section 10.1.1)."""
        return self.version >= (1, 1) and "100-continue" in (token.lower() for token in self.tokens("Expect"))


@dataclass(frozen=True, slots=True)
class ResponseHead:
    """Status line and header fields, as a client gets them."""

    status: int
    reason: str
    fields: tuple[tuple[str, str], ...]  # names in lower case

    @classmethod
    def parse(cls, head: bytes) -> Self:
        """Read what stands before the empty line, or all with it. Raises HttpError."""
        text = head.decode("utf-8", "surrogateescape")
        lines = [line.removesuffix("\r") for line in text.rstrip("\r\n").split("\n")]
        version, _, rest = lines[0].partition(" ")
        status, _, reason = rest.strip(" ").partition(" ")
        if not version.startswith("HTTP/1.") or len(status) != 3 or not (status.isascii() and status.isdigit()):
            raise HttpError(400, f"status line {masked_line(lines[0])!r} is no 'HTTP/1.1 status reason'")
        if len(lines) - 1 > MAX_HEADER_LINES:
            raise HttpError(431, f"more than {MAX_HEADER_LINES} header lines")
        return cls(int(status), reason, tuple(map(_header, lines[1:])))

    def get_all(self, name: str) -> list[str]:
        wanted = name.lower()
        return [value for key, value in self.fields if key == wanted]


CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


def find_head_end(data: bytes | bytearray) -> int | None:
    """Where the empty line behind a head ends; None while it has not come. Lines may end in LF alone.

    Raises HttpError when no head can be that long.
    """
    end = data.find(b"\n\r\n", 0, MAX_HEAD_BYTES)
    bare = data.find(b"\n\n", 0, MAX_HEAD_BYTES if end < 0 else end)
    if bare >= 0:
        return bare + 2
    if end >= 0:
        return end + 3
    if len(data) >= MAX_HEAD_BYTES:
        raise HttpError(431, f"no end of headers in {MAX_HEAD_BYTES} bytes")
    return None


def parse_range(value: str, size: int) -> tuple[int, int] | None:
    """Start and end of the one range of bytes a Range header asks for (RFC 9110 section 14.2).

    None where it is no such header, or asks for several: then the whole is sent. Raises HttpError when nothing of it is
    there.
    """
    found = _RANGE.fullmatch(value)
    if found is None or not (found[1] or found[2]):
        return None
    if not found[1]:
        start, end = max(0, size - int(found[2])), size
    else:
        start, end = int(found[1]), min(size, int(found[2]) + 1) if found[2] else size
        if found[2] and int(found[2]) < start:
            return None
    if start >= end:
        raise HttpError(416, f"there are {size} bytes, not {value[:40]}", [("Content-Range", f"bytes */{size}")])
    return start, end


def origin_form(target: str) -> str:
    """A target without what stands before the path when a proxy is asked (RFC 9112 section 3.2.2)."""
    if not target.lower().startswith(("http://", "https://")):
        return target
    _, slash, path = target.partition("://")[2].partition("/")
    return slash + path if slash else "/"


def date_of(unix_s: float) -> str:
    """What `Date` says of an answer made then (RFC 9110 section 6.6.1)."""
    return formatdate(unix_s, usegmt=True)


def response_head(status: int, headers: Iterable[tuple[str, str]], *, version: str = "HTTP/1.1") -> bytes:
    """Status line, headers and the empty line. What would break a line is our own mistake: ValueError."""
    lines = [f"{version} {status} {REASONS[status]}", *(f"{name}: {value}" for name, value in headers)]
    if any("\r" in line or "\n" in line for line in lines):
        raise ValueError(f"line break in {lines!r}")
    return "\r\n".join([*lines, "", ""]).encode("utf-8", "surrogateescape")


def refusal(error: HttpError, *, method: str = "GET") -> bytes:
    """The whole answer to a request that is refused: the reason as plain text, and the connection ends.

    To HEAD it is told without its body (RFC 9110 section 9.3.2).
    """
    body = f"{error}\n".encode(errors="replace")
    headers = [
        ("Content-Type", "text/plain; charset=utf-8"),
        ("Content-Length", str(len(body))),
        ("Connection", "close"),
        *error.headers,
    ]
    return response_head(error.status, headers) + (body if method != "HEAD" else b"")


def _request_line(line: str) -> tuple[str, str, tuple[int, int]]:
    method, _, rest = line.partition(" ")
    target, _, version = rest.rpartition(" ")
    target = target.strip(" ")
    if not method or not _TOKEN.issuperset(method) or not target or not version.startswith("HTTP/"):
        raise HttpError(400, f"request line {masked_line(line)!r} is no 'method target HTTP/1.1'")
    if any(character <= " " or character == "\x7f" for character in target):
        raise HttpError(400, f"blank or control character in target {masked_line(target)!r}")
    if version not in ("HTTP/1.0", "HTTP/1.1"):
        raise HttpError(505, f"version {masked_line(version, 20)!r}, wanted HTTP/1.1 or HTTP/1.0")
    return method, target, (1, 1 if version == "HTTP/1.1" else 0)


def _header(line: str) -> tuple[str, str]:
    # A folded line (RFC 9112 section 5.2) begins with a blank, and so has no name: refused as it may be.
    name, colon, value = line.partition(":")
    if not colon or not name or not _TOKEN.issuperset(name) or "\r" in value or "\0" in value:
        raise HttpError(400, f"header {masked_line(line)!r} is no 'name: value'")
    return name.lower(), value.strip(_BLANKS)
