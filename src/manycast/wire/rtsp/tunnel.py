"""RTSP over HTTP: what is on the two connections of a tunnel (Apple, "Tunnelling RTSP and RTP through HTTP").

The client sends a GET, whose answer never ends: replies and media, as they are. It sends a POST, which is never
answered: requests in base64. A header with the same value on both joins them.
"""

from __future__ import annotations

import binascii

from manycast.errors import ProtocolError
from manycast.wire.address import SourceAddress
from manycast.wire.http import HttpError, RequestHead, find_head_end, response_head

SESSION_COOKIE = "x-sessioncookie"
TUNNELLED_TYPE = "application/x-rtsp-tunnelled"

MAX_COOKIE_CHARS = 256  # clients send 16 to 40

_WHITESPACE = b" \t\r\n"
_NEXT_POST = b"POST "


class WrongTunnelData(ProtocolError):
    """What came in a POST is no base64, or a request that does not belong there."""


def is_tunnel_request(head: RequestHead) -> bool:
    """Whether a request opens one side of a tunnel; a GET or POST of a page has none of these headers."""
    return (
        head.get(SESSION_COOKIE) is not None
        or TUNNELLED_TYPE in (head.get("Accept") or "").lower()
        or TUNNELLED_TYPE in (head.get("Content-Type") or "").lower()
    )


def tunnel_cookie(head: RequestHead) -> str:
    """What joins the two requests of a tunnel. Raises HttpError for a request that cannot open one."""
    if head.method not in ("GET", "POST"):
        raise HttpError(405, f"{head.method} opens no RTSP tunnel, GET and POST do", [("Allow", "GET, POST")])
    cookie = head.get(SESSION_COOKIE)
    if not cookie:
        raise HttpError(400, f"an RTSP tunnel needs the header {SESSION_COOKIE}, the same on GET and POST")
    if len(cookie) > MAX_COOKIE_CHARS:
        raise HttpError(400, f"{SESSION_COOKIE} of {len(cookie)} characters, at most {MAX_COOKIE_CHARS}")
    return cookie


def get_reply(server: str, date: str) -> bytes:
    """The answer to the GET; what follows it are replies and interleaved packets, without an end."""
    headers = [
        ("Server", server),
        ("Date", date),
        ("Connection", "close"),
        ("Cache-Control", "no-store"),
        ("Pragma", "no-cache"),
        ("Content-Type", TUNNELLED_TYPE),
    ]
    return response_head(200, headers, version="HTTP/1.0")  # 1.0: a body without a length, until the end


def open_get(address: SourceAddress, cookie: str, user_agent: str, authorization: str | None) -> bytes:
    """A client's first request, on a connection of its own."""
    return _opening("GET", address, cookie, user_agent, authorization, [("Accept", TUNNELLED_TYPE)])


def open_post(address: SourceAddress, cookie: str, user_agent: str, authorization: str | None) -> bytes:
    """A client's second request, on another connection; behind it come its RTSP requests in base64."""
    # The length is the one QuickTime had; what servers read is endless, and some refuse a POST without it.
    fields = [
        ("Content-Type", TUNNELLED_TYPE),
        ("Content-Length", "32767"),
        ("Expires", "Sun, 9 Jan 1972 00:00:00 GMT"),
    ]
    return _opening("POST", address, cookie, user_agent, authorization, fields)


def _opening(
    method: str,
    address: SourceAddress,
    cookie: str,
    user_agent: str,
    authorization: str | None,
    fields: list[tuple[str, str]],
) -> bytes:
    lines = [
        f"{method} {address.target or '/'} HTTP/1.0",
        f"Host: {address.authority}",
        f"User-Agent: {user_agent}",
        f"{SESSION_COOKIE}: {cookie}",
        "Pragma: no-cache",
        "Cache-Control: no-cache",
        *(f"{name}: {value}" for name, value in fields),
        *([f"Authorization: {authorization}"] if authorization is not None else []),
    ]
    return "\r\n".join([*lines, "", ""]).encode("utf-8", "surrogateescape")


class Base64Decoder:
    """Base64 in pieces cut anywhere; each may end in padding, and line ends may stand anywhere."""

    def __init__(self) -> None:
        self._held = b""  # the beginning of four characters

    @property
    def pending(self) -> bool:
        """Whether four characters have begun that are not complete."""
        return bool(self._held)

    def decode(self, data: bytes) -> bytes:
        """Raises WrongTunnelData."""
        text = self._held + data.translate(None, delete=_WHITESPACE)
        complete = len(text) & ~3
        self._held = text[complete:]
        pieces = []
        position = 0
        while position < complete:
            padding = text.find(b"=", position, complete)
            end = complete if padding < 0 else (padding & ~3) + 4
            try:
                pieces.append(binascii.a2b_base64(text[position:end], strict_mode=True))
            except binascii.Error as error:
                raise WrongTunnelData(f"no base64 in the POST of an RTSP tunnel: {error}") from None
            position = end
        return b"".join(pieces)


class PostBody:
    """What comes behind the head of a POST: base64, in practice without an end.

    Clients declare 32767 bytes and go on for days, so a declared length is not kept. A client that means it sends
    another POST on the same connection, just behind: it goes on in there.
    """

    def __init__(self, head: RequestHead) -> None:
        """`head` is that of the POST."""
        self._cookie = tunnel_cookie(head)
        self._left = head.content_length  # bytes up to the declared end; None: there is none, or it is behind us
        self._base64 = Base64Decoder()
        self._head = b""  # what may become the head of the next POST

    @property
    def pending(self) -> bool:
        """Whether what came last is incomplete."""
        return self._base64.pending or bool(self._head)

    def receive(self, data: bytes) -> bytes:
        """Feed what the socket gave; returns the RTSP in it. Raises WrongTunnelData."""
        decoded = b""
        while data:
            if self._left is None:
                return decoded + self._base64.decode(data)
            body, data = data[: self._left], data[self._left :]
            self._left -= len(body)
            decoded += self._base64.decode(body)
            if self._left or not data:
                break
            data = self._take_head(data)
        return decoded

    def _take_head(self, data: bytes) -> bytes:
        """At the declared end: the head of another POST, if one begins here. Returns what is behind it."""
        self._head += data
        if self._base64.pending or not self._head.startswith(_NEXT_POST[: len(self._head)]):
            data, self._head, self._left = self._head, b"", None
            return data
        try:
            end = find_head_end(self._head)
            if end is None:
                return b""
            head = RequestHead.parse(self._head[:end])
        except HttpError as error:
            raise WrongTunnelData(f"behind a POST of an RTSP tunnel: {error}") from error
        if head.get(SESSION_COOKIE) != self._cookie:
            raise WrongTunnelData(f"a POST behind that of an RTSP tunnel, with another {SESSION_COOKIE}")
        self._left = head.content_length
        data, self._head = self._head[end:], b""
        return data
