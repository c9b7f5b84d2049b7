"""Digest authentication (RFC 2617, RFC 7616) as HTTP and RTSP share it: credentials and challenges."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import Enum
from typing import Self

from manycast.wire.authentication import MalformedAuthorization, parse_credentials, quoted, to_bytes


class Algorithm(Enum):
    """The hashes; the value is the name on the wire."""

    MD5 = "MD5"
    SHA256 = "SHA-256"

    def hex(self, *parts: str) -> str:
        """Hash the parts, joined by colons, as RFC 7616 section 3.4 writes it down."""
        data = to_bytes(":".join(parts))
        if self is Algorithm.MD5:
            return hashlib.md5(data, usedforsecurity=False).hexdigest()  # the protocol's choice, not ours
        return hashlib.sha256(data).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class DigestCredentials:
    """An `Authorization: Digest` header (RFC 7616 section 3.4)."""

    username: str
    realm: str
    nonce: str
    uri: str
    response: str
    algorithm: Algorithm = Algorithm.MD5
    session_key: bool = False  # the `-sess` variant of the algorithm
    qop: str | None = None  # "auth", or None for the form of RFC 2069
    cnonce: str = ""
    nc: str = ""
    opaque: str | None = None

    @classmethod
    def parse(cls, value: str) -> Self:
        """Read the value of the header. Raises MalformedAuthorization."""
        parameters = parse_credentials(value, "digest")
        algorithm, session_key = parse_algorithm(parameters.get("algorithm", "MD5"))
        qop = parameters.get("qop", "").lower() or None
        if qop not in (None, "auth"):
            raise MalformedAuthorization(f"qop {qop!r}, wanted auth or none")
        missing = {"username", "realm", "nonce", "uri", "response"} - parameters.keys()
        if qop is not None:
            missing |= {"cnonce", "nc"} - parameters.keys()
        if missing:
            raise MalformedAuthorization(f"Digest credentials without {', '.join(sorted(missing))}")
        return cls(
            username=parameters["username"],
            realm=parameters["realm"],
            nonce=parameters["nonce"],
            uri=parameters["uri"],
            response=parameters["response"].lower(),
            algorithm=algorithm,
            session_key=session_key,
            qop=qop,
            cnonce=parameters.get("cnonce", ""),
            nc=parameters.get("nc", ""),
            opaque=parameters.get("opaque"),
        )

    def serialize(self) -> str:
        """The value of the header. What would break the line is our own mistake: ValueError."""
        parts = [
            f"username={quoted(self.username)}",
            f"realm={quoted(self.realm)}",
            f"nonce={quoted(self.nonce)}",
            f"uri={quoted(self.uri)}",
            f"response={quoted(self.response)}",
        ]
        if self.algorithm is not Algorithm.MD5 or self.session_key:
            parts.append(f"algorithm={self.algorithm.value}{'-sess' if self.session_key else ''}")
        if self.opaque is not None:
            parts.append(f"opaque={quoted(self.opaque)}")
        if self.qop is not None:
            parts += [f"qop={self.qop}", f"nc={self.nc}"]  # without quotes: RFC 7616 section 3.4
        if self.qop is not None or self.session_key:
            parts.append(f"cnonce={quoted(self.cnonce)}")
        return "Digest " + ", ".join(parts)

    def expected_response(self, password: str, method: str) -> str:
        """What `response` must be for this password (RFC 7616 section 3.4.1, RFC 2617 section 3.2.2.1)."""
        hexed = self.algorithm.hex
        a1 = hexed(self.username, self.realm, password)
        if self.session_key:
            a1 = hexed(a1, self.nonce, self.cnonce)
        a2 = hexed(method, self.uri)
        if self.qop is None:
            return hexed(a1, self.nonce, a2)
        return hexed(a1, self.nonce, self.nc, self.cnonce, self.qop, a2)


@dataclass(frozen=True, slots=True, kw_only=True)
class DigestChallenge:
    """A `WWW-Authenticate: Digest` header (RFC 7616 section 3.3)."""

    realm: str
    nonce: str
    algorithm: Algorithm = Algorithm.MD5
    session_key: bool = False
    qop_auth: bool = False  # qop "auth" is offered
    opaque: str | None = None
    stale: bool = False

    def serialize(self) -> str:
        # In this order and spelling: LIVE555 scans for `Digest realm="...", nonce="...", stale=`.
        parts = [f"realm={quoted(self.realm)}", f"nonce={quoted(self.nonce)}"]
        if self.stale:
            parts.append("stale=TRUE")
        if self.algorithm is not Algorithm.MD5 or self.session_key:
            parts.append(f"algorithm={self.algorithm.value}{'-sess' if self.session_key else ''}")
        if self.qop_auth:
            parts.append('qop="auth"')
        if self.opaque is not None:
            parts.append(f"opaque={quoted(self.opaque)}")
        return "Digest " + ", ".join(parts)


def parse_algorithm(name: str) -> tuple[Algorithm, bool]:
    """The hash, and whether it is the `-sess` variant. Raises MalformedAuthorization."""
    base = name.upper().removesuffix("-SESS")
    for algorithm in Algorithm:
        if algorithm.value == base:
            return algorithm, base != name.upper()
    raise MalformedAuthorization(f"algorithm {name[:40]!r}, wanted MD5 or SHA-256")
