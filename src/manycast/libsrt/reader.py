"""Reading from SRT connections."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from manycast.libsrt.library import ERROR, MAX_PAYLOAD_BYTES, NOTHING_THERE, SrtLibrary

MAX_READS = 256  # of datagrams in a row, before others have their turn
UNSEEN_DATAGRAMS = 3  # from so many lost in a row on, a transport stream's own counters may not show it


class Reader:
    """Hands on what comes, in order, and says where so much is missing that nothing else would show it."""

    def __init__(
        self,
        library: SrtLibrary,
        sock: int,
        *,
        on_data: Callable[[bytes], None],
        on_gap: Callable[[], None],
        on_end: Callable[[], None],
    ) -> None:
        """`on_end` is called once when there is no connection any more, but not after `close`."""
        self._library = library
        self._sock = sock
        self._on_data = on_data
        self._on_gap = on_gap
        self._on_end = on_end
        self._loop = asyncio.get_running_loop()
        self._expected: int | None = None  # the number of the next datagram
        self._closed = False

    def close(self) -> None:
        """Hand on nothing more."""
        self._closed = True

    def read(self) -> None:
        """Read until there is nothing: only then is told when there is more."""
        if self._closed:
            return
        library = self._library
        receive, buffer = library.lib.srt_recvmsg2, library.ffi.buffer
        message, control = library.message, library.control
        parts: list[bytes] = []
        for _ in range(MAX_READS):
            size = receive(self._sock, message, MAX_PAYLOAD_BYTES, control)
            if size == ERROR:
                code = library.lib.srt_getlasterror(library.ffi.NULL)
                self._hand_on(parts)
                if code != NOTHING_THERE:
                    self._end()
                return
            sequence = control.pktseq
            if self._expected is not None and (sequence - self._expected) & 0x7FFF_FFFF >= UNSEEN_DATAGRAMS:
                self._hand_on(parts)
                parts = []
                self._on_gap()
            self._expected = sequence + 1 & 0x7FFF_FFFF
            parts.append(buffer(message, size)[:])
        self._hand_on(parts)
        self._loop.call_soon(self.read)

    def _hand_on(self, parts: list[bytes]) -> None:
        if parts and not self._closed:
            self._on_data(b"".join(parts))

    def _end(self) -> None:
        if not self._closed:
            self._closed = True
            self._on_end()
