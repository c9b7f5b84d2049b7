"""Whom an `Authorization` header names, right or wrong."""

from __future__ import annotations

from manycast.wire.authentication import MalformedAuthorization
from manycast.wire.basic import parse_basic
from manycast.wire.digest import DigestCredentials


def claimed_user(authorization: str) -> str:
    """The user of Basic or Digest credentials; empty for what cannot be read, which nobody logs in with."""
    try:
        if authorization[:6].lower() == "basic ":
            return parse_basic(authorization)[0]
        return DigestCredentials.parse(authorization).username
    except MalformedAuthorization:
        return ""
