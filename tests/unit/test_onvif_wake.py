"""Waiting until an ONVIF device is wanted."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator

import pytest
from support.waiting import until

from manycast.app import onvif_wake
from manycast.app.onvif_wake import until_wanted

HOST = "127.0.0.1"
PATIENCE_S = 30.0


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server((HOST, 0)) as sock:
        sock.setblocking(False)
        yield sock


async def test_a_connection_ends_it_and_waits_to_be_taken(listener: socket.socket) -> None:
    with socket.create_server((HOST, 0)) as other:
        waiting = asyncio.create_task(until_wanted([other, listener], lambda: False))
        await asyncio.sleep(0)
        with socket.create_connection(listener.getsockname()) as client:
            await asyncio.wait_for(waiting, PATIENCE_S)
            taken, _ = listener.accept()
            with taken:
                assert taken.getpeername() == client.getsockname()


async def test_what_is_asked_every_second_ends_it(listener: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onvif_wake, "LOOK_INTERVAL_S", 0.01)
    answers = iter([False, False, True])
    await asyncio.wait_for(until_wanted([listener], lambda: next(answers)), PATIENCE_S)
    assert list(answers) == []


async def test_it_lasts_while_nobody_comes(listener: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onvif_wake, "LOOK_INTERVAL_S", 0.01)
    asked: list[None] = []

    def nothing() -> bool:
        asked.append(None)
        return False

    waiting = asyncio.create_task(until_wanted([listener], nothing))
    await until(lambda: len(asked) > 2, "it has asked several times")
    assert not waiting.done()
    waiting.cancel()
    await asyncio.wait([waiting])
    assert waiting.cancelled()
    assert not asyncio.get_running_loop().remove_reader(listener)
