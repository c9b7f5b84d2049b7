"""Who may play and publish."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping

from manycast.servers.faults import FaultLog
from manycast.servers.rtsp.connection import RtspConnection
from manycast.wire.digest import DigestGuard, Verdict
from manycast.wire.rtsp.errors import Unauthorized
from manycast.wire.rtsp.message import Request

REALM = "manycast"

# The others need the id of a session that a login opened, or tell nothing.
GUARDED_METHODS = frozenset({"DESCRIBE", "ANNOUNCE", "SETUP", "PLAY", "RECORD"})


class Login:
    """Asks for a user's name and password, by Digest."""

    def __init__(self, users: Mapping[str, str], faults: FaultLog) -> None:
        self._users = users
        self._faults = faults
        self._guard = DigestGuard(realm=REALM, secret=secrets.token_bytes(32))

    def check(self, connection: RtspConnection, request: Request) -> None:
        """Raises Unauthorized, with the challenge to answer."""
        if request.method not in GUARDED_METHODS:
            return
        now_s = time.monotonic()
        authorization = request.headers.get("Authorization")
        if authorization is None:
            raise Unauthorized(self._guard.challenges(now_s=now_s))
        verdict = self._guard.check(
            authorization,
            method=request.method,
            uri=request.uri,
            password_of=self._users.get,
            now_s=now_s,
            since_s=connection.opened_s,
        )
        if verdict is Verdict.REFUSED:
            self._faults.note(connection.log, "login refused: wrong user or password")
        if verdict is not Verdict.ACCEPTED:
            raise Unauthorized(self._guard.challenges(now_s=now_s, stale=verdict is Verdict.STALE))
