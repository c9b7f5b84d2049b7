"""Runs of datagrams, with and without the kernel cutting them; pacing and dropping."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.waiting import until

from manycast.hub.fanout import BacklogLimit
from manycast.hub.udp_viewer import (
    MAX_RUN_SEGMENTS,
    PACE_BYTES,
    SEGMENT_BYTES,
    SOL_UDP,
    UDP_SEGMENT,
    Datagrams,
    LongPacket,
    RunSender,
    UdpViewer,
    runs_of,
)

sizes = st.lists(
    st.one_of(st.just(SEGMENT_BYTES), st.integers(1, SEGMENT_BYTES), st.integers(SEGMENT_BYTES + 1, 9000)),
    max_size=150,
)


def packets_of(lengths: list[int]) -> list[bytes]:
    return [bytes((number & 0xFF,)) * length for number, length in enumerate(lengths)]


def cut(runs: tuple[bytes, ...]) -> list[bytes]:
    """As the kernel cuts them."""
    return [
        bytes(run[start : start + step])
        for run in runs
        for step in (len(run) if isinstance(run, LongPacket) else SEGMENT_BYTES,)
        for start in range(0, len(run), step)
    ]


@given(sizes)
def test_runs_are_cut_into_the_packets_they_were_made_of(lengths: list[int]) -> None:
    packets = packets_of(lengths)
    runs = runs_of(packets)
    assert cut(runs) == packets
    assert all(len(run) <= MAX_RUN_SEGMENTS * SEGMENT_BYTES <= 65_507 for run in runs)
    assert all(len(run) > SEGMENT_BYTES for run in runs if isinstance(run, LongPacket))


def test_an_ordinary_frame_is_one_run() -> None:
    assert len(runs_of(packets_of([SEGMENT_BYTES] * 11 + [300]))) == 1


def test_no_packets_are_no_runs() -> None:
    assert runs_of([]) == ()


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Two connected UDP sockets."""
    sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * 1024 * 1024)
    receiver.bind(("127.0.0.1", 0))
    receiver.settimeout(5)
    sender.connect(receiver.getsockname())
    sender.setblocking(False)
    yield sender, receiver
    sender.close()
    receiver.close()


@pytest.mark.parametrize("segmentation", [True, False])
@pytest.mark.parametrize("lengths", [[5], [SEGMENT_BYTES], [SEGMENT_BYTES] * 12 + [7], [9, 8, 7], [SEGMENT_BYTES] * 50])
def test_datagrams_arrive_as_they_are_with_and_without_segmentation(
    pair: tuple[socket.socket, socket.socket], segmentation: bool, lengths: list[int]
) -> None:
    packets = packets_of(lengths)
    run_sender = RunSender(pair[0], segmentation=segmentation)
    for run in runs_of(packets):
        run_sender.send(run)
    assert [pair[1].recv(2048) for _ in packets] == packets


LONG = [SEGMENT_BYTES, 3000, SEGMENT_BYTES, 7, 2 * SEGMENT_BYTES, SEGMENT_BYTES + 1, 65_507]


@pytest.mark.parametrize("segmentation", [True, False])
def test_packets_over_the_size_of_a_segment_are_never_cut(
    pair: tuple[socket.socket, socket.socket], segmentation: bool
) -> None:
    packets = packets_of(LONG)
    run_sender = RunSender(pair[0], segmentation=segmentation)
    for run in runs_of(packets):
        run_sender.send(run)
    assert [pair[1].recv(65_536) for _ in packets] == packets


@pytest.mark.parametrize("segmentation", [True, False])
def test_a_packet_longer_than_any_datagram_is_lost_and_segmentation_stays(
    pair: tuple[socket.socket, socket.socket], segmentation: bool
) -> None:
    run_sender = RunSender(pair[0], segmentation=segmentation)
    (long,) = runs_of([bytes(65_508)])
    with pytest.raises(OSError, match="too long"):
        run_sender.send(long)
    packets = packets_of([SEGMENT_BYTES] * 3 + [5])
    (run,) = runs_of(packets)
    run_sender.send(run)
    assert [pair[1].recv(65_536) for _ in packets] == packets
    assert pair[0].getsockopt(SOL_UDP, UDP_SEGMENT) == (SEGMENT_BYTES if segmentation else 0)


