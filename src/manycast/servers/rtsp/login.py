"""Who may play and publish."""

from __future__ import annotations

import hmac
import secrets
import time
from collections.abc import Mapping

from manycast.servers.faults import FaultLog
from manycast.servers.rtsp.connection import RtspConnection
from manycast.servers.throttle import LoginThrottle, TooManyAttempts
from manycast.wire.authentication import MalformedAuthorization
from manycast.wire.basic import BASIC_IN_CLEAR, BasicChallenge, is_basic, parse_basic
from manycast.wire.claimed_user import claimed_user
from manycast.wire.digest import Algorithm
from manycast.wire.digest_guard import DigestGuard, Verdict
from manycast.wire.rtsp.errors import ServiceUnavailable, Unauthorized
from manycast.wire.rtsp.message import Request

REALM = "manycast"

GUARDED_METHODS = frozenset({"DESCRIBE", "ANNOUNCE", "SETUP", "PLAY", "RECORD"})


class Login:
    """Asks for a user's name and password: by Digest, and by Basic where nobody can read along.

    The methods that open or start a stream are guarded each time. The others tell nothing, or need a session's id:
    they are let through on a connection that has logged in, since not every player logs in again for a TEARDOWN.
    """

    def __init__(self, users: Mapping[str, str], faults: FaultLog, *, basic_in_clear: bool = False) -> None:
        """`users` are names and passwords; `basic_in_clear` allows Basic without TLS."""
        self._users = users
        self._faults = faults
        self._basic_in_clear = basic_in_clear
        self._throttle = LoginThrottle()
        # LIVE555, VLC and ffmpeg take the last Digest challenge of a reply, and know MD5 only.
        algorithms = (Algorithm.SHA256, Algorithm.MD5)
        self._guard = DigestGuard(realm=REALM, secret=secrets.token_bytes(32), algorithms=algorithms, offer_qop=True)

    async def check(self, connection: RtspConnection, request: Request) -> None:
        """Raises Unauthorized, with the challenges to answer, or ServiceUnavailable for one who guesses too fast."""
        if request.method not in GUARDED_METHODS and (connection.logged_in or "Session" not in request.headers):
            return
        authorization = request.headers.get("Authorization")
        if authorization is None:
            raise Unauthorized(self._challenges(connection))
        if is_basic(authorization) and not self._allows_basic(connection):
            self._faults.note(connection.log, BASIC_IN_CLEAR)  # no guess: nobody looked at the password
            raise Unauthorized(self._challenges(connection))
        address, user = connection.peer_address, claimed_user(authorization)
        try:
            async with self._throttle.attempt(address, user):
                verdict = self._judge(connection, request, authorization)
                if verdict is Verdict.REFUSED:
                    failures = self._throttle.failed(address, user)
                    text = f"login refused: wrong user or password, {failures} of that name from {address}"
                    self._faults.note(connection.log, text)
        except TooManyAttempts as error:
            raise ServiceUnavailable(str(error)) from error
        if verdict is not Verdict.ACCEPTED:
            raise Unauthorized(self._challenges(connection, stale=verdict is Verdict.STALE))
        self._throttle.succeeded(address, user)
        connection.logged_in = True

    def _judge(self, connection: RtspConnection, request: Request, authorization: str) -> Verdict:
        if is_basic(authorization):
            return self._judge_basic(authorization)
        return self._guard.check(
            authorization,
            method=request.method,
            uri=request.uri,
            password_of=self._users.get,
            now_s=time.monotonic(),
            since_s=connection.opened_s,
            owner=connection,
        )

    def _judge_basic(self, authorization: str) -> Verdict:
        try:
            user, given = parse_basic(authorization)
        except MalformedAuthorization:
            return Verdict.REFUSED
        password = self._users.get(user)
        same = hmac.compare_digest((password or "").encode(), given.encode("utf-8", "surrogateescape"))
        return Verdict.ACCEPTED if same and password is not None else Verdict.REFUSED

    def _allows_basic(self, connection: RtspConnection) -> bool:
        return connection.link.secure or self._basic_in_clear

    def _challenges(self, connection: RtspConnection, *, stale: bool = False) -> list[str]:
        challenges = self._guard.challenges(now_s=time.monotonic(), stale=stale)
        return [BasicChallenge(realm=REALM).serialize(), *challenges] if self._allows_basic(connection) else challenges
