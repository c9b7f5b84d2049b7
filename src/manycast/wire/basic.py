"""Basic authentication as HTTP and RTSP share it (RFC 7617)."""

from __future__ import annotations

import binascii
from base64 import b64decode
from dataclasses import dataclass

from manycast.wire.authentication import MAX_AUTHORIZATION_CHARS, MalformedAuthorization, quoted

BASIC_IN_CLEAR = "login by Basic is not taken without TLS: take Digest, or allow it with basic_auth"


@dataclass(frozen=True, slots=True, kw_only=True)
class BasicChallenge:
    """A `WWW-Authenticate: Basic` header (RFC 7617)."""

    realm: str

    def serialize(self) -> str:
        return f'Basic realm={quoted(self.realm)}, charset="UTF-8"'


def is_basic(authorization: str) -> bool:
    return authorization.lstrip()[:6].lower() == "basic "


def parse_basic(authorization: str) -> tuple[str, str]:
    """User and password of an `Authorization: Basic` header. Raises MalformedAuthorization."""
    scheme, _, encoded = authorization.strip().partition(" ")
    if scheme.lower() != "basic" or len(authorization) > MAX_AUTHORIZATION_CHARS:
        raise MalformedAuthorization("no basic credentials")
    try:
        user, colon, password = b64decode(encoded.strip(), validate=True).decode("utf-8").partition(":")
    except (binascii.Error, ValueError):
        raise MalformedAuthorization("basic credentials that are no base64 of UTF-8") from None
    if not colon:
        raise MalformedAuthorization("basic credentials without a colon")
    return user, password
