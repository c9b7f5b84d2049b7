"""What peers and people wrote, as it may be shown: addresses, and lines with addresses in them, without passwords."""

from __future__ import annotations

import re

HIDDEN = "***"

_MAX_CHARS = 64 * 1024  # a whole head of a request; nobody reads on
_NAMES = ("passphrase", "password", "passwd", "pass", "pwd", "access_token", "token", "secret", "s")

# RFC 3986 section 3.2.1. Where what follows a colon is no port, a password may hold any character.
_LOGIN = re.compile(r"(?<=://)(?:[^/?#]*|[^/?#:\[\]]*:(?![0-9]{0,5}(?:[/?#\s]|$)).*)@", re.DOTALL)
_LOGIN_WITHOUT_SCHEME = re.compile(r"(?:^|(?<=\s))[^\s/?#:@]+:(?!//)[^\s@]*@")


def _escaped(text: str) -> str:
    """A pattern for the text with any of its characters percent-encoded."""
    return "".join(f"(?:{re.escape(c)}|%{ord(c):02x}|%{ord(c.upper()):02x})" for c in text)


_NAME = f"(?:{'|'.join(map(_escaped, _NAMES))})(?:=|%3d)"
_ALREADY = rf"{re.escape(HIDDEN)}(?:[&,'\"\ ]|$)"
# What may follow the address in a line: the version of a protocol.
_END = r"\ [A-Za-z]{2,8}/[0-9.]{0,8}$|$"
_SECRET = re.compile(
    rf"""
    (?P<parameter> (?:[?&;]|%(?:3f|26|3b)) {_NAME}) (?!{_ALREADY}) .*? (?=&|{_END})
    | (?P<field> (?:[,:]|%(?:2c|3a)) {_NAME}) (?!{_ALREADY}) .*? (?=[&,]|%2c|{_END})  # in an SRT Stream ID
    """,
    re.VERBOSE | re.IGNORECASE | re.DOTALL,
)
_CREDENTIALS = re.compile(r"\b(basic|bearer|digest)[ \t]+(?!\*).*", re.IGNORECASE | re.DOTALL)


def masked(text: str) -> str:
    """An address, or a line that holds one, with user info and the secrets of its query hidden.

    In doubt too much is hidden: what follows a secret, up to the next `&`, may be a part of it.
    """
    text = text[:_MAX_CHARS]
    # Behind the last @ there is no login: without this cut, looking for one could take long.
    end = text.rfind("@") + 1
    if end:
        head = _LOGIN_WITHOUT_SCHEME.sub(f"{HIDDEN}@", _LOGIN.sub(f"{HIDDEN}@", text[:end]))
        text = head + text[end:]
    return _SECRET.sub(lambda found: (found["parameter"] or found["field"]) + HIDDEN, text)


def masked_line(line: str, most_chars: int = 80) -> str:
    """The beginning of a line that could not be read: of any kind, one with credentials among them."""
    return _CREDENTIALS.sub(rf"\1 {HIDDEN}", masked(line))[:most_chars]
