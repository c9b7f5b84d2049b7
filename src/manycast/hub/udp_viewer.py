"""Writing to UDP sockets: a frame's packets in one system call where the kernel can cut them itself."""

from __future__ import annotations

import asyncio
import errno
import socket
import struct
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

from manycast.hub.counters import ViewerCounters
from manycast.hub.fanout import BacklogLimit

SEGMENT_BYTES = 1400  # every datagram of a run but the last one has this size
MAX_RUN_SEGMENTS = 46  # the kernel takes at most 64 segments and 65,507 bytes per call
PACE_BYTES = 32 * 1024  # a quarter of what a receiver's default socket buffer (208 KiB with overhead) takes
PACE_INTERVAL_S = (
    0.005  # with PACE_BYTES: bursts go at 52 Mbit/s, or at a multiple of the stream's rate if that is more
)
PACE_FACTOR = 3  # times the rate of the stream
SOL_UDP = 17
UDP_SEGMENT = 103  # linux/udp.h, since 4.18

_UNSEGMENTED = ((SOL_UDP, UDP_SEGMENT, struct.pack("=H", 0)),)  # ancillary data: for one call no segments
_NO_SEGMENTATION = frozenset({errno.EINVAL, errno.EMSGSIZE, errno.EIO, errno.ENOPROTOOPT})


class Datagrams(NamedTuple):
    """One frame's (or report's) datagrams for one socket of a viewer, as runs."""

    slot: int  # which socket: 2 * track for RTP, 2 * track + 1 for RTCP
    runs: tuple[bytes, ...]  # each a row of datagrams of SEGMENT_BYTES, the last one may be shorter; or LongPackets


class LongPacket(bytes):
    """A datagram over SEGMENT_BYTES, which is no run: nothing but the network may cut it."""

    __slots__ = ()


def runs_of(packets: Sequence[bytes], segment_bytes: int = SEGMENT_BYTES) -> tuple[bytes, ...]:
    """Join packets into as few runs as can be; those over `segment_bytes` stay by themselves."""
    runs: list[bytes] = []
    run: list[bytes] = []
    for packet in packets:
        if len(packet) > segment_bytes:
            if run:
                runs.append(b"".join(run))
                run = []
            runs.append(LongPacket(packet))
            continue
        run.append(packet)
        if len(packet) != segment_bytes or len(run) == MAX_RUN_SEGMENTS:
            runs.append(b"".join(run))
            run = []
    if run:
        runs.append(b"".join(run))
    return tuple(runs)


class Sender(Protocol):
    def send(self, run: bytes, /) -> object:
        """Send a row of datagrams (see `Datagrams`)."""


class RunSender:
    """Sends runs through one connected UDP socket."""

    __slots__ = ("_segment_bytes", "_sock", "send")

    def __init__(self, sock: socket.socket, *, segmentation: bool = True, segment_bytes: int = SEGMENT_BYTES) -> None:
        """Without `segmentation`, or where the kernel has none, each datagram costs a call."""
        self._sock = sock
        self._segment_bytes = segment_bytes
        self.send: Callable[[bytes], object] = self._send_each
        if segmentation:
            try:
                sock.setsockopt(SOL_UDP, UDP_SEGMENT, segment_bytes)
            except OSError:
                return
            self.send = self._send_run

    def _send_run(self, run: bytes) -> None:
        if isinstance(run, LongPacket):
            self._sock.sendmsg((run,), _UNSEGMENTED)
            return
        try:
            self._sock.send(run)
        except OSError as error:
            if error.errno not in _NO_SEGMENTATION:
                raise
            # The route's MTU is too small for a segment, or its device cannot do it: cut the run ourselves.
            self._sock.setsockopt(SOL_UDP, UDP_SEGMENT, 0)
            self.send = self._send_each
            self._send_each(run)

    def _send_each(self, run: bytes) -> None:
        if isinstance(run, LongPacket):
            self._sock.send(run)
            return
        for start in range(0, len(run), self._segment_bytes):
            self._sock.send(run[start : start + self._segment_bytes])