class NoSegmentation:
    """A socket whose route cannot segment: a run is refused while the option is on."""

    def __init__(self, sock: socket.socket, *, at_once: bool) -> None:
        self._sock = sock
        self._at_once = at_once
        self._segment = 0
        self.refused = 0

    def setsockopt(self, level: int, option: int, value: int) -> None:
        if self._at_once and value:
            raise OSError(errno.ENOPROTOOPT, "no such option")
        self._segment = value

    def send(self, data: bytes) -> int:
        if self._segment and len(data) > self._segment:
            self.refused += 1
            raise OSError(errno.EIO, "the device cannot")
        return self._sock.send(data)


@pytest.mark.parametrize("at_once", [True, False], ids=["no such option", "refused when sending"])
def test_without_segmentation_the_run_is_cut_by_ourselves_and_nothing_is_lost(
    pair: tuple[socket.socket, socket.socket], at_once: bool
) -> None:
    fake = NoSegmentation(pair[0], at_once=at_once)
    run_sender = RunSender(fake)  # type: ignore[arg-type]
    packets = packets_of([SEGMENT_BYTES] * 3 + [10])
    for _ in range(3):
        for run in runs_of(packets):
            run_sender.send(run)
    assert [pair[1].recv(2048) for _ in range(12)] == packets * 3
    assert fake.refused == (0 if at_once else 1), "it is tried once only"


def test_other_errors_are_not_taken_for_a_lack_of_segmentation(pair: tuple[socket.socket, socket.socket]) -> None:
    pair[1].close()
    run_sender = RunSender(pair[0])
    with pytest.raises(ConnectionRefusedError):
        for _ in range(3):
            run_sender.send(b"x")


class Recorder:
    """Stands where a RunSender does and writes down what is sent."""

    def __init__(self) -> None:
        self.runs: list[bytes] = []

    def send(self, run: bytes) -> None:
        self.runs.append(run)


def make_viewer(recorder: Recorder, limit: BacklogLimit | None = None) -> UdpViewer:
    return UdpViewer(
        {0: recorder, 1: recorder},
        limit or BacklogLimit(),
        asyncio.get_running_loop(),
        lambda: None,
    )


