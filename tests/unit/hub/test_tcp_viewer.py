"""One socket's writer and the viewers behind it: order, backlog, dropping, the end of who is stuck."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from support.waiting import until

from manycast.hub.fanout import BacklogLimit
from manycast.hub.pipe import SocketPipe
from manycast.hub.tcp_viewer import MAX_CONTROL_BACKLOG_BYTES, TcpOutbox, TcpViewer

LIMIT_BYTES = BacklogLimit.MIN_BYTES


@dataclass
class Wire:
    """An outbox on one end of a socket pair; the test reads the other end."""

    ours: socket.socket
    theirs: socket.socket
    outbox: TcpOutbox
    reasons: list[str] = field(default_factory=list)

    def read(self) -> bytes:
        """All that is there now."""
        data = b""
        try:
            while piece := self.theirs.recv(1 << 20):
                data += piece
        except BlockingIOError:
            pass
        return data

    async def read_all(self, size: int) -> bytes:
        data = bytearray()

        def enough() -> bool:
            data.extend(self.read())
            return len(data) >= size

        await until(enough, f"{size} bytes arrive")
        return bytes(data)


@pytest.fixture
async def wire() -> Iterator[Wire]:  # type: ignore[misc]
    ours, theirs = socket.socketpair()
    for sock in (ours, theirs):
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16 * 1024)
    reasons: list[str] = []
    outbox = TcpOutbox(SocketPipe(ours), asyncio.get_running_loop(), reasons.append)
    yield Wire(ours, theirs, outbox, reasons)
    outbox.close()
    ours.close()
    theirs.close()


def frame(number: int, size: int = 8000) -> bytes:
    """A frame whose every byte tells which one it is."""
    return bytes((number & 0xFF,)) * size


def fill(wire: Wire) -> bytes:
    """Make the kernel's buffer full, behind the outbox's back, so that not one byte more is taken."""
    sent = b""
    for size in (4096, 1):
        try:
            while True:
                sent += b"\xee" * wire.ours.send(b"\xee" * size)
        except BlockingIOError:
            pass
    return sent


async def test_what_the_kernel_takes_goes_at_once(wire: Wire) -> None:
    viewer = TcpViewer(wire.outbox, BacklogLimit())
    viewer.offer(b"abc", True)
    wire.outbox.write(b"def")
    assert wire.read() == b"abcdef"
    assert (viewer.counters.sent_frames, viewer.counters.sent_bytes, viewer.backlog_bytes) == (1, 3, 0)


async def test_what_waits_comes_later_in_order_with_replies_in_between(wire: Wire) -> None:
    viewer = TcpViewer(wire.outbox, BacklogLimit())
    expected = b""
    for number in range(20):
        viewer.offer(frame(number), False)
        wire.outbox.write(b"reply%d" % number)
        expected += frame(number) + b"reply%d" % number
    assert viewer.backlog_bytes > 0
    assert await wire.read_all(len(expected)) == expected
    await until(lambda: viewer.backlog_bytes == 0, "the backlog is empty")
    assert viewer.counters.dropped_frames == 0


async def test_over_the_limit_all_goes_up_to_the_next_keyframe(wire: Wire) -> None:
    viewer = TcpViewer(wire.outbox, BacklogLimit())
    count = 0
    while not viewer.counters.dropped_frames:
        viewer.offer(frame(count), count == 0)
        count += 1
        assert count < 200
    assert viewer.counters.drop_episodes == 1
    assert viewer.counters.sent_frames + viewer.counters.dropped_frames == count
    viewer.offer(frame(count), False)
    assert viewer.counters.sent_frames + viewer.counters.dropped_frames == count + 1, "still no keyframe"
    whole = frame(0) * viewer.counters.sent_frames
    key = frame(0xAA)
    viewer.offer(key, True)
    data = await wire.read_all(len(whole) + len(key))
    assert data.endswith(key)
    assert len(data) % 8000 == 0
    numbers = [data[at] for at in range(0, len(data), 8000)]
    assert all(data[at : at + 8000] == bytes((data[at],)) * 8000 for at in range(0, len(data), 8000)), "whole frames"
    assert numbers[:-1] == list(range(len(numbers) - 1))


async def test_the_backlog_never_outgrows_its_limit(wire: Wire) -> None:
    viewer = TcpViewer(wire.outbox, BacklogLimit())
    for number in range(500):
        viewer.offer(frame(number), number % 10 == 0)
        assert viewer.backlog_bytes <= LIMIT_BYTES + 8000


async def test_a_keyframe_larger_than_the_limit_is_sent_all_the_same(wire: Wire) -> None:
    viewer = TcpViewer(wire.outbox, BacklogLimit())
    viewer.offer(frame(1), True)
    viewer.offer(frame(1), True)
    huge = frame(2, LIMIT_BYTES + 1000)
    viewer.offer(huge, True)
    data = await wire.read_all(len(huge))
    assert huge in data


async def test_the_first_burst_may_be_larger_than_the_limit(wire: Wire) -> None:
    viewer = TcpViewer(wire.outbox, BacklogLimit())
    burst = [frame(number, LIMIT_BYTES // 4) for number in range(6)]
    viewer.begin(burst, wait_for_keyframe=False)
    viewer.offer(frame(99), False)
    assert viewer.counters.dropped_frames == 0
    expected = b"".join(burst) + frame(99)
    assert await wire.read_all(len(expected)) == expected


async def test_without_a_keyframe_at_hand_a_viewer_waits_for_one(wire: Wire) -> None:
    viewer = TcpViewer(wire.outbox, BacklogLimit())
    viewer.begin([b"report"], wait_for_keyframe=True)
    viewer.offer(b"delta", False)
    viewer.offer(b"KEY", True)
    viewer.offer(b"delta2", False)
    assert wire.read() == b"reportKEYdelta2"


async def test_who_waits_for_a_keyframe_asks_for_one_once_there_is_room_for_it(wire: Wire) -> None:
    limit = BacklogLimit()
    asked: list[str] = []
    viewer = TcpViewer(wire.outbox, limit)
    limit.keyframes.on_request = lambda: asked.append("keyframe")
    count = 0
    while not viewer.counters.drop_episodes:
        viewer.offer(frame(count), count == 0)
        count += 1
    viewer.offer(frame(count), False)
    assert not asked, "the client has read nothing yet"
    await wire.read_all(8000 * viewer.counters.sent_frames)
    await until(lambda: wire.outbox.has_room, "the outbox hears that there is room")
    viewer.offer(frame(count), False)
    viewer.offer(frame(count), False)
    assert asked == ["keyframe"]
    viewer.offer(frame(0xAA), True)
    viewer.offer(frame(0xAB), False)
    assert asked == ["keyframe"]
    assert await wire.read_all(16_000) == frame(0xAA) + frame(0xAB)


async def test_who_joins_without_a_keyframe_asks_for_one(wire: Wire) -> None:
    limit = BacklogLimit()
    asked: list[str] = []
    limit.keyframes.on_request = lambda: asked.append("keyframe")
    viewer = TcpViewer(wire.outbox, limit)
    viewer.begin([], wait_for_keyframe=True)
    viewer.offer(frame(1), False)
    viewer.offer(frame(2), True)
    viewer.offer(frame(3), False)
    assert asked == ["keyframe"]


async def test_control_packets_are_never_dropped(wire: Wire) -> None:
    viewer = TcpViewer(wire.outbox, BacklogLimit())
    for number in range(200):
        viewer.offer(frame(number), False)
        viewer.control(b"<%03d>" % number)
    assert viewer.counters.dropped_frames > 0
    data = b""

    def enough() -> bool:
        nonlocal data
        data += wire.read()
        return b"<199>" in data

    await until(enough, "the last control packet arrives")
    positions = [data.find(b"<%03d>" % number) for number in range(200)]
    assert -1 not in positions
    assert positions == sorted(positions)


async def test_two_viewers_of_one_socket_drop_for_themselves(wire: Wire) -> None:
    first = TcpViewer(wire.outbox, BacklogLimit())
    second = TcpViewer(wire.outbox, BacklogLimit())
    second.offer(frame(200), True)
    second.offer(frame(201), False)
    while not first.counters.dropped_frames:
        first.offer(frame(1), False)
    assert second.counters.dropped_frames == 0
    data = await wire.read_all(16_000)
    assert frame(201) in data


async def test_who_is_stuck_stays_stuck_while_frames_are_dropped(wire: Wire) -> None:
    """The kernel's buffer is full to the byte: nothing is half sent, so dropping empties the backlog."""
    fill(wire)
    viewer = TcpViewer(wire.outbox, BacklogLimit())
    loop = asyncio.get_running_loop()
    viewer.offer(frame(0), True)
    before_s = wire.outbox.stuck_s(loop.time() + 1000)
    assert before_s > 900
    for number in range(300):
        viewer.offer(frame(number), number % 7 == 0)
    assert viewer.counters.drop_episodes > 1
    assert wire.outbox.stuck_s(loop.time() + 1000) >= before_s - 1


