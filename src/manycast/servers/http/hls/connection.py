"""One connection of a player, a cache or a browser: request after request, each answered before the next is read."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Sequence
from typing import Protocol

from manycast import __version__
from manycast.hub.hls_packager import HlsRun
from manycast.hub.hls_runs import HlsRuns
from manycast.hub.pipe import HungUp, receive
from manycast.servers.connection_log import ConnectionLog
from manycast.servers.faults import FaultLog
from manycast.servers.http.hls.address import HlsAddress, is_hls, media_playlist_uri, parse_hls_address
from manycast.servers.http.hls.options import HlsServerOptions
from manycast.servers.http.login import HttpLogin
from manycast.servers.http.request import HttpRequest, refuse
from manycast.wire.hls.playlist import MEDIA_TYPE
from manycast.wire.http import REASONS, HttpError, RequestHead, date_of, find_head_end, parse_range

MAX_AHEAD_BYTES = 64 * 1024  # of requests that came before the one under way was answered
TLS_PIECE_BYTES = 64 * 1024

METHODS = "GET, HEAD, OPTIONS"
# section 6.2.5.2: what is waited for comes within this many target durations, or is not to be expected
BLOCK_TARGET_DURATIONS = 3
CACHED_TARGET_DURATIONS = 6  # of the answer to a request that says what it waits for (appendix B.1)

_SHORT = "max-age=1"
_FILES = "public, max-age=3600, immutable"  # no name ever stands for something else
_SECRET = "private, no-store"  # what was shown to a user
_COMMON = f"Access-Control-Allow-Origin: *\r\nServer: manycast/{__version__}\r\n"
_CLOSE = "Connection: close\r\n"
_PREFLIGHT = (
    f"HTTP/1.1 204 No Content\r\nAllow: {METHODS}\r\nAccess-Control-Allow-Methods: {METHODS}\r\n"
    f"Access-Control-Allow-Headers: Authorization, Range, *\r\nAccess-Control-Max-Age: 86400\r\n{_COMMON}\r\n"
).encode()

Buffer = bytes | memoryview


class Host(Protocol):
    """What a connection needs of the server that took it."""

    runs: HlsRuns
    options: HlsServerOptions
    login: HttpLogin | None
    faults: FaultLog
    log: logging.Logger

    def at(self, name: str) -> HlsRun | None: ...

    def asked(self, name: str, via: Sequence[str]) -> None:
        """Raises HttpError for a loop."""

    async def open(self, name: str) -> HlsRun:
        """Raises HttpError."""

    def forget(self, connection: HlsConnection) -> None:
        """The connection was closed."""


class HlsConnection:
    __slots__ = (
        "_buffer",
        "_client",
        "_deadline_s",
        "_head",
        "_host",
        "_log",
        "_loop",
        "_moved_s",
        "_out",
        "_pipe",
        "_run",
        "_task",
        "closed",
    )

    def __init__(self, host: Host, request: HttpRequest) -> None:
        """The connection owns the request's pipe from now on."""
        self._host = host
        self._client = request.client
        self._log = ConnectionLog(host.log, f"HTTP {request.client}")
        self._pipe = request.client.pipe
        self._loop = asyncio.get_running_loop()
        self._buffer = bytearray(request.received)
        self._out: deque[Buffer] = deque()  # what the kernel has not taken yet
        self._head: RequestHead | None = None  # of the request under way
        self._run: HlsRun | None = None  # what it waits for
        self._deadline_s = 0.0
        self._task: asyncio.Task[None] | None = None
        self._moved_s = time.monotonic()  # when the last request came, or bytes last went
        self.closed = False

    def begin(self, head: RequestHead) -> None:
        self._pipe.when_readable(self._readable)
        self._serve(head)
        self._go_on()

    def handle_timer(self, now_s: float) -> None:
        if self._run is not None:
            if now_s > self._deadline_s:
                self._refuse(HttpError(503, "what was waited for has not come", [("Retry-After", "1")]))
        elif self._out:
            if now_s - self._moved_s > self._host.options.stall_s:
                self.close()
        elif self._head is None and now_s - self._moved_s > self._host.options.keep_alive_s:
            self.close()

    def close(self) -> None:
        if self.closed:
            return
        self.closed = True
        self._stop_waiting()
        if self._task is not None:
            self._task.cancel()
        self._out.clear()
        self._pipe.close()
        self._host.forget(self)

    # Requests

    def _readable(self) -> None:
        try:
            self._buffer += receive(self._pipe)
        except HungUp:
            self.close()
            return
        if self._head is None:
            self._go_on()
        elif len(self._buffer) > MAX_AHEAD_BYTES:
            self._host.faults.note(self._log, "requests without end, and no answer read")
            self.close()

    def _go_on(self) -> None:
        """Serve the requests that have come, as long as each is answered at once."""
        while self._buffer and self._head is None and not self.closed:
            try:
                end = find_head_end(self._buffer)
                if end is None:
                    return
                head_bytes = bytes(self._buffer[:end])
                head = RequestHead.parse(head_bytes)
            except HttpError as error:
                refuse(self._client, error)
                self.close()
                return
            if self._client.again is not None and not is_hls(head.path):
                received, again = bytes(self._buffer), self._client.again
                self._pipe.when_readable(None)
                self.closed = True  # for us
                self._host.forget(self)
                again(self._client, received)
                return
            del self._buffer[:end]
            self._serve(head)

    def _serve(self, head: RequestHead) -> None:
        self._head = head
        self._moved_s = time.monotonic()
        try:
            if not _is_bare(head):
                raise HttpError(400, "a request with a body")
            if head.method == "OPTIONS":
                self._send([_PREFLIGHT])
            elif head.method not in ("GET", "HEAD"):
                raise HttpError(405, f"{head.method} is not for playlists and segments", [("Allow", METHODS)])
            else:
                self._answer(head, parse_hls_address(head.target))
        except HttpError as error:
            self._refuse(error)

    def _answer(self, head: RequestHead, address: HlsAddress) -> None:
        """Send what is asked for, now or later. Raises HttpError."""
        if address.token is None:
            run = self._host.at(address.name) if self._host.login is None else None
            if run is None:
                self._task = self._loop.create_task(self._open(head, address), name="HLS begins")
            else:
                self._send_multivariant(run, address)
            return
        run = self._host.runs.named(address.token)
        if run is None:
            raise HttpError(404, "this run of HLS has ended")
        run.asked_s = self._moved_s
        if address.is_media_playlist:
            self._send_playlist(run, address)
        else:
            self._send_file(run, address, head)

    async def _open(self, head: RequestHead, address: HlsAddress) -> None:
        try:
            if self._host.login is not None:
                await self._host.login.check(self._client, head, address.parameters, self._log)
            self._host.asked(address.name, head.tokens("Via"))
            run = await self._host.open(address.name)
        except HttpError as error:
            self._task = None
            self._refuse(error)
        else:
            self._task = None
            self._send_multivariant(run, address)
        self._go_on()

    def _send_multivariant(self, run: HlsRun, address: HlsAddress) -> None:
        run.asked_s = time.monotonic()
        body = run.multivariant(media_playlist_uri(address.name, run.token))
        self._respond(200, MEDIA_TYPE, _SHORT if self._host.login is None else _SECRET, body)

    def _send_playlist(self, run: HlsRun, address: HlsAddress) -> None:
        """Section 6.2.5.2, Blocking Playlist Reload."""
        sequence, part = address.number("_hls_msn"), address.number("_hls_part")
        cache = _SHORT
        if sequence is None:
            if part is not None:
                raise HttpError(400, "_HLS_part without _HLS_msn")
        elif not run.over:
            if not run.segmenter.has(sequence, part):
                if not run.segmenter.is_near(sequence):
                    raise HttpError(400, f"_HLS_msn={sequence} is further ahead than anybody can know")
                self._wait(run)
                return
            cache = f"max-age={CACHED_TARGET_DURATIONS * run.segmenter.target_duration_s}"
        self._stop_waiting()
        self._respond(200, MEDIA_TYPE, cache, run.playlist(skip=address.skip))

    def _send_file(self, run: HlsRun, address: HlsAddress, head: RequestHead) -> None:
        file = run.files.get(address.file)
        if file is None:
            if address.file == run.segmenter.hint:
                self._wait(run)
                return
            raise HttpError(404, f"{address.file} is gone, or not there yet")
        self._stop_waiting()
        size = len(file.data)
        wanted = head.get("Range")
        span = parse_range(wanted, size) if wanted is not None else None
        if span is None:
            self._respond(200, file.media_type, _FILES, file.data, "Accept-Ranges: bytes\r\n")
            return
        start, end = span
        content_range = f"Content-Range: bytes {start}-{end - 1}/{size}\r\n"
        self._respond(206, file.media_type, _FILES, memoryview(file.data)[start:end], content_range)

    # Waiting

    def _wait(self, run: HlsRun) -> None:
        """Answer when the run has come as far."""
        if self._run is None:
            self._run = run
            self._deadline_s = self._moved_s + BLOCK_TARGET_DURATIONS * run.segmenter.target_duration_s
            run.waiting[self] = self._look_again

    def _look_again(self) -> None:
        head = self._head
        assert head is not None
        try:
            self._answer(head, parse_hls_address(head.target))
        except HttpError as error:
            self._refuse(error)
        self._go_on()

    def _stop_waiting(self) -> None:
        if self._run is not None:
            self._run.waiting.pop(self, None)
            self._run = None

    # Answers

    def _refuse(self, error: HttpError) -> None:
        self._stop_waiting()
        extra = "".join(f"{name}: {value}\r\n" for name, value in error.headers)
        self._respond(error.status, "text/plain; charset=utf-8", _SHORT, f"{error}\n".encode(errors="replace"), extra)

    def _respond(self, status: int, media_type: str, cache: str, body: Buffer, extra: str = "") -> None:
        head = (
            f"HTTP/1.1 {status} {REASONS[status]}\r\nContent-Type: {media_type}\r\nContent-Length: {len(body)}\r\n"
            f"Cache-Control: {cache}\r\nDate: {date_of(time.time())}\r\n{extra}{_COMMON}"
            f"{'' if self._keeps else _CLOSE}\r\n"
        )
        self._send([head.encode()] if self._head is not None and self._head.method == "HEAD" else [head.encode(), body])

    @property
    def _keeps(self) -> bool:
        head = self._head
        if head is None or head.version < (1, 1) or not _is_bare(head):
            return False
        return "close" not in (token.lower() for token in head.tokens("Connection"))

    def _send(self, parts: Sequence[Buffer]) -> None:
        if self.closed:
            return
        self._out.extend(parts)
        if self._write():
            self._finish()
        elif not self.closed:
            self._pipe.when_writable(self._flush)

    def _flush(self) -> None:
        """The kernel has room again."""
        if self._write():
            self._pipe.when_writable(None)
            self._finish()
            self._go_on()

    def _write(self) -> bool:
        """Send what the kernel takes; whether that was all. What is left of a closed connection goes nowhere."""
        out = self._out
        while out:
            try:
                if self._client.secure:
                    # TLS takes a piece or nothing, and copies what it takes.
                    sent = self._pipe.send(memoryview(out[0])[:TLS_PIECE_BYTES])
                else:
                    sent = self._pipe.sendmsg(tuple(out))
            except BlockingIOError:
                return False
            except OSError:
                self.close()
                return False
            self._moved_s = time.monotonic()
            while out and sent >= len(out[0]):
                sent -= len(out.popleft())
            if sent:
                out[0] = memoryview(out[0])[sent:]
        return True

    def _finish(self) -> None:
        """The answer has gone."""
        keeps, self._head = self._keeps, None
        if not keeps:
            self._buffer.clear()
            self._pipe.when_readable(None)
            self._pipe.when_writable(self.close)  # when TLS has sent what it holds, too


def _is_bare(head: RequestHead) -> bool:
    """Whether there is no body: what stands behind one could not be told from a request."""
    return not head.content_length and head.get("Transfer-Encoding") is None
