"""Who may watch by HTTP."""

from __future__ import annotations

import hmac
import secrets
import time
from collections.abc import Mapping
from urllib.parse import urlsplit

from manycast.servers.client import Client
from manycast.servers.faults import AnyLog, FaultLog
from manycast.servers.throttle import LoginThrottle, TooManyAttempts
from manycast.wire.authentication import MalformedAuthorization
from manycast.wire.basic import BASIC_IN_CLEAR, BasicChallenge, is_basic, parse_basic
from manycast.wire.claimed_user import claimed_user
from manycast.wire.digest import Algorithm
from manycast.wire.digest_guard import DigestGuard, Verdict
from manycast.wire.http import HttpError, RequestHead
from manycast.wire.websocket import asks_for_websocket

REALM = "manycast"


class HttpLogin:
    """Asks for a user's name and password: by Digest, and by Basic where nobody can read along.

    They may also stand in the query, `?user=...&pass=...`, for players that know no other way.
    """

    def __init__(self, users: Mapping[str, str], faults: FaultLog, *, basic_in_clear: bool = False) -> None:
        """`users` are names and passwords; `basic_in_clear` allows Basic without TLS."""
        self._users = users
        self._faults = faults
        self._basic_in_clear = basic_in_clear
        self._throttle = LoginThrottle()
        # Clients that know MD5 only take the last Digest challenge of a reply, ffmpeg among them.
        algorithms = (Algorithm.SHA256, Algorithm.MD5)
        self._guard = DigestGuard(realm=REALM, secret=secrets.token_bytes(32), algorithms=algorithms, offer_qop=True)

    async def check(self, client: Client, head: RequestHead, parameters: Mapping[str, str], log: AnyLog) -> None:
        """Raises HttpError: 401 with the challenges to answer, 403, or 503 for one who guesses too fast."""
        authorization = head.get("Authorization")
        user, given = parameters.get("user"), parameters.get("pass")
        if authorization is not None:
            if asks_for_websocket(head) and not _from_our_page(head):
                # A browser adds a login it knows to a WebSocket that any page may open.
                raise HttpError(403, "the browser's login is not taken from a page of another server")
        elif user is None or given is None:
            raise self._unauthorized(client)
        if authorization is not None and is_basic(authorization) and not self._allows_basic(client):
            self._faults.note(log, BASIC_IN_CLEAR)  # no guess: nobody looked at the password
            raise self._unauthorized(client)
        address = client.peer[0]
        claimed = (user or "") if authorization is None else claimed_user(authorization)
        try:
            async with self._throttle.attempt(address, claimed):
                if authorization is None:
                    verdict = self._judge_password(user or "", given or "")
                else:
                    verdict = self._judge(client, head, authorization)
                if verdict is Verdict.REFUSED:
                    failures = self._throttle.failed(address, claimed)
                    text = f"login refused: wrong user or password, {failures} of that name from {address}"
                    self._faults.note(log, text)
        except TooManyAttempts as error:
            raise HttpError(503, str(error), [("Retry-After", "5")]) from error
        if verdict is not Verdict.ACCEPTED:
            raise self._unauthorized(client, stale=verdict is Verdict.STALE)
        self._throttle.succeeded(address, claimed)

    def _judge(self, client: Client, head: RequestHead, authorization: str) -> Verdict:
        if is_basic(authorization):
            try:
                return self._judge_password(*parse_basic(authorization))
            except MalformedAuthorization:
                return Verdict.REFUSED
        return self._guard.check(
            authorization,
            method=head.method,
            uri=head.target,
            owner=client,
            password_of=self._users.get,
            now_s=time.monotonic(),
        )

    def _judge_password(self, user: str, given: str) -> Verdict:
        password = self._users.get(user)
        same = hmac.compare_digest((password or "").encode(), given.encode("utf-8", "surrogateescape"))
        return Verdict.ACCEPTED if same and password is not None else Verdict.REFUSED

    def _allows_basic(self, client: Client) -> bool:
        return client.secure or self._basic_in_clear

    def _unauthorized(self, client: Client, *, stale: bool = False) -> HttpError:
        challenges = self._guard.challenges(now_s=time.monotonic(), stale=stale)
        if self._allows_basic(client):
            challenges.insert(0, BasicChallenge(realm=REALM).serialize())
        return HttpError(401, "a login is needed", [("WWW-Authenticate", challenge) for challenge in challenges])


def _from_our_page(head: RequestHead) -> bool:
    """Whether a page that was loaded from this server opens the WebSocket; also who is no browser."""
    origin = head.get("Origin")
    if origin is None:
        return True
    try:
        return urlsplit(origin).netloc.lower() == (head.get("Host") or "").lower()
    except ValueError:
        return False
