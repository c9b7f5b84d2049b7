"""Writing to TCP connections: one owner per connection, one viewer per stream that is sent through it."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from itertools import islice

from manycast.hub.counters import ViewerCounters
from manycast.hub.fanout import BacklogLimit
from manycast.hub.pipe import Pipe

MAX_CONTROL_BACKLOG_BYTES = 1024 * 1024  # replies to a client that asks and never reads
MAX_VECTORS = 64  # buffers per writev; the kernel's own limit is 1024


class TcpOutbox:
    """The one writer of one TCP connection. What the kernel does not take at once waits here, in order."""

    __slots__ = (
        "_broken",
        "_control_bytes",
        "_loop",
        "_on_broken",
        "_pipe",
        "_queue",
        "_stuck_since_s",
        "_waits_for_room",
        "backlog_bytes",
        "send",
    )

    def __init__(
        self,
        pipe: Pipe,
        loop: asyncio.AbstractEventLoop,
        on_broken: Callable[[str], None],
    ) -> None:
        """`on_broken` is called once, from the loop, with the reason, when the pipe takes no more."""
        self._pipe = pipe
        self._loop = loop
        self._on_broken = on_broken
        self._queue: deque[tuple[memoryview | bytes, TcpViewer | None]] = deque()
        self._control_bytes = 0  # of the backlog
        self._stuck_since_s: float | None = None  # when bytes last moved, while the kernel has no room
        self._waits_for_room = False
        self._broken = False
        self.backlog_bytes = 0
        self.send = pipe.send  # bound once: it is called for every viewer and frame

    @property
    def broken(self) -> bool:
        return self._broken

    @property
    def has_room(self) -> bool:
        """Nothing waits, and the kernel took all that it was given last."""
        return not self._waits_for_room

    def write(self, data: bytes) -> None:
        """Send what must not be lost: replies and control packets."""
        if self._broken or not data:
            return
        sent = 0
        if not self._queue:
            try:
                sent = self.send(data)
            except BlockingIOError:
                pass
            except OSError as error:
                self.fail(error.strerror or str(error))
                return
        if sent < len(data):
            self.keep(data, sent, None)
            if self._control_bytes > MAX_CONTROL_BACKLOG_BYTES:
                self.fail("asks and does not read the replies")

    def keep(self, data: bytes, sent: int, viewer: TcpViewer | None) -> None:
        """Put the rest of a chunk, of which `sent` bytes have gone, at the end of the backlog."""
        if sent or self._stuck_since_s is None:
            self._stuck_since_s = time.monotonic()
        if not self._waits_for_room:
            self._waits_for_room = True
            self._pipe.when_writable(self._flush)
        self._queue.append((memoryview(data)[sent:] if sent else data, viewer))
        self.backlog_bytes += len(data) - sent
        if viewer is None:
            self._control_bytes += len(data) - sent

    def discard(self, viewer: TcpViewer) -> int:
        """Take a viewer's waiting frames out, but for one that is already half sent; return how many went."""
        kept: deque[tuple[memoryview | bytes, TcpViewer | None]] = deque()
        for position, (data, owner) in enumerate(self._queue):
            begun = position == 0 and isinstance(data, memoryview)
            if owner is not viewer or begun:
                kept.append((data, owner))
        dropped = len(self._queue) - len(kept)
        self._queue = kept
        self.backlog_bytes = sum(len(data) for data, _ in kept)
        return dropped  # no byte has moved: the clock of a stuck reader goes on

    def stuck_s(self, now_s: float) -> float:
        """For how long something has been waiting and nothing has moved."""
        return 0.0 if self._stuck_since_s is None else now_s - self._stuck_since_s

    def fail(self, reason: str) -> None:
        """Give the connection up; the owner hears of it from the loop, not from within a fan-out."""
        if self._broken:
            return
        self._broken = True
        self._forget()
        self._loop.call_soon(self._on_broken, reason)

    def close(self) -> None:
        """Forget what waits and leave the pipe alone; closing it is its owner's."""
        self._broken = True
        self._forget()

    def _forget(self) -> None:
        self._queue.clear()
        self.backlog_bytes = self._control_bytes = 0
        self._drained()

    def _drained(self) -> None:
        self._stuck_since_s = None
        if self._waits_for_room:
            self._waits_for_room = False
            self._pipe.when_writable(None)

    def _flush(self) -> None:
        """The kernel has room again."""
        while self._queue:
            vectors = [data for data, _ in islice(self._queue, MAX_VECTORS)]
            try:
                sent = self._pipe.sendmsg(vectors)
            except BlockingIOError:
                return
            except OSError as error:
                self.fail(error.strerror or str(error))
                return
            self._stuck_since_s = time.monotonic()
            if not self._consume(sent):
                return
        self._drained()

    def _consume(self, sent: int) -> bool:
        """Take sent bytes off the front; False when a chunk was left half sent."""
        self.backlog_bytes -= sent
        while sent:
            data, owner = self._queue[0]
            taken = min(sent, len(data))
            sent -= taken
            if owner is None:
                self._control_bytes -= taken
            if taken < len(data):
                self._queue[0] = (memoryview(data)[taken:], owner)
                return False
            self._queue.popleft()
        return True


