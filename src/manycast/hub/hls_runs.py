"""Which paths have segments made of them, and for how long."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Coroutine
from weakref import WeakSet

from manycast.hub.hls_folder import HlsFolder
from manycast.hub.hls_packager import HlsOptions, HlsRun
from manycast.hub.hub import Hub
from manycast.hub.source import SourceError
from manycast.hub.stream import Stream, StreamEnded
from manycast.media.track import Codec
from manycast.wire.hls.packaging import CARRIED
from manycast.wire.hls.segmenter import Segmenter

KEPT_S = 60.0  # for so long the segments of what has ended are there, for players who are behind

Form = Callable[[Stream, Collection[Codec]], Awaitable[Stream]]

log = logging.getLogger(__name__)


class HlsRuns:
    """All runs of the server. They begin with a request, and end when nobody asks any more, or the stream ends."""

    def __init__(self, hub: Hub, options: HlsOptions, form: Form | None = None) -> None:
        """`form` gives a stream of the hub in such codecs, by default itself. It may raise SourceError."""
        self.options = options
        self._hub = hub
        self._form = form or _itself
        self._tasks: dict[str, asyncio.Task[None]] = {}  # by the path: what waits for a form
        self._hopeless: WeakSet[Stream] = WeakSet()  # nothing in them can be carried
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
            for stream in self._hub:
                if self.at(stream.path) is None and stream.complete and stream not in self._hopeless:
                    self._begin(stream.path, self._start(stream))

    def close(self) -> None:
        for task in self._tasks.values():
            task.cancel()
        for run in tuple(self._by_token.values()):
            if not run.over:
                run.end()
        if self._folder is not None:
            self._folder.close()

    def _look_for_stream(self, run: HlsRun, away_s: float, now_s: float) -> None:
        stream = self._hub.live(run.path)
        if stream is None:
            if now_s - away_s > self.options.return_s:
                run.end()
        elif stream.complete:
            self._begin(run.path, self._go_on(run, stream))

    def _begin(self, path: str, work: Coroutine[None, None, None]) -> None:
        """Do what may take a while, one thing at a time for a path."""
        if path in self._tasks:
            work.close()
            return
        task = self._tasks[path] = asyncio.get_running_loop().create_task(work, name=f"HLS of {path}")
        task.add_done_callback(lambda _task: self._tasks.pop(path))

    async def _go_on(self, run: HlsRun, original: Stream) -> None:
        try:
            stream = await self._form(original, CARRIED)
            if run.over:
                return
            if not run.segmenter.accepts(stream.tracks):
                run.end()
            else:
                run.attach(stream)
                log.info("HLS of %s goes on with %s", run.path, stream.source)
        except StreamEnded:
            pass  # the next one is looked for
        except SourceError as error:
            if original.ended is None and not run.over:
                log.warning("HLS of %s ends: %s", run.path, error)
                run.end()

    async def _start(self, original: Stream) -> None:
        try:
            stream = await self._form(original, CARRIED)
            if Segmenter.can_carry(stream.tracks):
                self.start(stream)
            else:
                self._hopeless.add(original)
        except StreamEnded:
            pass
        except SourceError as error:
            self._hopeless.add(original)
            log.warning("no HLS of %s: %s", original.path, error)

    def _forget(self, run: HlsRun) -> None:
        run.forget()
        del self._by_token[run.token]
        if self._by_path.get(run.path) is run:
            del self._by_path[run.path]


async def _itself(stream: Stream, _carried: Collection[Codec]) -> Stream:
    return stream
