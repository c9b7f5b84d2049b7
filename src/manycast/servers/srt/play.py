"""Streams and files that are played over SRT."""

from __future__ import annotations

from collections.abc import Callable

from manycast.errors import ManycastError
from manycast.hub.stored_player import StoredPlayer
from manycast.hub.stream import Stream, StreamEnded
from manycast.hub.ts_packager import TsLayout, TsPackager
from manycast.libsrt.library import SrtLibrary
from manycast.servers.srt.viewer import SrtViewer

COMPLETE_TIMEOUT_S = 3.0  # for parameter sets that a publisher sends in band only


class NotPlayable(ManycastError):
    """The stream has nothing that a transport stream can carry, or has just ended."""


class Play:
    """One viewer of one live stream, or of the stream a file is played into."""

    def __init__(
        self,
        library: SrtLibrary,
        sock: int,
        stream: Stream,
        layout: TsLayout,
        *,
        player: StoredPlayer | None = None,
        on_end: Callable[[str], None],
        on_broken: Callable[[], None],
    ) -> None:
        """Raises NotPlayable. `on_end` is called when the stream ends, `on_broken` when the connection does."""
        self._stream = stream
        self._layout = layout
        self._player = player
        self._joined = False
        try:
            self._packager = stream.watch(self, TsPackager, on_end)
        except StreamEnded as error:
            raise NotPlayable(f"{stream.path} has just ended: {error}") from error
        if not self._packager.muxer.usable:
            stream.unwatch(self)
            names = ", ".join(track.codec_name for track in stream.tracks)
            raise NotPlayable(f"{stream.path} has nothing that SRT can carry, only {names}")
        self.viewer = SrtViewer(library, sock, self._packager.limit, on_broken)

    def begin(self) -> None:
        """Send, from the latest keyframe on."""
        self._joined = True
        self._packager.join(self.viewer, self._layout)
        if self._player is not None:
            self._player.play()

    def close(self) -> None:
        if self._player is not None:
            self._player.close()
        if self._joined:
            self._joined = False
            self._packager.leave(self.viewer, self._layout)
        self._stream.unwatch(self)
