"""What a server asks of a client who is to log in, by Digest or Basic, and the answer."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Mapping
from dataclasses import replace

from manycast.wire.authentication import MalformedAuthorization, parse_schemes, to_bytes
from manycast.wire.basic import BasicChallenge
from manycast.wire.digest import Algorithm, DigestChallenge, DigestCredentials, parse_algorithm

Challenge = DigestChallenge | BasicChallenge


def parse_challenges(values: Iterable[str]) -> list[Challenge]:
    """The challenges of all `WWW-Authenticate` headers of a reply; schemes not known here are left out."""
    challenges: list[Challenge] = []
    for value in values:
        for scheme, parameters in parse_schemes(value):
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
        return "Basic " + b64encode(to_bytes(f"{username}:{password}")).decode()
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
        algorithm, session_key = parse_algorithm(parameters.get("algorithm", "MD5"))
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
