"""RTSP addresses: what a client asks for, and how the addresses of tracks hang below it."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Self
from urllib.parse import quote, unquote_to_bytes

from manycast.wire.masking import masked_line
from manycast.wire.rtsp.errors import BadRequest, NotFound

MAX_PATH_CHARS = 1024  # decoded; longer than any name of a stream, and than most file systems take

# RTSP, its tunnels as GStreamer and others write them, and RTSP in HTTP and WebSocket.
_SCHEMES = frozenset({"rtsp", "rtsps", "rtspu", "rtspt", "rtsph", "rtspsh", "http", "https", "ws", "wss"})
_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_AUTHORITY = re.compile(r"(?P<host>\[[0-9A-Za-z:.%_-]*\]|[^\[\]:]*)(?::(?P<port>[0-9]{0,5}))?")
_TRACK = re.compile(r"trackID=([0-9]{1,4})", re.IGNORECASE)
_PARAMETERS = re.compile(r"((?:&[A-Za-z][A-Za-z0-9_]*=[^&]*)+)$")


class Side(Enum):
    """The media at a stream's side; the value is what their address ends with."""

    METADATA = "trackID=metadata"
    BACKCHANNEL = "audioback"  # the name ONVIF's examples have


Control = int | Side  # a track of the stream itself by its number

_SIDES = {side.value: side for side in Side}


@dataclass(frozen=True, slots=True, kw_only=True)
class RtspUrl:
    """An address taken apart and decoded. Only `path` and `query` say what is asked for.

    Host and port are those the client dialled, which behind a NAT or a proxy are not ours.
    """

    scheme: str = ""  # in lower case; empty for a path alone and for `*`
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    host: str = ""  # an IPv6 address without its brackets
    port: int | None = None
    path: str = ""  # UTF-8, percent-decoded, without leading, trailing and doubled slashes
    query: str = ""  # as written, without the `?` and a trailing slash
    asterisk: bool = False  # `*`: the server as a whole

    @classmethod
    def parse(cls, uri: str) -> Self:
        """Read a request URI: absolute, a path alone, or `*`. Raises BadRequest, and NotFound for a way out by `..`."""
        if uri == "*":
            return cls(asterisk=True)
        scheme, authority, rest = _split(uri)
        path, _, query = rest.partition("?")
        userinfo, at, host_port = authority.rpartition("@")
        user, colon, password = userinfo.partition(":")
        try:
            host, port = _parse_host_port(host_port)
            login = _decode(user) if at else None, _decode(password) if colon else None
        except BadRequest:  # which may quote a part of the password
            raise BadRequest(f"URI {masked_line(uri, 200)!r}: its host, port or login cannot be read") from None
        return cls(
            scheme=scheme,
            user=login[0],
            password=login[1],
            host=host,
            port=port,
            path=_checked_path(_decode(path)),
            query=query.rstrip("/"),  # of a base URL with a query, to which players append a slash
        )

    @property
    def parameters(self) -> dict[str, str]:
        """The query as names, in lower case, and values; of equal names the last one counts."""
        return dict(_parse_parameter(text) for text in self.query.split("&") if text)

    def split_control(self) -> tuple[Self, Control | None]:
        """Take a medium's control off the end of the path, or of the query, where players append it as well."""
        query, control = split_control(self.query)
        if control is not None:
            return replace(self, query=query), control
        path, control = split_control(self.path)
        return replace(self, path=path), control

    def __str__(self) -> str:
        """For people: without user and password."""
        if self.asterisk:
            return "*"
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port is None else f":{self.port}"
        query = f"?{self.query}" if self.query else ""
        origin = f"{self.scheme}://{host}{port}" if self.scheme else ""
        return f"{origin}/{quote(self.path, safe=_PATH_SAFE)}{query}"


# What RFC 3986 section 3.3 allows in a path; `&` and `+` mean something in ours.
_PATH_SAFE = "/!$&'()*+,;=:@~-._"


def encode_path(path: str) -> str:
    """Percent-encode a decoded path for an address."""
    return quote(path, safe=_PATH_SAFE)


def split_control(path: str) -> tuple[str, Control | None]:
    """Split the address of a medium into the base and what it ends with; None when it is no medium's."""
    base, _, last = path.rstrip("/").rpartition("/")
    match = _TRACK.fullmatch(last)
    if match is not None:
        return base.rstrip("/"), int(match[1])
    side = _SIDES.get(last)
    return (path, None) if side is None else (base.rstrip("/"), side)


