"""A source with some of its tracks transcoded."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from manycast.hub.keyframes import KeyframeRequests
from manycast.hub.output import Output
from manycast.hub.source import FrameSink, Source, SourceError, keyframe_request_of
from manycast.media.frame import Frame
from manycast.media.normalise import normalise
from manycast.media.track import MediaKind, Track
from manycast.sources.encoding.engines import SOFTWARE, Engines
from manycast.sources.outlet import Outlet
from manycast.sources.transcoding.overload import Overload, Treatment
from manycast.sources.transcoding.plan import compromises, described, needed

if TYPE_CHECKING:
    from manycast.sources.transcoding.transcoder import Transcoder

COMPLETE_TIMEOUT_S = 5.0  # for tracks that tell only in band what they are
MAX_WAITING_S = 15.0  # a long group of pictures at once, when somebody joins; beyond it, frames are dropped
TAKE_TIMEOUT_S = 0.2
MAX_WAITING_FRAMES = 3000

log = logging.getLogger(__name__)


class TranscodedSource:
    """Runs another source and passes on what it gives, with the tracks that differ from an output transcoded.

    The work has a thread of its own. Where it cannot keep up, pictures are left out before they are encoded.
    """

    def __init__(self, source: Source, output: Output, name: str, engines: Engines = SOFTWARE) -> None:
        self._source = source
        self._output = output
        self._name = name
        self._engines = engines
        self._keyframes = KeyframeRequests()  # to the other source
        self._transcoder: Transcoder | None = None  # while it runs

    async def run(self, publish: Callable[[Sequence[Track]], FrameSink]) -> None:
        intake = _Intake(self._keyframes)

        def begin(tracks: Sequence[Track]) -> FrameSink:
            self._keyframes.on_request = keyframe_request_of(self._source)
            return intake.begin(tracks)

        inner = asyncio.create_task(self._run_inner(intake, begin), name=f"source of {self._name}")
        try:
            await Outlet(publish).run(lambda outlet: self._work(intake, outlet), f"transcoding {self._name}")
        finally:
            self._keyframes.close()
            inner.cancel()
            await asyncio.gather(inner, return_exceptions=True)

    @property
    def makes_keyframes(self) -> bool:
        return self._keyframes.possible or (self._transcoder is not None and self._transcoder.encodes_pictures)

    def request_keyframe(self) -> None:
        """Where pictures are encoded here, the other source is left in peace."""
        if self._transcoder is not None and self._transcoder.encodes_pictures:
            self._transcoder.force_keyframe()
        else:
            self._keyframes.request()

    async def _run_inner(self, intake: _Intake, begin: Callable[[Sequence[Track]], FrameSink]) -> None:
        try:
            await self._source.run(begin)
            intake.end(None)
        except SourceError as error:
            intake.end(error)
        except Exception as error:
            log.exception("%s failed", self._name)
            intake.end(SourceError(str(error)))

    def _work(self, intake: _Intake, outlet: Outlet) -> None:
        tracks = intake.wait_begun(outlet.stop)
        if tracks is None:
            return
        from manycast.sources.transcoding.transcoder import Transcoder

        wanted = needed(tracks, self._output)
        changes = [
            described(track, output)
            for track, output in zip(tracks, wanted, strict=True)
            if output is not None and output.codec is not None
        ]
        if changes:
            log.info("%s: transcoding %s", self._name, ", ".join(changes))
        for said in compromises(tracks, wanted):
            log.info("%s: %s", self._name, said)
        transcoder = self._transcoder = Transcoder(tracks, wanted, self._name, self._engines)
        outlet.begin(transcoder.tracks)
        overload = Overload(self._name)
        try:
            self._transcode(intake, outlet, transcoder, overload)
        finally:
            left_out = overload.left_out + intake.dropped
            if left_out:
                log.info("%s: %d frames were left out, transcoding could not keep up", self._name, left_out)

    def _transcode(self, intake: _Intake, outlet: Outlet, transcoder: Transcoder, overload: Overload) -> None:
        while not outlet.stop.is_set():
            arrived = intake.take()
            if arrived is None:
                continue
            frame = arrived.frame
            treatment = Treatment.ENCODE
            if transcoder.converts_pictures(frame.track_index):
                waited_s = time.monotonic() - arrived.at_s
                treatment = overload.judge(keyframe=frame.keyframe, behind_s=arrived.behind_s, waited_s=waited_s)
            if treatment is not Treatment.DROP:
                outlet.give(transcoder.push(frame, encode=treatment is Treatment.ENCODE))
                if transcoder.lacks_keyframe(frame.track_index):
                    outlet.post(self._keyframes.request)


@dataclass(slots=True)
class _Arrived:
    frame: Frame
    time_s: float  # on the stream's timeline
    at_s: float  # on the monotonic clock
    behind_s: float = 0.0  # how much of the stream waits behind it


class _Intake:
    """What has come and waits for the thread. `begin`, `push` and `end` are for the event loop."""

    def __init__(self, keyframes: KeyframeRequests) -> None:
        self._keyframes = keyframes
        self._tracks: list[Track] = []
        self._waiting: deque[_Arrived] = deque()
        self._changed = threading.Condition()
        self._ended = False
        self._error: SourceError | None = None
        self._dropping = False
        self.dropped = 0

    def begin(self, tracks: Sequence[Track]) -> _Intake:
        with self._changed:
            self._tracks = list(tracks)
            self._changed.notify()
        return self

    def push(self, frame: Frame) -> None:
        index = frame.track_index
        track = normalise(frame, self._tracks[index])
        if frame.keyframe and track.kind is MediaKind.VIDEO:
            self._keyframes.came()
        with self._changed:
            self._tracks[index] = track
            if not frame.units:
                return
            if self._overflows(frame, track):
                self.dropped += 1
                return
            self._waiting.append(_Arrived(frame, frame.dts_ticks / track.clock_rate_hz, time.monotonic()))
            self._changed.notify()

    def end(self, error: SourceError | None) -> None:
        with self._changed:
            self._ended, self._error = True, error
            self._changed.notify()

    def wait_begun(self, stop: threading.Event) -> tuple[Track, ...] | None:
        """The tracks, when they are known as well as can be; None when it is to stop. Raises SourceError."""
        deadline_s = None
        while not stop.is_set():
            with self._changed:
                self._raise_error()
                if self._tracks:
                    deadline_s = deadline_s or time.monotonic() + COMPLETE_TIMEOUT_S
                    if all(track.parameters.complete for track in self._tracks) or time.monotonic() > deadline_s:
                        return tuple(self._tracks)
                self._changed.wait(TAKE_TIMEOUT_S)
        return None

    def take(self) -> _Arrived | None:
        """The next frame; None when there is none in time. Raises SourceError at the end."""
        with self._changed:
            if not self._waiting:
                self._raise_error()
                self._changed.wait(TAKE_TIMEOUT_S)
                if not self._waiting:
                    return None
            arrived = self._waiting.popleft()
            if self._waiting:
                arrived.behind_s = self._waiting[-1].time_s - arrived.time_s
            return arrived

    def _overflows(self, frame: Frame, track: Track) -> bool:
        """Whether the frame is dropped, as all are up to a keyframe once too much waits."""
        if self._waiting and not self._dropping:
            ahead_s = frame.dts_ticks / track.clock_rate_hz - self._waiting[0].time_s
            self._dropping = ahead_s > MAX_WAITING_S or len(self._waiting) >= MAX_WAITING_FRAMES
            if self._dropping:
                log.warning("transcoding is %.1f s behind, frames are dropped", ahead_s)
        if self._dropping and (not self._waiting or len(self._waiting) < MAX_WAITING_FRAMES // 4):
            self._dropping = not frame.keyframe or track.kind is not self._tracks[0].kind
        return self._dropping

    def _raise_error(self) -> None:
        if self._ended:
            raise self._error or SourceError("the source has ended")
