"""Digest authentication, the server's side.

The server keeps no table of the nonces it gives out: a nonce carries the time it was made and a MAC over it, so whoever
has the secret can check it. What is counted (qop) cannot be sent again by whoever overheard it. Of clients that know no
qop, it can, while the nonce lives: who can overhear a request without TLS can take over its connection as well.
"""

from __future__ import annotations

import hashlib
import hmac
import math
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from enum import Enum

from manycast.wire.authentication import MalformedAuthorization, to_bytes
from manycast.wire.digest import Algorithm, DigestChallenge, DigestCredentials

NONCE_LIFETIME_S = 300.0

MAX_COUNTED_NONCES = 10_000


class Verdict(Enum):
    ACCEPTED = "accepted"
    STALE = "stale"  # right but for its nonce: challenge again with stale=true (RFC 7616 section 3.3)
    REFUSED = "refused"


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
        if not self._stands_for(credentials, uri):
            return Verdict.REFUSED
        password = password_of(credentials.username)
        # Hashed for an unknown user too, so that the time of the answer does not tell who exists.
        expected = credentials.expected_response("" if password is None else password, method)
        right = hmac.compare_digest(expected.encode(), to_bytes(credentials.response))
        if not right or password is None:
            return Verdict.REFUSED
        made_s = self._made_s(credentials.nonce)
        if made_s is None:  # from before a restart, or made up: no guess, but a nonce of ours is needed to come in
            return Verdict.STALE
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
        if not hmac.compare_digest(self._mac(stamp).encode(), to_bytes(mac)):
            return None
        return int(stamp, 16) / 1000

    def _mac(self, stamp: str) -> str:
        return hmac.new(self._secret, to_bytes(f"{stamp}:{self._realm}"), hashlib.sha256).hexdigest()[:32]


def uri_covers(signed: str, requested: str) -> bool:
    """Whether the `uri` a client signed stands for the URI of its request.

    RFC 7616 section 3.4 wants them equal. LIVE555, and with it VLC, signs the base address for the SETUP of a
    track below it, and some clients sign the path alone; host and scheme are therefore left out, and a base
    covers what is below it.
    """
    base, target = _path_of(signed).rstrip("/"), _path_of(requested).rstrip("/")
    return target == base or (bool(base) and target.startswith((base + "/", base + "?")))


def _path_of(uri: str) -> str:
    """What follows scheme and authority."""
    _, separator, rest = uri.partition("://")
    if not separator:
        return uri
    slash = rest.find("/")
    return rest[slash:] if slash >= 0 else ""