class TcpViewer:
    """One stream's viewer behind a TCP socket, which it may share with replies and other streams."""

    __slots__ = ("_allowance_bytes", "_limit", "_outbox", "_send", "_skipping", "counters")

    def __init__(self, outbox: TcpOutbox, limit: BacklogLimit) -> None:
        self.counters = ViewerCounters()
        self._outbox = outbox
        self._limit = limit
        self._send = outbox.send
        self._skipping = False
        self._allowance_bytes = 0  # the first burst may be larger than the limit, until it has gone

    @property
    def backlog_bytes(self) -> int:
        return self._outbox.backlog_bytes

    def begin(self, chunks: Sequence[bytes], *, wait_for_keyframe: bool) -> None:
        data = b"".join(chunks)
        if data:
            self.offer(data, True)
            self.counters.sent_frames += len(chunks) - 1
            self._allowance_bytes = len(data)
        self._skipping = wait_for_keyframe

    def offer(self, chunk: bytes, joinable: bool) -> None:
        if self._skipping:
            if not joinable or self._outbox.backlog_bytes > self._limit.size_bytes:
                self.counters.dropped_frames += 1
                if self._outbox.has_room:  # before, a keyframe would only be dropped as well
                    self._limit.keyframes.request()
                return
            self._skipping = False
        outbox = self._outbox
        size = len(chunk)
        if outbox.backlog_bytes:
            if not self._room_for(size, joinable):
                return
            outbox.keep(chunk, 0, self)
        else:
            self._allowance_bytes = 0
            try:
                sent = self._send(chunk)
            except BlockingIOError:
                sent = 0
            except OSError as error:
                outbox.fail(error.strerror or str(error))
                return
            if sent != size:
                outbox.keep(chunk, sent, self)
        counters = self.counters
        counters.sent_frames += 1
        counters.sent_bytes += size

    def offer_together(self, chunks: Sequence[bytes], frames: int) -> None:
        """Send so many frames of a file with one call."""
        self.offer(chunks[0] if len(chunks) == 1 else b"".join(chunks), True)
        self.counters.sent_frames += frames - 1

    def control(self, chunk: bytes) -> None:
        self._outbox.write(chunk)

    def clear(self) -> None:
        self._outbox.discard(self)

    def _room_for(self, size: int, joinable: bool) -> bool:
        """Make room in a backlog that has outgrown its limit: drop what waits, and all up to the next keyframe."""
        if self._outbox.backlog_bytes + size <= self._limit.size_bytes + self._allowance_bytes:
            return True
        self._allowance_bytes = 0
        dropped = self._outbox.discard(self)
        self.counters.dropped_frames += dropped
        self.counters.sent_frames -= dropped
        self.counters.drop_episodes += 1
        if joinable:
            return True
        self.counters.dropped_frames += 1
        self._skipping = True
        return False