async def test_reading_ends_being_stuck(wire: Wire) -> None:
    viewer = TcpViewer(wire.outbox, BacklogLimit())
    while not viewer.backlog_bytes:
        viewer.offer(frame(0), True)
    loop = asyncio.get_running_loop()
    assert wire.outbox.stuck_s(loop.time() + 5) > 4

    def drained() -> bool:
        wire.read()
        return not viewer.backlog_bytes

    await until(drained, "all is read")
    assert wire.outbox.stuck_s(loop.time() + 5) == 0


async def test_replies_that_are_not_read_are_bounded_also_behind_a_frame(wire: Wire) -> None:
    viewer = TcpViewer(wire.outbox, BacklogLimit())
    while not viewer.backlog_bytes:
        viewer.offer(frame(0), True)
    for _ in range(3 * MAX_CONTROL_BACKLOG_BYTES // 1000):
        wire.outbox.write(b"r" * 1000)
    assert wire.outbox.broken
    await until(lambda: wire.reasons, "the owner is told")
    assert len(wire.reasons) == 1


async def test_a_peer_that_is_gone_is_told_once_and_from_the_loop(wire: Wire) -> None:
    viewer = TcpViewer(wire.outbox, BacklogLimit())
    wire.theirs.close()
    for _ in range(3):
        viewer.offer(b"x", True)
        wire.outbox.write(b"y")
    assert wire.reasons == []
    await until(lambda: wire.reasons, "the owner is told")
    await asyncio.sleep(0)
    assert len(wire.reasons) == 1
    assert viewer.backlog_bytes == 0
