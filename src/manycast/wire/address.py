"""The address a stream is fetched from."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import Self
from urllib.parse import unquote, urljoin, urlsplit

from manycast.errors import ProtocolError

MAX_ADDRESS_CHARS = 8 * 1024

DEFAULT_PORTS = {
    "rtsp": 554,
    "rtsps": 322,
    "rtsp+http": 80,
    "rtsp+https": 443,
    "rtmp": 1935,
    "rtmps": 443,
    "http": 80,
    "https": 443,
    "srt": 0,
    "udp": 0,
}
_SECURE = frozenset({"rtsps", "rtsp+https", "rtmps", "https"})
_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_UNFIT = re.compile(r"[\x00-\x20\x7f]")


class MalformedAddress(ProtocolError):
    """Text that is no address of a stream. The message shows no login."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceAddress:
    """An address taken apart. `str()` of it is for people: without login and query, which may hold secrets."""

    scheme: str  # in lower case
    host: str  # an IPv6 address without its brackets
    port: int
    path: str = ""  # as written, with its leading slash
    query: str = field(default="", repr=False)  # as written, without the `?`
    user: str | None = None
    password: str | None = field(default=None, repr=False)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises MalformedAddress."""
        if len(text) > MAX_ADDRESS_CHARS or _UNFIT.search(text):
            raise MalformedAddress("an address with blanks or control characters, or too long")
        try:
            parts = urlsplit(text)
            scheme, host, port = parts.scheme.lower(), parts.hostname, parts.port
        except ValueError:
            raise MalformedAddress("an address whose host or port cannot be read") from None
        if scheme not in DEFAULT_PORTS or not host:
            known = ", ".join(f"{name}://" for name in DEFAULT_PORTS)
            raise MalformedAddress(f"an address beginning with {scheme[:20]!r} and a host, wanted one of {known}")
        return cls(
            scheme=scheme,
            host=host,
            port=port or DEFAULT_PORTS[scheme],
            path=parts.path,
            query=f"{parts.query}#{parts.fragment}" if scheme == "srt" and parts.fragment else parts.query,  # #!::r=...
            user=None if parts.username is None else unquote(parts.username),
            password=None if parts.password is None else unquote(parts.password),
        )

    @property
    def secure(self) -> bool:
        """Whether all of it goes through TLS."""
        return self.scheme in _SECURE

    @property
    def authority(self) -> str:
        """Host and port; the port is left out where it is the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def target(self) -> str:
        """Path and query as a request has them."""
        return f"{self.path}?{self.query}" if self.query else self.path

    @property
    def uri(self) -> str:
        """The whole, without the login. RTSP in a tunnel names the stream as if there were none."""
        scheme = self.scheme.partition("+")[0]
        return f"{scheme}://{self.authority}{self.target}"

    def with_login(self, user: str | None, password: str | None) -> Self:
        """With another login, where there is one."""
        return self if user is None else replace(self, user=user, password=password)

    def redirected(self, location: str) -> Self:
        """Where a redirect leads to, which may be relative (RFC 3986 section 5.2). Raises MalformedAddress.

        The login goes along to the same host, unless it would go from TLS to the clear.
        """
        location = location.strip()
        if not _ABSOLUTE.match(location):
            location = location.replace(" ", "%20")
            if _UNFIT.search(location):
                raise MalformedAddress("an address with control characters")
            # As if by HTTP: of other schemes urllib does not know that they have paths.
            joined = urljoin(f"http://{self.authority}{self.target}", location)
            location = self.scheme + joined.removeprefix("http")
        target = self.parse(location)
        if target.user is None and target.host == self.host and (target.secure or not self.secure):
            target = target.with_login(self.user, self.password)
        return target

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}{self.path}{'?...' if self.query else ''}"
