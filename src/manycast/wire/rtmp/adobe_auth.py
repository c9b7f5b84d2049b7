"""How Flash Media Server asks for a login when a client connects (`authmod=adobe`), both sides.

Adobe never published it; this is what ffmpeg, GStreamer, OBS and librtmp do. The server refuses `connect` three times
at most: with the way to log in, with salt and challenge for a user, and if the response was wrong.
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import b64encode
from urllib.parse import quote

MODE = "adobe"
LIFETIME_S = 60.0  # of a challenge


def asks_for_login() -> str:
    """What the refusal of a `connect` without a login says."""
    return f"[ AccessManager.Reject ] : [ code=403 need auth; authmod={MODE} ] : "


def refuses_login() -> str:
    """What the refusal of a wrong login says."""
    return f"[ AccessManager.Reject ] : [ authmod={MODE} ] : ?reason=authfailed&opaque=-"


class AdobeGuard:
    """Challenges clients and checks their answers. It keeps nothing: each step comes on a new connection."""

    def __init__(self, secret: bytes) -> None:
        """`secret` is random, at least 16 bytes."""
        self._secret = secret

    def challenge(self, user: str, *, now_s: float) -> str:
        """What a refusal says that a client answers in its next `connect`."""
        opaque = self._opaque(int(now_s))
        name = quote(user, safe="")
        reason = f"?reason=needauth&user={name}&salt={self._salt(user)}&challenge={opaque}&opaque={opaque}"
        return f"[ AccessManager.Reject ] : [ authmod={MODE} ] : {reason}"

    def accepts(self, user: str, password: str, *, opaque: str, challenge: str, response: str, now_s: float) -> bool:
        """Whether a client knows the password; `opaque` is ours come back, `challenge` is its own."""
        made_s, _, _ = opaque.partition("-")
        if not made_s.isdecimal() or len(made_s) > 12 or not now_s - LIFETIME_S <= int(made_s) <= now_s + 1:
            return False
        expected = response_of(user, password, salt=self._salt(user), opaque=opaque, challenge=challenge)
        known = hmac.compare_digest(opaque.encode("utf-8", "surrogateescape"), self._opaque(int(made_s)).encode())
        return hmac.compare_digest(expected.encode(), response.encode("utf-8", "surrogateescape")) and known

    def _salt(self, user: str) -> str:
        return self._mac(f"salt:{user}")

    def _opaque(self, made_s: int) -> str:
        return f"{made_s}-{self._mac(f'opaque:{made_s}')}"

    def _mac(self, text: str) -> str:
        return hmac.digest(self._secret, text.encode("utf-8", "surrogateescape"), "sha256").hex()[:16]


def login_query(description: str, user: str, password: str, *, challenge: str) -> str | None:
    """What a client puts behind the application's name after a refusal; None where that asks for no such login.

    `challenge` is the client's own, random.
    """
    if f"authmod={MODE}" not in description or "reason=authfailed" in description:
        return None
    name = quote(user, safe="")
    _, _, query = description.partition("?")
    said = dict(part.partition("=")[::2] for part in query.strip().split("&"))
    if "salt" not in said:
        return f"authmod={MODE}&user={name}"
    opaque = said.get("opaque") or said.get("challenge", "")
    response = response_of(user, password, salt=said["salt"], opaque=opaque, challenge=challenge)
    return f"authmod={MODE}&user={name}&challenge={challenge}&response={response}&opaque={opaque}"


def response_of(user: str, password: str, *, salt: str, opaque: str, challenge: str) -> str:
    """The response of a client to a server's salt and opaque, with a challenge of its own."""
    inner = _hash(user + salt + password)
    return _hash(inner + opaque + challenge)


def _hash(text: str) -> str:
    digest = hashlib.md5(text.encode("utf-8", "surrogateescape"), usedforsecurity=False).digest()
    return b64encode(digest).decode()
