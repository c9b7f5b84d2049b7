"""WS-Security's UsernameToken (UsernameToken Profile 1.0): a name, and a digest of the password that holds once."""

from __future__ import annotations

import binascii
import hashlib
import hmac
from base64 import b64decode, b64encode
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from heapq import heappop, heappush
from typing import Self

from lxml import etree

from manycast.errors import ManycastError
from manycast.onvif.soap.names import SECURITY_EXTENSIONS, SECURITY_UTILITY

MAX_AGE = timedelta(minutes=5)  # either way: clocks differ
MAX_NONCES = 20_000  # of one user; only those of right passwords are kept, so nobody else can fill it
MAX_NONCE_BYTES = 256
MAX_NAME_CHARS = 256

_WSSE = f"{{{SECURITY_EXTENSIONS}}}"
_TYPES = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-username-token-profile-1.0#"
_DIGEST = f"{_TYPES}PasswordDigest"
_TEXT = f"{_TYPES}PasswordText"


class TokenRefused(ManycastError):
    """The token does not say who somebody is; the message says why, for the log."""


class WrongPassword(TokenRefused):
    """Or no such user: perhaps a guess."""

    def __init__(self) -> None:
        super().__init__("wrong user or password")


@dataclass(frozen=True, slots=True, kw_only=True)
class UsernameToken:
    username: str
    password: str = field(repr=False)  # the digest in base64, or the password itself
    plain: bool
    nonce: bytes
    created_text: str  # as it is written: it is part of the digest

    @classmethod
    def parse(cls, security: etree._Element) -> Self | None:
        """Read the header; None for one without a token. Raises TokenRefused."""
        token = security.find(f"{_WSSE}UsernameToken")
        if token is None:
            return None
        username = (token.findtext(f"{_WSSE}Username") or "").strip()
        password = token.find(f"{_WSSE}Password")
        nonce = token.findtext(f"{_WSSE}Nonce")
        created = token.findtext(f"{{{SECURITY_UTILITY}}}Created")
        if not username or len(username) > MAX_NAME_CHARS or password is None:
            raise TokenRefused("a token without a name or a password")
        if nonce is None or created is None:
            raise TokenRefused("a token without nonce and time")  # ONVIF Core, section Username token profile
        kind = password.get("Type", _TEXT)
        if kind not in (_DIGEST, _TEXT):
            raise TokenRefused("a password of an unknown type")
        return cls(
            username=username,
            password=(password.text or "").strip() if kind == _DIGEST else password.text or "",
            plain=kind == _TEXT,
            nonce=_nonce(nonce),
            created_text=created.strip(),
        )

    def fits(self, password: str) -> bool:
        """Whether it is made with this password."""
        expected = password if self.plain else digest(self.nonce, self.created_text, password)
        return hmac.compare_digest(expected.encode(), self.password.encode("utf-8", "surrogateescape"))

    @property
    def created(self) -> datetime:
        """When it was made, as its maker says. Raises TokenRefused."""
        try:
            created = datetime.fromisoformat(self.created_text)
        except ValueError:
            raise TokenRefused("a time of creation that is none") from None
        return created if created.tzinfo is not None else created.replace(tzinfo=UTC)


def digest(nonce: bytes, created: str, password: str) -> str:
    """Base64 of SHA-1 of nonce, time as it is written, and password (UsernameToken Profile 1.0, section 3.1)."""
    hashed = hashlib.sha1(nonce + created.encode() + password.encode(), usedforsecurity=False)
    return b64encode(hashed.digest()).decode()


class NonceMemory:
    """Takes every token once. Who logs in so often that not all can be remembered has the older ones refused, and
    nobody else's."""

    def __init__(self) -> None:
        self._users: dict[str, _Seen] = {}

    def check(self, token: UsernameToken, now: datetime) -> None:
        """Raises TokenRefused for one that is too old, too young, or was here before. Its password has to be right."""
        created = token.created
        if abs(now - created) > MAX_AGE:
            raise TokenRefused(f"made at {token.created_text[:40]}, more than {MAX_AGE} from now")
        seen = self._users.setdefault(token.username, _Seen())
        if token.nonce in seen.nonces:
            raise TokenRefused("a nonce that was used already")
        if created <= seen.forgotten:
            raise TokenRefused("older than what is remembered of this user")
        seen.add(created, token.nonce)
        while len(seen.nonces) > MAX_NONCES or seen.by_age[0][0] < now - MAX_AGE:
            seen.forget_oldest()


class _Seen:
    """The tokens of one user."""

    __slots__ = ("by_age", "forgotten", "nonces")

    def __init__(self) -> None:
        self.nonces: set[bytes] = set()
        self.by_age: list[tuple[datetime, bytes]] = []  # a heap, by when they were made
        self.forgotten = datetime.min.replace(tzinfo=UTC)  # what is not younger may have been here

    def add(self, created: datetime, nonce: bytes) -> None:
        self.nonces.add(nonce)
        heappush(self.by_age, (created, nonce))

    def forget_oldest(self) -> None:
        self.forgotten, nonce = heappop(self.by_age)
        self.nonces.discard(nonce)


def _nonce(text: str) -> bytes:
    try:
        nonce = b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        raise TokenRefused("a nonce that is no base64") from None
    if not 0 < len(nonce) <= MAX_NONCE_BYTES:
        raise TokenRefused(f"a nonce of {len(nonce)} bytes")
    return nonce
