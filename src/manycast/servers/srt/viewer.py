"""Writing to SRT connections."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from manycast.hub.counters import ViewerCounters
from manycast.hub.fanout import BacklogLimit
from manycast.hub.ts_packager import Payloads
from manycast.libsrt.library import ERROR, NO_ROOM, Option, SrtLibrary

BURST_FACTOR = 10  # what a viewer gets first goes at a multiple of the stream's rate
MIN_BURST_BYTES_PER_S = 5_000_000
FEW_WAITING = 1000  # datagrams, of the 8192 that libsrt keeps


class SrtViewer:
    """One stream's viewer behind an SRT socket. What waits for it waits in libsrt, which drops what is too late."""

    __slots__ = ("_library", "_limit", "_null", "_on_broken", "_send", "_skipping", "_sock", "counters")

    def __init__(self, library: SrtLibrary, sock: int, limit: BacklogLimit, on_broken: Callable[[], None]) -> None:
        """`on_broken` is called from within a fan-out when the connection is gone."""
        self.counters = ViewerCounters()
        self._library = library
        self._sock = sock
        self._limit = limit
        self._on_broken = on_broken
        self._send = library.lib.srt_sendmsg2  # bound once: it is called for every viewer and datagram
        self._null = library.ffi.NULL
        self._skipping = False

    def begin(self, chunks: Sequence[Payloads], *, wait_for_keyframe: bool) -> None:
        for chunk in chunks:
            self.offer(chunk, True)
            if self._skipping:
                return  # more than libsrt keeps: with the next keyframe
        self._skipping = wait_for_keyframe

    def offer(self, chunk: Payloads, joinable: bool) -> None:
        counters = self.counters
        if self._skipping:
            if not joinable:
                counters.dropped_frames += 1
                if self._library.unacknowledged(self._sock) < FEW_WAITING:  # before, a keyframe would not get through
                    self._limit.keyframes.request()
                return
            self._skipping = False
        send, sock, null = self._send, self._sock, self._null
        for part in chunk.parts:
            if send(sock, part, len(part), null) == ERROR:
                self._failed()
                return
        counters.sent_frames += 1
        counters.sent_bytes += chunk.size_bytes

    def control(self, chunk: Payloads) -> None:
        self.offer(chunk, False)

    def clear(self) -> None:
        """What libsrt has is sent."""

    def pace(self) -> None:
        """Keep the burst of the beginning below what would flood a line."""
        rate = max(MIN_BURST_BYTES_PER_S, int(BURST_FACTOR * self._limit.bytes_per_s))
        self._library.set_option(self._sock, Option.MAXBW, rate)

    def _failed(self) -> None:
        """No room any more: nothing until the next keyframe; or no connection."""
        if self._library.lib.srt_getlasterror(self._null) != NO_ROOM:
            self._on_broken()
            return
        self.counters.dropped_frames += 1
        if not self._skipping:
            self.counters.drop_episodes += 1
            self._skipping = True
