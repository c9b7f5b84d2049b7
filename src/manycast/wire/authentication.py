"""Headers of authentication (RFC 9110 section 11), whatever their scheme."""

from __future__ import annotations

import re

from manycast.errors import ProtocolError

MAX_AUTHORIZATION_CHARS = 8 * 1024  # of one header; a URI of full length is in it


class MalformedAuthorization(ProtocolError):
    """A header of authentication that cannot be read, or asks for what is not known here."""


# One item of a header: a scheme, or a parameter with a token or a quoted string (RFC 9110 section 11.2).
# Commas may be missing or doubled.
_ITEM = re.compile(
    r'[\s,]*(?:(?P<name>[A-Za-z0-9*_-]+)\s*=\s*(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<token>[^\s,"]*))'
    r"|(?P<scheme>[A-Za-z0-9_-]+)(?=\s|,|$)(?!\s*=))"
)


def parse_schemes(value: str) -> list[tuple[str, dict[str, str]]]:
    """Schemes and their parameters, names in lower case; reading ends at what fits neither."""
    found: list[tuple[str, dict[str, str]]] = []
    text = value[:MAX_AUTHORIZATION_CHARS]
    position = 0
    while (match := _ITEM.match(text, position)) is not None and match.end() > position:
        position = match.end()
        if match["scheme"] is not None:
            found.append((match["scheme"].lower(), {}))
        elif found:
            in_quotes, token = match["quoted"], match["token"]
            found[-1][1][match["name"].lower()] = token if in_quotes is None else re.sub(r"\\(.)", r"\1", in_quotes)
    return found


def parse_credentials(value: str, scheme: str) -> dict[str, str]:
    """The parameters of an `Authorization` of this scheme. Raises MalformedAuthorization."""
    if len(value) > MAX_AUTHORIZATION_CHARS:
        raise MalformedAuthorization(f"{len(value)} characters, at most {MAX_AUTHORIZATION_CHARS}")
    schemes = parse_schemes(value)
    if not schemes or schemes[0][0] != scheme:
        raise MalformedAuthorization(f"no {scheme} credentials")  # the value may hold a password: do not show it
    return schemes[0][1]


def quoted(text: str) -> str:
    """As a quoted string. What would break the line is our own mistake: ValueError."""
    if "\r" in text or "\n" in text or "\0" in text:
        raise ValueError("line break or NUL in an authentication header")
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def to_bytes(text: str) -> bytes:
    """What a header was decoded from."""
    return text.encode("utf-8", "surrogateescape")
