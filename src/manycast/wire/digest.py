"""Digest authentication (RFC 2617, RFC 7616) as HTTP and RTSP share it, both sides; and the client's Basic.

The server keeps no table of the nonces it gives out: a nonce carries the time it was made and a MAC over it, so whoever
has the secret can check it. What is counted (qop) cannot be sent again by whoever overheard it. Of clients that know no
qop, it can, while the nonce lives: who can overhear a request without TLS can take over its connection as well.
"""

from __future__ import annotations

import hashlib
import hmac
import math
import re
from base64 import b64encode
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Self

from manycast.errors import ProtocolError

NONCE_LIFETIME_S = 300.0

MAX_COUNTED_NONCES = 10_000
MAX_AUTHORIZATION_CHARS = 8 * 1024  # of one header; a URI of full length is in it


class MalformedAuthorization(ProtocolError):
    """A header of authentication that cannot be read, or asks for what is not known here."""


class Algorithm(Enum):
    """The hashes; the value is the name on the wire."""

    MD5 = "MD5"
    SHA256 = "SHA-256"

    def hex(self, *parts: str) -> str:
        """Hash the parts, joined by colons, as RFC 7616 section 3.4 writes it down."""
        data = ":".join(parts).encode("utf-8", "surrogateescape")
        if self is Algorithm.MD5:
            return hashlib.md5(data, usedforsecurity=False).hexdigest()  # the protocol's choice, not ours
        return hashlib.sha256(data).hexdigest()


