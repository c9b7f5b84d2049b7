"""The asyncio transport over a pipe, with a pipe that does what the test says."""

from __future__ import annotations

import asyncio

import pytest
from support.scripted_pipe import ScriptedPipe

from manycast.servers.http import transport as transport_module
from manycast.servers.http.transport import HIGH_WATER_BYTES, PipeTransport


class Recorder(asyncio.Protocol):
    def __init__(self) -> None:
        self.events: list[object] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.events.append("made")

    def data_received(self, data: bytes) -> None:
        self.events.append(data)

    def connection_lost(self, error: Exception | None) -> None:
        self.events.append(("lost", type(error)))

    def pause_writing(self) -> None:
        self.events.append("pause")

    def resume_writing(self) -> None:
        self.events.append("resume")


def make() -> tuple[ScriptedPipe, Recorder, PipeTransport]:
    pipe, protocol = ScriptedPipe(), Recorder()
    return pipe, protocol, PipeTransport(pipe, protocol, {"peername": ("h", 1)})


async def test_what_the_kernel_takes_goes_at_once_and_the_rest_in_order() -> None:
    pipe, _, transport = make()
    pipe.room = 3
    transport.write(b"abcdef")
    transport.write(b"ghi")
    assert pipe.sent == b"abc"
    assert transport.get_write_buffer_size() == 6
    pipe.has_room(100)
    assert pipe.sent == b"abcdefghi"
    assert pipe.on_writable is None


async def test_a_protocol_that_writes_too_much_is_asked_to_wait() -> None:
    pipe, protocol, transport = make()
    transport.write(bytes(HIGH_WATER_BYTES))
    transport.write(b"x")
    assert protocol.events == ["made", "pause"]
    pipe.has_room(HIGH_WATER_BYTES * 2)
    assert protocol.events == ["made", "pause", "resume"]


async def test_closing_sends_what_waits_first() -> None:
    pipe, protocol, transport = make()
    transport.write(b"answer")
    transport.close()
    transport.write(b"too late")
    assert not pipe.closed
    assert transport.is_closing()
    pipe.has_room(3)
    pipe.has_room(100)
    assert pipe.sent == b"answer"
    assert pipe.closed
    assert protocol.events[-1] == ("lost", type(None))


async def test_a_peer_who_reads_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport_module, "STALL_S", 0.05)
    pipe, protocol, transport = make()
    transport.write(b"answer")
    await asyncio.sleep(0.2)
    assert pipe.closed
    assert protocol.events[-1] == ("lost", TimeoutError)


async def test_data_and_the_end_are_passed_on() -> None:
    pipe, protocol, transport = make()
    pipe.receives(b"request")
    pipe.receives(b"")
    assert protocol.events == ["made", b"request"]
    pipe.has_room(1)
    assert protocol.events[-1] == ("lost", type(None))
    assert transport.get_extra_info("peername") == ("h", 1)


@pytest.mark.parametrize("how", ["read", "abort"])
async def test_a_broken_connection_is_lost_once(how: str) -> None:
    pipe, protocol, transport = make()
    if how == "read":
        pipe.receives(ConnectionResetError())
    else:
        transport.abort()
        transport.abort()
    await asyncio.sleep(0)
    transport.abort()
    await asyncio.sleep(0)
    assert pipe.closed
    assert [event for event in protocol.events if isinstance(event, tuple)] == protocol.events[1:]
    assert len(protocol.events) == 2


async def test_reading_can_be_paused() -> None:
    pipe, _, transport = make()
    assert transport.is_reading()
    transport.pause_reading()
    assert pipe.on_readable is None
    transport.resume_reading()
    assert pipe.on_readable is not None
