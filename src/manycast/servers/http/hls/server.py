"""All connections that ask for HLS, on all HTTP ports."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence

from manycast.hub.catalogue import Catalogue
from manycast.hub.hls_packager import HlsRun
from manycast.hub.hls_runs import HlsRuns
from manycast.hub.hops import LoopFound
from manycast.hub.source import SourceError, SourceMissing
from manycast.hub.stream import Stream, StreamEnded
from manycast.servers.faults import FaultLog
from manycast.servers.http.hls.address import is_hls
from manycast.servers.http.hls.connection import HlsConnection
from manycast.servers.http.hls.options import HlsServerOptions
from manycast.servers.http.login import HttpLogin
from manycast.servers.http.request import HttpRequest
from manycast.servers.http.stream.address import said_of
from manycast.wire.hls.packaging import CARRIED
from manycast.wire.hls.segmenter import Segmenter
from manycast.wire.http import HttpError
from manycast.wire.websocket import asks_for_websocket

TIMER_INTERVAL_S = 0.5
COMPLETE_TIMEOUT_S = 3.0  # for parameter sets that a publisher sends in band only
FIRST_SEGMENT_TIMEOUT_S = 30.0


class HlsServer:
    """A route of the HTTP ports: takes what ends in .m3u8, and what playlists list."""

    def __init__(
        self,
        catalogue: Catalogue,
        runs: HlsRuns,
        options: HlsServerOptions,
        faults: FaultLog,
        login: HttpLogin | None = None,
    ) -> None:
        self.runs = runs
        self.options = options
        self.login = login if options.login else None
        self.faults = faults
        self.log = logging.getLogger(__name__)
        self._catalogue = catalogue
        self._connections: set[HlsConnection] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()

    @property
    def connections(self) -> int:
        return len(self._connections)

    def start(self) -> None:
        """Begin to look after runs and time limits."""
        self._timer = self._loop.call_later(TIMER_INTERVAL_S, self._handle_timer)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self.runs.close()
        for connection in tuple(self._connections):
            connection.close()

    def take(self, request: HttpRequest) -> bool:
        if not is_hls(request.head.path) or asks_for_websocket(request.head):
            return False
        if len(self._connections) >= self.options.max_connections:
            text = f"all {self.options.max_connections} connections are in use"
            raise HttpError(503, text, [("Retry-After", "10")])
        connection = HlsConnection(self, request)
        self._connections.add(connection)
        connection.begin(request.head)
        return True

    def forget(self, connection: HlsConnection) -> None:
        self._connections.discard(connection)

    def at(self, name: str) -> HlsRun | None:
        """The run at a stream's name, if it has something to play."""
        run = self.runs.at(self._catalogue.path_of(name))
        return run if run is not None and run.segmenter.ready else None

    def asked(self, name: str, via: Sequence[str]) -> None:
        """`via` is what a request for a stream says of servers behind the client. Raises HttpError for a loop."""
        try:
            self._catalogue.asked(name, via)
        except LoopFound as error:
            raise HttpError(508, str(error)) from error

    async def open(self, name: str) -> HlsRun:
        """The run at a stream's name, begun if need be, when it has something to play. Raises HttpError."""
        run = self.runs.at(self._catalogue.path_of(name))
        if run is None:
            run = await self._begin(name)
        run.asked_s = time.monotonic()
        if not run.segmenter.ready:
            await self._wait_for_segment(run)
        return run

    async def _begin(self, name: str) -> HlsRun:
        try:
            found = await self._catalogue.find(name)
            if found is None:
                raise HttpError(404, f"there is no stream {name}")
            if not isinstance(found, Stream):
                raise HttpError(404, f"{name} is a file: HLS is for live streams; RTSP, RTMP and HTTP play it")
            stream = await self._catalogue.stream_for(found, CARRIED)
        except SourceMissing as error:
            raise HttpError(404, said_of(name, error)) from error
        except SourceError as error:
            raise HttpError(503, str(error), [("Retry-After", "5")]) from error
        if not await stream.wait_complete(COMPLETE_TIMEOUT_S):
            raise HttpError(503, f"{name} has not told its parameters yet", [("Retry-After", "2")])
        if not Segmenter.can_carry(stream.tracks):
            names = ", ".join(track.codec_name for track in stream.tracks)
            raise HttpError(406, f"HLS cannot carry {names}, and there is nothing else in the stream")
        try:
            return self.runs.start(stream)
        except StreamEnded as error:
            raise HttpError(404, f"{name} has just ended: {error}") from error

    async def _wait_for_segment(self, run: HlsRun) -> None:
        changed = asyncio.Event()
        run.waiting[changed] = changed.set
        try:
            async with asyncio.timeout(FIRST_SEGMENT_TIMEOUT_S):
                while not run.segmenter.ready:
                    if run.over:
                        raise HttpError(404, f"{run.path} has ended before anything could be played")
                    changed.clear()
                    await changed.wait()
        except TimeoutError:
            text = f"{run.path} has sent nothing playable in {FIRST_SEGMENT_TIMEOUT_S:.0f} s"
            raise HttpError(503, text, [("Retry-After", "5")]) from None
        finally:
            run.waiting.pop(changed, None)

    def _handle_timer(self) -> None:
        now_s = time.monotonic()
        self.runs.handle_timer(now_s)
        for connection in tuple(self._connections):
            connection.handle_timer(now_s)
        self.faults.handle_timer(now_s)
        self._timer = self._loop.call_later(TIMER_INTERVAL_S, self._handle_timer)