class Verdict(Enum):
    ACCEPTED = "accepted"
    STALE = "stale"  # right but for the age of its nonce: challenge again with stale=true
    REFUSED = "refused"


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
        parameters = _parse_single(value, "digest")
        algorithm, session_key = _parse_algorithm(parameters.get("algorithm", "MD5"))
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
            f"username={_quoted(self.username)}",
            f"realm={_quoted(self.realm)}",
            f"nonce={_quoted(self.nonce)}",
            f"uri={_quoted(self.uri)}",
            f"response={_quoted(self.response)}",
        ]
        if self.algorithm is not Algorithm.MD5 or self.session_key:
            parts.append(f"algorithm={self.algorithm.value}{'-sess' if self.session_key else ''}")
        if self.opaque is not None:
            parts.append(f"opaque={_quoted(self.opaque)}")
        if self.qop is not None:
            parts += [f"qop={self.qop}", f"nc={self.nc}"]  # without quotes: RFC 7616 section 3.4
        if self.qop is not None or self.session_key:
            parts.append(f"cnonce={_quoted(self.cnonce)}")
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
        parts = [f"realm={_quoted(self.realm)}", f"nonce={_quoted(self.nonce)}"]
        if self.stale:
            parts.append("stale=TRUE")
        if self.algorithm is not Algorithm.MD5 or self.session_key:
            parts.append(f"algorithm={self.algorithm.value}{'-sess' if self.session_key else ''}")
        if self.qop_auth:
            parts.append('qop="auth"')
        if self.opaque is not None:
            parts.append(f"opaque={_quoted(self.opaque)}")
        return "Digest " + ", ".join(parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class BasicChallenge:
    """A `WWW-Authenticate: Basic` header (RFC 7617)."""

    realm: str

    def serialize(self) -> str:
        return f'Basic realm={_quoted(self.realm)}, charset="UTF-8"'


Challenge = DigestChallenge | BasicChallenge


class DigestGuard:
    """Challenges clients and checks their answers, for one realm.

    `secret` is random, at least 16 bytes, and the same for as long as nonces are to be known again.
    `algorithms` are offered in this order. SHA-256 belongs first (RFC 7616 section 3.7): ffmpeg and LIVE555, which
    know MD5 only, take the last Digest challenge of a reply.

    `strict` is RFC 7616 to the letter: who was offered a qop must use it, and the `uri` must be the request's target.
    Without it, answers as in RFC 2069 are taken too, and those for a base of the address (`uri_covers`): GStreamer and
    many older players of RTSP know no other way.
    """

    def __init__(
        self,
        *,
        realm: str,
        secret: bytes,
        algorithms: Sequence[Algorithm] = (Algorithm.MD5,),
        offer_qop: bool = False,
        strict: bool = False,
        nonce_lifetime_s: float = NONCE_LIFETIME_S,
    ) -> None:
        self._realm = realm
        self._secret = secret
        self._algorithms = tuple(algorithms)
        self._offer_qop = offer_qop
        self._strict = strict
        self._nonce_lifetime_s = nonce_lifetime_s
        self._counts: OrderedDict[str, tuple[Hashable, int]] = OrderedDict()  # by nonce: who used it, and the latest nc

    def challenges(self, *, now_s: float, stale: bool = False) -> list[str]:
        """The values of the `WWW-Authenticate` headers of a 401, in the order to send them."""
        nonce = self._nonce(math.ceil(now_s * 1000))
        return [
            DigestChallenge(
                realm=self._realm, nonce=nonce, algorithm=algorithm, qop_auth=self._offer_qop, stale=stale
            ).serialize()
            for algorithm in self._algorithms
        ]

    def check(
        self,
        authorization: str,
        *,
        method: str,
        uri: str,
        password_of: Callable[[str], str | None],
        now_s: float,
        since_s: float | None = None,
        owner: Hashable = None,
    ) -> Verdict:
        """Judge the `Authorization` of a request for `uri`.

        Args:
            password_of: The password of a user, None for one who does not exist.
            now_s: On the clock the challenges were made with.
            since_s: Nonces made at this time or later do not grow old. A connection passes the time it was
                opened: players do not log in again for the keep-alives of a long session.
            owner: Whose request it is, such as its connection. Others than who used a nonce first must count on from
                there; on one connection not all clients count.

        Never raises: what cannot be read is refused.
        """
        try:
            credentials = DigestCredentials.parse(authorization)
        except MalformedAuthorization:
            return Verdict.REFUSED
        if credentials.algorithm not in self._algorithms or credentials.realm != self._realm:
            return Verdict.REFUSED
        made_s = self._made_s(credentials.nonce)
        if made_s is None or not self._stands_for(credentials, uri):
            return Verdict.REFUSED
        password = password_of(credentials.username)
        # Hashed for an unknown user too, so that the time of the answer does not tell who exists.
        expected = credentials.expected_response("" if password is None else password, method)
        right = hmac.compare_digest(expected.encode(), _to_bytes(credentials.response))
        if not right or password is None:
            return Verdict.REFUSED
        if made_s < now_s - self._nonce_lifetime_s and (since_s is None or made_s < since_s):
            return Verdict.STALE
        if credentials.qop is not None and not self._counts_on(credentials, owner):
            return Verdict.STALE
        return Verdict.ACCEPTED

    def _stands_for(self, credentials: DigestCredentials, uri: str) -> bool:
        """Whether credentials are for this request, and in a form that is taken."""
        if not self._strict:
            return uri_covers(credentials.uri, uri)
        return credentials.uri == uri and (credentials.qop is not None or not self._offer_qop)

    def _counts_on(self, credentials: DigestCredentials, owner: Hashable) -> bool:
        """Whether it is no request of somebody else sent once more (RFC 7616 section 3.4, "nc")."""
        try:
            count = int(credentials.nc[:8], 16)
        except ValueError:
            return False
        user, latest = self._counts.get(credentials.nonce, (owner, 0))
        if user != owner and count <= latest:
            return False
        self._counts[credentials.nonce] = (owner, max(count, latest))
        self._counts.move_to_end(credentials.nonce)
        if len(self._counts) > MAX_COUNTED_NONCES:
            self._counts.popitem(last=False)
        return True

    def _nonce(self, made_ms: int) -> str:
        stamp = f"{made_ms:x}"
        return f"{stamp}-{self._mac(stamp)}"

    def _made_s(self, nonce: str) -> float | None:
        """When this nonce was made, in whole milliseconds rounded up; None when it is none of ours."""
        stamp, _, mac = nonce.partition("-")
        if not hmac.compare_digest(self._mac(stamp).encode(), _to_bytes(mac)):
            return None
        return int(stamp, 16) / 1000

    def _mac(self, stamp: str) -> str:
        return hmac.new(self._secret, _to_bytes(f"{stamp}:{self._realm}"), hashlib.sha256).hexdigest()[:32]


def uri_covers(signed: str, requested: str) -> bool:
    """Whether the `uri` a client signed stands for the URI of its request.

    RFC 7616 section 3.4 wants them equal. LIVE555, and with it VLC, signs the base address for the SETUP of a
    track below it, and some clients sign the path alone; host and scheme are therefore left out, and a base
    covers what is below it.
    """
    base, target = _path_of(signed).rstrip("/"), _path_of(requested).rstrip("/")
    return target == base or (bool(base) and target.startswith((base + "/", base + "?")))


def parse_challenges(values: Iterable[str]) -> list[Challenge]:
    """The challenges of all `WWW-Authenticate` headers of a reply; schemes not known here are left out."""
    challenges: list[Challenge] = []
    for value in values:
        for scheme, parameters in _parse_schemes(value):
            challenge = _challenge(scheme, parameters)
            if challenge is not None:
                challenges.append(challenge)
    return challenges


def choose_challenge(challenges: Iterable[Challenge]) -> Challenge | None:
    """The strongest one: Digest before Basic, SHA-256 before MD5, else the first."""
    return max(challenges, key=_strength, default=None)


def respond(
    challenge: Challenge,
    *,
    username: str,
    password: str,
    method: str,
    uri: str,
    cnonce: str,
    nc: int = 1,
) -> str:
    """The `Authorization` that answers a challenge.

    `cnonce` is random, new for each challenge; `nc` counts the requests made with the challenge's nonce.
    """
    if isinstance(challenge, BasicChallenge):
        return "Basic " + b64encode(_to_bytes(f"{username}:{password}")).decode()
    fields: dict[str, str] = {}
    if challenge.qop_auth:
        fields = {"qop": "auth", "nc": f"{nc:08x}"}
    if challenge.qop_auth or challenge.session_key:
        fields["cnonce"] = cnonce
    unsigned = DigestCredentials(
        username=username,
        realm=challenge.realm,
        nonce=challenge.nonce,
        uri=uri,
        response="",
        algorithm=challenge.algorithm,
        session_key=challenge.session_key,
        opaque=challenge.opaque,
        **fields,
    )
    return replace(unsigned, response=unsigned.expected_response(password, method)).serialize()


def _challenge(scheme: str, parameters: Mapping[str, str]) -> Challenge | None:
    realm = parameters.get("realm")
    if scheme == "basic":
        return BasicChallenge(realm=realm or "")
    if scheme != "digest" or realm is None or "nonce" not in parameters:
        return None
    try:
        algorithm, session_key = _parse_algorithm(parameters.get("algorithm", "MD5"))
    except MalformedAuthorization:
        return None
    qops = [qop.strip().lower() for qop in parameters.get("qop", "").split(",") if qop.strip()]
    if qops and "auth" not in qops:
        return None
    return DigestChallenge(
        realm=realm,
        nonce=parameters["nonce"],
        algorithm=algorithm,
        session_key=session_key,
        qop_auth=bool(qops),
        opaque=parameters.get("opaque"),
        stale=parameters.get("stale", "").lower() == "true",
    )


def _strength(challenge: Challenge) -> int:
    if isinstance(challenge, BasicChallenge):
        return 0
    return 2 if challenge.algorithm is Algorithm.SHA256 else 1


def _parse_algorithm(name: str) -> tuple[Algorithm, bool]:
    """The hash, and whether it is the `-sess` variant. Raises MalformedAuthorization."""
    base = name.upper().removesuffix("-SESS")
    for algorithm in Algorithm:
        if algorithm.value == base:
            return algorithm, base != name.upper()
    raise MalformedAuthorization(f"algorithm {name[:40]!r}, wanted MD5 or SHA-256")


# One item of a header: a scheme, or a parameter with a token or a quoted string (RFC 9110 section 11.2).
# Commas may be missing or doubled.
_ITEM = re.compile(
    r'[\s,]*(?:(?P<name>[A-Za-z0-9*_-]+)\s*=\s*(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<token>[^\s,"]*))'
    r"|(?P<scheme>[A-Za-z0-9_-]+)(?=\s|,|$)(?!\s*=))"
)


def _parse_schemes(value: str) -> list[tuple[str, dict[str, str]]]:
    """Schemes and their parameters, names in lower case; reading ends at what fits neither."""
    found: list[tuple[str, dict[str, str]]] = []
    text = value[:MAX_AUTHORIZATION_CHARS]
    position = 0
    while (match := _ITEM.match(text, position)) is not None and match.end() > position:
        position = match.end()
        if match["scheme"] is not None:
            found.append((match["scheme"].lower(), {}))
        elif found:
            quoted, token = match["quoted"], match["token"]
            unescaped = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else token
            found[-1][1][match["name"].lower()] = unescaped
    return found


def _parse_single(value: str, scheme: str) -> dict[str, str]:
    if len(value) > MAX_AUTHORIZATION_CHARS:
        raise MalformedAuthorization(f"{len(value)} characters, at most {MAX_AUTHORIZATION_CHARS}")
    schemes = _parse_schemes(value)
    if not schemes or schemes[0][0] != scheme:
        raise MalformedAuthorization(f"no {scheme} credentials")  # the value may hold a password: do not show it
    return schemes[0][1]


def _quoted(text: str) -> str:
    if "\r" in text or "\n" in text or "\0" in text:
        raise ValueError("line break or NUL in an authentication header")
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _path_of(uri: str) -> str:
    """What follows scheme and authority."""
    _, separator, rest = uri.partition("://")
    if not separator:
        return uri
    slash = rest.find("/")
    return rest[slash:] if slash >= 0 else ""


def _to_bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