class UdpViewer:
    """One stream's viewer behind UDP sockets.

    Bursts (the first pictures, large keyframes) are paced, so that a receiver's socket buffer does not overflow.
    """

    __slots__ = (
        "_allowance_bytes",
        "_head_runs_sent",
        "_limit",
        "_loop",
        "_queue",
        "_senders",
        "_skipping",
        "_timer",
        "backlog_bytes",
        "counters",
        "on_refused",
    )

    def __init__(
        self,
        senders: Mapping[int, Sender],
        limit: BacklogLimit,
        loop: asyncio.AbstractEventLoop,
        on_refused: Callable[[], None],
    ) -> None:
        """`senders` by slot; `on_refused` is called from the loop when the viewer's host says nobody listens."""
        self.counters = ViewerCounters()
        self.on_refused = on_refused
        self.backlog_bytes = 0
        self._senders = senders
        self._limit = limit
        self._loop = loop
        self._queue: deque[Datagrams] = deque()
        self._head_runs_sent = 0  # pacing may pause in the middle of a frame
        self._skipping = False
        self._allowance_bytes = 0  # what a viewer gets first may be larger than the limit, until it has gone
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, chunks: Sequence[Datagrams], *, wait_for_keyframe: bool) -> None:
        for chunk in chunks:
            self._queue.append(chunk)
            self.backlog_bytes += sum(map(len, chunk.runs))
            self.counters.sent_frames += 1
        self._allowance_bytes = self.backlog_bytes
        self._skipping = wait_for_keyframe
        if self._timer is None:
            self._send_waiting()

    def offer(self, chunk: Datagrams, joinable: bool) -> None:
        if self._skipping:
            if not joinable:
                self.counters.dropped_frames += 1
                self._limit.keyframes.request()
                return
            self._skipping = False
        if self._queue or len(chunk.runs) > 1:
            size = sum(map(len, chunk.runs))
            if self._queue or size > PACE_BYTES:
                self._wait(chunk, size, joinable)
                return
        self.counters.sent_frames += 1
        for run in chunk.runs:
            self._send(chunk.slot, run)

    def offer_together(self, chunks: Sequence[Datagrams], frames: int) -> None:
        """Send so many frames of a file, each a chunk of its own."""
        for chunk in chunks:
            self.offer(chunk, True)

    def control(self, chunk: Datagrams) -> None:
        for run in chunk.runs:
            self._send(chunk.slot, run)

    def clear(self) -> None:
        self._queue.clear()
        self._head_runs_sent = 0
        self._allowance_bytes = 0
        self.backlog_bytes = 0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _send(self, slot: int, run: bytes) -> None:
        """What the kernel has no room for is lost, as on any network; the receiver sees a gap."""
        sender = self._senders.get(slot)
        if sender is None:
            return
        try:
            sender.send(run)
        except ConnectionRefusedError:
            self._loop.call_soon(self.on_refused)
        except OSError:
            self.counters.lost_bytes += len(run)
        else:
            self.counters.sent_bytes += len(run)

    def _wait(self, chunk: Datagrams, size: int, joinable: bool) -> None:
        """Put a frame at the end of what is being paced; over the limit, drop up to the next keyframe."""
        if self._queue and self.backlog_bytes + size > self._limit.size_bytes + self._allowance_bytes:
            self._drop_waiting()
            if not joinable:
                self.counters.dropped_frames += 1
                self._skipping = True
                return
        self._queue.append(chunk)
        self.backlog_bytes += size
        self.counters.sent_frames += 1
        if self._timer is None:
            self._send_waiting()

    def _drop_waiting(self) -> None:
        self.counters.dropped_frames += len(self._queue)
        self.counters.sent_frames -= len(self._queue)
        self.counters.drop_episodes += 1
        self.clear()

    def _send_waiting(self) -> None:
        self._timer = None
        budget = max(PACE_BYTES, int(self._limit.bytes_per_s * PACE_INTERVAL_S * PACE_FACTOR))
        while self._queue and budget > 0:
            slot, runs = self._queue[0]
            run = runs[self._head_runs_sent]
            self._head_runs_sent += 1
            if self._head_runs_sent == len(runs):
                self._queue.popleft()
                self._head_runs_sent = 0
            self.backlog_bytes -= len(run)
            budget -= len(run)
            self._send(slot, run)
        if self._queue:
            self._timer = self._loop.call_later(PACE_INTERVAL_S, self._send_waiting)
        else:
            self._allowance_bytes = 0
