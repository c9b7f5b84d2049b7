"""Streams and files that are played by RTMP."""

from __future__ import annotations

import time
from collections.abc import Callable

from manycast.errors import ManycastError
from manycast.hub.flv_packager import FlvPackager, OldHevcFlvPackager
from manycast.hub.stored_player import StoredPlayer
from manycast.hub.stream import Stream, StreamEnded
from manycast.hub.tcp_viewer import TcpOutbox, TcpViewer
from manycast.servers.rtmp.layout import RtmpLayout

MAX_POSITION_MS = 1e12
COMPLETE_TIMEOUT_S = 3.0  # for parameter sets that a publisher sends in band only


class NotPlayable(ManycastError):
    """The stream has nothing that RTMP can carry, or has just ended."""


class Play:
    """One viewer of one live stream, or of the stream a file is played into."""

    def __init__(
        self, stream: Stream, outbox: TcpOutbox, stream_id: int, *, old_hevc: bool, on_end: Callable[[str], None]
    ) -> None:
        """Raises NotPlayable. `on_end` is called when the stream ends."""
        self._stream = stream
        self._layout = RtmpLayout(stream_id)
        self._joined = False
        self._opened_s = time.monotonic()
        try:
            self._packager = stream.watch(self, OldHevcFlvPackager if old_hevc else FlvPackager, on_end)
        except StreamEnded as error:
            raise NotPlayable(f"{stream.path} has just ended: {error}") from error
        if not self._packager.muxer.usable:
            stream.unwatch(self)
            names = ", ".join(track.codec_name for track in stream.tracks)
            raise NotPlayable(f"{stream.path} has nothing that RTMP can carry, only {names}")
        self.viewer = TcpViewer(outbox, self._packager.limit)

    def begin(self) -> None:
        """Send, from the latest keyframe on."""
        if not self._joined and self._stream.ended is None:
            self._joined = True
            self._packager.join(self.viewer, self._layout)

    def pause(self) -> None:
        if self._joined:
            self._joined = False
            self._packager.leave(self.viewer, self._layout)
            self.viewer.clear()

    def close(self) -> None:
        self.pause()
        self._stream.unwatch(self)

    def __str__(self) -> str:
        return f"{time.monotonic() - self._opened_s:.1f} s, {self.viewer.counters}"


class FilePlay:
    """One viewer of one file, in the same way, with pause and seek."""

    def __init__(
        self,
        player: StoredPlayer,
        outbox: TcpOutbox,
        stream_id: int,
        *,
        old_hevc: bool,
        on_end: Callable[[str], None],
    ) -> None:
        """Raises NotPlayable."""
        self._player = player
        self._outbox = outbox
        self._stream_id = stream_id
        self._old_hevc = old_hevc
        self._on_end = on_end
        self.paused = False
        self._play = self._make_play()

    def begin(self) -> None:
        self.paused = False
        self._play.begin()
        self._player.play()

    def pause(self) -> None:
        self.paused = True
        self._player.pause()

    async def seek(self, position_ms: float) -> int:
        """Go to the keyframe at or before a position, and wait there; return where that is, in ms.

        Raises SourceError.
        """
        position_us = await self._player.seek(max(0, int(min(position_ms, MAX_POSITION_MS) * 1000)))
        self._play.close()
        self._play = self._make_play()
        return position_us // 1000

    def stop_at(self, position_ms: float) -> None:
        """End there, before the file does."""
        self._player.stop_us = int(min(position_ms, MAX_POSITION_MS) * 1000)

    def close(self) -> None:
        self._player.close()
        self._play.close()

    def __str__(self) -> str:
        return str(self._play)

    def _make_play(self) -> Play:
        return Play(self._player.stream, self._outbox, self._stream_id, old_hevc=self._old_hevc, on_end=self._on_end)
