"""Which paths have segments made of them, and for how long."""

from __future__ import annotations

import logging
from collections.abc import Callable

from manycast.hub.hls_folder import HlsFolder
from manycast.hub.hls_packager import HlsOptions, HlsRun
from manycast.hub.hub import Hub
from manycast.hub.stream import Stream, StreamEnded
from manycast.wire.hls.segmenter import Segmenter

KEPT_S = 60.0  # for so long the segments of what has ended are there, for players who are behind

log = logging.getLogger(__name__)


class HlsRuns:
    """All runs of the server. They begin with a request, and end when nobody asks any more, or the stream ends."""

    def __init__(self, hub: Hub, options: HlsOptions, running: Callable[[str], Stream | None] | None = None) -> None:
        """`running` gives what viewers of a path watch at this moment, where it is not simply what is in the hub."""
        self.options = options
        self._hub = hub
        self._running = running or hub.live
        self._folder = None if options.folder is None else HlsFolder(options.folder)
        self._by_path: dict[str, HlsRun] = {}
        self._by_token: dict[str, HlsRun] = {}
        if self._folder is not None and options.clean_folder:
            self._folder.clean()

    def __len__(self) -> int:
        return len(self._by_token)

    def at(self, path: str) -> HlsRun | None:
        """The run that goes on at a path."""
        run = self._by_path.get(path)
        return run if run is not None and not run.over else None

    def named(self, token: str) -> HlsRun | None:
        return self._by_token.get(token)

    def start(self, stream: Stream) -> HlsRun:
        """The run at a stream's path, begun if need be; the stream has tracks that HLS can carry.

        Raises StreamEnded.
        """
        run = self.at(stream.path)
        if run is None:
            run = HlsRun(stream.path, self.options, self._folder)
            run.attach(stream)
            self._by_path[stream.path] = self._by_token[run.token] = run
            log.info("HLS of %s begins", stream.path)
        return run

    def handle_timer(self, now_s: float) -> None:
        """Go on with publishers who have come back, and end what has ended; about once a second."""
        for run in tuple(self._by_token.values()):
            if run.ended_s is not None:
                if now_s - run.ended_s > KEPT_S:
                    self._forget(run)
            elif not self.options.always and not run.waiting and now_s - run.asked_s > self.options.idle_s:
                log.info("HLS of %s stops: nobody has asked for %.0f s", run.path, self.options.idle_s)
                self._forget(run)
            elif run.away_s is not None:
                self._look_for_stream(run, run.away_s, now_s)
        if self.options.always:
            for stream in filter(None, [self._running(original.path) for original in self._hub]):
                if self.at(stream.path) is None and stream.complete and Segmenter.can_carry(stream.tracks):
                    self.start(stream)

    def close(self) -> None:
        for run in tuple(self._by_token.values()):
            if not run.over:
                run.end()
        if self._folder is not None:
            self._folder.close()

    def _look_for_stream(self, run: HlsRun, away_s: float, now_s: float) -> None:
        stream = self._running(run.path)
        if stream is None:
            if now_s - away_s > self.options.return_s:
                run.end()
        elif stream.complete:
            if not run.segmenter.accepts(stream.tracks):
                run.end()
                return
            try:
                run.attach(stream)
            except StreamEnded:
                return
            log.info("HLS of %s goes on with %s", run.path, stream.source)

    def _forget(self, run: HlsRun) -> None:
        run.forget()
        del self._by_token[run.token]
        if self._by_path.get(run.path) is run:
            del self._by_path[run.path]
