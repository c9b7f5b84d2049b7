"""The tokens that the devices of a process have taken.

One that was overheard at one of them is not taken by another with the same users.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable
from datetime import datetime

from manycast.onvif.security.username_token import MAX_AGE, TokenRefused, UsernameToken

MAX_TOKENS = 100_000  # of one user; those of right passwords only, so nobody else can push them out
_KEY_BYTES = 8


class UsedTokens:
    """Shared by devices. Each of them remembers nonces by itself, too: here only whole tokens count, so a client whose
    nonces are the same at two devices, at different times, is none the worse for it."""

    def __init__(self) -> None:
        self._secret = secrets.token_bytes(16)  # nobody can choose tokens that are taken for one
        self._clocks: list[Callable[[], datetime]] = []
        self._users: dict[str, dict[bytes, float]] = {}  # when each was taken, the first one first

    def join(self, clock: Callable[[], datetime]) -> None:
        """Another device, with its own idea of the time."""
        self._clocks.append(clock)

    def check(self, token: UsernameToken) -> None:
        """Raise TokenRefused for one that was taken; its password has to be right, and it is taken then."""
        now_s = time.monotonic()
        taken = self._users.setdefault(token.username, {})
        key = self._key(token)
        if key in taken:
            raise TokenRefused("a token that was used already, at another device")
        taken[key] = now_s
        oldest = next(iter(taken))
        if len(taken) > MAX_TOKENS or taken[oldest] < now_s - self._keep_s():
            del taken[oldest]  # one goes for each that comes, and there are never more than came in that time

    def _keep_s(self) -> float:
        """How long after it was taken some device may still take a token: by its clock it may be younger."""
        times = [clock() for clock in self._clocks]
        spread = (max(times) - min(times)).total_seconds() if times else 0.0
        return 2 * MAX_AGE.total_seconds() + spread

    def _key(self, token: UsernameToken) -> bytes:
        """Of a fixed length. The password is part of it: where two devices' differ, so do the tokens."""
        digest = hashlib.blake2b(key=self._secret, digest_size=_KEY_BYTES)
        for part in (token.nonce, token.created_text.encode(), token.password.encode("utf-8", "surrogateescape")):
            digest.update(len(part).to_bytes(4) + part)
        return digest.digest()
