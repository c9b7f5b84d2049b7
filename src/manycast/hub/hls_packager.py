"""Frames to segments of HLS, made once for all players of a stream; they ask for them, nobody is sent anything."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from manycast.hub.fanout import BacklogLimit
from manycast.hub.gop_packager import warn_left_out
from manycast.hub.hls_folder import HlsFolder
from manycast.hub.stream import Stream
from manycast.media.frame import Frame
from manycast.media.track import Track
from manycast.wire.hls.playlist import multivariant_playlist
from manycast.wire.hls.segmenter import Cut, File, Segmenter, SegmenterOptions

TOLD_AT_ONCE = 20

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class HlsOptions:
    segments: SegmenterOptions = field(default_factory=SegmenterOptions)
    idle_s: float = 60.0  # nobody has asked for anything for so long: no more segments are made
    always: bool = False  # make them for every stream, from its beginning to its end
    return_s: float = 10.0  # for so long players wait for a publisher who may come back, before they hear of the end
    folder: Path | None = None  # where segments are kept; None: in memory
    clean_folder: bool = True  # remove there what an earlier run of the server has left


class HlsPackager:
    """Hands a stream's frames to a run of segments, from the group of pictures so far on."""

    def __init__(self, tracks: Sequence[Track], cached: Sequence[Frame], limit: BacklogLimit, name: str) -> None:
        self._tracks = tracks
        self._cached = cached
        self._limit = limit
        self._unix_at_zero_s: float | None = None
        self._run: HlsRun | None = None

    def attach(self, run: HlsRun) -> None:
        warn_left_out(run.path, "HLS", run.segmenter.begin(self._tracks))
        if self._unix_at_zero_s is not None:
            run.segmenter.set_clock(self._unix_at_zero_s)
        self._run = run
        for frame in self._cached:
            self.push(frame)
        if not self._cached:
            self._limit.keyframes.request()
        self._cached = ()

    def push(self, frame: Frame) -> None:
        if self._run is not None:
            self._run.take(self._run.segmenter.push(frame))

    def set_clock(self, unix_at_zero_s: float) -> None:
        self._unix_at_zero_s = unix_at_zero_s
        if self._run is not None:
            self._run.segmenter.set_clock(unix_at_zero_s)

    def handle_timer(self, *, now_s: float, unix_s: float) -> None:
        """Nothing is due."""

    def end(self) -> None:
        """The run is told by the stream."""

    def close(self) -> None:
        self._cached = ()


class HlsRun:
    """The segments of a path from the first request on, as long as players can go on from one to the next.

    Their addresses have a part, `token`, that no other run has: nothing that was kept by anyone between us and the
    players is taken for something else. It cannot be guessed.
    """

    def __init__(self, path: str, options: HlsOptions, folder: HlsFolder | None = None) -> None:
        self.path = path
        self.token = secrets.token_hex(12)
        self.segmenter = Segmenter(options.segments)
        self.asked_s = time.monotonic()  # when somebody last wanted something
        self.away_s: float | None = None  # since when there is no stream
        self.ended_s: float | None = None
        self.waiting: dict[object, Callable[[], None]] = {}  # called soon after each change; they take themselves out
        self._stream: Stream | None = None
        self._folder = folder
        self._overflowed = False
        self._to_tell: deque[object] = deque()  # of those who wait
        self._playlists: dict[bool, bytes] = {}  # as long as nothing has changed

    @property
    def files(self) -> dict[str, File]:
        return self.segmenter.files

    @property
    def over(self) -> bool:
        """Nothing will ever be added."""
        return self.ended_s is not None

    def attach(self, stream: Stream) -> None:
        """Begin with a stream that the segmenter accepts, or go on with it. Raises StreamEnded."""
        packager = stream.watch(self, HlsPackager, self._lose_stream)
        self._stream = stream
        self.away_s = None
        packager.attach(self)

    def take(self, cut: Cut | None) -> None:
        """Something has come to its end."""
        if cut is None:
            return
        self._playlists.clear()
        if cut.overflowed and not self._overflowed:
            self._overflowed = True
            log.warning("%s: no keyframe in the largest HLS segment there may be; it was cut there", self.path)
        if self._folder is not None:
            if cut.segment is not None:
                self._folder.keep(self.path, self.token, cut.segment)
            self._folder.remove(self.path, self.token, cut.removed)
        self._tell()

    def end(self) -> None:
        """Players hear of the end."""
        if self._stream is not None:
            self._stream.unwatch(self)
            self._lose_stream("no longer wanted")
        self.segmenter.ended = True
        self.ended_s = time.monotonic()
        self._playlists.clear()
        self._tell()

    def forget(self) -> None:
        """Nobody will ask again."""
        if not self.over:
            self.end()
        if self._folder is not None:
            self._folder.remove_run(self.path, self.token)

    def playlist(self, *, skip: bool) -> bytes:
        """The media playlist; with `skip`, what is new in it."""
        text = self._playlists.get(skip)
        if text is None:
            text = self._playlists[skip] = self.segmenter.playlist(skip=skip)
        return text

    def multivariant(self, uri: str) -> bytes:
        return multivariant_playlist(self.segmenter.variant(uri))

    def _lose_stream(self, _reason: str) -> None:
        self._stream = None
        self.away_s = time.monotonic()
        self.take(self.segmenter.end_stream())

    def _tell(self) -> None:
        scheduled = bool(self._to_tell)
        self._to_tell = deque(self.waiting)
        if self._to_tell and not scheduled:
            asyncio.get_running_loop().call_soon(self._tell_some)

    def _tell_some(self) -> None:
        """A few at a time: a thousand answers in a row would hold up the frames of others."""
        for _ in range(min(TOLD_AT_ONCE, len(self._to_tell))):
            callback = self.waiting.get(self._to_tell.popleft())
            if callback is not None:
                callback()
        if self._to_tell:
            asyncio.get_running_loop().call_soon(self._tell_some)
