"""A client's login by Digest or Basic, as HTTP and RTSP share it."""

from __future__ import annotations

from collections.abc import Iterable

from manycast.errors import ProtocolError
from manycast.wire.challenges import Challenge, choose_challenge, parse_challenges, respond
from manycast.wire.digest import DigestChallenge

MAX_CHALLENGES = 3  # of one request: one for who has no nonce yet, two more that say that theirs is stale


class LoginRefused(ProtocolError):
    """No other try with the same login will do better. The message holds no password."""


class ClientLogin:
    """Answers a server's challenges, and goes on with the last one."""

    def __init__(self, user: str | None, password: str | None, *, cnonce: str) -> None:
        """`cnonce` is random. Without a user every challenge is refused."""
        self._user = user
        self._password = password or ""
        self._cnonce = cnonce
        self._challenge: Challenge | None = None
        self._requests = 0  # with the challenge
        self._number = 0  # of challenges so far
        self._refused = 0  # since a request was last accepted

    def answer(self, method: str, uri: str) -> str | None:
        """The `Authorization` of the next request; None before a challenge."""
        if self._challenge is None or self._user is None:
            return None
        self._requests += 1
        return respond(
            self._challenge,
            username=self._user,
            password=self._password,
            method=method,
            uri=uri,
            cnonce=f"{self._cnonce}{self._number:02x}",
            nc=self._requests,
        )

    def accepted(self) -> None:
        """The last request was answered with anything but 401: the next challenge is a fresh one."""
        self._refused = 0

    def take(self, challenges: Iterable[str]) -> None:
        """Take the `WWW-Authenticate` of a 401; the request can be sent again. Raises LoginRefused."""
        challenge = choose_challenge(parse_challenges(challenges))
        if self._user is None:
            raise LoginRefused("the server asks for a login: configure user and pass")
        if challenge is None:
            raise LoginRefused("the server asks for a login of a kind that is not known here")
        self._refused += 1
        stale = isinstance(challenge, DigestChallenge) and challenge.stale
        if (self._refused > 1 and not stale) or self._refused > MAX_CHALLENGES:
            raise LoginRefused("the server refuses user and pass")
        self._challenge = challenge
        self._requests = 0
        self._number += 1
