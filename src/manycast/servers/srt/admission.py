"""Who is let in: judged while the handshake waits, in a thread of libsrt's."""

from __future__ import annotations

import asyncio
import hmac
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from manycast.errors import ManycastError
from manycast.hub.catalogue import Catalogue
from manycast.hub.source import SourceMissing
from manycast.libsrt.library import Option, SrtLibrary
from manycast.servers.srt.options import SrtOptions
from manycast.servers.throttle import LoginThrottle
from manycast.wire.srt.streamid import BadStreamId, Rejection, StreamId

VIEWER_RECEIVE_BYTES = 64 * 1456  # nothing is expected from them
REFUSED = -1

log = logging.getLogger(__name__)


class Refused(ManycastError):
    """A caller who is not let in."""

    def __init__(self, rejection: Rejection, reason: str) -> None:
        super().__init__(reason)
        self.rejection = rejection


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody whose request is granted."""

    peer: tuple[str, int]
    request: StreamId
    path: str
    passphrase: bool  # one was set for the connection

    def __str__(self) -> str:
        address, port = self.peer
        return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


class Admission:
    """Judges callers by their stream ids. What it reads of the server is only looked up, never waited
    for; the system is asked for devices."""

    def __init__(
        self,
        library: SrtLibrary,
        catalogue: Catalogue,
        options: SrtOptions,
        refusal: Callable[[StreamId], Refused | None],
        on_admitted: Callable[[int, Caller], None],
        on_refused: Callable[[tuple[str, int], Refused], None],
    ) -> None:
        """`refusal` says what stands against a request beside what the catalogue knows. It and `on_admitted` (with
        the socket to be) are called in libsrt's thread, `on_refused` on the loop."""
        self._library = library
        self._catalogue = catalogue
        self._options = options
        self._refusal = refusal
        self._on_admitted = on_admitted
        self._on_refused = on_refused
        self._throttle = LoginThrottle()
        self._lock = threading.Lock()  # each address family has a thread
        self._loop = asyncio.get_running_loop()
        self.callback: Any = library.ffi.callback("srt_listen_callback_fn", self._judge, error=REFUSED)

    def _judge(self, _opaque: Any, sock: int, _version: int, peer: Any, stream_id: Any) -> int:
        address = self._library.address_of(peer)
        try:
            with self._lock:
                caller = self._admitted(address, self._library.ffi.string(stream_id))
            self._prepare(sock, caller)
        except Refused as refused:
            return self._refuse(sock, address, refused)
        except Exception:
            log.exception("judging an SRT caller failed")
            return self._refuse(sock, address, Refused(Rejection.SERVER_ERROR, "our own mistake"))
        self._on_admitted(sock, caller)  # at once: the loop may accept the connection before it gets to anything else
        return 0

    def _refuse(self, sock: int, address: tuple[str, int], refused: Refused) -> int:
        self._library.lib.srt_setrejectreason(sock, refused.rejection)
        self._loop.call_soon_threadsafe(self._on_refused, address, refused)
        return REFUSED

    def _admitted(self, address: tuple[str, int], stream_id: bytes) -> Caller:
        """Raises Refused."""
        try:
            request = StreamId.parse(stream_id)
        except BadStreamId as error:
            raise Refused(error.rejection, str(error)) from error
        refused = self._refusal(request)
        if refused is not None:
            raise refused
        self._log_in(address[0], request)
        path = self._catalogue.path_of(request.name)
        if not request.publish:
            try:
                found = self._catalogue.holds(request.name)
            except SourceMissing as error:
                raise Refused(Rejection.NOT_FOUND, str(error)) from error
            if not found:
                raise Refused(Rejection.NOT_FOUND, f"nothing is called {request.name!r}")
        elif self._catalogue.hub.live(path) is None:
            taken = self._catalogue.taken_by(path)
            if taken is not None:
                raise Refused(Rejection.FORBIDDEN, f"{path} is taken by {taken}")
        else:
            raise Refused(Rejection.CONFLICT, f"{path} is taken by {self._catalogue.taken_by(path)}")
        return Caller(address, request, path, passphrase=self._passphrase(request, path) is not None)

    def _log_in(self, address: str, request: StreamId) -> None:
        users = self._options.users
        if users is None:
            return
        if request.user is None or request.password is None:
            raise Refused(Rejection.UNAUTHORIZED, "a login is needed: add u=NAME,s=PASSWORD to the stream id")
        if self._throttle.paused(address, request.user):
            raise Refused(Rejection.UNAUTHORIZED, f"too many wrong logins from {address}")
        password = users.get(request.user)
        right = hmac.compare_digest((password or "").encode(), request.password.encode())
        if password is None or not right:
            failures = self._throttle.failed(address, request.user)
            raise Refused(Rejection.UNAUTHORIZED, f"wrong user or password, {failures} of that name from {address}")
        self._throttle.succeeded(address, request.user)

    def _passphrase(self, request: StreamId, path: str) -> str | None:
        if request.clear and not self._options.passphrase_required:
            return None
        return self._options.passphrase_for(path)

    def _prepare(self, sock: int, caller: Caller) -> None:
        """Set what has to stand before the handshake goes on."""
        library = self._library
        passphrase = self._passphrase(caller.request, caller.path)
        if passphrase is not None:
            library.set_option(sock, Option.PASSPHRASE, passphrase.encode())
        if not caller.request.publish:
            library.set_option(sock, Option.RCVBUF, VIEWER_RECEIVE_BYTES)
