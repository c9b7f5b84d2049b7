"""What a session plays: the interface, and live streams; files are in file_target.py."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from manycast.hub.conversions import is_carried
from manycast.hub.fanout import BacklogLimit
from manycast.hub.pace import NORMAL_PACE, Pace
from manycast.hub.rtp_packager import RtpPackager, TrackStart
from manycast.hub.stream import Stream
from manycast.media.track import Track
from manycast.wire.rtp.formats import CARRIED
from manycast.wire.rtp.sender import RtpTrackSender
from manycast.wire.rtsp.headers import NptRange, Range

# The pair of a viewer and the layout it was made with; the transport knows that they match.
Viewer = Any
Layout = Any


@dataclass(frozen=True, slots=True)
class PlayInfo:
    """What the reply to PLAY says."""

    range: str
    starts: Sequence[TrackStart]
    pace: Pace = NORMAL_PACE


class Target(Protocol):
    tracks: tuple[Track, ...]
    senders: list[RtpTrackSender]
    limit: BacklogLimit

    async def prepare(
        self,
        viewer: Viewer,
        layout: Layout,
        wanted: Range | None,
        *,
        scale: float | None = None,
        speed: float | None = None,
    ) -> PlayInfo:
        """Get ready to play from where `wanted` says, at the nearest pace there is.

        Raises InvalidRange, SourceError.
        """

    def begin(self) -> None:
        """Send, from the place prepared."""

    def pause(self) -> None: ...

    def pause_at(self, wanted: Range) -> float | None:
        """Pause when the start of a range is reached, and return that (in s); None where it is to be done at once.

        Raises InvalidRange for a time that is not ahead.
        """

    def position_s(self) -> float | None:
        """Where a file stands; None for what is live."""

    def request_keyframe(self) -> None:
        """A viewer cannot go on without one: have it made, where pictures are made while they are watched."""

    def close(self, *, say_goodbye: bool) -> None: ...


class JoinableTarget(Target, Protocol):
    def playing(self) -> PlayInfo:
        """What to say to who joins in while it plays."""


class LiveTarget:
    def __init__(self, stream: Stream, on_end: Callable[[str], None]) -> None:
        """Raises StreamEnded."""
        self.tracks = stream.tracks
        self._stream = stream
        self._on_end = on_end
        self._packager = stream.watch(self, RtpPackager, on_end, self._check)
        self.senders = self._packager.senders
        self.limit = self._packager.limit
        self._playing: tuple[Viewer, Layout] | None = None
        self._next: tuple[Viewer, Layout] | None = None

    async def prepare(
        self,
        viewer: Viewer,
        layout: Layout,
        wanted: Range | None,
        *,
        scale: float | None = None,
        speed: float | None = None,
    ) -> PlayInfo:
        """Live is live: a start or a pace that was asked for is passed over, and the answer says "now"."""
        self._next = (viewer, layout)
        unix_s = time.time()
        starts = [self._packager.start_of(index, unix_s=unix_s) for index in range(len(self.senders))]
        return PlayInfo(NptRange(now=True).serialize(), starts)

    def playing(self) -> PlayInfo:
        unix_s = time.time()
        starts = [self._packager.edge_of(index, unix_s=unix_s) for index in range(len(self.senders))]
        return PlayInfo(NptRange(now=True).serialize(), starts)

    def begin(self) -> None:
        if self._next is None or self._playing is not None or self._stream.ended is not None:
            return
        self._playing = self._next
        viewer, layout = self._playing
        self._packager.join(viewer, layout, unix_s=time.time())

    def pause(self) -> None:
        if self._playing is not None:
            viewer, layout = self._playing
            self._packager.leave(viewer, layout)
            viewer.clear()
            self._playing = None

    def pause_at(self, wanted: Range) -> float | None:
        return None

    def position_s(self) -> float | None:
        return None

    def request_keyframe(self) -> None:
        self._stream.keyframes.request()

    def close(self, *, say_goodbye: bool) -> None:
        if say_goodbye:
            self.say_goodbye()
        self.pause()
        self._stream.unwatch(self)

    def _check(self, track: Track) -> None:
        """End where nothing more would come; who comes back has the pictures converted."""
        if not is_carried(track, CARRIED):
            self._on_end("its pictures have become such that RTP cannot carry")

    def say_goodbye(self) -> None:
        """The packager itself says it when the stream ends, so only a viewer's own end is left to tell."""
        if self._playing is not None and self._stream.ended is None:
            viewer, layout = self._playing
            for index, sender in enumerate(self.senders):
                chunk = layout.report(index, sender.goodbye())
                if chunk is not None:
                    viewer.control(chunk)
