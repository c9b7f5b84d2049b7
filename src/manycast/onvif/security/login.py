"""Finds out who calls: by a UsernameToken in the message, or by HTTP Digest."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from lxml import etree

from manycast.errors import ManycastError
from manycast.onvif.security.used_tokens import UsedTokens
from manycast.onvif.security.username_token import NonceMemory, TokenRefused, UsernameToken, WrongPassword
from manycast.onvif.state.users import User
from manycast.servers.throttle import LoginThrottle, TooManyAttempts
from manycast.wire.claimed_user import claimed_user
from manycast.wire.digest import Algorithm, DigestCredentials
from manycast.wire.digest_guard import DigestGuard, Verdict

REALM = "ONVIF"
MAX_PROVEN_NAMES = 8  # of one connection

__all__ = ["Attempt", "Login", "LoginFailed", "TooManyAttempts"]


class LoginFailed(ManycastError):
    """Credentials that do not do."""

    def __init__(self, reason: str, *, http: bool, guess: bool) -> None:
        super().__init__(reason)
        self.http = http  # answered with 401, as HTTP Digest is, not with a SOAP fault
        self.guess = guess  # else they are right, but too old, or were used before


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """What a request says of who it is from."""

    method: str  # of HTTP
    target: str
    authorization: str | None  # HTTP's header
    security: etree._Element | None  # WS-Security's header
    address: str  # of the client
    secure: bool  # through TLS
    connection: Hashable
    proven: set[str] = field(default_factory=set)  # the names of right logins on this connection: Login's to change


class Login:
    """The users of one device, and their ways to prove it."""

    def __init__(
        self,
        users: Callable[[], Sequence[User]],
        now: Callable[[], datetime],
        algorithms: Callable[[], Sequence[Algorithm]],
        on_failure: Callable[[str, str], None],
        used_tokens: UsedTokens | None = None,
    ) -> None:
        """Args:
        users: The users there are, asked for each time.
        now: The device's clock: the one that clients see.
        algorithms: Those of HTTP Digest, in order of preference, asked for each time.
        on_failure: Told the name, or the names, and the address of who gave a wrong password.
        used_tokens: Those of all devices, where there are several.
        """
        self._users = users
        self._now = now
        self._algorithms = algorithms
        self._on_failure = on_failure
        self._throttle = LoginThrottle()
        self._nonces = NonceMemory()
        self._used_tokens = used_tokens
        self._secret = secrets.token_bytes(32)
        self._guards: dict[tuple[Algorithm, ...], DigestGuard] = {}

    def challenges(self, *, stale: bool = False) -> list[str]:
        """The values of the WWW-Authenticate headers of a 401."""
        return self._guard().challenges(now_s=time.monotonic(), stale=stale)

    async def identify(self, attempt: Attempt) -> User | None:
        """The user, or None where nobody is named. Raises LoginFailed and TooManyAttempts."""
        if attempt.authorization is None and attempt.security is None:
            return None
        names = _named(attempt)
        if names and attempt.proven.issuperset(names):
            # Not slowed down by who guesses the same name from the same address: they cannot use this connection. A
            # guess on it ends that, so each right login is worth one guess at most; and nothing is forgiven for it.
            return self._judged(attempt, names)
        async with self._throttle.attempt(attempt.address, *names):
            user = self._judged(attempt, names)
        if user is not None:
            self._throttle.succeeded(attempt.address, *names)
            if len(attempt.proven) + len(names) > MAX_PROVEN_NAMES:
                attempt.proven.clear()
            attempt.proven.update(names)
        return user

    def _judged(self, attempt: Attempt, names: Sequence[str]) -> User | None:
        """With what follows for those who guess."""
        try:
            return self._judge(attempt)
        except LoginFailed as failure:
            if failure.guess:
                attempt.proven.difference_update(names)
                self._throttle.failed(attempt.address, *names)
                self._on_failure(", ".join(names), attempt.address)
            raise

    def _judge(self, attempt: Attempt) -> User | None:
        """Where both are given both must hold, HTTP's first (ONVIF Core, section Authentication over HTTP)."""
        user = None
        if attempt.authorization is not None:
            user = self._by_digest(attempt, attempt.authorization)
        if attempt.security is not None:
            try:
                token = UsernameToken.parse(attempt.security)
                if token is not None:
                    user = self._by_token(token, attempt.secure)
            except TokenRefused as refused:
                raise LoginFailed(str(refused), http=False, guess=isinstance(refused, WrongPassword)) from refused
        return user

    def _by_digest(self, attempt: Attempt, authorization: str) -> User:
        verdict = self._guard().check(
            authorization,
            method=attempt.method,
            uri=attempt.target,
            password_of=self._password_of,
            now_s=time.monotonic(),
            owner=attempt.connection,
        )
        if verdict is not Verdict.ACCEPTED:
            raise LoginFailed("wrong user or password", http=True, guess=verdict is not Verdict.STALE)
        user = self._find(DigestCredentials.parse(authorization).username)
        assert user is not None
        return user

    def _by_token(self, token: UsernameToken, secure: bool) -> User:
        if token.plain and not secure:
            raise TokenRefused("a password in plain text, without TLS")
        user = self._find(token.username)
        # Compared for an unknown user too, so that the time of the answer does not tell who exists.
        if not token.fits("" if user is None else user.password) or user is None:
            raise WrongPassword
        self._nonces.check(token, self._now())
        if self._used_tokens is not None:
            self._used_tokens.check(token)
        return user

    def _guard(self) -> DigestGuard:
        algorithms = tuple(self._algorithms())
        guard = self._guards.get(algorithms)
        if guard is None:
            guard = DigestGuard(realm=REALM, secret=self._secret, algorithms=algorithms, offer_qop=True, strict=True)
            self._guards[algorithms] = guard
        return guard

    def _password_of(self, username: str) -> str | None:
        user = self._find(username)
        return None if user is None else user.password

    def _find(self, username: str) -> User | None:
        return next((user for user in self._users() if user.username == username), None)


def _named(attempt: Attempt) -> list[str]:
    """The names that were given, HTTP's and the message's, as far as they can be read."""
    names = [] if attempt.authorization is None else [claimed_user(attempt.authorization)]
    if attempt.security is not None:
        try:
            token = UsernameToken.parse(attempt.security)
        except TokenRefused:
            token = None
        if token is not None and token.username not in names:
            names.append(token.username)
    return names