def chunk(number: int, size: int, *, slot: int = 0) -> Datagrams:
    lengths = [SEGMENT_BYTES] * (size // SEGMENT_BYTES) + [size % SEGMENT_BYTES] * bool(size % SEGMENT_BYTES)
    return Datagrams(slot, runs_of([bytes((number,)) * length for length in lengths]))


async def test_an_ordinary_frame_goes_at_once() -> None:
    recorder = Recorder()
    viewer = make_viewer(recorder)
    viewer.offer(chunk(1, 10_000), True)
    assert b"".join(recorder.runs) == b"\1" * 10_000
    assert (viewer.counters.sent_frames, viewer.counters.sent_bytes, viewer.backlog_bytes) == (1, 10_000, 0)


async def test_a_burst_is_paced_and_arrives_in_order() -> None:
    recorder = Recorder()
    viewer = make_viewer(recorder)
    burst = [chunk(number, 100_000) for number in range(3)]
    viewer.begin(burst, wait_for_keyframe=False)
    assert sum(map(len, recorder.runs)) < 2 * PACE_BYTES + 65_507
    viewer.offer(chunk(3, 100), False)
    await until(lambda: viewer.backlog_bytes == 0, "all has gone")
    assert b"".join(recorder.runs) == b"".join(bytes((number,)) * 100_000 for number in range(3)) + b"\3" * 100
    assert viewer.counters.sent_frames == 4
    viewer.clear()


async def test_over_the_limit_it_is_dropped_up_to_the_next_keyframe() -> None:
    recorder = Recorder()
    viewer = make_viewer(recorder)
    for number in range(20):
        viewer.offer(chunk(number, 100_000), False)
    assert viewer.counters.dropped_frames > 0
    assert viewer.backlog_bytes <= BacklogLimit.MIN_BYTES
    viewer.offer(chunk(50, 100), True)
    viewer.offer(chunk(51, 100), False)
    await until(lambda: viewer.backlog_bytes == 0, "all has gone")
    assert recorder.runs[-2:] == [b"\x32" * 100, b"\x33" * 100]
    assert viewer.counters.sent_frames + viewer.counters.dropped_frames == 22
    viewer.clear()


async def test_without_a_keyframe_at_hand_a_viewer_asks_and_waits_for_one() -> None:
    recorder, limit = Recorder(), BacklogLimit()
    viewer = make_viewer(recorder, limit)
    asked: list[str] = []
    limit.keyframes.on_request = lambda: asked.append("keyframe")
    viewer.begin([], wait_for_keyframe=True)
    viewer.offer(chunk(1, 10), False)
    viewer.control(chunk(9, 5, slot=1))
    viewer.offer(chunk(2, 10), True)
    assert recorder.runs == [b"\x09" * 5, b"\2" * 10]
    viewer.offer(chunk(3, 10), False)
    assert asked == ["keyframe"]


async def test_a_closed_viewer_sends_nothing_more() -> None:
    recorder = Recorder()
    viewer = make_viewer(recorder)
    viewer.begin([chunk(1, 500_000)], wait_for_keyframe=False)
    viewer.clear()
    count = len(recorder.runs)
    await asyncio.sleep(0.02)
    assert len(recorder.runs) == count


async def test_tracks_that_were_not_set_up_are_passed_over() -> None:
    recorder = Recorder()
    viewer = make_viewer(recorder)
    viewer.offer(chunk(1, 10, slot=2), True)
    assert recorder.runs == []


async def test_a_kernel_without_room_loses_and_counts(pair: tuple[socket.socket, socket.socket]) -> None:
    class Full:
        def send(self, run: bytes) -> None:
            raise BlockingIOError

    viewer = UdpViewer({0: Full()}, BacklogLimit(), asyncio.get_running_loop(), lambda: None)
    viewer.offer(chunk(1, 10), True)
    assert viewer.counters.lost_bytes == 10


async def test_a_host_where_nobody_listens_is_told_from_the_loop() -> None:
    class Refused:
        def send(self, run: bytes) -> None:
            raise ConnectionRefusedError

    told: list[None] = []
    viewer = UdpViewer(
        {0: Refused()},
        BacklogLimit(),
        asyncio.get_running_loop(),
        lambda: told.append(None),
    )
    viewer.offer(chunk(1, 10), True)
    assert not told
    await until(lambda: told, "it is told")


async def test_a_second_burst_replaces_what_is_left_of_the_first() -> None:
    recorder = Recorder()
    viewer = make_viewer(recorder)
    viewer.begin([chunk(1, 500_000)], wait_for_keyframe=False)
    viewer.clear()
    viewer.begin([chunk(2, 100_000)], wait_for_keyframe=False)
    await until(lambda: viewer.backlog_bytes == 0, "all has gone")
    sent = b"".join(recorder.runs)
    assert sent.endswith(b"\2" * 100_000)
    assert sent.count(b"\2") == 100_000
    assert len(sent) < 300_000


async def test_what_comes_first_may_be_larger_than_the_limit() -> None:
    recorder = Recorder()
    viewer = make_viewer(recorder)
    viewer.begin([chunk(1, 2 * BacklogLimit.MIN_BYTES)], wait_for_keyframe=False)
    viewer.offer(chunk(2, 100), False)
    await until(lambda: viewer.backlog_bytes == 0, "all has gone")
    assert viewer.counters.dropped_frames == 0
    assert recorder.runs[-1] == b"\2" * 100
