"""libsrt's own epoll joined to the event loop."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Sequence

from manycast.libsrt.library import EPOLL_ENABLE_EMPTY, ERROR, Events, SrtLibrary

MAX_EVENTS = 256
BATCH_S = 0.004  # what becomes ready within it goes to the loop together: the loop is woken 250 times a second at most
LOOK_S = 0.010  # between two looks when nothing is ready; libsrt's own wait looks as often
AT_ONCE, WITHOUT_END = 0, -1

Callback = Callable[[int], None]


class Poller:
    """One thread waits in libsrt and hands what is ready to the loop. Each change of a socket is told once.

    libsrt wakes whoever waits in it for every acknowledgement of every connection, hundreds of times a second for each
    that we send on. Where there are such, the thread looks in between instead of waiting.
    """

    def __init__(self, library: SrtLibrary) -> None:
        self._library = library
        self._loop = asyncio.get_running_loop()
        self._callbacks: dict[int, Callback] = {}
        self.senders = 0  # connections that we send on
        self._epoll = library.check(library.lib.srt_epoll_create(), "making an epoll")
        library.lib.srt_epoll_set(self._epoll, EPOLL_ENABLE_EMPTY)
        self._thread = threading.Thread(target=self._wait, name="SRT", daemon=True)
        self._thread.start()

    def add(self, sock: int, events: int, callback: Callback) -> None:
        """Call, on the loop, whenever one of these has come about. Raises SrtError."""
        self._callbacks[sock] = callback
        wanted = self._library.ffi.new("int*", events | Events.ERR | Events.EDGE)
        result = self._library.lib.srt_epoll_add_usock(self._epoll, sock, wanted)
        self._library.check(result, "waiting for a socket")

    def remove(self, sock: int) -> None:
        if self._callbacks.pop(sock, None) is not None:
            self._library.lib.srt_epoll_remove_usock(self._epoll, sock)

    async def close(self) -> None:
        self._callbacks.clear()
        self._library.lib.srt_epoll_release(self._epoll)  # which ends the wait
        await asyncio.to_thread(self._thread.join)

    def _wait(self) -> None:
        events = self._library.ffi.new("SRT_EPOLL_EVENT[]", MAX_EVENTS)
        wait = self._library.lib.srt_epoll_uwait
        while True:
            count = wait(self._epoll, events, MAX_EVENTS, AT_ONCE if self.senders else WITHOUT_END)
            if count == ERROR:
                return
            if count:
                ready = [(events[index].fd, events[index].events) for index in range(min(count, MAX_EVENTS))]
                try:
                    self._loop.call_soon_threadsafe(self._dispatch, ready)
                except RuntimeError:
                    return  # the loop is closed
            time.sleep(BATCH_S if count else LOOK_S)

    def _dispatch(self, ready: Sequence[tuple[int, int]]) -> None:
        for sock, events in ready:
            callback = self._callbacks.get(sock)
            if callback is not None:
                callback(events)