def track_control(base_url: str, control: Control) -> str:
    """The `a=control` that stands for a track in our own descriptions, for a client that asked for `base_url`.

    With a query it is absolute, in the form `.../trackID=N?query`: GStreamer resolves a relative one by RFC 3986,
    which drops the last segment of the path together with the query.
    """
    base, question, query = base_url.partition("?")
    name = control.value if isinstance(control, Side) else f"trackID={control}"
    if not question:
        return name
    return f"{without_userinfo(base).rstrip('/')}/{name}?{query.rstrip('/')}"


def without_userinfo(url: str) -> str:
    """The address without user name and password."""
    scheme, separator, rest = url.partition("://")
    authority, slash, path = rest.partition("/")
    return scheme + separator + authority.rpartition("@")[2] + slash + path


def split_parameters(path: str) -> tuple[str, dict[str, str]]:
    """Split `test.mp4&t=unicast&w=1280` into the name and the parameters, their names in lower case.

    Parameters are one unbroken run of `&name=value` at the end: a `&` in a file name stays in it.
    """
    match = _PARAMETERS.search(path)
    if match is None or match.start() == 0:
        return path, {}
    return path[: match.start()], dict(_parse_parameter(text) for text in match[1][1:].split("&"))


def join_control(base_url: str, control: str | None) -> str:
    """The address of a track from the base URL and its `a=control` (RFC 2326 section C.1.1).

    A relative control is appended, as every client does: by the letter of RFC 1808 it would replace the last
    segment of a base that ends without a slash.
    """
    if control is None or control in ("", "*"):
        return base_url
    if _ABSOLUTE.match(control):
        return control
    if control.startswith("?"):
        return base_url + control
    return f"{base_url.rstrip('/')}/{control.lstrip('/')}"


def match_control(uri: str, base_url: str, controls: Sequence[str | None]) -> int | None:
    """Which of the announced `a=control` values the URI of a SETUP means: its index, or None.

    Scheme, host and port do not count: a publisher may write into its SDP a name of the server that it did
    not dial. Failing that, a relative control that ends the URI is taken, for base addresses that a proxy on
    the way rewrote. Of equal controls the first one counts. Raises BadRequest and NotFound as RtspUrl.parse does.
    """
    wanted = _target(uri)
    for index, control in enumerate(controls):
        try:
            if _target(join_control(base_url, control)) == wanted:
                return index
        except (BadRequest, NotFound):
            continue
    for index, control in enumerate(controls):
        if control is None or control in ("", "*") or _ABSOLUTE.match(control):
            continue
        if uri.rstrip("/").endswith("/" + control.strip("/")):
            return index
    return None


def _target(uri: str) -> tuple[str, str]:
    url = RtspUrl.parse(uri)
    return url.path, url.query


def _split(uri: str) -> tuple[str, str, str]:
    """Scheme, authority, and path with query."""
    scheme, separator, rest = uri.partition("://")
    if not separator or "/" in scheme or "?" in scheme:
        if not uri.startswith("/"):
            raise BadRequest(f"URI {masked_line(uri, 200)!r} is neither absolute nor a path")
        return "", "", uri
    scheme = scheme.lower()
    if scheme not in _SCHEMES:
        raise BadRequest(f"scheme {masked_line(scheme, 40)!r} in an RTSP URI")
    end = next((index for index, character in enumerate(rest) if character in "/?"), len(rest))
    return scheme, rest[:end], rest[end:]


def _parse_host_port(text: str) -> tuple[str, int | None]:
    match = _AUTHORITY.fullmatch(text)
    if match is None:
        raise BadRequest(f"host and port {text[:200]!r}")
    host, port = match["host"], match["port"]
    if port and not 0 < int(port) <= 65535:
        raise BadRequest(f"port {port} in an RTSP URI")
    return host.removeprefix("[").removesuffix("]").lower(), int(port) if port else None


def _decode(text: str) -> str:
    """Percent-decode; `+` stays, and a `%` that begins no code stays too. Raises BadRequest."""
    try:
        decoded = unquote_to_bytes(text.encode("utf-8", "surrogateescape")).decode("utf-8")
    except UnicodeError:
        raise BadRequest(f"{masked_line(text, 200)!r} in a URI is no UTF-8") from None
    if any(unicodedata.category(character) == "Cc" for character in decoded):
        raise BadRequest(f"control character in {masked_line(decoded, 200)!r}")
    return decoded


def _checked_path(path: str) -> str:
    if len(path) > MAX_PATH_CHARS:
        raise BadRequest(f"path of {len(path)} characters, at most {MAX_PATH_CHARS}")
    # Checked after decoding, so that %2e%2e%2f is seen; and behind backslashes, which are slashes on Windows.
    if any(segment in (".", "..") for segment in re.split(r"[/\\]", path)):
        raise NotFound(f"'.' or '..' in path {masked_line(path, 200)!r}")
    return "/".join(segment for segment in path.split("/") if segment)


def _parse_parameter(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    return name.lower(), value
