"""Who may play and publish by RTMP."""

from __future__ import annotations

import hmac
import secrets
import time
from collections.abc import Mapping

from manycast.servers.faults import AnyLog, FaultLog
from manycast.servers.throttle import LoginThrottle, TooManyAttempts
from manycast.wire.rtmp.adobe_auth import MODE, AdobeGuard, asks_for_login, refuses_login


class RtmpLogin:
    """Names and passwords, in the query of an address, or asked for as Flash Media Server does."""

    def __init__(self, users: Mapping[str, str], faults: FaultLog) -> None:
        self._users = users
        self._faults = faults
        self._throttle = LoginThrottle()
        self._guard = AdobeGuard(secrets.token_bytes(32))

    async def accepts(self, parameters: Mapping[str, str], address: str, log: AnyLog) -> bool:
        """Judge `?user=...&pass=...`."""
        user, given = parameters.get("user"), parameters.get("pass")
        if user is None or given is None:
            return False
        password = self._users.get(user)
        right = hmac.compare_digest((password or "").encode(), given.encode("utf-8", "surrogateescape"))
        return await self._judged(user, right and password is not None, address, log)

    async def refusal(self, parameters: Mapping[str, str], address: str, log: AnyLog) -> str | None:
        """Judge a `connect` in the way of Flash Media Server: None when it is accepted, else what is answered."""
        user = parameters.get("user")
        if parameters.get("authmod") != MODE or user is None:
            return asks_for_login()
        now_s = time.monotonic()
        response, challenge = parameters.get("response"), parameters.get("challenge")
        if response is None or challenge is None:
            return self._guard.challenge(user, now_s=now_s)
        password = self._users.get(user)
        opaque = parameters.get("opaque", "")
        right = self._guard.accepts(
            user, password or "", opaque=opaque, challenge=challenge, response=response, now_s=now_s
        )
        accepted = await self._judged(user, right and password is not None, address, log)
        return None if accepted else refuses_login()

    async def _judged(self, user: str, right: bool, address: str, log: AnyLog) -> bool:
        try:
            async with self._throttle.attempt(address, user):
                if not right:
                    failures = self._throttle.failed(address, user)
                    text = f"login refused: wrong user or password, {failures} of that name from {address}"
                    self._faults.note(log, text)
                    return False
        except TooManyAttempts as error:
            self._faults.note(log, str(error))
            return False
        self._throttle.succeeded(address, user)
        return True
